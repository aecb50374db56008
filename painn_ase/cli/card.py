"""`painn-ase card`: measure a model, and write its card from what was measured."""

import argparse

from painn_ase.cli.arguments import new_file, number, source, without_effect
from painn_ase.cli.common import add_overwrite


def add_parser(verbs: argparse._SubParsersAction) -> None:
    p = verbs.add_parser("card", help="measure a model and write its card", description=__doc__)
    p.add_argument("model", type=source, help="bundled name or model folder; its header keeps the figures")
    p.add_argument(
        "--with", dest="others", nargs="+", type=source, default=[], metavar="MODEL", help="the rest of a committee"
    )
    p.add_argument(
        "--test", nargs="+", type=source, default=[], metavar="FILE", help="labelled frames, never trained on"
    )
    p.add_argument("--group", metavar="KEY", help="also separate errors by this entry of info, e.g. source")
    p.add_argument(
        "--harmonic", nargs="+", type=source, default=[], metavar="FILE", help="displaced frames, labelled by DFT"
    )
    p.add_argument(
        "--picture", type=new_file, metavar="PNG", help="draw the harmonic check, e.g. docs/images/water_harmonic.png"
    )
    text = "energy drift (20 ps)"
    p.add_argument("--nve", type=number(above=0), nargs="?", const=20.0, default=0.0, metavar="PS", help=text)
    p.add_argument("--md", nargs="+", default=[], metavar="K:PS[:BEADS]", help="long dynamics, e.g. 300:1000 300:50:32")
    p.add_argument("--timestep", type=number(above=0), help="fs (default: 0.5; with beads: 0.25)")
    p.add_argument(
        "--structure", type=source, metavar="FILE", help="where dynamics start (default: the model's structure.xyz)"
    )
    p.add_argument("--again", action="store_true", help="crystal and curvature anew, which the card has already")
    p.add_argument(
        "--coverage", nargs="+", type=source, default=[], metavar="FILE", help="training files, for an older model"
    )
    add_overwrite(p)
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from painn_ase.cards.measure import Measurements, measure
    from painn_ase.errors import InputError

    if not options.test:
        without_effect(options, ["group"], "errors by group are those of --test")
    if not options.harmonic:
        without_effect(options, ["picture"], "it shows the check that --harmonic makes")
    if not (options.nve or options.md):
        without_effect(options, ["timestep", "structure"], "dynamics are run with --nve or --md")
    try:
        md = tuple((float(kelvin), float(ps), *map(int, beads)) for kelvin, ps, *beads in map(_split, options.md))
    except ValueError:
        raise InputError(
            f"--md: expected K:PS like 300:1000, or with beads 300:50:32; got {' '.join(options.md)}"
        ) from None
    names = ("test", "harmonic", "coverage", "group", "picture", "nve", "timestep", "structure", "again")
    measure(options.model, Measurements(md=md, **{name: getattr(options, name) for name in names}), options.others)


def _split(word: str) -> list[str]:
    parts = word.split(":")
    if len(parts) > 3:
        raise ValueError(word)
    return parts

"""`painn-ase card`: measure a model, and write its card from what was measured."""

import argparse


def add_parser(verbs: argparse._SubParsersAction) -> None:
    p = verbs.add_parser("card", help="measure a model and write its card", description=__doc__)
    p.add_argument("model", help="bundled name or model folder; its header keeps the figures")
    p.add_argument("--with", dest="others", nargs="+", default=[], metavar="MODEL", help="the rest of a committee")
    p.add_argument("--test", nargs="+", default=[], metavar="FILE", help="labelled frames never trained on")
    p.add_argument("--group", metavar="KEY", help="also separate errors by this entry of info, e.g. source")
    p.add_argument("--harmonic", nargs="+", default=[], metavar="FILE", help="displaced frames, labelled by DFT")
    p.add_argument("--picture", metavar="PNG", help="draw the harmonic check, e.g. docs/images/water_harmonic.png")
    p.add_argument("--nve", type=float, nargs="?", const=20.0, default=0.0, metavar="PS", help="energy drift (20 ps)")
    p.add_argument("--md", nargs="+", default=[], metavar="K:PS", help="long dynamics, e.g. 300:1000 600:100")
    p.add_argument("--timestep", type=float, default=0.5, help="fs, of the dynamics (default: %(default)s)")
    p.add_argument("--structure", metavar="FILE", help="where dynamics start (default: the model's structure.xyz)")
    p.add_argument("--coverage", nargs="+", default=[], metavar="FILE", help="training files, for an older model")
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from painn_ase.errors import InputError
    from painn_ase.quality import Measurements, measure

    try:
        md = tuple((float(kelvin), float(ps)) for kelvin, ps in (word.split(":") for word in options.md))
    except ValueError:
        raise InputError(f"--md: expected temperatures and lengths like 300:1000; got {' '.join(options.md)}") from None
    names = ("test", "harmonic", "coverage", "group", "picture", "nve", "timestep", "structure")
    measure(options.model, Measurements(md=md, **{name: getattr(options, name) for name in names}), options.others)

"""`painn-ase rpmd`: path-integral and ring-polymer molecular dynamics."""

import argparse

from painn_ase.cli.arguments import number, whole, without_effect
from painn_ase.cli.common import add_guards, add_output, add_structure_and_model, guards_of, structure_with_calculator


def add_parser(verbs: argparse._SubParsersAction) -> None:
    p = verbs.add_parser("rpmd", help="run ring-polymer dynamics: quantum nuclei", description=__doc__)
    add_structure_and_model(p)
    p.add_argument("--beads", type=whole(1), required=True, help="32 converge C-H and O-H stretches at 300 K")
    p.add_argument("--steps", type=whole(1), required=True, help="number of steps")
    p.add_argument("--temperature", type=number(above=0), default=300.0, help="K (default: %(default)s)")
    p.add_argument("--timestep", type=number(above=0), default=0.25, help="fs (default: %(default)s)")
    p.add_argument(
        "--thermostat", choices=("pile-l", "pile-g", "trpmd", "none"), default="pile-l",
        help="pile: canonical averages; trpmd: spectra (default: %(default)s)",
    )  # fmt: skip
    p.add_argument("--equilibration", type=number(least=0), default=1.0, help="ps of pile-l before (%(default)s)")
    p.add_argument("--record", nargs="*", default=[], metavar="PROPERTY", help="e.g. dipole polarizability")
    p.add_argument("--every", type=whole(1), default=4, help="steps between records (default: %(default)s)")
    p.add_argument("--frames-every", type=whole(1), default=100, help="steps between centroid frames (%(default)s)")
    p.add_argument("--beads-every", type=whole(1), metavar="STEPS", help="also save the positions of the beads")
    p.add_argument("--beads-count", type=whole(1), metavar="N", help="only N beads each time, in turns (default: all)")
    p.add_argument("--beads-format", choices=("extxyz", "i-pi"), default="extxyz", help="(default: %(default)s)")
    p.add_argument("--seed", type=whole(0), default=0, help="of all random numbers (default: %(default)s)")
    p.add_argument("--resume", action="store_true", help="continue a stopped run to the last bit, or with more steps")
    add_guards(p)
    add_output(p, "rpmd")
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from painn_ase.simulate import Beads, Output, run_rpmd

    beads = None
    if options.beads_every is None:
        without_effect(options, ["beads_count", "beads_format"], "beads are saved with --beads-every")
    if options.beads_every is not None:
        beads = Beads(options.beads_every, options.beads_count, options.beads_format)
    chosen = (
        "beads", "steps", "temperature", "timestep", "thermostat", "equilibration", "record", "every", "seed",
        "resume", "overwrite",
    )  # fmt: skip
    result = run_rpmd(
        structure_with_calculator(options),
        path=options.output,
        save_beads=beads,
        output=Output(trajectory_every=options.frames_every),
        guards=guards_of(options),
        **{name: getattr(options, name) for name in chosen},
    )
    print(result)

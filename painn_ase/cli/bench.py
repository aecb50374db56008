"""`painn-ase bench`: the native kernel against PyTorch on this machine."""

import argparse

from painn_ase.cli.arguments import new_file, number, whole
from painn_ase.cli.common import add_overwrite


def add_parser(verbs: argparse._SubParsersAction) -> None:
    p = verbs.add_parser("bench", help="time the native kernel against PyTorch on this machine", description=__doc__)
    p.add_argument("--systems", nargs="+", metavar="NAME", help="e.g. ethanol aspirin '64 beads' 'water 192' (all)")
    p.add_argument("--seconds", type=number(above=0), default=20.0, help="for each system (default: %(default)s)")
    p.add_argument("--features", type=whole(1), default=128, help="width of the network (default: %(default)s)")
    p.add_argument("--json", type=new_file, metavar="FILE", help="also write the numbers here")
    add_overwrite(p)
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    import json
    from pathlib import Path

    from painn_ase.bench import measure_speed
    from painn_ase.files import write_atomically

    result = measure_speed(
        options.systems, seconds=options.seconds, features=options.features, report=lambda text: print(text, flush=True)
    )
    if options.json:
        write_atomically(Path(options.json), json.dumps(result, indent=1) + "\n")

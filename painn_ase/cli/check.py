"""`painn-ase check`: laws, conventions and manners of a calculator."""

import argparse

from painn_ase.cli.arguments import new_file, source, whole, without_effect
from painn_ase.cli.common import add_overwrite


def add_parser(verbs: argparse._SubParsersAction) -> None:
    p = verbs.add_parser(
        "check", help="check a model, or any ASE calculator, against laws and conventions", description=__doc__
    )
    p.add_argument("calculator", type=source, help="bundled model, model folder, emt, lj, morse, tip3p, or module:name")
    p.add_argument(
        "structures", nargs="*", type=source, metavar="STRUCTURE", help="files (default: what the model brings)"
    )
    p.add_argument("--calls", type=whole(0), default=0, help="also check memory over this many calls, e.g. 10000")
    p.add_argument(
        "--only", nargs="+", default=(), metavar="CHECK", help="these checks alone, e.g. 'rotation' 'pickle'"
    )
    p.add_argument(
        "--as-given", action="store_true", help="no boxes, layers, and single atoms made from the structures"
    )
    p.add_argument("--dtype", choices=("float32", "float64"), default="float32", help="precision of a model")
    p.add_argument("--backend", choices=("auto", "native", "torch"), default="auto", help="backend of a model")
    p.add_argument("--json", type=new_file, metavar="FILE", help="also write every outcome here")
    add_overwrite(p)
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    import json
    from pathlib import Path

    from painn_ase.files import write_atomically
    from painn_ase.testing import check_calculator
    from painn_ase.testing.subjects import NAMED, find_calculator

    if ":" in options.calculator or options.calculator in NAMED:
        without_effect(options, ["dtype", "backend"], f"{options.calculator} is no model of this package")
    calc, structures = find_calculator(
        options.calculator, options.structures, dtype=options.dtype, backend=options.backend
    )
    report = check_calculator(calc, structures, calls=options.calls, only=options.only, relatives=not options.as_given)
    print(report)
    if options.json:
        write_atomically(Path(options.json), json.dumps(report.as_dict(), indent=1) + "\n")
    return report.exit_code

"""`painn-ase check`: laws, conventions and manners of a calculator."""

import argparse


def add_parser(verbs: argparse._SubParsersAction) -> None:
    p = verbs.add_parser(
        "check", help="check a model, or any ASE calculator, against laws and conventions", description=__doc__
    )
    p.add_argument("calculator", help="bundled model, model folder, emt, lj, morse, tip3p, or module:name")
    p.add_argument("structures", nargs="*", metavar="STRUCTURE", help="files (default: what the model brings)")
    p.add_argument("--calls", type=int, default=0, help="also check memory over this many calls, e.g. 10000")
    p.add_argument(
        "--only", nargs="+", default=(), metavar="CHECK", help="these checks alone, e.g. 'rotation' 'pickle'"
    )
    p.add_argument(
        "--as-given", action="store_true", help="no boxes, layers, and single atoms made from the structures"
    )
    p.add_argument("--dtype", choices=("float32", "float64"), default="float32", help="precision of a model")
    p.add_argument("--backend", choices=("auto", "native", "torch"), default="auto", help="backend of a model")
    p.add_argument("--json", metavar="FILE", help="also write every outcome here")
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    import json
    from pathlib import Path

    from painn_ase.files import write_atomically
    from painn_ase.testing import check_calculator
    from painn_ase.testing.subjects import find_calculator

    calc, structures = find_calculator(
        options.calculator, options.structures, dtype=options.dtype, backend=options.backend
    )
    report = check_calculator(calc, structures, calls=options.calls, only=options.only, relatives=not options.as_given)
    print(report)
    if options.json:
        write_atomically(Path(options.json), json.dumps(report.as_dict(), indent=1) + "\n")
    return report.exit_code

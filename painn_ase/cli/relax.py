"""`painn-ase relax`: geometry optimisation."""

import argparse
from pathlib import Path

from painn_ase.cli.common import add_output, add_structure_and_model, structure_with_calculator


def add_parser(verbs: argparse._SubParsersAction) -> None:
    p = verbs.add_parser("relax", help="optimise a geometry", description=__doc__)
    add_structure_and_model(p)
    p.add_argument("--fmax", type=float, default=0.01, help="largest force left, eV/Å (default: %(default)s)")
    p.add_argument("--steps", type=int, default=500, help="at most (default: %(default)s)")
    p.add_argument("--cell", action="store_true", help="relax the cell too (periodic structures)")
    p.add_argument("--optimizer", choices=("FIRE", "BFGS", "LBFGS"), default="FIRE")
    add_output(p, "relaxed")
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from painn_ase.errors import InputError
    from painn_ase.files import claim
    from painn_ase.simulate import relax

    final = Path(f"{options.output}.extxyz")
    atoms = structure_with_calculator(options)
    claim([final], options.overwrite)
    chosen = ("fmax", "steps", "cell", "optimizer", "overwrite")
    result = relax(atoms, path=options.output, **{name: getattr(options, name) for name in chosen})
    atoms.write(final)
    print(f"{result}; final structure {final}")
    if not result.converged:
        raise InputError(f"not converged in {options.steps} steps: raise --steps, or start again from {final}")

"""`painn-ase relax`: geometry optimisation."""

import argparse
from pathlib import Path

from painn_ase.cli.common import add_guards, add_output, add_structure_and_model, guards_of, structure_with_calculator


def add_parser(verbs: argparse._SubParsersAction) -> None:
    p = verbs.add_parser("relax", help="optimise a geometry", description=__doc__)
    add_structure_and_model(p)
    p.add_argument("--fmax", type=float, default=0.01, help="largest force left, eV/Å (default: %(default)s)")
    p.add_argument("--steps", type=int, default=500, help="at most (default: %(default)s)")
    p.add_argument("--cell", action="store_true", help="relax the cell too (periodic structures)")
    p.add_argument("--optimizer", choices=("FIRE", "BFGS", "LBFGS"), default="FIRE", help="(default: %(default)s)")
    p.add_argument("--resume", action="store_true", help="continue a stopped relaxation, or with more --steps")
    add_guards(p)
    add_output(p, "relaxed")
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from painn_ase.errors import NotConverged
    from painn_ase.files import claim
    from painn_ase.simulate import relax

    final = Path(f"{options.output}.extxyz")
    atoms = structure_with_calculator(options)
    if not options.resume:
        claim([final], options.overwrite)
    chosen = ("fmax", "steps", "cell", "optimizer", "resume", "overwrite")
    given = {name: getattr(options, name) for name in chosen}
    result = relax(atoms, path=options.output, guards=guards_of(options), **given)
    atoms.write(final)
    print(f"{result}; final structure {final}")
    if not result.converged:
        raise NotConverged(f"not converged in {options.steps} steps: raise --steps and --resume, or start from {final}")

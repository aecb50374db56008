"""`painn-ase relax`: geometry optimisation."""

import argparse
from pathlib import Path

from painn_ase.cli.arguments import number, say, whole
from painn_ase.cli.common import add_guards, add_output, add_structure_and_model, guards_of, structure_with_calculator


def add_parser(verbs: argparse._SubParsersAction) -> None:
    p = verbs.add_parser("relax", help="optimise a geometry", description=__doc__)
    add_structure_and_model(p)
    p.add_argument("--fmax", type=number(above=0), default=0.01, help="largest force left, eV/Å (default: %(default)s)")
    p.add_argument("--steps", type=whole(1), default=500, help="at most (default: %(default)s)")
    p.add_argument("--cell", action="store_true", help="relax the cell too (periodic structures)")
    p.add_argument("--optimizer", choices=("FIRE", "BFGS", "LBFGS"), default="FIRE", help="(default: %(default)s)")
    p.add_argument("--resume", action="store_true", help="continue a stopped relaxation, or with more --steps")
    add_guards(p)
    add_output(p, "relaxed")
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from painn_ase.errors import InputError, NotConverged
    from painn_ase.simulate import relax
    from painn_ase.structures import constraints_lost, write_frames

    final = Path(f"{options.output}.extxyz")
    atoms = structure_with_calculator(options)
    if final.exists() and not (options.resume or options.overwrite):
        raise InputError(f"{final} exists; choose another --output or pass --overwrite")
    chosen = ("fmax", "steps", "cell", "optimizer", "resume", "overwrite")
    given = {name: getattr(options, name) for name in chosen}
    result = relax(atoms, path=options.output, guards=guards_of(options), **given)
    write_frames(final, [atoms])
    print(f"{result}; final structure {final}")
    lost, whole = constraints_lost(final, atoms), final
    if lost:
        whole = Path(f"{options.output}.traj")
        say(options, f"{final} cannot hold {', '.join(lost)}; the last frame of {whole} does")
    if not result.converged:
        raise NotConverged(f"not converged in {options.steps} steps: raise --steps and --resume, or start from {whole}")

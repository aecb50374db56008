"""`painn-ase vibrations`: harmonic frequencies, infrared and Raman strengths."""

import argparse

from painn_ase.cli.arguments import new_file, number, without_effect
from painn_ase.cli.common import add_overwrite, add_structure_and_model, structure_with_calculator


def add_parser(verbs: argparse._SubParsersAction) -> None:
    p = verbs.add_parser("vibrations", help="harmonic frequencies, IR and Raman strengths", description=__doc__)
    add_structure_and_model(p)
    p.add_argument(
        "--fmax", type=number(above=0), default=0.001, help="relax to this force first, eV/Å (default: %(default)s)"
    )
    p.add_argument("--no-relax", action="store_true", help="take the structure as it is, whatever its forces")
    p.add_argument("--csv", type=new_file, metavar="FILE", help="write the table")
    p.add_argument("--modes", type=new_file, metavar="XYZ", help="write the modes as arrows in an extended XYZ file")
    add_overwrite(p)
    p.set_defaults(run=run, dtype="float64")


def run(options: argparse.Namespace) -> None:
    from painn_ase.errors import NotConverged
    from painn_ase.simulate import relax, vibrations

    atoms = structure_with_calculator(options)
    if options.no_relax:
        without_effect(options, ["fmax"], "the structure is taken as it is with --no-relax")
    else:
        relaxed = relax(atoms, fmax=options.fmax, optimizer="BFGS")
        print(relaxed)
        if not relaxed.converged:
            raise NotConverged("the structure did not relax; relax it with painn-ase relax, or pass --no-relax")
    found = vibrations(atoms, fmax=float("inf") if options.no_relax else options.fmax)
    print(found.table())
    if options.csv:
        print(f"table: {found.save(options.csv)}")
    if options.modes:
        print(f"modes: {found.save_modes(options.modes)}")

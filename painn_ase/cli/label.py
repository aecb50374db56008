"""`painn-ase label`: energies, forces, dipoles and polarizabilities by quantum chemistry, or by trained models."""

import argparse
from collections.abc import Sequence

from painn_ase.cli.arguments import file_to_write, number, say, source, whole, without_effect


def add_parser(verbs: argparse._SubParsersAction) -> None:
    p = verbs.add_parser("label", help="label structures by quantum chemistry or models", description=__doc__)
    p.add_argument("frames", nargs="+", type=source, help="files of structures that ASE reads")
    by = p.add_mutually_exclusive_group(required=True)
    text = "FUNCTIONAL/BASIS, e.g. pbe0/def2-svpd, pbe0-d4/def2-tzvpd with dispersion, or gfn2 or gfn1 (tblite)"
    by.add_argument("--level", metavar="LEVEL", help=text)
    by.add_argument("--models", nargs="+", type=source, metavar="MODEL", help="the mean of trained models, as teachers")
    text = "energy forces dipole polarizability (default: energy forces)"
    p.add_argument("--properties", nargs="+", default=["energy", "forces"], metavar="PROPERTY", help=text)
    text = "others by info['source'], a shell pattern; the first that matches counts: 'ethanol_wigner_??=energy,dipole'"
    p.add_argument("--properties-for", nargs="+", default=[], metavar="PATTERN=PROPERTY,...", help=text)
    text = "extended XYZ; if it exists, only what it lacks is computed (default: %(default)s)"
    p.add_argument("--output", type=file_to_write, default="labelled.extxyz", metavar="PATH", help=text)
    p.add_argument("--processes", type=whole(1), default=1, help="structures computed at the same time (%(default)s)")
    p.add_argument("--threads", type=whole(1), default=1, help="threads of each process (default: %(default)s)")
    p.add_argument("--grid", type=whole(0), metavar="N", help="integration grid of PySCF, 0 to 9 (default: 3)")
    p.add_argument("--scf-tolerance", type=number(above=0), metavar="HARTREE", help="(default: 1e-9)")
    text = "measure: the coarsest grid and convergence whose forces are so near to those of fine ones, such as 0.001"
    p.add_argument("--accuracy", type=number(above=0), metavar="eV/Å", help=text)
    p.add_argument("--compact-basis", action="store_true", help="allow polarizabilities without diffuse functions")
    p.add_argument("--overwrite", action="store_true", help="forget an existing output")
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from pathlib import Path

    from painn_ase.reference import Level, Models, label
    from painn_ase.reference.settings import settled
    from painn_ase.reference.wanted import want_by_source
    from painn_ase.training import read_frames

    chosen = ("properties", "processes", "threads", "overwrite")
    settings = ["compact_basis", "grid", "scf_tolerance"]
    level, frames = options.level, read_frames(options.frames)
    want_by_source(frames, by_source(options.properties_for))
    if level is None or "/" not in level:
        without_effect(options, [*settings, "accuracy"], "only levels FUNCTIONAL/BASIS have a grid and a basis set")
    else:
        given = {name: getattr(options, name) for name in settings}
        level = Level.parse(level, **{name: value for name, value in given.items() if value is not None})
        if options.accuracy is not None:
            without_effect(options, ["grid", "scf_tolerance"], "--accuracy chooses them")
            level = settled(
                frames[0], level, options.accuracy, None if options.overwrite else Path(options.output), options.threads
            )
            say(options, f"grid {level.grid}, convergence {level.scf_tolerance:.0e} Hartree")
    outcome = label(
        frames,
        level or Models(*options.models),
        options.output,
        **{name: getattr(options, name) for name in chosen},
    )
    print(outcome)


def by_source(words: Sequence[str]) -> dict[str, list[str]]:
    """Names of labels by pattern, from the words of --properties-for."""
    from painn_ase.errors import InputError

    found = {}
    for word in words:
        pattern, _, names = word.rpartition("=")
        if not pattern or not names:
            raise InputError(f"--properties-for: expected '*_wigner_*=energy,forces,polarizability'; got {word!r}")
        found[pattern] = names.split(",")
    return found

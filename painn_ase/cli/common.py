"""Arguments that several verbs share."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from painn_ase.cli.arguments import number, prefix, source

if TYPE_CHECKING:
    from ase import Atoms

    from painn_ase.simulate import Guards


def add_structure_and_model(p: argparse.ArgumentParser) -> None:
    """STRUCTURE, --model, and how the model is evaluated."""
    text = (
        "file that ASE reads (FILE@0: its first frame), smiles:CCO, or a bundled model's name for its example structure"
    )
    p.add_argument("structure", type=source, help=text)
    by = p.add_mutually_exclusive_group()
    text = "bundled name or model folder (default: the bundled model STRUCTURE names)"
    by.add_argument("--model", type=source, help=text)
    text = "several models instead: their mean drives"
    by.add_argument("--ensemble", nargs="+", type=source, metavar="MODEL", help=text)
    p.add_argument("--dtype", choices=("float32", "float64"), default="float32", help="precision of the network")
    p.add_argument("--device", default="cpu", help="cpu, cuda, ... (default: %(default)s)")
    p.add_argument("--backend", choices=("auto", "native", "torch"), default="auto", help="(default: native if it can)")
    p.add_argument("--charge", type=number(), help="total charge in e (default: from the file, else 0)")


def add_output(p: argparse.ArgumentParser, default: str) -> None:
    """--output and --overwrite."""
    text = "output files begin with this (%(default)s)"
    p.add_argument("--output", type=prefix, default=default, metavar="PATH", help=text)
    add_overwrite(p)


def add_overwrite(p: argparse.ArgumentParser) -> None:
    """--overwrite, for verbs that write files."""
    p.add_argument("--overwrite", action="store_true", help="replace existing output files")


def add_guards(p: argparse.ArgumentParser, flagged: str = "OUTPUT.flagged.traj") -> None:
    """What a run must not do, and what happens if it does; `flagged` is the file for frames of excursions."""
    g = p.add_argument_group("guards", "where numbers no longer mean anything; NaN and 10 times too hot always stop")
    g.add_argument("--stop-outside", action="store_true", help="stop where the model's training data end")
    g.add_argument("--max-force", type=number(above=0), metavar="EV/Å", help="largest force on an atom")
    g.add_argument("--min-distance", type=number(above=0), metavar="Å", help="between any two atoms")
    g.add_argument("--max-disagreement", type=number(above=0), metavar="EV/Å", help="of the forces of an --ensemble")
    g.add_argument("--warn-only", action="store_true", help=f"go on; frames go to {flagged}")


def guards_of(options: argparse.Namespace) -> Guards:
    """The guards that were asked for."""
    from painn_ase.simulate import Guards

    chosen = ("stop_outside", "max_force", "min_distance", "max_disagreement")
    return Guards(action="warn" if options.warn_only else "stop", **{name: getattr(options, name) for name in chosen})


def structure_with_calculator(options: argparse.Namespace) -> Atoms:
    """The structure that was asked for, with the calculator attached."""
    from painn_ase.calculator import PaiNNCalculator
    from painn_ase.errors import InputError
    from painn_ase.model_files import bundled_models
    from painn_ase.structures import read_structure, without_labels

    atoms = without_labels(read_structure(options.structure))
    model = options.ensemble or options.model or options.structure
    if model == options.structure and model not in bundled_models():
        names = ", ".join(bundled_models()) or "none found"
        raise InputError(
            f"--model: expected a bundled model ({names}) or a model folder, since {options.structure!r} names none; "
            "got nothing"
        )
    chosen = ("dtype", "device", "backend", "charge")
    atoms.calc = PaiNNCalculator(model, **{name: getattr(options, name) for name in chosen})
    return atoms

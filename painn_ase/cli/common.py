"""Arguments that several verbs share."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ase import Atoms

    from painn_ase.simulate import Guards


def add_structure_and_model(p: argparse.ArgumentParser) -> None:
    """STRUCTURE, --model, and how the model is evaluated."""
    p.add_argument("structure", help="file that ASE reads, or the name of a bundled model for its example structure")
    p.add_argument("--model", help="bundled name or model folder (default: the bundled model STRUCTURE names)")
    p.add_argument("--ensemble", nargs="+", metavar="MODEL", help="several models instead: their mean drives")
    p.add_argument("--dtype", choices=("float32", "float64"), default="float32", help="precision of the network")
    p.add_argument("--device", default="cpu", help="cpu, cuda, ... (default: %(default)s)")
    p.add_argument("--backend", choices=("auto", "native", "torch"), default="auto", help="(default: native if it can)")
    p.add_argument("--charge", type=float, help="total charge in e (default: from the file, else 0)")


def add_output(p: argparse.ArgumentParser, default: str) -> None:
    """--output and --overwrite."""
    p.add_argument("--output", default=default, metavar="PATH", help="output files begin with this (%(default)s)")
    p.add_argument("--overwrite", action="store_true", help="replace existing output files")


def add_guards(p: argparse.ArgumentParser, flagged: str = "OUTPUT.flagged.traj") -> None:
    """What a run must not do, and what happens if it does; `flagged` is the file for frames of excursions."""
    g = p.add_argument_group("guards", "where numbers no longer mean anything; NaN and 10 times too hot always stop")
    g.add_argument("--stop-outside", action="store_true", help="stop where the model's training data end")
    g.add_argument("--max-force", type=float, metavar="EV/Å", help="largest force on an atom")
    g.add_argument("--min-distance", type=float, metavar="Å", help="between any two atoms")
    g.add_argument("--max-disagreement", type=float, metavar="EV/Å", help="of the forces of an --ensemble")
    g.add_argument("--warn-only", action="store_true", help=f"go on; frames go to {flagged}")


def guards_of(options: argparse.Namespace) -> Guards:
    """The guards that were asked for."""
    from painn_ase.simulate import Guards

    chosen = ("stop_outside", "max_force", "min_distance", "max_disagreement")
    return Guards(action="warn" if options.warn_only else "stop", **{name: getattr(options, name) for name in chosen})


def structure_with_calculator(options: argparse.Namespace) -> Atoms:
    """The structure that was asked for, with the calculator attached."""
    from painn_ase.calculator import PaiNNCalculator
    from painn_ase.structures import read_structure

    atoms = read_structure(options.structure)
    model = options.ensemble or options.model or options.structure
    chosen = ("dtype", "device", "backend", "charge")
    atoms.calc = PaiNNCalculator(model, **{name: getattr(options, name) for name in chosen})
    return atoms

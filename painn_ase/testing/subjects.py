"""Calculators named on the command line: models of this package, four of ASE's potentials, or any by import path."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk, fcc111, molecule

from painn_ase.calculator import PaiNNCalculator
from painn_ase.errors import InputError
from painn_ase.model_files import find_model
from painn_ase.structures import EXAMPLE, read_structure


def emt() -> tuple[Any, list[Atoms]]:
    """ASE's effective medium theory: an alloy, a slab and a cluster."""
    from ase.calculators.emt import EMT

    alloy = bulk("Cu", cubic=True)
    alloy.numbers[0] = 79
    slab = fcc111("Al", (1, 1, 3), vacuum=4.0)
    slab.pbc = [True, True, False]
    cluster = Atoms("Cu3Au", positions=[[0, 0, 0], [2.6, 0, 0], [1.3, 2.2, 0], [1.3, 0.8, 2.2]])
    return EMT(), [alloy, slab, cluster]


def lj() -> tuple[Any, list[Atoms]]:
    """ASE's Lennard-Jones potential for argon: a crystal and a cluster."""
    from ase.calculators.lj import LennardJones

    return LennardJones(sigma=3.4, epsilon=0.0104, rc=8.0), [
        bulk("Ar", "fcc", a=5.3, cubic=True),
        _tetrahedron("Ar", 3.8),
    ]


def morse() -> tuple[Any, list[Atoms]]:
    """ASE's Morse potential: a crystal and a cluster of copper."""
    from ase.calculators.morse import MorsePotential

    calc = MorsePotential(epsilon=0.34, r0=2.87, rho0=3.9, rcut1=1.5, rcut2=2.0)
    return calc, [bulk("Cu", cubic=True), _tetrahedron("Cu", 2.7)]


def tip3p() -> tuple[Any, list[Atoms]]:
    """ASE's TIP3P water: two molecules, and a periodic box of 27."""
    from ase.calculators.tip3p import TIP3P

    pair = _water([0, 0, 0], 0) + _water([3.0, 0.3, 0.2], 1)
    box = Atoms(cell=np.eye(3) * 3 * 3.1, pbc=True)
    for number, place in enumerate(np.ndindex(3, 3, 3)):
        box += _water(3.1 * np.array(place), number)
    return TIP3P(rc=4.5, width=1.0), [pair, box]


NAMED = {build.__name__: build for build in (emt, lj, morse, tip3p)}
"""ASE's own calculators with structures they are made for."""


def find_calculator(text: str, structures: list[str] | None = None, **keywords: Any) -> tuple[Any, list[Atoms]]:
    """The calculator and the structures that the command line names.

    `text` is a bundled model or a model folder (its `PaiNNCalculator` gets the keywords), a name in `NAMED`, or
    "module:name" of anything that returns an ASE calculator when called. `structures` are files or names of models;
    without them a model's example structure, or those in `NAMED`, are used. Raises `InputError` where none is known.
    """
    given = [read_structure(name) for name in structures or ()]
    if text in NAMED:
        calc, known = NAMED[text]()
    elif ":" in text:
        calc, known = _imported(text), []
    else:
        example = find_model(text) / EXAMPLE
        calc, known = PaiNNCalculator(text, **keywords), [read_structure(example)] if example.is_file() else []
    if not (given or known):
        raise InputError(f"check: {text} comes without a structure; expected files: painn-ase check {text} FILE ...")
    return calc, given or known


def _imported(text: str) -> Any:
    module, _, name = text.partition(":")
    try:
        with _working_directory():
            return getattr(import_module(module), name)()
    except (ImportError, AttributeError, TypeError) as error:
        raise InputError(
            f"check: expected module:name of what makes a calculator when called, such as ase.calculators.emt:EMT; got "
            f"{text!r} ({type(error).__name__}: {error})"
        ) from None


@contextmanager
def _working_directory() -> Iterator[None]:
    """Has modules of the working directory found, after all others, as `python -m` finds them."""
    here = os.getcwd()
    sys.path.append(here)
    try:
        yield
    finally:
        sys.path.remove(here)


def _tetrahedron(symbol: str, edge: float) -> Atoms:
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * edge / np.sqrt(8)
    return Atoms(f"{symbol}4", positions=corners)


def _water(place: Any, seed: int) -> Atoms:
    single = molecule("H2O")
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    return Atoms("OHH", positions=(single.positions - single.positions[0]) @ turn + np.asarray(place, dtype=float))

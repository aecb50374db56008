"""Reaction paths: all images of a nudged elastic band in one evaluation of the network.

ASE's `NEB` asks one image after the other; the first that is asked has all of them evaluated here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from painn_ase.calculator import PaiNNCalculator
from painn_ase.calculator.changes import changed_geometry
from painn_ase.errors import InputError, SimulationError
from painn_ase.simulate.replicas.batch import BatchedEvaluator

_FEWEST = 3  # images of a band


class Band:
    """The moving images of a band and what was computed for them together.

    `evaluations` counts the batches; each holds all moving images.
    """

    def __init__(self, images: Sequence[Atoms], calculator: PaiNNCalculator) -> None:
        self.images = list(images)
        self.evaluations = 0
        first = self.images[0].copy()
        first.calc = calculator
        self._like = first
        self._evaluate = BatchedEvaluator(first)
        for number, image in enumerate(self.images):
            image.calc = ImageCalculator(self, number)

    def evaluate(self, number: int, atoms: Atoms) -> None:
        """Energies and forces of all images into their calculators; `atoms` stands for image `number`."""
        structures = [*self.images[:number], atoms, *self.images[number + 1 :]]
        for k, one in enumerate(structures):
            self._check_same_system(k, one)
        values = self._evaluate(np.stack([one.positions for one in structures]), ("forces",))
        self.evaluations += 1
        for k, one in enumerate(structures):
            energy, forces = float(values["energy"][k]), values["forces"][k].copy()
            if not (np.isfinite(energy) and np.isfinite(forces).all()):
                raise SimulationError(
                    f"moving image {k} of the band: energy or forces are not finite; two atoms may have met. "
                    "Interpolate with method='idpp', or begin with more images"
                )
            calc = self.images[k].calc
            if isinstance(calc, ImageCalculator) and calc.band is self:
                calc.atoms = one.copy()
                calc.results = {"energy": energy, "free_energy": energy, "forces": forces}

    def _check_same_system(self, number: int, atoms: Atoms) -> None:
        like = self._like
        changes = [name for name in changed_geometry(like, atoms) if name != "positions"]
        if changes:
            raise InputError(
                f"moving image {number} of the band: its {changes[0]} are not those of the first; expected images that "
                "differ in positions alone"
            )
        if like.calc.charge is None and atoms.info.get("charge", 0.0) != like.info.get("charge", 0.0):
            raise InputError(f"moving image {number} of the band: expected the charge of the first image")


class ImageCalculator(Calculator):
    """The calculator of one moving image: it has all images of its band evaluated, and keeps its own results."""

    name = "painn band"
    implemented_properties = ["energy", "free_energy", "forces"]  # noqa: RUF012

    def __init__(self, band: Band, number: int) -> None:
        super().__init__()
        self.band = band
        self.number = number

    def check_state(self, atoms: Atoms, tol: float = 0.0) -> list[str]:
        """What changed since the last evaluation, compared exactly."""
        return list(all_changes) if self.atoms is None else changed_geometry(self.atoms, atoms)

    def calculate(
        self, atoms: Atoms | None = None, properties: Any = ("energy",), system_changes: Any = tuple(all_changes)
    ) -> None:
        """Evaluates the whole band."""
        self.band.evaluate(self.number, self.band.images[self.number] if atoms is None else atoms)


def attach_band(images: Sequence[Atoms], calculator: PaiNNCalculator) -> Band:
    """Attaches calculators to the `images` of a band such that all moving ones cost one evaluation; returns the `Band`.

    The first and the last image get a clone of `calculator` each, those between them share batches. Afterwards use
    ASE's `NEB(images, ...)`, `DyNEB` or the string method as always, without `allow_shared_calculator`:

        images = [initial, *(initial.copy() for _ in range(7)), final]
        NEB(images, method="improvedtangent").interpolate("idpp")
        band = attach_band(images, PaiNNCalculator("ethanol"))
        BFGS(NEB(images, climb=True, method="improvedtangent")).run(fmax=0.02)

    Energies (eV) and forces (eV/Å) are those of the calculator on each image alone, to its precision. Images must have
    the same elements, cell, boundary conditions and charge. Raises `InputError` otherwise, or for fewer than three.
    """
    if len(images) < _FEWEST or len({id(image) for image in images}) < len(images):
        raise InputError(f"attach_band: expected {_FEWEST} or more images, all different objects; got {len(images)}")
    if not isinstance(calculator, PaiNNCalculator):
        raise InputError(f"attach_band: expected a PaiNNCalculator; got a {type(calculator).__name__}")
    for end in (images[0], images[-1]):
        end.calc = calculator.clone()
    return Band(images[1:-1], calculator.clone())

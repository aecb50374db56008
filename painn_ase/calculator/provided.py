"""What a calculator provides, and for which structures it is defined."""

from collections.abc import Iterable
from dataclasses import dataclass

from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError

from painn_ase.backends import Backend
from painn_ase.properties import SPREAD
from painn_ase.response import RESPONSES


@dataclass(frozen=True)
class Provided:
    """The properties of a model by ASE's names, and those that only molecules have."""

    model: str  # its name, for messages
    properties: tuple[str, ...]  # sorted
    molecular: frozenset[str]  # built from positions, and so undefined in periodic structures

    @classmethod
    def by(cls, model: str, backend: Backend) -> "Provided":
        """What `backend` provides as an ASE calculator: Born effective charges, too, where there is a dipole."""
        names = {*backend.properties, "free_energy"}
        if "dipole" in backend.properties:
            names.add("born_effective_charges")
        molecular = frozenset().union(*(one.molecular for one in backend.models))
        derived = {name for name, source in RESPONSES.items() if source in molecular}
        return cls(model, tuple(sorted(names)), molecular | derived)

    def check(self, atoms: Atoms, asked: Iterable[str]) -> None:
        """Raises ASE's `PropertyNotImplementedError`, with the reason, for what `atoms` do not have."""
        for name in asked:
            if name not in self.properties:
                have = ", ".join(self.properties)
                raise PropertyNotImplementedError(f"model {self.model!r} provides {have}; it has no {name}")
            if name.removesuffix(SPREAD) == "stress" and not atoms.pbc.all():
                raise PropertyNotImplementedError(
                    "stress is defined for structures that are periodic in three directions; this one has "
                    f"pbc={[bool(p) for p in atoms.pbc]}, so it has no volume to refer to"
                )
        self.check_boundaries(atoms, asked)

    def check_boundaries(self, atoms: Atoms, asked: Iterable[str]) -> None:
        """Raises `PropertyNotImplementedError` for properties of molecules where `atoms` are periodic."""
        for name in asked:
            if name in self.molecular and atoms.pbc.any():
                raise PropertyNotImplementedError(
                    f"{name} of a periodic structure is not defined by this model: it is built from positions, which "
                    "are known only up to lattice vectors. If this is a molecule in a box, set atoms.pbc = False"
                )

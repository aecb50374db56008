"""Lennard-Jones calculators with one mistake each: what the conformance suite must find, and with which check."""

import os
import threading
import time
import warnings
from typing import ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError, all_changes
from ase.calculators.lj import LennardJones

CRYSTAL = Atoms(
    "Ar2KrXe",
    scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.05], [0.45, 0, 0.5], [0, 0.55, 0.5]],
    cell=[[5.2, 0.3, 0], [0.2, 5.4, 0.4], [-0.3, 0.1, 5.6]],
    pbc=True,
)
CLUSTER = Atoms("Ar2KrXe", positions=[[0, 0, 0], [3.6, 0.2, 0], [1.7, 3.3, 0.3], [1.5, 1.2, 3.1]])


class Sound(LennardJones):
    """ASE's Lennard-Jones, smooth at the cutoff and aware of `atoms.info["charge"]`, which it adds as an energy."""

    implemented_properties: ClassVar = ["energy", "energies", "forces", "free_energy", "stress"]

    def __init__(self):
        super().__init__(sigma=3.4, epsilon=0.01, rc=7.0, ro=5.0, smooth=True)

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        if not np.isfinite(atoms.positions).all():
            raise ValueError("positions are not finite")
        super().calculate(atoms, properties, system_changes)
        self.results.pop("stresses", None)
        if not atoms.pbc.all():
            self.results.pop("stress", None)
            if "stress" in (properties or ()):
                raise PropertyNotImplementedError("no volume, no stress")
        self.change(self.atoms, self.results)

    def change(self, atoms, results):
        """The mistake."""


def mistake(change, **attributes):
    """The sound calculator with `change(atoms, results)` done to its results."""

    def method(self, atoms, results):
        change(atoms, results)

    return type("Mistake", (Sound,), {"change": method} | attributes)


def add_energy(results, energy):
    for name in ("energy", "free_energy"):
        results[name] += energy
    results["energies"] = results["energies"] + energy / len(results["energies"])


def scale(name, factor):
    def change(atoms, results):
        if name in results:
            results[name] = results[name] * factor

    return mistake(change)


def left_handed(atoms, results):
    if "stress" in results:
        results["stress"] = results["stress"] * np.sign(np.linalg.det(atoms.cell.array))


def field(atoms, results):
    add_energy(results, 0.01 * atoms.positions[:, 0].sum())


def anisotropic(atoms, results):
    d = atoms.positions[1] - atoms.positions[0]
    add_energy(results, 1e-4 * d[0] ** 2)


def handed(atoms, results):
    x = atoms.positions - atoms.positions[0]
    if len(x) > 3:
        add_energy(results, 1e-4 * np.linalg.det(x[1:4]))


def ordered(atoms, results):
    add_energy(results, 1e-4 * atoms.numbers @ np.arange(len(atoms)))


def open_cell(atoms, results):
    if not atoms.pbc.any():
        add_energy(results, 1e-3 * atoms.cell.volume)


def intensive(atoms, results):
    add_energy(results, 0.01)


def ragged(atoms, results):
    results["forces"] = results["forces"].ravel()


def single(atoms, results):
    results["forces"] = results["forces"].astype(np.float32)


def boxed_number(atoms, results):
    results["energy"] = np.array(results["energy"])


def extra(atoms, results):
    results["dipole"] = np.zeros(3)


def rough(atoms, results):
    add_energy(results, 1e-3 * np.sin(1e7 * atoms.positions.sum()))


def seeds(atoms, results):
    np.random.seed(0)  # noqa: NPY002


def silences(atoms, results):
    warnings.simplefilter("ignore")


def environment(atoms, results):
    os.environ["OMP_NUM_THREADS"] = str(1 + int(os.environ.get("OMP_NUM_THREADS", 1)))


def precision(atoms, results):
    import torch

    torch.set_default_dtype(torch.float64)


def forgets_files(atoms, results):
    OPEN.append(open(os.devnull, "rb"))  # noqa: SIM115


def hoards(atoms, results):
    KEPT.append(np.ones(100_000))


OPEN: list = []
KEPT: list = []


class Float32(Sound):
    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        rounded = atoms.copy()
        rounded.positions = atoms.positions.astype(np.float32)
        super().calculate(rounded, properties, system_changes)
        self.atoms = atoms.copy()


class RawPositions(Sound):
    """Forgets that an atom may lie outside of the cell: distances of the home images only."""

    def change(self, atoms, results):
        add_energy(results, 1e-3 * np.exp(-atoms.get_all_distances() / 5).sum())


class StressOfMolecules(Sound):
    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        LennardJones.calculate(self, atoms, ["energy"], system_changes)
        self.results.setdefault("stress", np.zeros(6))


class Mutates(Sound):
    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        atoms.positions += 0.1


class Notes(Sound):
    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        atoms.info["energy"] = self.results["energy"]


class OneBuffer(Sound):
    """Every result is written into the same array."""

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        if not hasattr(self, "buffer") or self.buffer.shape != self.results["forces"].shape:
            self.buffer = np.zeros_like(self.results["forces"])
        self.buffer[:] = self.results["forces"]
        self.results["forces"] = self.buffer

    def get_property(self, name, atoms=None, allow_calculation=True):
        super().get_property(name, atoms, allow_calculation)
        return self.results[name]


class NoCache(Sound):
    def check_state(self, atoms, tol=1e-15):
        return list(all_changes)


class Charged(Sound):
    """Reads a charge that the cache does not know of."""

    def change(self, atoms, results):
        add_energy(results, 0.1 * atoms.info.get("charge", 0))


class Blind(Sound):
    """Overlooks changes: those of `blind`."""

    blind: ClassVar = ()

    def check_state(self, atoms, tol=1e-15):
        return [change for change in super().check_state(atoms, tol) if change not in self.blind]


class Numb(Sound):
    """Takes atoms that moved by less than 0.01 Å for the same."""

    def check_state(self, atoms, tol=1e-15):
        return super().check_state(atoms, 0.01)


class Species(Sound):
    def change(self, atoms, results):
        add_energy(results, 1e-3 * float((atoms.numbers * (1 + atoms.positions[:, 0] * 0)).sum()))


class BlindToNumbers(Species):
    def check_state(self, atoms, tol=1e-15):
        return [change for change in super().check_state(atoms, tol) if change != "numbers"]


class Silent(Sound):
    """Says zero where positions are not numbers."""

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        if np.isfinite(atoms.positions).all():
            super().calculate(atoms, properties, system_changes)
        else:
            self.results = {"energy": 0.0, "free_energy": 0.0}


class Unpicklable(Sound):
    def __init__(self):
        super().__init__()
        self.function = lambda: None


class SharedState(Sound):
    """Copies share what they remember."""

    def __deepcopy__(self, memory):
        return self

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        self.calls = getattr(self, "calls", 0) + 1
        super().calculate(atoms, properties, system_changes)
        add_energy(self.results, 1e-3 * self.calls)


class OneProcess(Sound):
    def __init__(self):
        super().__init__()
        self.process = os.getpid()

    def change(self, atoms, results):
        if os.getpid() != self.process:
            os._exit(3)


class SharedBuffer(Sound):
    """All calculators of the process work in one array."""

    work: ClassVar = {}
    lock: ClassVar = threading.Lock()

    def change(self, atoms, results):
        self.work["energy"] = results["energy"]
        time.sleep(0.002)
        results["energy"] = self.work["energy"]


class SharingClones(Sound):
    """Clones share the memory of one structure, as backends that remembered the last graph once did."""

    def __init__(self):
        super().__init__()
        self.memory = {}

    def __deepcopy__(self, memory):
        return type(self)()

    def clone(self):
        twin = type(self)()
        twin.memory = self.memory
        return twin

    def change(self, atoms, results):
        self.memory["energy"] = results["energy"]
        time.sleep(0.002)
        results["energy"] = self.memory["energy"]


class CentredAsOne(Sound):
    """Charges that differ, and a dipole from the centre of all atoms, as of heads that know no fragments."""

    implemented_properties: ClassVar = [*Sound.implemented_properties, "dipole"]

    def change(self, atoms, results):
        charges = atoms.get_masses() / 100 + np.linalg.norm(results["forces"], axis=1)
        results["dipole"] = charges @ (atoms.positions - atoms.positions.mean(axis=0))


class NoFreeEnergy(Sound):
    implemented_properties: ClassVar = ["energy", "energies", "forces", "stress"]

    def change(self, atoms, results):
        results.pop("free_energy")


class Promises(Sound):
    implemented_properties: ClassVar = [*Sound.implemented_properties, "magmoms"]

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        if "magmoms" in (properties or ()):
            raise PropertyNotImplementedError("not today")
        super().calculate(atoms, properties, system_changes)


class AnythingGoes(Sound):
    def get_property(self, name, atoms=None, allow_calculation=True):
        return super().get_property(name, atoms) if name in self.implemented_properties else 0.0


class NotJson(Sound):
    def todict(self, skip_default=True):
        return {"function": print}


MISTAKES = {
    "forces 0.1 % too large": (scale("forces", 1.001), "forces are -dE/dr"),
    "forces of the wrong sign": (scale("forces", -1), "forces are -dE/dr"),
    "rough energy": (mistake(rough), "forces are -dE/dr"),
    "stress too small": (scale("stress", 1 / 17.8), "stress is dE/dε / V"),
    "compression positive": (scale("stress", -1), "stress is dE/dε / V"),
    "stress of molecules": (StressOfMolecules, "no stress without a volume"),
    "atomic energies twice": (scale("energies", 2), "energies sum to energy"),
    "field": (mistake(field), "translation"),
    "positions in float32": (Float32, "1000 Å from the origin"),
    "direction in space": (mistake(anisotropic), "rotation"),
    "hand": (mistake(handed), "reflection"),
    "order": (mistake(ordered), "order of atoms"),
    "raw positions": (RawPositions, "unwrapped atoms"),
    "left-handed stress": (mistake(left_handed), "left-handed cell"),
    "cell of molecules": (mistake(open_cell), "cell where not periodic"),
    "one centre for all": (CentredAsOne, "molecules far apart"),
    "constant energy": (mistake(intensive), "supercell"),
    "flat forces": (mistake(ragged), "shapes and types"),
    "forces in float32": (mistake(single), "shapes and types"),
    "energy in an array": (mistake(boxed_number), "shapes and types"),
    "undeclared result": (mistake(extra), "implemented properties"),
    "promised and refused": (Promises, "implemented properties"),
    "anything goes": (AnythingGoes, "property not implemented"),
    "no free energy": (NoFreeEnergy, "free energy"),
    "moves the atoms": (Mutates, "Atoms are left alone"),
    "writes into info": (Notes, "Atoms are left alone"),
    "one buffer": (OneBuffer, "results are the caller's"),
    "no cache": (NoCache, "one evaluation per geometry"),
    "parameters no JSON": (NotJson, "JSON-able parameters"),
    "numb": (Numb, "notices positions"),
    "blind to the cell": (type("BlindToCell", (Blind,), {"blind": ("cell",)}), "notices cell"),
    "blind to pbc": (type("BlindToPbc", (Blind,), {"blind": ("pbc",)}), "notices pbc"),
    "blind to numbers": (BlindToNumbers, "notices numbers"),
    "blind to the charge": (Charged, "notices charge"),
    "blind, in a long sequence": (type("BlindToCell", (Blind,), {"blind": ("cell",)}), "any order of calls"),
    "zero for NaN": (Silent, "recovers from NaN"),
    "pickle": (Unpicklable, "pickle"),
    "spawn": (Unpicklable, "spawn"),
    "fork": (OneProcess, "fork"),
    "copies that are one": (SharedState, "deepcopy"),
    "threads": (SharedBuffer, "two threads"),
    "clones that share": (SharingClones, "two threads"),
    "random state": (mistake(seeds), "global state"),
    "warnings": (mistake(silences), "global state"),
    "environment": (mistake(environment), "global state"),
    "default precision": (mistake(precision), "global state"),
    "memory": (mistake(hoards), "memory"),
    "open files": (mistake(forgets_files), "memory"),
}
"""Class and the check that must fail, by name of the mistake."""

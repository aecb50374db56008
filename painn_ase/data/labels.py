"""Labels of frames: where they are kept, under which key and in which unit, and what they are in eV, Å and e."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
from ase import Atoms

from painn_ase import units
from painn_ase.errors import InputError, closest
from painn_ase.properties import PROPERTIES

_VOIGT = np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])  # xx, yy, zz, yz, xz, xy
_SYMMETRIC = ("stress", "polarizability", "quadrupole")

# What others call a label, lower case. For suggestions alone: a key says nothing of its unit.
_DIALECTS = {
    "energy": "ref_energy e e_ref energy_ref dft_energy energy_dft etot e_tot total_energy tot_energy totenergy"
    " potential potential_energy u0 energies dft_total_energy epbe0+mbd free_energy scf_energy",
    "forces": "ref_forces force ref_force f f_ref forces_ref dft_forces forces_dft dft_force tot_forces totfor"
    " atomic_forces gradients gradient dft_total_gradient dft_total_force",
    "stress": "ref_stress stresses virial virials ref_virial ref_virials virial_stress dft_stress dft_virial",
    "dipole": "ref_dipole mu mu_ref dipoles dipole_moment dft_dipole scf_dipole vdip polarization",
    "polarizability": "ref_polarizability alpha pol polar ref_alpha alpha_ref polarizabilities dft_polarizability mpol",
    "born_effective_charges": "born_charges born_charge born_effective_charge bec z_star zstar ref_born_charges",
    "quadrupole": "ref_quadrupole quadrupoles quadrupole_moment",
    "hyperpolarizability": "ref_hyperpolarizability beta hyperpol",
}
DIALECTS = {name: frozenset(words.split()) | {name} for name, words in _DIALECTS.items()}


@dataclass(frozen=True)
class Label:
    """Where a property is found in the data (key of info, arrays or calculator results) and its unit there."""

    key: str
    unit: str
    also: tuple[str, ...] = ()  # keys of the same in other files, looked for where `key` is missing

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys, in the order in which they are looked for."""
        return (self.key, *self.also)


def raw_label(atoms: Atoms, label: Label) -> Any:
    """The label as it is kept in info, arrays or calculator results, in this order; None where there is none."""
    for key in label.keys:
        for place in (atoms.info, atoms.arrays, getattr(atoms.calc, "results", {})):
            if place.get(key) is not None:
                return place[key]
    return None


def keys_of(frames: Iterable[Atoms]) -> list[str]:
    """All keys that the frames hold something under, but for elements and positions."""
    places = ((a.info, a.arrays, getattr(a.calc, "results", {})) for a in frames)
    return sorted({str(key) for three in places for place in three for key in place} - {"numbers", "positions"})


def dialects(name: str, keys: Iterable[str]) -> list[str]:
    """Those of `keys` under which others keep the property `name`."""
    return [key for key in keys if key.lower() in DIALECTS.get(name, ())]


def check_label_keys(frames: Sequence[Atoms], labels: dict[str, Label], where: str = "") -> None:
    """Raises `InputError` for a label that no frame has, with the keys that are there and those that may be meant."""
    for name, label in labels.items():
        if any(raw_label(atoms, label) is not None for atoms in frames):
            continue
        present = keys_of(frames)
        known = [key for key in dialects(name, present) if key != name]
        hint = f"; {' and '.join(map(repr, known))} may be it: name it and its unit" if known else ""
        hint = closest(label.key, present) or hint
        keys = " or ".join(map(repr, label.keys))
        raise InputError(
            f"{where}label {name}: no frame has the key {keys}{hint}; keys present: {', '.join(present) or 'none'}"
        )


def check_dialect(frames: Sequence[Atoms], labels: dict[str, Label], where: str) -> None:
    """Raises `InputError` if no frame of a file has a label, but one under a name that others give it.

    Frames may lack labels; but a file that calls `forces` what others call `force` would lose them without a word.
    """
    present = keys_of(frames)
    used = {key for label in labels.values() for key in label.keys}
    for name, label in labels.items():
        other = [key for key in dialects(name, present) if key not in used]
        if other and not any(raw_label(atoms, label) is not None for atoms in frames):
            raise InputError(
                f"{where}label {name}: no frame has the key {label.key!r}, but there is {other[0]!r}. If it is the "
                f"same in the same unit, say so in [data.labels]: {name} = {{ key = {label.key!r}, "
                f"unit = {label.unit!r}, also = [{other[0]!r}] }}; if not, convert the file or rename the key"
            )


def label_factor(name: str, unit: str, where: str) -> float:
    """Factor from `unit` to the internal unit of a property; a unit with a minus, -Hartree/Bohr, is of gradients."""
    sign, bare = (-1.0, unit[1:]) if unit.startswith("-") else (1.0, unit)
    return sign * units.factor(bare, PROPERTIES[name].units, where)


def label_value(name: str, label: Label, raw: Any, atoms: Atoms, where: str = "frame") -> np.ndarray:
    """The label as networks predict it, (1, ...) or (atoms, ...), in the internal unit.

    Raises `InputError` for values of another shape, not finite, or not defined for the structure.
    """
    rule = PROPERTIES[name]
    where = f"{where}, label {name} ({label.key!r})"
    try:
        value = np.asarray(raw, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"{where}: expected numbers; got {raw!r}") from None
    lead = len(atoms) if rule.per == "atom" else 1
    if name in _SYMMETRIC:
        value = _symmetric(value, where)
    elif value.size == lead * int(np.prod(rule.shape)) and not _atoms_elsewhere(value, lead):
        value = value.reshape(lead, *rule.shape)
    else:
        raise InputError(f"{where}: expected shape {(lead, *rule.shape)}; got {value.shape}")
    if not np.isfinite(value).all():
        raise InputError(f"{where}: holds NaN or infinity; leave the key out of frames without this label")
    if name == "quadrupole" and abs(np.trace(value[0])) > 1e-3 * np.abs(value).max():
        raise InputError(
            f"{where}: expected the traceless quadrupole ½ Σ q (3 r r - r² 1) about the centre of mass; the trace is "
            f"{np.trace(value[0]):.3g} {label.unit}. Convert second moments M = Σ q r r first: (3 M - tr M 1)/2"
        )
    if name == "hyperpolarizability":  # symmetric in all indices; what is not is rounding or noise
        value = np.mean([value.transpose(0, *order) for order in permutations((1, 2, 3))], axis=0)
    periodic = periodicity(atoms)
    if name == "stress" and not periodic.all():
        raise InputError(f"{where}: stress needs a cell that is periodic in three directions; got pbc={_pbc(periodic)}")
    return value * label_factor(name, label.unit, f"label {name}")


def check_molecular(atoms: Atoms, name: str, where: str) -> None:
    """Raises `InputError` for a label built from positions in a periodic structure."""
    periodic = periodicity(atoms)
    if periodic.any():
        raise InputError(
            f"{where}: a {name} built from positions is not defined under periodic boundaries; got "
            f"pbc={_pbc(periodic)}. {_PERIODIC_HEADS.get(name, '')}Set pbc to False if this is a molecule in a box, or "
            "leave the label out"
        )


_PERIODIC_HEADS = {
    "dipole": "For the dipole of a cell take the head cell_dipole: [model.heads] cell_dipole = {}. ",
    "polarizability": "For that of a cell take the head tensor_polarizability: "
    "[model.heads] tensor_polarizability = {}. ",
}


def periodicity(atoms: Atoms) -> Any:
    """(3,) bool: directions that are periodic and have a cell vector."""
    return atoms.pbc & atoms.cell.array.any(axis=1)


def _atoms_elsewhere(value: np.ndarray, atoms: int) -> bool:
    """Whether an array of several axes, those of length one aside, has one first that is not that of the atoms."""
    shape = [length for length in value.shape if length > 1]
    return atoms > 1 and len(shape) > 1 and shape[0] != atoms


def _symmetric(value: np.ndarray, where: str) -> np.ndarray:
    """(1, 3, 3) from 3x3, nine numbers or six in Voigt order; the antisymmetric part, rounding or noise, is dropped."""
    if value.size == 6:
        return value.reshape(6)[_VOIGT][None]
    if value.size == 9:
        value = value.reshape(3, 3)
        return 0.5 * (value + value.T)[None]
    raise InputError(f"{where}: expected 3x3, 9 or 6 (Voigt xx, yy, zz, yz, xz, xy) numbers; got shape {value.shape}")


def _pbc(periodic: np.ndarray) -> tuple[bool, ...]:
    return tuple(bool(p) for p in periodic)

"""Reference data of any kind as extended XYZ in eV, Å and e, which training takes as it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from painn_ase import units
from painn_ase.data.identity import unlabelled
from painn_ase.data.labels import DIALECTS, Label, check_label_keys, dialects, keys_of, label_value, raw_label
from painn_ase.errors import InputError
from painn_ase.properties import PROPERTIES

_RESULTS = ("energy", "forces", "stress", "dipole")  # kept where ASE's readers put them
_VOIGT = ([0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1])
UNITS = {"energy": "eV", "forces": "eV/Å", "stress": "eV/Å³", "dipole": "e·Å", "polarizability": "Å³"}

# Labels of data sets that are known, by keys that give them away; the units are those their authors state.
_KNOWN = {
    "MD17": ({"E", "F", "R", "z"}, {"energy": "E:kcal/mol", "forces": "F:kcal/mol/Å"}),
    "rMD17": (
        {"energies", "forces", "nuclear_charges"},
        {"energy": "energies:kcal/mol", "forces": "forces:kcal/mol/Å"},
    ),
    "SPICE": (
        {"dft_total_energy", "dft_total_gradient"},
        {
            "energy": "dft_total_energy:Hartree",
            "forces": "dft_total_gradient:-Hartree/Bohr",
            "dipole": "scf_dipole:e*Bohr",
        },
    ),
    "ANI-1x": (
        {"wb97x_dz.energy"},
        {"energy": "wb97x_dz.energy:Hartree", "forces": "wb97x_dz.forces:Hartree/Å", "dipole": "wb97x_dz.dipole:e*Å"},
    ),
    "QM7-X": ({"ePBE0+MBD", "totFOR"}, {"energy": "ePBE0+MBD:eV", "forces": "totFOR:eV/Å", "dipole": "vDIP:e*Å"}),
}


def standard_labels(frames: Sequence[Atoms]) -> dict[str, Label]:
    """Labels of frames that ASE read from the output of a program, in ASE's units.

    Raises `InputError` where keys and units must be named, with what they may be.
    """
    held = {key for atoms in frames for key in getattr(atoms.calc, "results", {})}
    labels = {name: Label(name, UNITS[name]) for name in _RESULTS if name in held}
    if not labels:
        raise InputError(f"convert: no labels that ASE knows; name them with their units. {_advice(frames)}")
    return labels


def _advice(frames: Sequence[Atoms]) -> str:
    present = keys_of(frames)
    for dataset, (signs, labels) in _KNOWN.items():
        places = {f"{key}" for key in present} | {"R", "z", "nuclear_charges"}
        if signs <= places and any(word.rpartition(":")[0] in present for word in labels.values()):
            words = " ".join(
                f"--label {name}={word}" for name, word in labels.items() if word.rpartition(":")[0] in present
            )
            more = " --positions-unit Bohr" if dataset == "SPICE" else ""
            return f"These look like {dataset}, whose authors state: {words}{more}"
    likely = [f"{key} ({name})" for name in DIALECTS for key in dialects(name, present)]
    return f"Keys present: {', '.join(present) or 'none'}" + (f"; likely {', '.join(likely)}" if likely else "")


def own_labels(names: Iterable[str]) -> dict[str, Label]:
    """The labels of converted frames: keys that are the properties' names, in the units that frames are written in."""
    return {name: Label(name, UNITS.get(name, PROPERTIES[name].unit)) for name in names}


def convert(frames: Sequence[Atoms], labels: Mapping[str, Label], positions_unit: str = "Å") -> list[Atoms]:
    """New frames with the labels in eV, Å and e (polarizabilities in Å³) under the names of the properties.

    Energy, forces, stress and dipole are results of a calculator, where ASE writes and reads them; others lie in info
    (nine numbers for a polarizability) or arrays. Structures keep isotopes, tags, charge and multiplicity, and short
    entries of info that are no labels. Raises `InputError` for a label that no frame has, or of the wrong shape.
    """
    check_label_keys(frames, dict(labels), "convert: ")
    length = units.factor(positions_unit, units.LENGTH, "positions")
    made = []
    for index, atoms in enumerate(frames):
        frame = unlabelled(atoms)
        frame.positions = atoms.positions * length
        frame.cell = atoms.cell.array * length
        frame.info |= {
            k: v for k, v in atoms.info.items() if isinstance(v, str | int | float) and not _label_like(k, labels)
        }
        results = {}
        for name, label in labels.items():
            raw = raw_label(atoms, label)
            if raw is None:
                continue
            value = label_value(name, label, raw, atoms, f"frame {index}")
            if name in _RESULTS:
                value = value[0] if PROPERTIES[name].per == "structure" else value
                results[name] = value[_VOIGT] if name == "stress" else value
            elif PROPERTIES[name].per == "atom":
                frame.set_array(name, value.reshape(len(atoms), -1))
            else:
                value = value * units.COULOMB_CONSTANT if name == "polarizability" else value
                frame.info[name] = value.ravel()
        frame.calc = SinglePointCalculator(frame, **{k: v if np.ndim(v) else float(v) for k, v in results.items()})
        made.append(frame)
    return made


def _label_like(key: str, labels: Mapping[str, Label]) -> bool:
    named = {key for label in labels.values() for key in label.keys}
    return key in named or any(key.lower() in words for words in DIALECTS.values())

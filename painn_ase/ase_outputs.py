"""Teaching ASE the properties it does not know, so that every format it writes results to keeps them.

ASE 3.29 drops what is not in its tables without a word, and its formats have more than one table: which properties
exist and their shapes, what extxyz puts in columns and what in the comment line, the columns of SQL databases.
"""

import functools
from typing import Any

import ase.calculators.calculator
import ase.db.core  # before its names grow: it forbids those it finds then as keys of users
import ase.io.extxyz
import ase.outputs
from ase.db.row import AtomsRow
from ase.db.sqlite import SQLite3Database

from painn_ase.properties import PROPERTIES, SPREAD

IN_DATABASES = "calculator_results"
"""The key under which a row's `data` holds the results that SQL databases of ASE have no column for."""


def register_properties() -> bool:
    """Adds the properties of this package to ASE's tables; True if ASE knows them afterwards.

    These are polarizability, quadrupole and hyperpolarizability (e²Å²/eV, e·Å² and e³Å³/eV²) and the spreads of
    ensembles (`forces_std` and so on). Trajectories, extxyz files and JSON and SQL databases then carry them and, what
    ASE's own tables miss, born_effective_charges. A process that only reads such files calls this first; making a
    `PaiNNCalculator` does. The tables are private, so every step checks first and a future ASE with other tables is
    left alone. Safe to call any number of times.
    """
    outputs = getattr(ase.outputs, "all_outputs", None)
    properties = getattr(ase.calculators.calculator, "all_properties", None)
    if not isinstance(outputs, dict) or not isinstance(properties, list) or not hasattr(ase.outputs, "_defineprop"):
        return False
    for name, shape in _shapes().items():
        if name not in outputs:
            ase.outputs._defineprop(name, float, shape)
            if not shape:
                outputs[name] = _Number(name, float)
        if name not in properties:
            properties.append(name)
        _teach_extxyz(name, shape)
    _teach_databases()
    return True


class _Number(ase.outputs.ScalarProperty):
    """A number that files may give back as an array without axes, as `SinglePointCalculator` keeps it."""

    def normalize_type(self, value: Any) -> Any:
        return self.dtype(value)


def _shapes() -> dict[str, tuple[int | str, ...]]:
    """Every property of this package and of its ensembles in the words of ASE's table."""
    shapes: dict[str, tuple[int | str, ...]] = {}
    for name, known in PROPERTIES.items():
        atoms: tuple[str, ...] = ("natoms",) if known.per == "atom" else ()
        if name != "stress":  # ASE's, with 6 components
            shapes[name] = (*atoms, *known.shape)
        shapes[name + SPREAD] = atoms
    return shapes


def _teach_extxyz(name: str, shape: tuple[int | str, ...]) -> None:
    """Numbers and vectors of atoms become columns, all else goes into the comment line; columns are flat."""
    per_atom = getattr(ase.io.extxyz, "per_atom_properties", None)
    per_config = getattr(ase.io.extxyz, "per_config_properties", None)
    if not isinstance(per_atom, list) or not isinstance(per_config, list):
        return
    columns = shape[:1] == ("natoms",) and len(shape) <= 2
    home, other = (per_atom, per_config) if columns else (per_config, per_atom)
    if name in other:
        other.remove(name)
    if name not in home:
        home.append(name)


def _teach_databases() -> None:
    """Rows of SQL databases keep in their `data` what has no column, and get it back as results when they are read."""
    write, convert = SQLite3Database._write, SQLite3Database._convert_tuple_to_row
    if hasattr(write, "__wrapped__"):
        return

    @functools.wraps(write)
    def _write(self: Any, atoms: Any, key_value_pairs: Any, data: Any, id: Any) -> Any:
        row = atoms if isinstance(atoms, AtomsRow) else AtomsRow(atoms)
        data = _decoded(data) or _decoded(row._data)
        data.pop(IN_DATABASES, None)  # of what the row held before
        without = {
            name: row[name]
            for name in ase.calculators.calculator.all_properties
            if name in row and name not in self.columnnames and name not in row._keys
        }
        if without:
            data[IN_DATABASES] = without
        if row is atoms:
            row._data = data
        return write(self, atoms, key_value_pairs, data, id)

    @functools.wraps(convert)
    def _convert_tuple_to_row(self: Any, values: Any) -> AtomsRow:
        row = convert(self, values)
        raw = row._data
        if (IN_DATABASES.encode() if isinstance(raw, bytes) else IN_DATABASES) in raw:  # all else stays undecoded
            for name, value in row.data.get(IN_DATABASES, {}).items():
                if name not in row:
                    row[name] = value
        return row

    SQLite3Database._write = _write  # type: ignore[method-assign]
    SQLite3Database._convert_tuple_to_row = _convert_tuple_to_row  # type: ignore[method-assign]


def _decoded(data: Any) -> dict[str, Any]:
    """The `data` of a row, which may be encoded, as a dictionary of its own."""
    return dict(AtomsRow({"numbers": [], "data": data}).data) if data else {}

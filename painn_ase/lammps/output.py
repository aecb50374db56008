"""What LAMMPS wrote, in ASE's objects and the units of painn_ase; atoms in the order of their IDs."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from ase import Atoms, units
from ase.calculators.singlepoint import SinglePointCalculator

from painn_ase.errors import InputError
from painn_ase.units import KCAL_PER_MOL

Section = tuple[list[str], list[list[str]]]  # words behind an item's name, and the rows below it
# in eV, fs and GPa: energy, time, pressure
UNITS = {"metal": (1.0, 1000.0, 1e-4), "real": (KCAL_PER_MOL, 1.0, 101325e-9)}
_LOG = {
    "Step": ("step", None),
    "Time": ("time", "time"),
    "Temp": ("temperature", None),
    "PotEng": ("potential_energy", "energy"),
    "KinEng": ("kinetic_energy", "energy"),
    "TotEng": ("total_energy", "energy"),
    "Press": ("pressure", "pressure"),
    "Volume": ("volume", None),
    **{name: (name.lower(), "pressure") for name in ("Pxx", "Pyy", "Pzz", "Pxy", "Pxz", "Pyz")},
    "c_std[1]": ("forces_std", "energy"),
    "c_std[2]": ("forces_std_atom", None),
}


def read_log(path: str | Path) -> dict[str, np.ndarray]:
    """Columns of the log's tables by the names of painn_ase's observables, in eV, fs, K, GPa and Å³; others as is.

    Runs that follow each other are one table; a step that both hold is taken from the later one. Raises `InputError`
    for a log without a table, or of units other than metal and real.
    """
    rows: dict[int, list[float]] = {}
    header: list[str] = []
    unit, inside = "", False
    for line in Path(path).read_text(errors="replace").splitlines():
        words = line.split()
        if words[:1] == ["units"] and len(words) > 1:
            unit = words[1]
        elif words[:1] == ["Step"]:
            if header and words != header:
                rows.clear()  # another table: the last one counts
            header, inside = words, True
        elif line.startswith("Loop time"):
            inside = False
        elif inside and len(words) == len(header) and _numbers(words):
            rows[int(words[0])] = [float(word) for word in words]
    if not rows:
        raise InputError(f"{path}: expected a log of LAMMPS with a table of thermo output")
    values = np.array(list(rows.values()))
    scale = dict(zip(("energy", "time", "pressure"), _units(unit, path), strict=True))
    named = [(*_LOG.get(name, (name, None)), column) for name, column in zip(header, values.T, strict=True)]
    return {name: column * scale.get(kind or "", 1.0) for name, kind, column in named}


def read_dump(
    path: str | Path,
    units_of: str | None = None,
    symbols: Mapping[int, str] | None = None,
    timestep: float | None = None,
) -> list[Atoms]:
    """Frames of a dump in text: positions, cell and periodicity, and where they were dumped momenta and forces.

    units_of: metal or real; needed where the dump lacks the lines of `dump_modify units yes`
    symbols: of each atom type; needed where it lacks the column element
    timestep: fs; gives info["time"] in fs where it lacks the lines of `dump_modify time yes`

    info["step"] is LAMMPS' step. Unwrapped positions (xu yu zu) are preferred. Raises `InputError` for other columns.
    """
    with open(path, errors="replace") as file:
        frames = [_frame(sections, path, units_of or "", symbols, timestep) for sections in _frames(file)]
    if not frames:
        raise InputError(f"{path}: expected a dump of LAMMPS in text")
    return frames


def observables(dump: str | Path, log: str | Path | None = None, **options: Any) -> dict[str, np.ndarray]:
    """time (frames,) in fs, positions in Å and velocities in Å/fs (frames, atoms, 3) of a dump; with `log` the columns
    of `read_log` at those steps. `options` as for `read_dump`."""
    frames = read_dump(dump, **options)
    steps = np.array([frame.info["step"] for frame in frames])
    found = {"step": steps, "positions": np.array([frame.positions for frame in frames])}
    if all("time" in frame.info for frame in frames):
        found["time"] = np.array([frame.info["time"] for frame in frames])
    if all("momenta" in frame.arrays for frame in frames):
        found["velocities"] = np.array([frame.get_velocities() * units.fs for frame in frames])
    if log is None:
        return found
    table = read_log(log)
    rows = {int(step): k for k, step in enumerate(table["step"])}
    missing = sorted(set(steps.tolist()) - set(rows))
    if missing:
        raise InputError(f"{log} has no line for step {missing[0]} of {dump}: dump and thermo at the same steps")
    chosen = [rows[int(step)] for step in steps]
    return {**{name: column[chosen] for name, column in table.items()}, **found}


def _numbers(words: list[str]) -> bool:
    try:
        [float(word) for word in words]
    except ValueError:
        return False
    return words[0].isdigit()


def _units(name: str, path: str | Path) -> tuple[float, float, float]:
    if name not in UNITS:
        raise InputError(f"{path}: expected units metal or real; it has {name or 'none written down: name them'}")
    return UNITS[name]


def _frames(file: TextIO) -> Iterator[dict[str, Section]]:
    """Sections of each frame: name -> (words behind it, rows); a frame that was cut off is left out."""
    sections: dict[str, Section] = {}
    known = ("NUMBER OF ATOMS", "BOX BOUNDS", "TIMESTEP", "ATOMS", "UNITS", "TIME")
    rows: list[list[str]] = []
    for line in file:
        if not line.startswith("ITEM: "):
            rows.append(line.split())
            continue
        title = line[6:].strip()
        name = next((k for k in known if title == k or title.startswith(k + " ")), title)
        if name in sections and name in ("UNITS", "TIME", "TIMESTEP") and "ATOMS" in sections:
            yield from _whole(sections)
            sections = {k: v for k, v in sections.items() if k == "UNITS"}  # written once
        rows = []
        sections[name] = (title[len(name) :].split(), rows)
    yield from _whole(sections)


def _whole(sections: dict[str, Section]) -> Iterator[dict[str, Section]]:
    if "ATOMS" in sections and len(sections["ATOMS"][1]) == int(sections["NUMBER OF ATOMS"][1][0][0]):
        columns, rows = sections["ATOMS"]
        if all(len(row) == len(columns) for row in rows):
            yield dict(sections)


def _frame(
    sections: dict[str, Section],
    path: str | Path,
    units_of: str,
    symbols: Mapping[int, str] | None,
    timestep: float | None,
) -> Atoms:
    energy, time, _ = _units(sections["UNITS"][1][0][0] if "UNITS" in sections else units_of, path)
    columns, rows = sections["ATOMS"]
    place = {name: k for k, name in enumerate(columns)}
    if "id" not in place:
        raise InputError(f"{path}: expected the column id, which gives atoms their order; it has {', '.join(columns)}")
    rows = sorted(rows, key=lambda row: int(row[place["id"]]))

    def table(names: str) -> np.ndarray | None:
        if not place.keys() >= set(names.split()):
            return None
        return np.array([[row[place[name]] for name in names.split()] for row in rows], dtype=float)

    cell, origin, pbc = _cell(sections["BOX BOUNDS"], path)
    positions = next((p for p in (table("xu yu zu"), table("x y z")) if p is not None), None)
    if positions is None:
        raise InputError(f"{path}: expected the columns xu yu zu or x y z; it has {', '.join(columns)}")
    atoms = Atoms(_symbols(rows, place, symbols, path), positions - origin, cell=cell, pbc=pbc)
    atoms.info["step"] = int(sections["TIMESTEP"][1][0][0])
    if "TIME" in sections:
        atoms.info["time"] = float(sections["TIME"][1][0][0]) * time
    elif timestep:
        atoms.info["time"] = atoms.info["step"] * timestep
    velocities, forces = table("vx vy vz"), table("fx fy fz")
    if velocities is not None:
        atoms.set_velocities(velocities / (time * units.fs))
    if forces is not None:
        atoms.calc = SinglePointCalculator(atoms, forces=forces * energy)
    return atoms


def _symbols(rows: list, place: dict[str, int], symbols: Mapping | None, path: str | Path) -> list[str]:
    if "element" in place:
        return [row[place["element"]] for row in rows]
    if "type" not in place or symbols is None:
        raise InputError(f"{path}: expected the column element, or the column type and symbols={{1: 'H', ...}}")
    return [symbols[int(row[place["type"]])] for row in rows]


def _cell(section: Section, path: str | Path) -> tuple[np.ndarray, np.ndarray, list[bool]]:
    """Cell, its origin and periodicity; LAMMPS writes the bounds of a skewed box's corners."""
    words, rows = section
    if "abc" in words:
        raise InputError(f"{path}: expected a box with a along x; write it without dump_modify triclinic/general")
    bounds = np.array(rows, dtype=float)
    xy, xz, yz = bounds[:, 2] if bounds.shape[1] == 3 else (0.0, 0.0, 0.0)
    low, high = bounds[:, 0].copy(), bounds[:, 1].copy()
    low[0] -= min(0.0, xy, xz, xy + xz)
    high[0] -= max(0.0, xy, xz, xy + xz)
    low[1] -= min(0.0, yz)
    high[1] -= max(0.0, yz)
    edge = high - low
    cell = np.array([[edge[0], 0, 0], [xy, edge[1], 0], [xz, yz, edge[2]]])
    return cell, low, [word.startswith("p") for word in words[-3:]]


__all__ = ["observables", "read_dump", "read_log"]

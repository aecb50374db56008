"""A data file and an input for LAMMPS, from a structure and a model, for those who start in ASE."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.calculators.lammps import Prism

from painn_ase.errors import InputError, positive, whole
from painn_ase.files import make_way, write_atomically
from painn_ase.lammps.model_file import pack
from painn_ase.model import Model
from painn_ase.model_files import load_model

SKIN = 0.5  # Å; LAMMPS' own 2 Å of units metal would bring a third more ghosts
MARGIN = 10.0  # Å of vacuum around what is not periodic; LAMMPS' box shrinks or grows with it
_BAR = 1e4  # in a GPa


@dataclass(frozen=True)
class Conditions:
    """What is simulated: NVE without temperature, NVT with it, NPT with a pressure too.

    temperature: K; velocities are drawn at it where the structure has none
    pressure: GPa
    timestep: fs
    steps: how many
    every: steps between lines of the log and frames of the dump
    seed: of the velocities, a positive whole number
    """

    temperature: float | None = None
    pressure: float | None = None
    timestep: float = 0.5
    steps: int = 1000
    every: int = 10
    seed: int = 1

    def __post_init__(self) -> None:
        positive("timestep", self.timestep, "fs")
        for name in ("steps", "every", "seed"):
            whole(name, getattr(self, name), 1)
        if self.temperature is not None:
            positive("temperature (None for NVE)", self.temperature, "K")
        if self.pressure is not None and self.temperature is None:
            raise InputError("pressure: expected a temperature beside it")


def write_input(
    atoms: Atoms,
    models: Sequence[str | Path],
    output: str | Path = "lammps",
    conditions: Conditions | None = None,
    overwrite: bool = False,
) -> Path:
    """The input OUTPUT.in, beside OUTPUT.data and OUTPUT.painn; `mpirun -np 4 lmp -in OUTPUT.in` runs it.

    Several models are a committee, OUTPUT-1.painn, OUTPUT-2.painn ...: LAMMPS moves atoms by their mean, and logs the
    largest forces_std and its atom. LAMMPS wants a along x and b in the plane xy: what it writes is turned so.
    Raises `InputError` for elements that a model does not know.
    """
    conditions = conditions or Conditions()
    base = Path(output)
    loaded = [load_model(model) for model in models]
    if not loaded:
        raise InputError("models: expected at least one")
    for model in loaded:
        _check_elements(atoms, model)
    names = [f"{base}.painn"] if len(loaded) == 1 else [f"{base}-{k}.painn" for k in range(1, len(loaded) + 1)]
    files = [Path(name) for name in (f"{base}.in", f"{base}.data", *names)]
    make_way(files, overwrite)
    for model, name in zip(loaded, names, strict=True):
        pack(model, name)
    write_atomically(files[1], data_file(atoms))
    write_atomically(files[0], _input(atoms, base.name, [Path(name).name for name in names], conditions))
    return files[0]


def atom_types(atoms: Atoms) -> tuple[list[tuple[str, float]], np.ndarray]:
    """Symbol and mass in amu of each type, and the type of each atom from 1 on: isotopes have types of their own."""
    kinds = [(s, round(float(m), 6)) for s, m in zip(atoms.get_chemical_symbols(), atoms.get_masses(), strict=True)]
    table = sorted(set(kinds))
    return table, np.array([table.index(kind) + 1 for kind in kinds], dtype=int)


def data_file(atoms: Atoms) -> str:
    """The text of a data file of atom_style atomic and units metal, velocities included where there are any."""
    cell, origin = _box(atoms)
    prism = Prism(cell, pbc=atoms.pbc)
    positions = prism.vector_to_lammps(atoms.positions - origin)
    inside = np.linalg.solve(prism.cell.T, positions.T).T
    positions = (inside - np.floor(inside) * atoms.pbc) @ prism.cell
    types, numbers = atom_types(atoms)
    xhi, yhi, zhi, xy, xz, yz = prism.get_lammps_prism()
    lines = ["data file of painn_ase", "", f"{len(atoms)} atoms", f"{len(types)} atom types", ""]
    lines += [f"0 {edge:.17g} {axis}lo {axis}hi" for axis, edge in zip("xyz", (xhi, yhi, zhi), strict=True)]
    if max(abs(xy), abs(xz), abs(yz)) > 1e-10:
        lines.append(f"{xy:.17g} {xz:.17g} {yz:.17g} xy xz yz")
    lines += ["", "Masses", "", *(f"{k} {mass:.17g} # {symbol}" for k, (symbol, mass) in enumerate(types, 1))]
    lines += ["", "Atoms # atomic", ""]
    lines += [_row(k, positions[k - 1], numbers[k - 1]) for k in range(1, len(atoms) + 1)]
    if "momenta" in atoms.arrays:
        velocities = prism.vector_to_lammps(atoms.get_velocities()) * (1000 * units.fs)  # Å/ps
        lines += ["", "Velocities", "", *(_row(k, velocity) for k, velocity in enumerate(velocities, 1))]
    return "\n".join(lines) + "\n"


def _row(number: int, vector: np.ndarray, *between: int) -> str:
    return " ".join([str(number), *map(str, between), *(f"{x:.17g}" for x in vector)])


def _box(atoms: Atoms) -> tuple[np.ndarray, np.ndarray]:
    """Cell and its origin: where a structure is not periodic, its extent and a margin."""
    cell, origin = atoms.cell.array.copy(), np.zeros(3)
    free = ~atoms.pbc
    if not free.any():
        return cell, origin
    if atoms.pbc.any():
        cell = atoms.cell.complete().array.copy()
        normal = [np.cross(cell[1], cell[2]), np.cross(cell[2], cell[0]), np.cross(cell[0], cell[1])]
    for axis in np.flatnonzero(free):
        direction = np.eye(3)[axis] if not atoms.pbc.any() else normal[axis] / np.linalg.norm(normal[axis])
        along = atoms.positions @ direction
        cell[axis] = direction * (np.ptp(along) + 2 * MARGIN)
        origin = origin + direction * (along.min() - MARGIN)
    return cell, origin


def _check_elements(atoms: Atoms, model: Model) -> None:
    unknown = sorted(set(atoms.get_chemical_symbols()) - set(_symbols(model)))
    if unknown:
        raise InputError(f"model {model.name!r} knows {', '.join(_symbols(model))}; structure has {', '.join(unknown)}")


def _symbols(model: Model) -> list[str]:
    return Atoms(numbers=model.elements).get_chemical_symbols()


def _input(atoms: Atoms, base: str, models: Sequence[str], c: Conditions) -> str:
    elements = " ".join(symbol for symbol, _ in atom_types(atoms)[0])
    committee = len(models) > 1
    thermo = "step time temp pe ke etotal press vol pxx pyy pzz pxy pxz pyz"
    spread = ["compute std all pair painn      # largest forces_std in eV/Å, and the ID of its atom"]
    lines = [
        "# LAMMPS input of painn_ase:  mpirun -np 4 lmp -in " + base + ".in",
        "units metal                     # eV, Å, ps, bar",
        "atom_style atomic",
        "boundary " + " ".join("p" if periodic else "m" for periodic in atoms.pbc),
        f"read_data {base}.data",
        f"neighbor {SKIN} bin               # with the default of 2 Å a third more ghosts",
        f"pair_style painn {' '.join(models)}",
        f"pair_coeff * * {elements}",
        *(spread if committee else []),
    ]
    if c.temperature is not None and "momenta" not in atoms.arrays:
        lines.append(f"velocity all create {c.temperature:g} {c.seed} mom yes rot yes dist gaussian loop geom")
    lines += [
        _motion(c, bool(atoms.pbc.all())),
        f"timestep {c.timestep / 1000:g}",
        f"thermo_style custom {thermo}{' c_std[1] c_std[2]' if committee else ''}",
        f"thermo {c.every}",
        f"dump frames all custom {c.every} {base}.dump id element xu yu zu vx vy vz fx fy fz",
        f"dump_modify frames element {elements} sort id units yes time yes format float %.10g",
        f"run {c.steps}",
        f"write_restart {base}.restart",
    ]
    return "\n".join(lines) + "\n"


def _motion(c: Conditions, periodic: bool) -> str:
    if c.temperature is None:
        return "fix motion all nve"
    heat = f"temp {c.temperature:g} {c.temperature:g} 0.1"
    if c.pressure is None:
        return f"fix motion all nvt {heat}"
    if not periodic:
        raise InputError("pressure: expected a structure that is periodic in three directions")
    bar = c.pressure * _BAR
    return f"fix motion all npt {heat} iso {bar:g} {bar:g} 1.0"

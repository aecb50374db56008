"""One run of LAMMPS on several ranks, and what came of it."""

import os
import subprocess
import sysconfig
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ase import Atoms

from painn_ase.lammps import pack, read_dump, read_log
from painn_ase.lammps.input import atom_types, data_file
from painn_ase.model import Model

COMMANDS = Path(sysconfig.get_path("scripts"))
BAR = 1e-4 / 160.21766208  # eV/Å³


@dataclass(frozen=True)
class Setting:
    """How a structure is spread over processes, and what else the input says."""

    ranks: int = 1
    threads: int = 1
    tiled: bool = False
    units: str = "metal"
    before: str = ""  # lines before the pair style
    pair: str | None = None  # the lines of pair styles
    after: str = ""  # lines before the run
    run: str = "run 0"


SCRIPT = """
units {units}
atom_style atomic
atom_modify map array
{style}
boundary {boundary}
read_data data
{balance}
neighbor 0.7 bin
{before}
{pair}
compute energies all pe/atom
compute strains all stress/atom NULL virial
compute sums all reduce sum c_energies c_strains[1] c_strains[2] c_strains[4]
thermo_style custom step pe pxx pyy pzz pxy pxz pyz vol c_sums[*] {thermo}
thermo_modify format float %.15g norm no
dump 1 all custom 1 dump id element x y z fx fy fz c_energies
dump_modify 1 element {elements} sort id units yes format float %.15g
{after}
{run}
"""


def lammps(folder: Path, script: str, ranks: int = 1) -> subprocess.CompletedProcess:
    """A finished run of the script in `folder`."""
    (folder / "in").write_text(script)
    command = [str(COMMANDS / "mpirun"), "-np", str(ranks), str(COMMANDS / "lmp"), "-in", "in", "-log", "log"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, env=environment)


def evaluate(folder: Path, atoms: Atoms, models: list[Model], setting: Setting | None = None) -> dict[str, np.ndarray]:
    """Energy, forces, energies and stress in LAMMPS' orientation, eV and eV/Å³; and columns of the log."""
    setting = setting or Setting()
    names = [str(pack(model, folder / f"{k}.painn").name) for k, model in enumerate(models)]
    (folder / "data").write_text(data_file(atoms))
    done = lammps(folder, script(atoms, names, setting), setting.ranks)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    table, frame = read_log(folder / "log"), read_dump(folder / "dump")[-1]
    energy = 1 / 23.060549 if setting.units == "real" else 1.0
    columns = {key: value[-1] for key, value in table.items()}
    stress = -np.array([columns[name] for name in ("pxx", "pyy", "pzz", "pyz", "pxz", "pxy")]) / 160.21766208
    return {
        "energy": columns["potential_energy"],
        "forces": frame.get_forces(),
        "sum of energies": columns["c_sums[1]"] * energy,
        "stress": stress,
        "strains": np.array([columns[f"c_sums[{k}]"] for k in (2, 3, 4)]),
        "columns": columns,
        "frame": frame,
        "output": done.stdout,
    }


def script(atoms: Atoms, names: list[str], setting: Setting) -> str:
    elements = " ".join(symbol for symbol, _ in atom_types(atoms)[0])
    committee = len(names) > 1
    pair = setting.pair or f"pair_style painn {' '.join(names)} threads {setting.threads}\npair_coeff * * {elements}"
    return SCRIPT.format(
        units=setting.units,
        style="comm_style tiled" if setting.tiled else "",
        boundary=" ".join("p" if periodic else "m" for periodic in atoms.pbc),
        balance="balance 1.0 rcb" if setting.tiled else "",
        before=setting.before,
        pair=pair + ("\ncompute std all pair painn" if committee else ""),
        thermo="c_std[1] c_std[2]" if committee else "",
        elements=elements,
        after=setting.after,
        run=setting.run,
    )


def turned(atoms: Atoms) -> Atoms:
    """The structure in LAMMPS' orientation, a along x and b in the plane xy."""
    from ase.calculators.lammps import Prism

    if not atoms.pbc.any():
        return atoms.copy()
    prism = Prism(atoms.cell.complete().array, pbc=atoms.pbc)
    return Atoms(atoms.numbers, prism.vector_to_lammps(atoms.positions), cell=prism.cell, pbc=atoms.pbc)


__all__ = ["BAR", "Setting", "evaluate", "lammps", "replace", "script", "turned"]

"""What LAMMPS reads and writes, without LAMMPS: data files and inputs, dumps and logs, and the model's file."""

import numpy as np
import pytest
from ase import units
from ase.build import bulk, molecule
from ase.io import read

from painn_ase import load_model
from painn_ase.cli import main
from painn_ase.errors import InputError
from painn_ase.lammps import Conditions, observables, pack, read_dump, read_log, write_input
from painn_ase.lammps.input import data_file

from helpers.random_models import random_model

DUMP = """ITEM: UNITS
{units}
ITEM: TIMESTEP
10
ITEM: NUMBER OF ATOMS
2
ITEM: BOX BOUNDS xy xz yz pp pp ff
-1.0 12.0 2.0
0.0 11.0 1.0
0.0 10.0 -1.0
ITEM: ATOMS id element xu yu zu vx vy vz fx fy fz
2 H 1 2 3 0 0 1 0 0 23.060549
1 O 4 5 6 1 0 0 1 0 0
"""
LOG = """units real
Step Time TotEng Press Volume c_other
0 0 23.0605478 1 100 7
WARNING: something (src/x.cpp:1)
10 5 46.1210957 2 100 8
Loop time of 1 on 1 procs
Step Time TotEng Press Volume c_other
10 5 46.1210957 2 100 8
20 10 69.1816436 3 100 9
"""


def test_a_data_file_is_the_structure_turned(tmp_path):
    atoms = bulk("Si") * (2, 1, 1)
    atoms.rattle(0.1, seed=1)
    atoms.set_velocities(np.arange(12).reshape(4, 3) * 0.01)
    (tmp_path / "data").write_text(data_file(atoms))
    back = read(tmp_path / "data", format="lammps-data", atom_style="atomic", units="metal")
    assert np.allclose(back.cell.cellpar(), atoms.cell.cellpar())
    assert np.allclose(back.get_all_distances(mic=True), atoms.get_all_distances(mic=True))
    speed = np.linalg.norm(atoms.get_velocities(), axis=1)
    assert np.allclose(np.linalg.norm(back.get_velocities(), axis=1), speed)


@pytest.mark.parametrize("pbc", [(False, False, False), (True, True, False)])
def test_what_is_not_periodic_has_room(pbc):
    atoms = molecule("H2O", cell=[8, 8, 1], pbc=pbc)
    lines = data_file(atoms).splitlines()
    (high,) = [float(line.split()[1]) for line in lines if line.endswith("zlo zhi")]
    assert high == pytest.approx(np.ptp(atoms.positions[:, 2]) + 20)


def test_isotopes_are_types_of_their_own():
    atoms = molecule("H2O")
    masses = atoms.get_masses()
    masses[1] = 2.014
    atoms.set_masses(masses)
    assert "3 atom types" in data_file(atoms)


def test_input_of_a_committee(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["lammps", "input", "ethanol", "--model", "ethanol", "ethanol-2", "--temperature", "300"]
    assert main(arguments) == 0
    text = (tmp_path / "lammps.in").read_text()
    assert "pair_style painn lammps-1.painn lammps-2.painn" in text
    assert "pair_coeff * * C H O" in text
    assert "c_std[1]" in text
    assert "fix motion all nvt temp 300 300 0.1" in text
    assert main(arguments) == 2  # what exists is not replaced unasked


def test_pressure_is_in_gigapascals_and_needs_a_crystal(tmp_path):
    conditions = Conditions(temperature=300, pressure=0.1)
    path = write_input(bulk("Si", cubic=True), ["silicon"], tmp_path / "si", conditions)
    assert "iso 1000 1000" in path.read_text()
    with pytest.raises(InputError, match="periodic in three directions"):
        write_input(molecule("H2O"), ["water"], tmp_path / "water", conditions)
    with pytest.raises(InputError, match="a temperature beside it"):
        Conditions(pressure=1)
    with pytest.raises(InputError, match="knows H, O"):
        write_input(molecule("CH4"), ["water"], tmp_path / "methane")


def test_dumps_come_back_by_id_in_ase_units(tmp_path):
    (tmp_path / "dump").write_text(DUMP.format(units="real"))
    (frame,) = read_dump(tmp_path / "dump", timestep=0.5)
    assert frame.get_chemical_symbols() == ["O", "H"]
    assert np.allclose(frame.cell.array, [[10, 0, 0], [2, 10, 0], [1, -1, 10]])
    assert np.allclose(frame.positions[0], [5, 4, 6])  # the box began at x = -1, y = 1
    assert frame.pbc.tolist() == [True, True, False]
    assert frame.info["time"] == 5.0
    assert np.allclose(frame.get_velocities()[0], [1 / units.fs, 0, 0])
    assert frame.get_forces()[1, 2] == pytest.approx(1.0, rel=1e-7)


def test_logs_have_the_names_and_units_of_observables(tmp_path):
    (tmp_path / "log").write_text(LOG)
    table = read_log(tmp_path / "log")
    assert table["step"].tolist() == [0, 10, 20]
    assert np.allclose(table["total_energy"], [1, 2, 3], rtol=1e-8)
    assert np.allclose(table["pressure"], np.array([1, 2, 3]) * 101325e-9)
    assert table["time"].tolist() == [0, 5, 10]
    assert table["c_other"].tolist() == [7, 8, 9]
    (tmp_path / "dump").write_text(DUMP.format(units="real"))
    both = observables(tmp_path / "dump", tmp_path / "log", timestep=0.5)
    assert both["total_energy"] == pytest.approx([2])
    assert both["velocities"][0, 0] == pytest.approx([1, 0, 0])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("real", "lj"), "expected units metal or real"),
        (("id element", "number element"), "expected the column id"),
        (("xu yu zu", "xs ys zs"), "expected the columns xu yu zu"),
        (("id element", "id kind"), "expected the column element"),
        (("1 O 4 5 6 1 0 0 1 0 0\n", ""), "expected a dump"),
    ],
)
def test_dumps_that_mean_something_else_are_refused(change, sentence, tmp_path):
    (tmp_path / "dump").write_text(DUMP.format(units="real").replace(*change))
    with pytest.raises(InputError, match=sentence):
        read_dump(tmp_path / "dump")


def test_the_same_model_gives_the_same_bytes_and_others_are_refused(tmp_path):
    model = load_model("silicon")
    assert pack(model, tmp_path / "a").read_bytes() == pack(model, tmp_path / "b").read_bytes()
    assert main(["lammps", "pack", "silicon", str(tmp_path / "c")]) == 0
    for other, sentence in (
        (random_model("schnet"), "the kernel knows PaiNN"),
        (random_model(heads={"dipole": {}}), "a model of energies"),
        (random_model(heads={"energy": {"mean": True}}), "a sum over atoms"),
    ):
        with pytest.raises(InputError, match=sentence):
            pack(other, tmp_path / "d")


def test_structures_with_no_atoms_in_a_dump_are_a_sentence(tmp_path):
    (tmp_path / "dump").write_text("")
    with pytest.raises(InputError, match="expected a dump"):
        read_dump(tmp_path / "dump")
    with pytest.raises(InputError, match="a table of thermo output"):
        read_log(tmp_path / "dump")

"""What users do in LAMMPS: minimisation, dynamics at constant energy and pressure, restarts, hybrids, committees."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from painn_ase import PaiNNCalculator, load_model, relax
from painn_ase.cli import main
from painn_ase.lammps import observables, pack, read_dump, read_log
from painn_ase.lammps.input import data_file

from helpers.lammps_runs import Setting, evaluate, lammps

pytestmark = [pytest.mark.lammps, pytest.mark.slow]

STEPS = """
units metal
atom_style atomic
atom_modify map array
{begin}
mass 1 28.0855
neighbor 0.5 bin
pair_style painn 0.painn
pair_coeff * * Si
timestep 0.002
thermo 20
thermo_style custom step time temp pe ke etotal press vol
thermo_modify format float %.12g
{rest}
"""


def silicon() -> Atoms:
    atoms = bulk("Si", cubic=True) * 2
    atoms.rattle(0.05, seed=2)
    return atoms


def run(folder, rest: str, ranks: int, begin: str = "read_data data") -> dict[str, np.ndarray]:
    done = lammps(folder, STEPS.format(begin=begin, rest=rest), ranks)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    return read_log(folder / "log")


@pytest.fixture
def folder(tmp_path):
    pack(load_model("silicon"), tmp_path / "0.painn")
    (tmp_path / "data").write_text(data_file(silicon()))
    return tmp_path


def test_minimize_finds_the_minimum_that_relax_finds(folder):
    table = run(folder, "minimize 0 1e-4 500 5000", ranks=2)
    atoms = silicon()
    atoms.calc = PaiNNCalculator("silicon")
    relax(atoms, fmax=1e-3, steps=500)
    assert table["potential_energy"][-1] == pytest.approx(atoms.get_potential_energy(), abs=2e-4)


def test_constant_energy_and_any_number_of_ranks(folder):
    """200 fs at 600 K; ranks change the order of sums alone."""
    rest = "velocity all create 600 7 loop geom\nfix 1 all nve\nrun 100"
    one, two = run(folder, rest, 1), run(folder, rest, 2)
    np.testing.assert_allclose(one["potential_energy"], two["potential_energy"], atol=2e-4)
    assert np.ptp(one["total_energy"]) < 0.02 * 64 * 1e-1


def test_constant_pressure_in_a_skewed_cell_and_restart(folder):
    """A restarted run goes on where the first one was; the pair style is named again, as LAMMPS wants it."""
    start = "velocity all create 300 7 loop geom\n"
    motion = "fix 1 all npt temp 300 300 0.1 tri 0 0 1\n"
    whole = run(folder, "change_box all triclinic\n" + start + motion + "run 40\nwrite_restart half\nrun 40", 2)
    again = run(folder, motion + "run 40", 2, begin="read_restart half")
    assert again["step"].tolist() == [40, 60, 80]
    for name in ("potential_energy", "volume", "temperature"):
        np.testing.assert_allclose(again[name], whole[name][-3:], rtol=1e-4)


def test_hybrid_overlay_adds_and_null_types_are_others(folder):
    plain = evaluate(folder, silicon(), [load_model("silicon")])
    core = "pair_style zbl 2.0 3.0\npair_coeff 1 1 14 14"
    zbl = "pair_style hybrid/overlay painn 0.painn zbl 2.0 3.0\npair_coeff * * painn Si\npair_coeff 1 1 zbl 14 14"
    both = evaluate(folder, silicon(), [load_model("silicon")], Setting(pair=zbl, ranks=2))
    alone = evaluate(folder, silicon(), [load_model("silicon")], Setting(pair=core))
    assert both["energy"] == pytest.approx(plain["energy"] + alone["energy"], abs=1e-5)
    np.testing.assert_allclose(both["forces"], plain["forces"] + alone["forces"], atol=2e-5)


def test_from_ase_and_back(tmp_path, monkeypatch):
    """Two commands, and the dump's frames are what the calculator says of them."""
    monkeypatch.chdir(tmp_path)
    arguments = [
        "lammps",
        "input",
        "silicon",
        "--temperature",
        "300",
        "--pressure",
        "0",
        "--timestep",
        "2",
        "--steps",
        "20",
    ]
    assert main(arguments) == 0
    done = lammps(tmp_path, (tmp_path / "lammps.in").read_text(), ranks=2)
    assert done.returncode == 0, done.stdout[-2000:]
    frames = read_dump(tmp_path / "lammps.dump")
    table = observables(tmp_path / "lammps.dump", tmp_path / "log")
    assert table["time"].tolist() == [0, 20, 40]
    atoms = frames[-1].copy()
    atoms.calc = PaiNNCalculator("silicon")
    assert np.abs(atoms.get_forces() - frames[-1].get_forces()).max() < 1e-5
    assert atoms.get_potential_energy() == pytest.approx(table["potential_energy"][-1], abs=1e-3)
    assert atoms.get_temperature() == pytest.approx(table["temperature"][-1] * (1 - 1 / len(atoms)), rel=1e-3)

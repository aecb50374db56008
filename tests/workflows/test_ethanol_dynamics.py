"""The bundled model in long dynamics: energy is conserved, thermostats give the right kinetic energy."""

import numpy as np
import pytest

from painn_ase import PaiNNCalculator, run_md
from painn_ase.structures import read_structure


def ethanol(dtype):
    atoms = read_structure("ethanol")
    atoms.calc = PaiNNCalculator("ethanol", dtype=dtype)
    return atoms


@pytest.mark.slow
def test_nve_drift_is_below_a_tenth_of_a_mev_per_atom_and_ps(tmp_path):
    """Ethanol, 300 K, 0.5 fs, 20 ps, float64: the must-show figure of energy conservation."""
    atoms = ethanol("float32")
    run_md(atoms, steps=4000, path=tmp_path / "warm", temperature=300, seed=1)
    atoms.calc = PaiNNCalculator("ethanol", dtype="float64")
    run = run_md(atoms, ensemble="nve", steps=40_000, path=tmp_path / "nve", record={"velocities": 100}, seed=1)
    time, energy = run.observables("total_energy")
    slope = np.polyfit(time / 1000, energy, 1)[0]
    print(f"NVE drift {1000 * slope / len(atoms):+.5f} meV/atom/ps over {time[-1] / 1000:.0f} ps")
    assert abs(1000 * slope / len(atoms)) <= 0.1
    _, velocities = run.observables("velocities")
    momentum = (atoms.get_masses()[:, None] * velocities).sum(1)
    assert np.abs(momentum - momentum[0]).max() < 1e-8


@pytest.mark.slow
@pytest.mark.parametrize("thermostat", ["langevin", "bussi"])
def test_thermostats_give_the_right_mean_kinetic_energy(thermostat, tmp_path):
    """<K> = N_f k T / 2 within three standard errors (from blocks) at 300 K, 20 ps."""
    run = run_md(ethanol("float32"), steps=40_000, path=tmp_path / "nvt", thermostat=thermostat, seed=2)
    _, temperature = run.observables("temperature")
    blocks = temperature[4001:].reshape(18, -1).mean(1)  # blocks of 1 ps, longer than the thermostats' memory
    mean, error = blocks.mean(), blocks.std(ddof=1) / np.sqrt(len(blocks))
    print(f"{thermostat}: {mean:.1f} ± {error:.1f} K")
    assert abs(mean - 300) < 3 * error

"""Dynamics at 30 K and the Hessian tell the same story: `vibrations` beside spectra of trajectories."""

import numpy as np
import pytest
from ase.units import fs, kB

from painn_ase import PaiNNCalculator, relax
from painn_ase.simulate import vibrations
from painn_ase.simulate.replicas.batch import BatchedEvaluator
from painn_ase.spectra import find_peaks, infrared, power_spectrum
from painn_ase.structures import read_structure

# two CH3 and CH2 bends of PBE0 are 7 cm⁻¹ apart, so lines must be narrower
TEMPERATURE, TIMESTEP, EVERY, RESOLUTION = 30.0, 0.5, 4, 4.5


def at_minimum():
    """The vibrations of ethanol where the energy is least."""
    atoms = read_structure("ethanol")
    atoms.rattle(0.02, seed=0)
    atoms.calc = PaiNNCalculator("ethanol", dtype="float64")
    assert relax(atoms, fmax=2e-4, optimizer="BFGS", steps=1000).converged
    return vibrations(atoms)


def trajectory_of(harmonic):
    """Dipoles, velocities and temperature of four runs at constant energy with exactly kT in every mode.

    Sampled momenta would give each mode an energy that scatters by 100 %: a hundred runs for 10 % intensities.
    """
    atoms, modes = harmonic.atoms.copy(), harmonic.modes
    atoms.calc = PaiNNCalculator("ethanol")
    mass = atoms.get_masses()[:, None]
    signs = np.random.default_rng(0).choice([-1, 1], size=(4, len(modes)))
    p = mass * np.einsum("mk,kia->mia", signs * np.sqrt(2 * kB * TEMPERATURE), modes.displacements)
    x, dt = np.repeat(atoms.positions[None], 4, axis=0), TIMESTEP * fs
    evaluate = BatchedEvaluator(atoms)
    found, dipoles, velocities = evaluate(x, ["forces", "dipole"]), [], []
    for step in range(24_001):
        if step % EVERY == 0:
            dipoles.append(found["dipole"])
            velocities.append(p / mass)
        p = p + 0.5 * dt * found["forces"]
        x = x + dt * p / mass
        found = evaluate(x, ["forces", "dipole"] if (step + 1) % EVERY == 0 else ["forces"])
        p = p + 0.5 * dt * found["forces"]
    v = np.stack(velocities, axis=1)
    temperature = float((mass * v**2).sum((2, 3)).mean() / (len(modes) * kB))
    return np.stack(dipoles, axis=1), v, temperature


def spectra(harmonic, trajectory):
    """Infrared spectrum and density of states."""
    dipoles, velocities, temperature = trajectory
    common = {"timestep": TIMESTEP, "every": EVERY, "temperature": temperature, "resolution": RESOLUTION}
    return infrared(dipoles, **common), power_spectrum(velocities, harmonic.atoms.get_masses(), **common)


@pytest.mark.slow
def test_low_temperature_dynamics_of_ethanol_shows_the_harmonic_frequencies_and_infrared_intensities():
    """One test, because two on different processes would each make the trajectory."""
    harmonic = at_minimum()
    trajectory = trajectory_of(harmonic)
    absorption, density = spectra(harmonic, trajectory)
    check_frequencies(harmonic, density)
    check_intensities(harmonic, trajectory, absorption)


def check_frequencies(harmonic, density):
    """Every mode above 400 cm⁻¹ within 5 cm⁻¹ of a band of the density of states."""
    assert density.area()[0] == pytest.approx(21, rel=0.01)
    bands = np.array([peak.wavenumber for peak in find_peaks(density, prominence=0.01, significance=0)])
    wavenumbers = harmonic.frequencies[harmonic.frequencies > 400]
    shifts = np.abs(bands[None] - wavenumbers[:, None]).min(axis=1)
    print("\n".join(f"{w:8.1f} {s:5.1f}" for w, s in zip(wavenumbers, shifts, strict=True)))
    assert shifts.max() < 5


def check_intensities(harmonic, trajectory, absorption):
    """Relative strengths of the strong bands within 15 %, modes closer than 25 cm⁻¹ counted together.

    Modes exchange some of their energy in 12 ps, so each counts with the share ⟨Q̇²⟩/kT that it had on average.
    """
    _, velocities, temperature = trajectory
    masses = harmonic.atoms.get_masses()
    rates = np.einsum("i,kia,mtia->kmt", masses, harmonic.modes.displacements, velocities)  # Q̇ = uᵀ m v
    shares = np.square(rates).mean(axis=(1, 2)) / (kB * temperature)
    wavenumbers, strengths = harmonic.frequencies, harmonic.infrared * shares
    groups = np.split(np.arange(len(wavenumbers)), np.flatnonzero(np.diff(wavenumbers) > 25) + 1)
    groups = [g for g in groups if wavenumbers[g[0]] > 400]
    expected = np.array([strengths[g].sum() for g in groups])
    seen = np.array([absorption.area(wavenumbers[g[0]] - 12, wavenumbers[g[-1]] + 12)[0] for g in groups])
    strong = expected > 0.3 * expected.max()
    assert strong.sum() >= 3
    ratio = seen[strong] / expected[strong]
    print(shares, ratio)
    np.testing.assert_allclose(ratio / np.average(ratio, weights=expected[strong]), 1, atol=0.15)

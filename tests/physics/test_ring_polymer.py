"""Ring polymers give the quantum averages: exact results of P beads where they are known, Schrödinger's elsewhere."""

import numpy as np
import pytest
from ase.units import fs, kB
from scipy.linalg import eigh, expm
from scipy.stats import chi2, gamma

from painn_ase.simulate import Thermostat
from painn_ase.simulate.replicas.modes import HBAR, Ring, to_beads, to_modes
from painn_ase.simulate.replicas.motion import Replicas
from painn_ase.simulate.replicas.thermostat import THERMOSTATS
from painn_ase.simulate.ring_polymer.estimators import (
    energy_slope,
    heat_capacity,
    primitive_kinetic_energy,
    squared_gyration_radii,
    virial_kinetic_energies,
)

SIGMAS = 4.5  # of the mean over replicas: one false alarm in 10⁵ comparisons


class Potential:
    """V(x) of vectorised functions, as an evaluator of copies."""

    memory: dict = {}  # noqa: RUF012

    def __init__(self, energy, forces):
        self.energy, self.forces = energy, forces

    def __call__(self, positions, names, cells=None):
        return {"energy": self.energy(positions), "forces": self.forces(positions)}


def free():
    return Potential(lambda x: np.zeros(len(x)), np.zeros_like)


def harmonic(hessian):
    """½ xᵀ H x of all coordinates of a copy."""
    n = len(hessian)

    def forces(x):
        return -(x.reshape(-1, n) @ hessian).reshape(x.shape)

    return Potential(lambda x: -0.5 * np.einsum("cai,cai->c", x, forces(x)), forces)


def coupled(masses, seed=0, lowest=300.0, highest=3500.0):
    """A Hessian whose frequencies spread from `lowest` to `highest` cm⁻¹, coordinates mixed; frequencies; modes."""
    rng = np.random.default_rng(seed)
    n = 3 * len(masses)
    vectors = np.linalg.qr(rng.normal(size=(n, n)))[0]
    omega = np.linspace(lowest, highest, n) * 2 * np.pi * 2.99792458e-5 / fs  # per ASE time
    root = np.sqrt(np.repeat(masses, 3))
    return (vectors * omega**2) @ vectors.T * np.outer(root, root), omega, vectors / root[:, None]


def replicas(ring, evaluate, bath, count, seed=0, start=None):
    generators = [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(count)]
    polymers = Replicas(ring, evaluate, np.zeros((len(ring.masses), 3)) if start is None else start, bath, generators)
    polymers.start()
    return polymers


def sample(polymers, steps, read, every=5, warm=200):
    """Means of `read` over time by replica, (replicas, ...)."""
    for _ in range(warm):
        polymers.step()
    total = 0.0
    for step in range(steps):
        polymers.step()
        if step % every == 0:
            total = total + np.asarray(read(polymers))
    return total / (steps // every)


def agrees(values, expected, bias=0.0):
    """Mean over replicas within its error, and `bias` (relative) of the finite time step."""
    mean, error = values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values))
    assert (np.abs(mean - expected) < SIGMAS * error + bias * np.abs(expected)).all(), (mean, error, expected)
    return error


# ---- the ring alone


@pytest.mark.parametrize("beads", [1, 2, 3, 8, 13, 64])
def test_normal_modes_diagonalise_the_springs(beads):
    matrix = to_modes(np.eye(beads))
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(beads), atol=1e-13)
    np.testing.assert_allclose(to_beads(np.eye(beads)), matrix.T, atol=1e-15)
    hops = 2 * np.eye(beads) - np.roll(np.eye(beads), 1, axis=0) - np.roll(np.eye(beads), -1, axis=0)
    squares = 4 * np.sin(np.pi * np.arange(beads) / beads) ** 2
    np.testing.assert_allclose(matrix @ hops @ matrix.T, np.diag(squares), atol=1e-12)


def test_ring_frequencies_at_300_kelvin():
    """2 ω_P sin(kπ/P) from k_B T/hc = 208.51 cm⁻¹."""
    from painn_ase.simulate.replicas.modes import wavenumber

    ring = Ring(64, np.ones(1), 300.0, 0.25)
    expected = 2 * 64 * 208.51 * np.sin(np.pi * np.array([1, 2, 3, 32]) / 64)
    np.testing.assert_allclose([wavenumber(ring.frequencies[k]) for k in (1, 2, 3, 32)], expected, rtol=1e-4)


def test_free_motion_is_exact_for_any_step():
    """One long step, many short ones, and the matrix exponential of the equations of motion agree."""
    rng, dt = np.random.default_rng(0), 0.3
    masses = np.array([1.0, 16.0])
    ring = Ring(8, masses, 300.0, dt, centred=False)
    polymers = replicas(ring, free(), THERMOSTATS["none"], 1, start=rng.normal(scale=0.1, size=(1, 8, 2, 3)))
    q, v = polymers.modes.copy()[0], polymers.mode_velocities.copy()[0]
    for _ in range(7):
        polymers.step()
    for k, w in enumerate(ring.frequencies):
        flow = expm(np.array([[0, 1], [-(w**2), 0]]) * 7 * dt * fs)
        np.testing.assert_allclose(polymers.modes[0, k], flow[0, 0] * q[k] + flow[0, 1] * v[k], atol=1e-12)
        np.testing.assert_allclose(polymers.mode_velocities[0, k], flow[1, 0] * q[k] + flow[1, 1] * v[k], atol=1e-11)


@pytest.mark.parametrize("beads", [4, 32])
def test_gyration_radius_of_a_free_particle_is_exact(beads):
    """<r_g²> = 3 ħ² (P² - 1)/(12 m kT P²), from Σ_k 1/(4 sin²(kπ/P)) = (P² - 1)/12."""
    masses = np.array([1.008, 12.011])
    ring = Ring(beads, masses, 300.0, 0.5, centred=False)
    polymers = replicas(ring, free(), THERMOSTATS["pile-l"], 64)
    values = sample(polymers, 600, lambda p: squared_gyration_radii(p.positions))
    expected = 3 * HBAR**2 / (12 * masses * kB * 300) * (beads**2 - 1) / beads**2
    error = agrees(values, expected)
    assert (error < 0.03 * expected).all()


# ---- harmonic systems


def finite_sum(omega, beads, temperature):
    """kT Σ_k 1/(ω_k² + ω²): m <q²> of P beads, exactly."""
    ring = 2 * beads * kB * temperature / HBAR * np.sin(np.pi * np.arange(beads) / beads)
    return kB * temperature * np.sum(1 / (ring[:, None] ** 2 + np.atleast_1d(omega) ** 2), axis=0)


def harmonic_energy(omega, beads, temperature):
    """Total energy of P beads, exactly: kinetic and potential are each ½ ω² m<q²>."""
    return float(np.sum(omega**2 * finite_sum(omega, beads, temperature)))


@pytest.mark.parametrize("beads", [1, 4, 16, 64])
def test_coupled_oscillators_have_the_exact_averages_of_p_beads(beads):
    masses, temperature = np.array([1.008, 12.011, 15.999]), 300.0
    hessian, omega, vectors = coupled(masses)
    ring = Ring(beads, masses, temperature, 0.25, centred=False)
    polymers = replicas(ring, harmonic(hessian), THERMOSTATS["pile-l"], 24, seed=beads)

    def read(p):
        virial = virial_kinetic_energies(p.ring, p.positions, p.forces)
        potential = -0.5 * np.einsum("rkai,rkai->r", p.positions, p.forces) / beads
        primitive = primitive_kinetic_energy(p.ring, p.spring_energy)
        squares = np.square(p.positions).mean(axis=1)[:, :, 0]
        return np.column_stack([potential, primitive, virial, squares])

    values = sample(polymers, 2400 if beads < 64 else 1600, read, every=4)
    m_q2 = finite_sum(omega, beads, temperature)
    energy = 0.5 * np.sum(omega**2 * m_q2)
    by_atom = 0.5 * np.einsum("xk,k->x", vectors**2, omega**2 * m_q2) * np.repeat(masses, 3)
    expected = [energy, energy, *by_atom.reshape(3, 3).sum(axis=1), *(vectors**2 @ m_q2)[::3]]
    # (ω Δt)² / 24 of the fastest mode: what BAOAB's time step may change
    agrees(values, np.array(expected), bias=(omega.max() * 0.25 * fs) ** 2 / 24)


def test_many_beads_approach_the_quantum_oscillator():
    """m<q²> of P beads goes to (ħ/2ω) coth(βħω/2), with an error that falls as 1/P²."""
    omega = 3000 * 2 * np.pi * 2.99792458e-5 / fs
    exact = HBAR / (2 * omega) / np.tanh(HBAR * omega / (2 * kB * 300))
    errors = [1 - finite_sum(omega, beads, 300.0)[0] / exact for beads in (32, 64, 128)]
    assert errors[1] < 0.01
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.05)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.02)


def test_heat_capacity_is_the_derivative_of_the_energy():
    masses, temperature, beads = np.array([1.008]), 300.0, 8
    hessian, omega, _ = coupled(masses, lowest=200.0, highest=1500.0)
    ring = Ring(beads, masses, temperature, 0.5, centred=False)
    potential = harmonic(hessian)
    polymers = replicas(ring, potential, THERMOSTATS["pile-l"], 100)
    energies, slopes = [], []

    def forces_of(x):
        return potential.forces(x.reshape(-1, 1, 3)).reshape(x.shape)

    for step in range(4000):
        polymers.step()
        if step >= 400 and step % 100 == 0:
            p = polymers
            kinetic = virial_kinetic_energies(ring, p.positions, p.forces).sum(axis=1)
            energies.append(kinetic - 0.5 * np.einsum("rkai,rkai->r", p.positions, p.forces) / beads)
            slopes.append(energy_slope(ring, p.positions, p.forces, forces_of))
    value, error = heat_capacity(ring, np.concatenate(energies), np.concatenate(slopes))
    step = 0.5  # K; at constant P
    expected = (harmonic_energy(omega, beads, 300 + step) - harmonic_energy(omega, beads, 300 - step)) / (2 * step) / kB
    assert abs(value - expected) < SIGMAS * error
    assert error < 0.07 * expected


# ---- an anharmonic bond


DEPTH, STIFFNESS, BOND, MASS = 5.034, 2.287, 0.9419, 0.9481  # eV, Å⁻¹, Å, amu: an O-H bond near 3800 cm⁻¹


def morse(x):
    return DEPTH * (1 - np.exp(-STIFFNESS * (x - BOND))) ** 2


def morse_force(x):
    e = np.exp(-STIFFNESS * (x - BOND))
    return -2 * DEPTH * STIFFNESS * e * (1 - e)


GRID = np.linspace(BOND - 0.6, BOND + 1.2, 400)


def schroedinger(temperature):
    """Thermal <V>, <T>, <x> of the Morse bond on a grid (sinc-DVR: Colbert and Miller 1992, doi:10.1063/1.462100)."""
    h = GRID[1] - GRID[0]
    i = np.arange(len(GRID))
    d = i[:, None] - i
    kinetic = (
        HBAR**2 / (2 * MASS * h**2) * np.where(d == 0, np.pi**2 / 3, 2.0 * (-1.0) ** d / np.where(d == 0, 1, d) ** 2)
    )
    energies, states = eigh(kinetic + np.diag(morse(GRID)))
    weights = np.exp(-(energies - energies[0]) / (kB * temperature))
    density = (states**2 @ weights) / weights.sum()
    potential = density @ morse(GRID)
    total = energies @ weights / weights.sum()
    return np.array([potential, total - potential, density @ GRID])


def path_integral(temperature, beads):
    """The same of P beads, exactly: matrix products of the short-time density matrix; kinetic by the virial theorem."""
    tau = 1 / (kB * temperature * beads)
    h = GRID[1] - GRID[0]
    free = np.sqrt(MASS / (2 * np.pi * tau * HBAR**2)) * np.exp(
        -MASS * (GRID[:, None] - GRID) ** 2 / (2 * tau * HBAR**2)
    )
    half = np.exp(-0.5 * tau * morse(GRID))
    density = np.diag(np.linalg.matrix_power(half[:, None] * free * half * h, beads))
    density = density / density.sum()
    # ⟨T⟩ = ½⟨(x - x0) V'⟩ holds for P beads with any x0: the bond cannot break at these temperatures
    kinetic = -0.5 * density @ ((GRID - BOND) * morse_force(GRID))
    return np.array([density @ morse(GRID), kinetic, density @ GRID])


def test_beads_of_a_morse_bond_extrapolate_to_schroedingers_solution():
    """The discretisation itself: 64 beads are within 1.2 %, and what is left falls as 1/P²."""
    exact, coarse, fine = schroedinger(300.0), path_integral(300.0, 32), path_integral(300.0, 64)
    np.testing.assert_allclose(fine[:2], exact[:2], rtol=0.012)
    np.testing.assert_allclose((4 * fine - coarse) / 3, exact, rtol=1e-3)


def test_morse_bond_agrees_with_schroedingers_equation():
    beads = 64
    ring = Ring(beads, np.array([MASS]), 300.0, 0.2, centred=False)

    def forces(x):
        f = np.zeros_like(x)
        f[..., 0] = morse_force(x[..., 0])
        return f

    potential = Potential(lambda x: morse(x[:, 0, 0]), forces)
    polymers = replicas(ring, potential, THERMOSTATS["pile-l"], 32, start=np.array([[BOND, 0, 0]]))

    def read(p):
        kinetic = virial_kinetic_energies(ring, p.positions, p.forces).sum(axis=1) - kB * 300  # y and z are free
        x = p.positions[..., 0, 0]
        return np.column_stack([morse(x).mean(axis=1), kinetic, x.mean(axis=1)])

    values = sample(polymers, 3000, read, warm=500)
    expected = path_integral(300.0, beads)
    error = agrees(values, expected, bias=(0.71 * 0.2) ** 2 / 24)  # ω = 0.71 fs⁻¹
    assert (error < 0.015 * expected).all()
    np.testing.assert_allclose(values.mean(axis=0), schroedinger(300.0), rtol=0.03)
    classical = 0.5 * kB * 300
    assert values[:, 1].mean() > 8 * classical  # nothing of this is classical


# ---- thermostats


@pytest.mark.parametrize("name", ["pile-l", "pile-g", "trpmd"])
def test_every_normal_mode_has_its_distribution(name):
    """m ṽ²/PkT and m(ω_k² + ω²) q̃²/PkT of every mode are chi-square distributed; two-sided, one in 10⁵ each.

    All atoms feel the same ω, so the modes of the free ring are those of the whole.
    """
    masses, omega, dt = np.array([1.008, 15.999]), 1000 * 2 * np.pi * 2.99792458e-5 / fs, 0.25
    ring = Ring(8, masses, 300.0, dt, centred=False)
    hessian = np.diag(np.repeat(masses, 3)) * omega**2
    count, draws = (100, 1) if name == "trpmd" else (40, 5)  # a free centroid keeps its energy: no second draw
    polymers = replicas(ring, harmonic(hessian), Thermostat(time=20), count, seed=3)
    for _ in range(800):
        polymers.step()
    polymers.use(THERMOSTATS[name] if name == "trpmd" else Thermostat(centroid=THERMOSTATS[name].centroid, time=20))
    squares = np.zeros((2, 8))
    for _ in range(draws):
        for _ in range(200):  # 50 fs, memory at most 20: nearly independent
            polymers.step()
        v, q = polymers.mode_velocities, polymers.modes
        frequencies = ring.frequencies**2 + omega**2
        squares[0] += np.einsum("rkai,a->k", v**2, masses) / ring.energy
        squares[1] += np.einsum("rkai,a->k", q**2, masses) * frequencies / ring.energy
    level = chi2.cdf(squares, 6 * count * draws)
    assert ((level > 5e-6) & (level < 1 - 5e-6)).all(), level


def test_rescaling_gives_the_centroid_its_canonical_energy():
    """The kinetic energy of f = 6 momenta is gamma-distributed; here for 800 independent replicas of free atoms."""
    ring = Ring(2, np.array([1.0, 3.0]), 300.0, 0.5, centred=False)
    polymers = replicas(ring, free(), Thermostat(centroid="rescaling", time=5), 800)
    polymers.set_centroid_velocities(0.5 * polymers.centroid_velocities)  # far from it
    for _ in range(60):
        polymers.step()
    kinetic = 0.5 * np.einsum("rai,a->r", polymers.mode_velocities[:, 0] ** 2, ring.masses) / ring.energy
    levels = np.sort(gamma.cdf(kinetic, 3))
    distance = np.abs(levels - np.arange(1, 801) / 800).max()
    assert distance < 2.2 / np.sqrt(800)  # Kolmogorov: one in 10⁴


def test_critical_damping_decorrelates_the_energy_of_a_mode_fastest():
    """τ = ∫ c_H dt = 1/γ + γ/4ω², least at γ = 2ω: PILE's choice, λ = 1 (Ceriotti et al. 2010, eq. 35)."""
    times = {}
    for damping in (0.25, 1.0, 4.0):
        ring = Ring(2, np.ones(24), 300.0, 0.5, centred=False)
        polymers = replicas(ring, free(), Thermostat(damping=damping), 4, seed=7)
        w = ring.frequencies[1]
        series = []
        for step in range(5200):
            polymers.step()
            if step >= 200:
                q, v = polymers.modes[:, 1], polymers.mode_velocities[:, 1]
                series.append(0.5 * (v**2 + w**2 * q**2).reshape(-1))
        h = np.array(series) - ring.energy
        n = len(h)
        power = np.abs(np.fft.rfft(h, 2 * n, axis=0)) ** 2
        correlation = np.fft.irfft(power.mean(axis=1))[:n] / np.arange(n, 0, -1)
        most = int(12 * (damping + 1 / damping) / (w * 0.5 * fs)) + 2
        times[damping] = (correlation[:most].sum() / correlation[0] - 0.5) * 0.5 * fs
        friction = 2 * damping * w
        assert times[damping] == pytest.approx(1 / friction + friction / (4 * w**2), rel=0.15)
    assert times[1.0] < min(times[0.25], times[4.0])


# ---- conservation


@pytest.mark.parametrize("propagator", ["exact", "cayley"])
@pytest.mark.parametrize("name", ["none", "trpmd", "pile-l", "pile-g"])
def test_energy_less_heat_is_conserved(name, propagator):
    """To second order in the step: halving it takes away three quarters of the error."""
    masses = np.array([1.008, 12.011, 15.999])
    hessian, _, _ = coupled(masses)
    scatter = []
    for dt in (0.3, 0.15):
        ring = Ring(8, masses, 300.0, dt, centred=False, propagator=propagator)
        potential = harmonic(hessian)
        polymers = replicas(ring, potential, THERMOSTATS["pile-l"], 8)
        for _ in range(int(100 / dt)):
            polymers.step()
        polymers.use(THERMOSTATS[name])
        polymers.heat[:] = 0
        values = []
        for _ in range(int(60 / dt)):
            found = polymers.step()
            values.append(polymers.kinetic + polymers.spring_energy + found["energy"].sum(axis=1) - polymers.heat)
        values = np.array(values)
        scatter.append(np.mean(values.std(axis=0)) / ring.beads)
    assert scatter[0] < 0.02  # eV, nine oscillators
    # noise adds the errors of its steps up like a random walk, so it falls a little more slowly
    assert scatter[1] < 0.45 * scatter[0]

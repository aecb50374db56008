"""Harmonic oscillators have spectra known in closed form: positions, areas, depolarization, symmetry."""

import numpy as np
import pytest
from scipy import constants
from scipy.spatial.transform import Rotation

from painn_ase.spectra import (
    Laser,
    Transform,
    dipole_rates,
    find_peaks,
    infrared,
    infrared_from_rates,
    placzek_cross_sections,
    power_spectrum,
    quantum_correction,
    raman,
    raman_from_rates,
)
from painn_ase.spectra.quantum import reduced_energy
from painn_ase.units import ASE_TIME, BOLTZMANN, DEBYE, ELEMENTARY_CHARGE, POLARIZABILITY_VOLUME

KB = BOLTZMANN / ELEMENTARY_CHARGE  # eV/K
CYCLES = 2 * np.pi * 2.99792458e-5  # rad/fs per cm⁻¹
STATIC_IR = 42.256  # km/mol per (D/Å)²/amu: N_A / (12 ε0 c²)
TIMESTEP = 0.5
FRAMES = 40_000


def oscillator(wavenumber, temperature, *, verlet=True, every=1, frames=FRAMES, phase=0.3):
    """Mass-weighted position (Å √amu) and velocity (ASE units) of a mode whose kinetic temperature is `temperature`.

    With verlet, exactly what velocity Verlet produces: frequency (2/Δt) asin(ωΔt/2), velocity (Q(n+1)-Q(n-1))/2Δt.
    """
    omega = CYCLES * wavenumber
    seen, shrink = omega, 1.0
    if verlet:
        seen = 2 / TIMESTEP * np.arcsin(omega * TIMESTEP / 2)
        shrink = np.cos(seen * TIMESTEP / 2)
    angle = seen * TIMESTEP * every * np.arange(frames) + phase
    speed = np.sqrt(2 * KB * temperature)
    return speed / (omega * ASE_TIME * shrink) * np.cos(angle), -speed * np.sin(angle)


def along(values, direction=(0.0, 0.0, 1.0)):
    return np.asarray(values)[:, None] * np.asarray(direction)


@pytest.mark.parametrize("temperature", [300, 600])
@pytest.mark.parametrize("wavenumber", [1000, 1500, 3000])
@pytest.mark.parametrize("verlet", [True, False])
def test_ir_area_of_a_harmonic_mode_is_its_static_intensity(wavenumber, temperature, verlet):
    position, _ = oscillator(wavenumber, temperature, verlet=verlet)
    spectrum = infrared(
        along(position * DEBYE),
        timestep=TIMESTEP,
        temperature=temperature,
        transform=Transform(correct_timestep=verlet),
    )
    # 0.01 % is left of the end of the trajectory; without the 1/2 of counting both signs it would be 100 %
    assert spectrum.area(wavenumber - 100, wavenumber + 100)[0] == pytest.approx(STATIC_IR, rel=5e-4)


@pytest.mark.parametrize("window", ["gaussian", "hann", "lorentzian", "none"])
def test_windows_keep_the_area(window):
    position, _ = oscillator(1500, 300)
    spectrum = infrared(
        along(position * DEBYE), timestep=TIMESTEP, temperature=300, resolution=10, transform=Transform(window=window)
    )
    # a Lorentzian has 0.4 % of its area beyond 0 .. 5000 cm⁻¹
    assert spectrum.area()[0] == pytest.approx(STATIC_IR, rel=5e-3)


@pytest.mark.parametrize("every", [1, 2, 4])
def test_dipole_differences_equal_the_exact_derivative(every):
    position, velocity = oscillator(3000, 300, every=every, frames=20_000)
    settings = {"timestep": TIMESTEP, "every": every, "temperature": 300}
    from_dipole = infrared(along(position * DEBYE), **settings)
    exact = infrared_from_rates(along(velocity * DEBYE), **settings)
    # 4e-4 of the maximum: the series of differences is one frame shorter
    assert from_dipole.intensity == pytest.approx(exact.intensity, abs=4e-4 * exact.intensity.max())


def test_born_charges_times_velocities_are_the_dipole_rate():
    rng = np.random.default_rng(0)
    charges, velocities, step = rng.normal(size=(4, 3, 3)), rng.normal(size=(7, 4, 3)), 1e-3
    moved = np.einsum("iab,tib->ta", charges, velocities * step)  # μ of the displaced atoms, linear in r
    assert dipole_rates(charges, velocities) == pytest.approx(moved / step)


@pytest.mark.parametrize("wavenumber", [500, 1700, 3700])
def test_shift_of_the_integrator_is_undone(wavenumber):
    _, velocity = oscillator(wavenumber, 300)
    settings = {"timestep": TIMESTEP, "temperature": 300}
    corrected = infrared_from_rates(along(velocity), **settings)
    raw = infrared_from_rates(along(velocity), **settings, transform=Transform(correct_timestep=False))
    assert find_peaks(corrected)[0].wavenumber == pytest.approx(wavenumber, abs=0.01)
    shift = 2 / TIMESTEP * np.arcsin(CYCLES * wavenumber * TIMESTEP / 2) / CYCLES - wavenumber
    assert find_peaks(raw)[0].wavenumber - wavenumber == pytest.approx(shift, abs=0.01)
    if wavenumber == 3700:
        assert shift == pytest.approx(19, abs=0.5)


@pytest.mark.parametrize("unit", ["ASE", "Å/fs"])
@pytest.mark.parametrize("temperature", [300, 600])
def test_vdos_integrates_to_the_number_of_degrees_of_freedom(temperature, unit):
    masses = np.array([1.008, 12.011, 15.999])
    wavenumbers = np.array([[300, 800, 1200], [1500, 1700, 2100], [2900, 3100, 3700]])
    velocities = np.empty((FRAMES, 3, 3))
    for atom, axis in np.ndindex(3, 3):
        _, speed = oscillator(wavenumbers[atom, axis], temperature, phase=atom + 0.7 * axis)
        velocities[:, atom, axis] = speed / np.sqrt(masses[atom])
    if unit == "Å/fs":
        velocities /= ASE_TIME
    spectrum = power_spectrum(velocities, masses, timestep=TIMESTEP, temperature=temperature, unit=unit)
    assert spectrum.area()[0] == pytest.approx(9, rel=1e-3)
    for wavenumber in wavenumbers.flat:
        assert spectrum.area(wavenumber - 45, wavenumber + 45)[0] == pytest.approx(1, rel=2e-3)
    assert spectrum.metadata["kinetic temperature of 3N degrees of freedom / K"] == pytest.approx(temperature, rel=1e-3)


def test_ase_trajectory_of_springs_shows_its_frequencies_and_all_its_modes():
    from ase import Atoms, units
    from ase.calculators.harmonic import SpringCalculator
    from ase.md.verlet import VelocityVerlet

    atoms = Atoms("HCl", positions=[[0, 0, 0], [1.3, 0, 0]])
    constant = 35.0  # eV/Å²
    atoms.calc = SpringCalculator(atoms.positions.copy(), constant)
    atoms.set_momenta(np.random.default_rng(0).normal(scale=0.1, size=(2, 3)) * np.sqrt(atoms.get_masses())[:, None])
    frames, temperatures = [], []
    run = VelocityVerlet(atoms, timestep=1.0 * units.fs)
    for _ in run.irun(4000):
        frames.append(atoms.get_velocities())
        temperatures.append(atoms.get_temperature())
    spectrum = power_spectrum(
        frames, atoms.get_masses(), timestep=1.0, temperature=float(np.mean(temperatures)), resolution=20
    )
    expected = np.sqrt(constant / atoms.get_masses()) * units.s / (2 * np.pi * units._c * 100)
    found = [peak.wavenumber for peak in find_peaks(spectrum, prominence=0.1, significance=0)]
    assert found == pytest.approx(sorted(expected), abs=0.2)
    assert spectrum.area()[0] == pytest.approx(6, rel=2e-3)


def test_constant_component_contributes_nothing_and_is_named():
    position, _ = oscillator(1500, 300)
    moving = np.stack([position, np.full_like(position, 3.0), 0.5 * position], axis=1)
    spectrum = infrared(moving, timestep=TIMESTEP, temperature=300)
    still = infrared(moving * [1, 0, 1], timestep=TIMESTEP, temperature=300)
    assert np.isfinite(spectrum.intensity).all()
    assert spectrum.intensity == pytest.approx(still.intensity, rel=1e-12)
    assert spectrum.metadata["constant components (contribute nothing)"] == "1"


# ---- Raman -------------------------------------------------------------------------------------------------------

SYMMETRIC = np.eye(3)
TRACELESS = np.array([[1.0, 0.4, 0], [0.4, -1, 0.2], [0, 0.2, 0]])
MIXED = np.array([[2.0, 0.3, 0], [0.3, 1.0, 0.5], [0, 0.5, 0.4]])


def activity(tensor):
    """45 a'² + 7 γ'² in Å⁴/amu, written out in components as in Long's book."""
    (xx, xy, xz), (_, yy, yz), (_, _, zz) = tensor
    isotropic = (xx + yy + zz) / 3
    anisotropic = 0.5 * ((xx - yy) ** 2 + (yy - zz) ** 2 + (zz - xx) ** 2) + 3 * (xy**2 + yz**2 + xz**2)
    return 45 * isotropic**2 + 7 * anisotropic


def polarizability(tensor, wavenumber, temperature=300, **options):
    position, velocity = oscillator(wavenumber, temperature, **options)
    derivative = tensor * POLARIZABILITY_VOLUME  # dα/dQ from Å²/√amu
    return 5 * np.eye(3) + position[:, None, None] * derivative, velocity[:, None, None] * derivative


@pytest.mark.parametrize(("tensor", "ratio"), [(SYMMETRIC, 0.0), (TRACELESS, 0.75)])
def test_depolarization_of_symmetric_and_traceless_modes(tensor, ratio):
    spectra = raman(polarizability(tensor, 1200)[0], timestep=TIMESTEP, temperature=300)
    assert spectra.band_depolarization(1100, 1300)[0] == pytest.approx(ratio, abs=1e-9)
    at_peak = np.argmin(np.abs(spectra.depolarization.wavenumbers - 1200))
    assert spectra.depolarization.intensity[at_peak] == pytest.approx(ratio, abs=1e-9)


@pytest.mark.parametrize("tensor", [SYMMETRIC, TRACELESS, MIXED])
@pytest.mark.parametrize(("wavenumber", "temperature"), [(500, 300), (1500, 600), (3000, 300)])
def test_raman_area_is_the_static_placzek_cross_section(tensor, wavenumber, temperature):
    series, rates = polarizability(tensor, wavenumber, temperature)
    settings = {"timestep": TIMESTEP, "temperature": temperature, "laser": 514.5, "resolution": 5}
    laser = 1e9 / 514.5
    nu = 100.0 * wavenumber
    bose = 1 - np.exp(-constants.h * constants.c * nu / (constants.k * temperature))
    # (2π)⁴/45 (ν̃0-ν̃)⁴ h/(8π²cν̃) S/(1-e^-x) with α as a volume
    expected = (2 * np.pi) ** 4 / 45 * (laser - nu) ** 4 * constants.h / (8 * np.pi**2 * constants.c * nu * bose)
    expected *= activity(tensor) * 1e-40 / constants.atomic_mass
    static = placzek_cross_sections([wavenumber], [activity(tensor)], temperature=temperature, laser=514.5)[0]
    assert static == pytest.approx(expected, rel=1e-6)  # the constants of two CODATA releases
    for spectra in (raman(series, **settings), raman_from_rates(rates, **settings)):
        area = spectra.unpolarized.area(wavenumber - 40, wavenumber + 40)[0]
        assert area == pytest.approx(expected, rel=1e-3)  # K is curved within the 5 cm⁻¹ of the line


def test_invariants_are_the_average_over_orientations():
    turns = Rotation.random(40_000, random_state=0).as_matrix()
    turned = np.einsum("nai,ij,nbj->nab", turns, MIXED, turns)
    parallel, perpendicular = (turned[:, 2, 2] ** 2).mean(), (turned[:, 0, 2] ** 2).mean()
    spectra = raman(polarizability(MIXED, 1000)[0], timestep=TIMESTEP, temperature=300)
    ratio = spectra.band_depolarization(900, 1100)[0]
    assert ratio == pytest.approx(perpendicular / parallel, rel=0.02)  # Monte Carlo error of the average is 0.6 %


def test_rotating_the_laboratory_changes_no_spectrum():
    rng = np.random.default_rng(1)
    dipoles = np.cumsum(rng.normal(size=(6000, 3)), axis=0)
    half = np.cumsum(rng.normal(size=(6000, 3, 3)), axis=0)
    alphas = half + half.transpose(0, 2, 1)
    turn = Rotation.random(random_state=2).as_matrix()
    settings = {"timestep": 1.0, "temperature": 300, "resolution": 20}
    straight, turned = infrared(dipoles, **settings), infrared(dipoles @ turn.T, **settings)
    assert turned.intensity == pytest.approx(straight.intensity, rel=1e-8)
    straight, turned = raman(alphas, **settings), raman(turn @ alphas @ turn.T, **settings)
    for name in ("isotropic", "anisotropic", "parallel", "perpendicular", "unpolarized"):
        before, after = getattr(straight, name).intensity, getattr(turned, name).intensity
        assert after == pytest.approx(before, rel=1e-8, abs=1e-10 * before.max()), name


def test_raman_components_add_up_and_units_agree():
    series, rates = polarizability(MIXED, 1000, frames=20_000)
    settings = {"timestep": TIMESTEP, "temperature": 300}
    spectra = raman(series, **settings)
    iso, ani = spectra.isotropic.intensity, spectra.anisotropic.intensity
    assert spectra.parallel.intensity == pytest.approx(iso + 4 / 45 * ani)
    assert spectra.perpendicular.intensity == pytest.approx(ani / 15)
    assert spectra.unpolarized.intensity == pytest.approx(iso + 7 / 45 * ani)
    volume = raman(series / POLARIZABILITY_VOLUME, unit="Å³", **settings)
    assert volume.parallel.intensity == pytest.approx(spectra.parallel.intensity)
    per_fs = raman_from_rates(rates / POLARIZABILITY_VOLUME / ASE_TIME, unit="Å³/fs", **settings)
    assert per_fs.parallel.intensity == pytest.approx(raman_from_rates(rates, **settings).parallel.intensity)


def test_anti_stokes_and_photon_counting_change_only_their_factors():
    series, _ = polarizability(MIXED, 1000, frames=20_000)
    settings = {"timestep": TIMESTEP, "temperature": 300}
    stokes = raman(series, laser=633.0, **settings).parallel
    anti = raman(series, laser=Laser(633.0, anti_stokes=True), **settings).parallel
    counted = raman(series, laser=Laser(633.0, photon_counting=True), **settings).parallel
    nu, laser = stokes.wavenumbers, 1e7 / 633.0
    boltzmann = np.exp(-reduced_energy(nu, 300))
    assert anti.intensity == pytest.approx(stokes.intensity * ((laser + nu) / (laser - nu)) ** 4 * boltzmann)
    assert counted.intensity == pytest.approx(stokes.intensity * laser / (laser - nu))


# ---- quantum corrections -----------------------------------------------------------------------------------------


def test_bose_exponent_is_4_796_at_1000_wavenumbers_and_300_kelvin():
    assert reduced_energy(1000, 300) == pytest.approx(4.796, abs=5e-4)


@pytest.mark.parametrize("kind", ["harmonic", "standard", "schofield", "mixed"])
def test_corrections_restore_detailed_balance_and_leave_the_static_limit(kind):
    nu = np.array([1.0, 300.0, 1500.0])
    up, down = quantum_correction(kind, nu, 300), quantum_correction(kind, -nu, 300)
    assert down / up == pytest.approx(np.exp(-reduced_energy(nu, 300)))
    assert quantum_correction(kind, 0.0, 300) == pytest.approx(1)


@pytest.mark.parametrize("kind", ["harmonic", "standard", "schofield", "mixed", "none"])
def test_correction_replaces_the_harmonic_one_and_is_not_applied_on_top(kind):
    series, _ = polarizability(MIXED, 1500, frames=20_000)
    settings = {"timestep": TIMESTEP, "temperature": 300}
    ratio = lambda nu: quantum_correction(kind, nu, 300) / quantum_correction("harmonic", nu, 300)  # noqa: E731
    harmonic = infrared(series[:, 0], **settings)
    chosen = infrared(series[:, 0], quantum_correction=kind, **settings)
    assert chosen.intensity == pytest.approx(harmonic.intensity * ratio(harmonic.wavenumbers))
    assert chosen.metadata["quantum correction"] == kind
    harmonic, chosen = (raman(series, quantum_correction=k, **settings).parallel for k in ("harmonic", kind))
    assert chosen.intensity == pytest.approx(harmonic.intensity * ratio(harmonic.wavenumbers))

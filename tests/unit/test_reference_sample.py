"""Sampled geometries have the distribution they claim."""

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import molecule
from ase.calculators.calculator import Calculator
from ase.calculators.morse import MorsePotential
from ase.constraints import FixAtoms

from painn_ase.errors import InputError
from painn_ase.reference import Plan, far_apart, gfn2_xtb, modes_of, sample, sample_md, sample_modes, scan_modes
from painn_ase.reference.sampling import coordinate_widths

STIFFNESS, LENGTH, DEPTH = 2.0, 1.1, 4.0  # k = 2 D (rho0/r0)² of ASE's Morse potential


def diatomic(distance=LENGTH):
    atoms = Atoms("CO", [[0, 0, 0], [0.6 * distance, 0, 0.8 * distance]])
    atoms.calc = morse(atoms)
    return atoms


def morse(atoms):
    return MorsePotential(epsilon=DEPTH, r0=LENGTH, rho0=STIFFNESS * LENGTH, rcut1=5.0, rcut2=6.0)


class Spring(Calculator):
    """½ k (r - r0)² between two atoms; far quicker than ASE's Morse potential."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        arm = self.atoms.positions[1] - self.atoms.positions[0]
        length = np.linalg.norm(arm)
        pull = 2 * DEPTH * STIFFNESS**2 * (length - LENGTH)
        self.results["energy"] = 0.5 * pull * (length - LENGTH)
        self.results["forces"] = np.array([pull, -pull])[:, None] * arm / length


def spring(atoms):
    return Spring()


def angular_frequency():
    """ω in ASE's unit of time, by hand: √(k/μ), k = 2 D ρ²."""
    first, second = Atoms("CO").get_masses()
    return np.sqrt(2 * DEPTH * STIFFNESS**2 * (first + second) / (first * second))


def test_modes_of_a_morse_oscillator_have_its_curvature():
    modes = modes_of(diatomic())
    expected = angular_frequency() * units._hbar * units.J * units.s / units.invcm
    assert len(modes) == 1
    assert modes.wavenumbers[0] == pytest.approx(expected, rel=1e-3)  # third derivatives cancel; fourth: (ρ h)²


@pytest.mark.parametrize("temperature", [0.0, 300.0, 5000.0])
def test_quantum_samples_have_the_harmonic_oscillators_mean_energy(temperature):
    """⟨½ω²Q²⟩ = ħω/4 coth(ħω/2kT): half the mean energy, by the virial theorem."""
    atoms = diatomic()
    modes = modes_of(atoms)
    frames = sample_modes(atoms, modes, temperature=temperature, count=4000, rng=np.random.default_rng(0))
    masses = atoms.get_masses()
    amounts = [np.einsum("i,ia,ia", masses, f.positions - atoms.positions, modes.displacements[0]) for f in frames]
    omega = angular_frequency()
    quantum = units._hbar * units.J * units.s * omega
    coth = 1.0 if temperature == 0 else 1 / np.tanh(quantum / (2 * units.kB * temperature))
    error = np.sqrt(2 / 4000)  # relative standard error of a variance
    assert 0.5 * omega**2 * np.var(amounts) == pytest.approx(quantum / 4 * coth, rel=4 * error)
    assert abs(np.mean(amounts)) < 4 * np.std(amounts) / np.sqrt(4000)


def test_widths_become_classical_when_hot():
    """Equipartition: ω²⟨Q²⟩ = kT where kT ≫ ħω."""
    wavenumber, temperature = 50.0, 3000.0
    omega = wavenumber * units.invcm / (units._hbar * units.J * units.s)
    width = coordinate_widths(np.array([wavenumber]), temperature)[0]
    assert (omega * width) ** 2 == pytest.approx(units.kB * temperature, rel=1e-3)  # next term (ħω/kT)²/12


def test_soft_modes_do_not_move():
    atoms = diatomic()
    with pytest.raises(InputError, match="expected some above"):
        sample_modes(atoms, modes_of(atoms), temperature=0.0, count=1, rng=np.random.default_rng(0), above=1e5)


def test_scans_reach_the_asked_zero_point_widths_on_both_sides():
    atoms = diatomic()
    modes = modes_of(atoms)
    frames = scan_modes(atoms, modes, points=2, reach=3.0)
    masses = atoms.get_masses()
    amounts = [np.einsum("i,ia,ia", masses, f.positions - atoms.positions, modes.displacements[0]) for f in frames]
    assert np.allclose(amounts / coordinate_widths(modes.wavenumbers, 0.0), [-3.0, -1.5, 1.5, 3.0])


def test_colliding_atoms_are_left_out():
    good, bad = molecule("H2O"), molecule("H2O")
    bad.positions[1] = bad.positions[0] + [0.5, 0, 0]  # 0.6 · (0.66 + 0.31) Å = 0.58 Å
    assert far_apart([good, bad]) == [good]


def test_dynamics_has_the_mean_potential_energy_of_its_temperature():
    start = diatomic()
    start.info["charge"] = 1
    frames = sample([start], spring, Plan(md=400, temperatures=(600.0,), every=20), seed=1, name="spring")
    assert {f.info["source"] for f in frames} == {"spring_md_600K_min0"}
    assert {f.info["charge"] for f in frames} == {1}
    energies = [Spring().get_property("energy", frame) for frame in frames]
    # kT/2 for one mode; friction 0.01/fs forgets within 100 fs = 10 frames, so χ² of 40 or more: ± 22 %
    assert np.mean(energies) == pytest.approx(0.5 * units.kB * 600, rel=0.6)
    assert np.allclose([f.get_center_of_mass() for f in frames], start.get_center_of_mass(), atol=1e-9)


def test_a_seed_repeats_and_more_of_one_kind_leaves_the_others():
    few = sample([diatomic()], spring, Plan(md=2, temperatures=(300.0,), quantum=3), seed=5)
    more = sample([diatomic()], spring, Plan(md=2, temperatures=(300.0,), quantum=5), seed=5)
    other = sample([diatomic()], spring, Plan(md=2, temperatures=(300.0,), quantum=3), seed=6)
    assert all((a.positions == b.positions).all() for a, b in zip(few, more[:5], strict=True))
    assert not any((a.positions == b.positions).all() for a, b in zip(few, other, strict=True))


def test_an_empty_plan_is_refused():
    with pytest.raises(InputError, match="above zero"):
        sample([diatomic()], spring, Plan())


def test_gfn2_obeys_the_charge_of_the_structure():
    pytest.importorskip("tblite")
    energies = []
    for charge in (0, 1):
        atoms = molecule("H2O")
        atoms.info["charge"] = charge
        atoms.calc = gfn2_xtb(atoms)
        energies.append(atoms.get_potential_energy())
    assert 10 < energies[1] - energies[0] < 20  # ionization potential of water: 12.6 eV


def heavy(factor=100.0):
    """The diatomic with isotopes `factor` times as heavy, one end fixed to nothing yet."""
    atoms = diatomic()
    atoms.set_masses(factor * atoms.get_masses())
    return atoms


def test_isotopes_are_sampled_with_their_own_masses():
    """100 times the mass is a tenth of the wavenumber and, at zero kelvin, √10 times less spread; frames keep it."""
    light, slow = diatomic(), heavy()
    assert modes_of(light).wavenumbers[0] == pytest.approx(10 * modes_of(slow).wavenumbers[0], rel=1e-6)
    plan = Plan(quantum=400, quantum_temperature=0.0)
    spreads = []
    for atoms in (light, heavy(4.0)):
        frames = sample([atoms], spring, plan, seed=3)
        assert all((f.get_masses() == atoms.get_masses()).all() for f in frames)
        spreads.append(np.std([f.get_distance(0, 1) for f in frames]))
    assert spreads[0] / spreads[1] == pytest.approx(2**0.5, rel=1e-3)  # the same random numbers


def test_dynamics_moves_isotopes_at_their_own_pace():
    start, slow = diatomic(1.2), heavy(1e6)
    slow.positions = start.positions
    for atoms in (start, slow):
        atoms.calc = Spring()
    rng = np.random.default_rng
    moved = [
        sample_md(a, temperature=1.0, count=1, rng=rng(0), every=20, equilibrate=0)[0].get_distance(0, 1)
        for a in (start, slow)
    ]
    assert abs(moved[0] - 1.2) > 0.02
    assert abs(moved[1] - 1.2) < 1e-3


def test_constraints_are_obeyed_kept_and_refused_where_they_cannot_be():
    start = diatomic()
    start.set_constraint(FixAtoms([0]))
    frames = sample([start], spring, Plan(md=5, temperatures=(600.0,)), seed=1)
    assert all((f.positions[0] == start.positions[0]).all() for f in frames)
    assert np.std([f.get_distance(0, 1) for f in frames]) > 0.01
    assert all(f.constraints[0].index.tolist() == [0] for f in frames)
    for plan in (Plan(quantum=1), Plan(scan=1)):
        with pytest.raises(InputError, match="has constraints"):
            sample([start], spring, plan)

"""Elastic constants and phonons of crystals whose answers are known by hand, from the literature or from ASE."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell
from ase.calculators.lj import LennardJones
from ase.calculators.tersoff import Tersoff, TersoffParameters
from ase.phonons import Phonons as PhononsOfASE
from ase.units import GPa, invcm

from painn_ase import relax
from painn_ase.cards.measure import elastic_constants, phonons, primitive_cell
from painn_ase.cards.measure.crystal import supercell
from painn_ase.cards.measure.phonons import zone_boundary
from painn_ase.errors import InputError
from painn_ase.spectra.harmonic import wavenumbers

MASS = 39.948  # amu
NEAREST = 2 ** (1 / 6)  # σ: Lennard-Jones atoms in an fcc crystal that feels its nearest neighbours alone
SPRING = 72 / 2 ** (1 / 3)  # ε/σ², φ''(NEAREST)
# Tersoff 1988 (T3), doi:10.1103/PhysRevB.38.9902
SILICON = TersoffParameters(
    m=3, gamma=1, lambda3=0, c=100390, d=16.217, h=-0.59825, n=0.78734, beta=1.1e-6, lambda2=1.73222, B=471.18, R=2.85,
    D=0.15, lambda1=2.4799, A=1830.8,
)  # fmt: skip


@pytest.fixture
def neighbours_alone():
    """fcc with σ = 3 Å and ε = 0.01 eV, at rest; its force constant k = 72 ε/2^(1/3) σ² in eV/Å²."""
    sigma, epsilon = 3.0, 0.01
    atoms = bulk("Ar", "fcc", a=np.sqrt(2) * NEAREST * sigma)
    atoms.calc = LennardJones(sigma=sigma, epsilon=epsilon, rc=1.3 * sigma)
    return atoms, SPRING * epsilon / sigma**2


@pytest.fixture(scope="module")
def diamond():
    atoms = bulk("Si", "diamond", a=5.432)
    atoms.calc = Tersoff({("Si", "Si", "Si"): SILICON})
    relax(atoms, cell=True, fmax=1e-6, optimizer="BFGS", progress=False)
    return atoms


def test_elastic_constants_of_central_forces_between_neighbours(neighbours_alone):
    """C11 = 2 C12 = 2 C44 = √2 k/r: C_ijkl = k r²/2V Σ n_i n_j n_k n_l over the 12 neighbours, V = r³/√2."""
    atoms, k = neighbours_alone
    found = elastic_constants(atoms, strain=1e-4)
    r = NEAREST * 3.0
    expected = np.array([np.sqrt(2), 1 / np.sqrt(2), 1 / np.sqrt(2)]) * k / r / GPa
    assert found.cubic == pytest.approx(expected, rel=1e-5)
    assert found.bulk_modulus == pytest.approx((expected[0] + 2 * expected[1]) / 3, rel=1e-5)
    c11, c12, c44 = expected
    kelvin = sorted([c11 + 2 * c12, c11 - c12, c11 - c12, 2 * c44, 2 * c44, 2 * c44])
    assert found.eigenvalues == pytest.approx(kelvin, rel=1e-5)
    assert found.stable
    assert found.asymmetry < 1e-6 * c11


def test_phonons_of_central_forces_between_neighbours(neighbours_alone):
    """D(q) = k/m Σ n nᵀ (1 - cos q·r): at X ω² = 8k/m once and 4k/m twice, at L 8k/m once and 2k/m twice."""
    atoms, k = neighbours_alone
    found = phonons(atoms, (2, 2, 2), displacement=1e-3)
    at_x, at_l = found.frequencies([[0.5, 0.5, 0], [0.5, 0, 0]])
    mass = atoms.get_masses()[0]
    assert at_x == pytest.approx(wavenumbers(np.array([4, 4, 8]) * k / mass), rel=1e-5)
    assert at_l == pytest.approx(wavenumbers(np.array([2, 2, 8]) * k / mass), rel=1e-5)
    assert found.frequencies(np.zeros(3)) == pytest.approx(0, abs=1e-3)


def test_tersoff_silicon_has_its_published_elastic_constants(diamond):
    """C11 142.5, C12 75.4, C44 69.0 and, with clamped ions, 118.8 GPa: Balamane, Halicioglu and Tiller, Phys. Rev. B
    46, 2250 (1992), doi:10.1103/PhysRevB.46.2250."""
    relaxed, clamped = (elastic_constants(diamond, strain=1e-3, relaxed=free) for free in (True, False))
    assert relaxed.cubic == pytest.approx((142.5, 75.4, 69.0), abs=0.5)
    assert clamped.cubic == pytest.approx((142.5, 75.4, 118.8), abs=0.5)


def test_long_waves_travel_at_the_speeds_of_the_elastic_constants(diamond):
    """ρ v² = C11 and C44 along [100]. The interpolation between wave vectors of the supercell is part of the claim."""
    lattice = phonons(diamond, (4, 4, 4), displacement=1e-3)
    c11, _, c44 = elastic_constants(diamond, strain=1e-3).cubic
    x = 0.01  # of the way to X, q = 2π/a (x, 0, 0)
    q = np.array([0, 0.5, 0.5]) * x
    length = 2 * np.pi * np.linalg.norm(diamond.cell.reciprocal().array.T @ q)
    density = diamond.get_masses().sum() / diamond.get_volume()  # amu/Å³
    expected = wavenumbers(np.array([c44, c44, c11]) * GPa / density * length**2)
    assert lattice.frequencies(q)[:3] == pytest.approx(expected, rel=0.01)


def test_phonons_have_the_symmetry_of_the_crystal_between_wave_vectors_of_an_even_supercell(diamond):
    """From Γ to X transverse waves are pairs, and all three directions are one. ASE's `Phonons`, where no images share,
    splits the acoustic pair of this supercell into 99 and 151 cm⁻¹."""
    directions = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) * 0.17
    found = phonons(diamond, (2, 2, 2)).frequencies(directions)
    assert found[1:] == pytest.approx(np.array([found[0]] * 2), rel=1e-6)
    assert found[0][[1, 5]] == pytest.approx(found[0][[0, 4]], rel=1e-6)
    # forces reach second neighbours, so that a larger supercell says the same
    assert found[0] == pytest.approx(phonons(diamond, (3, 3, 3)).frequencies(directions[0]), rel=1e-4)


def test_the_supercell_of_phonons_holds_the_zone_boundary_and_is_wide_enough(diamond):
    assert supercell(diamond) == (6, 6, 6)  # faces of the primitive cell are a/√3 apart
    assert supercell(bulk("Si", "diamond", a=5.43, cubic=True)) == (4, 4, 4)


def test_phonons_are_those_of_ase_at_wave_vectors_of_the_supercell(diamond, tmp_path):
    theirs = PhononsOfASE(diamond, diamond.calc, supercell=(3, 3, 3), delta=0.01, name=str(tmp_path / "phonons"))
    theirs.run()
    theirs.read(acoustic=True)
    ours = phonons(diamond, (3, 3, 3), displacement=0.01)
    expected = theirs.band_structure(ours.mesh) / invcm
    assert ours.frequencies(ours.mesh) == pytest.approx(np.sort(expected, axis=1), rel=1e-4)


def test_an_unstable_crystal_is_seen():
    """Lennard-Jones atoms on a simple cubic lattice shear and vibrate away from it."""
    atoms = Atoms("Ar", cell=np.eye(3) * 3.3, pbc=True)
    atoms.calc = LennardJones(sigma=3.0, epsilon=0.01, rc=9.0)
    relax(atoms, cell=True, fmax=1e-5, optimizer="BFGS", progress=False)
    found = elastic_constants(atoms)
    assert found.cubic is not None
    assert found.eigenvalues[0] < 0
    assert not found.stable
    assert phonons(atoms, (4, 4, 4)).frequencies(zone_boundary()).min() < -1


def test_a_crystal_under_pressure_and_a_molecule_have_no_elastic_constants(neighbours_alone):
    atoms, _ = neighbours_alone
    atoms.set_cell(atoms.cell * 0.98, scale_atoms=True)
    with pytest.raises(InputError, match="without stress"):
        elastic_constants(atoms)
    atoms.pbc = (True, True, False)
    with pytest.raises(InputError, match="periodic along all three"):
        elastic_constants(atoms)
    with pytest.raises(InputError, match="periodic along all three"):
        phonons(atoms, (2, 2, 2))


@pytest.mark.parametrize(
    ("crystal", "count"),
    [
        (bulk("Si", "diamond", a=5.43, cubic=True).repeat((2, 3, 1)), 2),
        (bulk("NaCl", "rocksalt", a=5.64, cubic=True), 2),
        (bulk("Mg", "hcp", a=3.2, c=5.2).repeat(3), 2),
        (bulk("Fe", "bcc", a=2.87, cubic=True), 1),
        (make_supercell(bulk("Cu", "fcc", a=3.6), [[3, 1, 0], [-2, 1, 4], [0, 5, 1]]), 1),
    ],
)
def test_the_primitive_cell_of_a_supercell(crystal, count):
    crystal.rotate(33, (1, 2, 3), rotate_cell=True)
    crystal.positions += (0.3, -0.2, 5.0)
    crystal.wrap()
    small = primitive_cell(crystal)
    assert len(small) == count
    assert small.get_volume() / count == pytest.approx(crystal.get_volume() / len(crystal))
    assert np.linalg.det(small.cell.array) > 0
    # every atom of the crystal is a lattice vector away from one of the small cell
    difference = crystal.positions[:, None, :] - small.positions[None, :, :]
    whole = difference @ np.linalg.inv(small.cell.array)
    same = (np.abs(whole - np.round(whole)) < 1e-6).all(axis=-1) & (crystal.numbers[:, None] == small.numbers[None, :])
    assert (same.sum(axis=1) == 1).all()


def test_a_crystal_with_a_vacancy_is_its_own_primitive_cell():
    crystal = bulk("Si", "diamond", a=5.43, cubic=True).repeat(2)
    del crystal[5]
    assert len(primitive_cell(crystal)) == 63

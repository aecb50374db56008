"""Torsions, stretched bonds and hydrogen-bonded pairs, by hand."""

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.lj import LennardJones
from ase.constraints import FixAtoms

from painn_ase.errors import InputError
from painn_ase.reference import Plan, hydrogen_bonded, open_bonds, sample, scan_torsions, stretch_bonds
from painn_ase.reference.dimers import acceptors, donors

ETHANOL = molecule("CH3CH2OH")


def test_ethanol_turns_about_two_bonds_and_ethene_about_none():
    turning = {"".join(sorted(ETHANOL.symbols[[b.i, b.j]])) for b in open_bonds(ETHANOL) if b.turns}
    assert turning == {"CC", "CO"}
    assert len(open_bonds(ETHANOL)) == 8
    assert not any(b.turns for b in open_bonds(molecule("C2H4")))
    assert not any(b.turns for b in open_bonds(molecule("CH3CN")))  # a straight end has no dihedral


def test_rings_stay_closed():
    assert len(open_bonds(molecule("C6H6"))) == 6  # the C-H bonds
    assert not any(b.turns for b in open_bonds(molecule("C6H6")))


def test_amides_and_conjugated_bonds_turn():
    assert sum(b.turns for b in open_bonds(molecule("CH3CONH2"))) == 2
    assert sum(b.turns for b in open_bonds(molecule("butadiene"))) == 1


def test_torsions_turn_by_equal_angles_and_change_nothing_else():
    carbon, oxygen = [b for b in open_bonds(ETHANOL) if b.turns], ETHANOL.symbols.search("O")[0]
    frames = scan_torsions(ETHANOL, points=3)
    assert len(frames) == 3 * len(carbon)
    bond = next(b for b in carbon if oxygen in (b.i, b.j))
    hydroxyl = next(k for k in bond.moving if ETHANOL.numbers[k] == 1)
    far = next(k for k in range(9) if ETHANOL.numbers[k] == 6 and k != bond.i)
    dihedral = [far, bond.i, bond.j, hydroxyl]
    turned = [f for f in frames if f.info["source"] == f"torsion_{bond.i}-{bond.j}"]
    start = ETHANOL.get_dihedral(*dihedral)
    assert [(f.get_dihedral(*dihedral) - start) % 360 for f in turned] == pytest.approx([90, 180, 270])
    for frame in frames:
        for b in open_bonds(ETHANOL):
            assert frame.get_distance(b.i, b.j) == pytest.approx(ETHANOL.get_distance(b.i, b.j))
        assert frame.get_angle(far, bond.i, bond.j) == pytest.approx(ETHANOL.get_angle(far, bond.i, bond.j))


def test_stretched_bonds_have_their_lengths_and_leave_the_others():
    frames = stretch_bonds(ETHANOL, points=4)
    bonds = open_bonds(ETHANOL)
    assert len(frames) == 4 * len(bonds)
    for bond, group in zip(bonds, np.reshape(np.arange(32), (8, 4)), strict=True):
        lengths = [frames[k].get_distance(bond.i, bond.j) / ETHANOL.get_distance(bond.i, bond.j) for k in group]
        assert lengths == pytest.approx(np.linspace(0.85, 1.5, 4))
        other = next(b for b in bonds if b is not bond)
        assert frames[group[-1]].get_distance(other.i, other.j) == pytest.approx(ETHANOL.get_distance(other.i, other.j))


def test_masses_charges_and_spin_are_kept_and_constraints_refused():
    heavy = ETHANOL.copy()
    heavy.set_masses([2.014 if z == 1 else None for z in heavy.numbers])
    heavy.info["charge"], heavy.info["multiplicity"] = 1, 2
    pairs = hydrogen_bonded(heavy, molecule("H2O"), count=1, rng=np.random.default_rng(0))
    for frame in (scan_torsions(heavy, points=1)[0], stretch_bonds(heavy, points=1)[0], pairs[0]):
        assert frame.get_masses()[:9] == pytest.approx(heavy.get_masses())
        assert (frame.info["charge"], frame.info["multiplicity"]) == (1, 2)
    heavy.set_constraint(FixAtoms([0]))
    for call in (scan_torsions, stretch_bonds):
        with pytest.raises(InputError, match="constraints"):
            call(heavy, points=1)
    with pytest.raises(InputError, match="periodic"):
        open_bonds(bulk("Si"))


def test_pairs_have_a_straight_hydrogen_bond_of_the_length_asked_for():
    water = molecule("H2O")
    frames = hydrogen_bonded(water, ETHANOL, count=60, rng=np.random.default_rng(0), shortest=1.7, longest=2.5)
    assert len(frames) == 60
    oxygen = 3 + ETHANOL.symbols.search("O")[0]
    lengths = []
    for frame in frames:
        length, hydrogen = min((frame.get_distance(k, oxygen), k) for k in (1, 2))
        lengths.append(length)
        assert frame.get_angle(0, hydrogen, oxygen) >= 150 - 1e-6
        assert frame.get_all_distances()[3:, 3:] == pytest.approx(ETHANOL.get_all_distances())
    assert 1.7 <= min(lengths) < 1.75 < 2.45 < max(lengths) <= 2.5


def test_who_gives_and_who_takes_hydrogen_bonds():
    assert [d for _, d in donors(molecule("H2O"))] == [0, 0]
    assert donors(molecule("CH3OCH3")) == []
    assert len(acceptors(molecule("CH3OCH3"))) == 1
    with pytest.raises(InputError, match="N, O or F"):
        hydrogen_bonded(molecule("CH4"), molecule("H2O"), count=1, rng=np.random.default_rng(0))


def test_sample_makes_as_many_of_each_kind_as_the_plan_says(monkeypatch):
    from painn_ase.reference import sampling

    monkeypatch.setattr(sampling, "_relaxed", lambda atoms, driver: atoms.copy())
    frames = sample([ETHANOL], lambda atoms: LennardJones(), Plan(torsions=2, stretch=1, dimers=5), name="lj")
    kinds = [f.info["source"].split("_min")[0] for f in frames]
    assert (kinds.count("lj_torsion"), kinds.count("lj_stretch"), kinds.count("lj_dimer")) == (4, 8, 5)
    with pytest.raises(InputError, match="hydrogen bond"):
        sample([molecule("CH4")], lambda atoms: LennardJones(), Plan(dimers=1))

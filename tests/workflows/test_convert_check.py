"""Wrong data are found and named: `painn-ase convert --check` on copies of right ones, each with one mistake."""

import re
from pathlib import Path

import ase
import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.morse import MorsePotential
from ase.calculators.singlepoint import SinglePointCalculator
from ase.units import Bohr, Debye, Hartree

from painn_ase.cli import main
from painn_ase.data import Label, check, energetics, read_frames

ETHANOL = Path(__file__).parents[2] / "models" / "ethanol" / "data"
LABELS = {
    "energy": Label("energy", "eV"),
    "forces": Label("forces", "eV/Å"),
    "dipole": Label("dipole", "e·Å"),
    "polarizability": Label("polarizability", "Å³"),
}
ORDER = [3, 1, 4, 0, 8, 2, 6, 5, 7]


def ethanol(name="test"):
    return read_frames(ETHANOL / f"{name}.extxyz")


def scaled(**factors):
    """A change of all frames: labels times factors."""

    def change(frames):
        for atoms in frames:
            for name, factor in factors.items():
                place = atoms.info if name in atoms.info else atoms.calc.results
                place[name] = np.asarray(place[name]) * factor
        return frames

    return change


def atoms_shuffled(frames):
    frames[7].positions = frames[7].positions[ORDER]
    return frames


def forces_shuffled(frames):
    frames[7].calc.results["forces"] = frames[7].calc.results["forces"][ORDER]
    return frames


def one_in_another_order(frames):
    turned = frames[7][ORDER]
    turned.calc = SinglePointCalculator(
        turned, energy=frames[7].get_potential_energy(), forces=frames[7].get_forces()[ORDER]
    )
    frames[7] = turned
    return frames


def all_shuffled(frames):
    for atoms in frames:
        atoms.positions = atoms.positions[ORDER]
    return frames


def duplicated(frames):
    again = frames[5].copy()
    again.calc = frames[5].calc
    return [*frames, again]


def moved_and_turned(frames):
    """A frame once more, somewhere else; its forces turned with it."""
    again = frames[5].copy()
    forces = frames[5].get_forces()
    arrows = again.copy()
    arrows.positions = forces
    for atoms in (again, arrows):
        atoms.rotate(40, (1, 2, 3))
    again.positions += 3.0
    again.calc = SinglePointCalculator(again, energy=frames[5].get_potential_energy(), forces=arrows.positions)
    return [*frames, again]


def another_level(by):
    def change(frames):
        frames[11].calc.results["energy"] += by
        return frames

    return change


def with_an_atom(frames):
    single = ase.Atoms("H", calculator=None)
    single.calc = SinglePointCalculator(single, energy=-13.6, forces=np.zeros((1, 3)))
    return [*frames, single]


def torn(frames):
    frames[9].positions[8] += [0, 0, 4.0]
    return frames


MISTAKES = {
    "forces are gradients": (scaled(forces=-1.0), "slope: .*wrong sign", None),
    "energies in Hartree": (scaled(energy=1 / Hartree), "slope: .*energies in Hartree called eV", None),
    "atomic units": (scaled(energy=1 / Hartree, forces=Bohr / Hartree), r"ΔE is 1\.8.*Hartree/Bohr", None),
    "Hartree and Hartree/Å": (scaled(energy=1 / Hartree, forces=1 / Hartree), "energy unit: .*in Hartree", None),
    "kcal/mol": (scaled(energy=23.06, forces=23.06), "energy unit: .*in kcal/mol", None),
    "forces in kcal/mol/Å": (scaled(forces=23.06), "forces in kcal/mol/Å called eV/Å", None),
    "Debye": (scaled(dipole=1 / Debye), "dipole: .*Debye called e·Å", None),
    "Bohr³": (scaled(polarizability=1 / Bohr**3), "polarizability: .*Bohr³ called Å³", None),
    "atoms of a frame shuffled": (atoms_shuffled, "shuffled atoms: .*bonds", (7,)),
    "forces of a frame shuffled": (forces_shuffled, "torque: .*same order", (7,)),
    "another order of elements": (one_in_another_order, "order: .*another order", (7,)),
    "all atoms shuffled": (all_shuffled, "torque: .*same order", tuple(range(60))),
    "a frame twice": (duplicated, "duplicates: 1 of 61", (60,)),
    "a frame turned": (moved_and_turned, "duplicates: .*turned", (60,)),
    "another level, lower": (another_level(-2.0), "level: .*another level of theory", (11,)),
    "another level, higher": (another_level(300.0), "level: .*another level of theory", (11,)),
    "an atom": (with_an_atom, "isolated atoms", (60,)),
    "torn": (torn, "torn: .*far from all", (9,)),
}


def said(frames, labels=LABELS):
    return check(frames, labels)


@pytest.mark.parametrize("name", ["train", "test", "cold", "turned", "harmonic"])
def test_right_data_get_no_word(name):
    """Thermal, quantum and gentle samples, both conformers, shuffled and along lines."""
    assert not list(map(str, said(ethanol(name))))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_is_found_and_named(mistake):
    change, words, frames = MISTAKES[mistake]
    found = [f for f in said(change(ethanol())) if re.search(words, str(f))]
    assert found
    if frames is not None:
        assert found[0].frames == frames


@pytest.mark.parametrize("mistake", ["forces are gradients", "Debye", "another level, lower"])
def test_a_mistake_is_found_in_other_data_too(mistake):
    """Hundreds of frames in shuffled order, where only some lie near others."""
    change, words, _ = MISTAKES[mistake]
    assert any(re.search(words, str(f)) for f in said(change(ethanol("train"))))


def compressed(seed):
    """Four atoms that a Morse potential binds; in two of sixty frames a pair is pushed up its wall."""
    rng = np.random.default_rng(seed)
    corners = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.5, 0.9, 0.0], [0.5, 0.3, 0.8]])
    for k in range(60):
        atoms = ase.Atoms("H4", corners + rng.normal(0, 0.03, corners.shape))
        atoms.positions[1] -= [0.25 if k in (20, 40) else 0.0, 0, 0]
        atoms.calc = MorsePotential(epsilon=1.0, r0=1.0, rho0=6.0, rcut1=8, rcut2=9)
        atoms.calc = SinglePointCalculator(
            atoms, energy=atoms.get_potential_energy(), forces=atoms.calc.get_forces(atoms)
        )
        yield atoms


def test_a_slope_of_few_pairs_is_a_mistake_if_a_cause_is_known_or_it_is_far_off():
    """A dozen frames of a molecule lie 0.5 Å apart: there ΔE was up to 1.6 times -⟨F⟩·Δr, and all labels right."""

    def said(slope: float, pairs: int) -> str:
        return " ".join(finding.text for finding in energetics._wrong_slope(slope, 9, pairs))

    assert said(1.5, 10) == said(0.7, 10) == ""
    assert "wrong unit" in said(1.5, 100)
    assert "wrong unit" in said(2.4, 10)
    assert "Hartree/Bohr" in said(1 / Bohr, 10)
    assert "wrong sign" in said(-1.0, 10)


@pytest.mark.parametrize("seed", [2, 8, 17])
def test_a_compressed_pair_is_an_outlier_but_no_other_level_of_theory(seed):
    """The mean of two forces says little about the work on the way up a wall."""
    labels = {name: LABELS[name] for name in ("energy", "forces")}
    found = list(map(str, said(list(compressed(seed)), labels)))
    assert found
    assert not any(text.startswith("level") for text in found), found


def copper(count=40, amplitude=0.02, seed=0):
    """Copper by effective medium theory, strained and rattled: energy, forces and stress."""
    rng, made = np.random.default_rng(seed), []
    for _ in range(count):
        atoms = bulk("Cu", cubic=True) * (2, 1, 1)
        strain = rng.normal(0, amplitude, (3, 3))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.5 * (strain + strain.T)), scale_atoms=True)
        atoms.rattle(0.03, rng=rng)
        atoms.calc = EMT()
        labels = {name: atoms.calc.get_property(name, atoms) for name in ("energy", "forces", "stress")}
        plain = atoms.copy()
        plain.info |= {"energy": labels["energy"], "stress": labels["stress"]}
        plain.arrays["forces"] = labels["forces"]
        made.append(plain)
    return made


SOLID = {"energy": Label("energy", "eV"), "forces": Label("forces", "eV/Å"), "stress": Label("stress", "eV/Å^3")}
STRESSES = {
    "pressure": (lambda s: -s, ["sign is wrong"]),
    "VASP's order": (lambda s: s[[0, 1, 2, 5, 3, 4]], ["xy, yz, xz, not as yz, xz, xy"]),
    "another order": (lambda s: s[[0, 1, 2, 5, 4, 3]], ["xy, xz, yz, not as yz, xz, xy"]),
    "VASP's order, sign and kbar": (
        lambda s: -1602.18 * s[[0, 1, 2, 5, 3, 4]],
        ["VASP's order", "sign is wrong", "kbar"],
    ),
    "GPa": (lambda s: 160.218 * s, ["stress in GPa called eV/Å³"]),
}


def test_stress_that_is_right_gets_no_word():
    assert not list(map(str, said(copper(), SOLID)))


@pytest.mark.parametrize("amplitude", [0.005, 0.03])
@pytest.mark.parametrize("mistake", STRESSES)
def test_sign_order_and_unit_of_stress_are_found(mistake, amplitude):
    change, words = STRESSES[mistake]
    frames = copper(amplitude=amplitude)
    for atoms in frames:
        atoms.info["stress"] = change(atoms.info["stress"])
    text = "\n".join(map(str, said(frames, SOLID)))
    for word in words:
        assert word in text


def test_the_forces_of_a_solid_are_held_against_its_energies_too():
    frames = copper(60, amplitude=0.0)
    for atoms in frames:
        atoms.arrays["forces"] *= -1
    assert any("wrong sign" in str(f) for f in said(frames, SOLID))


def test_the_command_names_what_is_wrong_and_its_exit_code_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    ase.io.write("wrong.extxyz", another_level(-2.0)(scaled(dipole=1 / Debye)(ethanol())), format="extxyz")
    assert main(["convert", "wrong.extxyz", "--check"]) == 1
    text = capsys.readouterr().out
    assert "Debye" in text
    assert "another level" in text
    assert "[frames 11]" in text
    ase.io.write("right.extxyz", ethanol(), format="extxyz")
    assert main(["convert", "right.extxyz", "--check", "--output", "out.extxyz"]) == 0
    assert "nothing looks wrong" in capsys.readouterr().out
    assert main(["convert", "right.extxyz"]) == 2
    assert "nothing to do" in capsys.readouterr().err


def test_a_large_set_is_looked_at_in_stretches():
    frames = scaled(forces=-1.0)(ethanol("train"))
    found = check(frames, LABELS, most=100)
    assert any("wrong sign" in str(f) for f in found)


def test_dipoles_of_cells_on_other_branches_are_named():
    frames = copper(8, amplitude=0.0)
    for k, atoms in enumerate(frames):
        atoms.info["mu"] = np.array([0.3, -0.1, 0.2]) + 0.01 * k + (atoms.cell.array[1] if k in (2, 5) else 0.0)
    (found,) = [f for f in said(frames, {"dipole": Label("mu", "e·Å")}) if f.check == "branches"]
    assert found.frames == (2, 5)

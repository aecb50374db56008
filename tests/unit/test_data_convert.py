"""Data sets as others publish them become frames in eV, Å and e; what they do not say is asked for, never guessed."""

import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.io import read
from ase.units import Bohr, Hartree, kcal, mol

from painn_ase.cli import main
from painn_ase.data import Label, convert, read_frames, standard_labels
from painn_ase.errors import InputError
from painn_ase.training import parse_labels
from painn_ase.training.data import make_examples

RNG = np.random.default_rng(0)
WATER = np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])
POSITIONS = WATER + RNG.normal(0, 0.05, (4, 3, 3))
ENERGY, FORCES, DIPOLE = RNG.normal(size=4) - 2000, RNG.normal(size=(4, 3, 3)), RNG.normal(size=(4, 3))


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def labels(*words):
    return parse_labels(words)


def same(frames, energy, forces, positions=POSITIONS):
    assert len(frames) == len(positions)
    for atoms, e, f, r in zip(frames, energy, forces, positions, strict=True):
        assert atoms.get_chemical_formula() == "H2O"
        np.testing.assert_allclose(atoms.positions, r, atol=1e-7)
        assert atoms.get_potential_energy() == pytest.approx(e, rel=1e-9)
        np.testing.assert_allclose(atoms.get_forces(), f, atol=1e-7)


def test_md17_needs_its_units_and_says_which_its_authors_state(capsys):
    np.savez("md17.npz", E=ENERGY[:, None], F=FORCES, R=POSITIONS, z=[8, 1, 1], name="water", type="d")
    assert main(["convert", "md17.npz", "--output", "out.extxyz"]) == 2
    words = capsys.readouterr().err
    assert "MD17" in words
    assert "--label energy=E:kcal/mol --label forces=F:kcal/mol/Å" in words
    named = ["--label", "energy=E:kcal/mol", "--label", "forces=F:kcal/mol/Å"]
    assert main(["convert", "md17.npz", *named, "--output", "out.extxyz"]) == 0
    same(read("out.extxyz", ":"), ENERGY * kcal / mol, FORCES * kcal / mol)
    assert main(["convert", "md17.npz", *named, "--output", "out.extxyz"]) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_rmd17_is_read():
    np.savez("r.npz", nuclear_charges=[8, 1, 1], coords=POSITIONS, energies=ENERGY, forces=FORCES, old_energies=ENERGY)
    frames = convert(read_frames("r.npz"), labels("energy=energies:kcal/mol", "forces=forces:kcal/mol/Å"))
    same(frames, ENERGY * kcal / mol, FORCES * kcal / mol)


def test_spice_has_gradients_and_bohr(capsys):
    with h5py.File("spice.hdf5", "w") as file:
        group = file.create_group("water")
        group["atomic_numbers"] = [8, 1, 1]
        group["conformations"] = POSITIONS / Bohr
        group["dft_total_energy"] = ENERGY
        group["dft_total_gradient"] = FORCES
        group["scf_dipole"] = DIPOLE
        group["smiles"] = [b"O"]
    assert main(["convert", "spice.hdf5", "--output", "out.extxyz"]) == 2
    words = capsys.readouterr().err.split("state: ")[1].split()
    assert main(["convert", "spice.hdf5", *words, "--output", "out.extxyz"]) == 0
    frames = read("out.extxyz", ":")
    same(frames, ENERGY * Hartree, -FORCES * Hartree / Bohr)
    np.testing.assert_allclose([a.get_dipole_moment() for a in frames], DIPOLE * Bohr, atol=1e-7)
    assert {a.info["source"] for a in frames} == {"water"}
    examples = make_examples(frames, {"forces": Label("forces", "eV/Å"), "dipole": Label("dipole", "e·Å")}, 4.0)
    assert set(examples[0].labels) == {"forces", "dipole"}


def test_ani_has_groups_of_formulas_and_symbols():
    with h5py.File("ani.h5", "w") as file:
        for name, species in (("a/H2O", [b"O", b"H", b"H"]), ("b/H2O", np.array([8, 1, 1]))):
            group = file.create_group(name)
            group["species"] = species
            group["coordinates"] = POSITIONS[:2]
            group["energies"] = ENERGY[:2]
            group["forces"] = FORCES[:2]
    frames = convert(read_frames("ani.h5"), labels("energy=energies:Hartree", "forces=forces:Hartree/Å"))
    same(frames[:2], ENERGY[:2] * Hartree, FORCES[:2] * Hartree, POSITIONS[:2])
    assert [a.info["source"] for a in frames] == ["a/H2O"] * 2 + ["b/H2O"] * 2


def test_qm7x_has_a_group_for_each_conformation(capsys):
    with h5py.File("qm7x.hdf5", "w") as file:
        for k in range(4):
            group = file.create_group(f"1/Geom-m1-i1-c1-{k}")
            group["atNUM"], group["atXYZ"] = [8, 1, 1], POSITIONS[k]
            group["ePBE0+MBD"], group["totFOR"], group["vDIP"] = [ENERGY[k]], FORCES[k], DIPOLE[k]
    assert main(["convert", "qm7x.hdf5", "--output", "out.extxyz"]) == 2
    words = capsys.readouterr().err.split("state: ")[1].split()
    assert main(["convert", "qm7x.hdf5", *words, "--output", "out.extxyz"]) == 0
    frames = read("out.extxyz", ":")
    same(frames, ENERGY, FORCES)
    np.testing.assert_allclose(frames[2].get_dipole_moment(), DIPOLE[2], atol=1e-7)


ORCA = """
                                 * O   R   C   A *
Number of atoms                             ...      3
CARTESIAN COORDINATES (ANGSTROEM)
---------------------------------
  O      0.000000    0.000000    0.000000
  H      0.960000    0.000000    0.000000
  H     -0.240000    0.930000    0.000000

FINAL SINGLE POINT ENERGY       -76.250000000000
------------------
CARTESIAN GRADIENT
------------------

   1   O   :    0.010000000   -0.020000000    0.000000000
   2   H   :   -0.010000000    0.000000000    0.000000000
   3   H   :    0.000000000    0.020000000    0.000000000

Total Dipole Moment    :      0.5      0.25      0.0
                             ****ORCA TERMINATED NORMALLY****
"""

GAUSSIAN = """ Entering Gaussian System, Link 0=g16
                          Input orientation:
 ---------------------------------------------------------------------
 Center     Atomic      Atomic             Coordinates (Angstroms)
 Number     Number       Type             X           Y           Z
 ---------------------------------------------------------------------
      1          8           0        0.000000    0.000000    0.000000
      2          1           0        0.960000    0.000000    0.000000
      3          1           0       -0.240000    0.930000    0.000000
 ---------------------------------------------------------------------
 SCF Done:  E(RPBE1PBE) =  -76.2500000     A.U. after   10 cycles
 Center     Atomic                   Forces (Hartrees/Bohr)
 Number     Number              X              Y              Z
 -------------------------------------------------------------------
      1        8          -0.010000000    0.020000000    0.000000000
      2        1           0.010000000    0.000000000    0.000000000
      3        1           0.000000000   -0.020000000    0.000000000
 -------------------------------------------------------------------
 Normal termination of Gaussian 16
"""


@pytest.mark.parametrize(("name", "text"), [("job.out", ORCA), ("job.log", GAUSSIAN)])
def test_outputs_of_programs_come_in_ases_units(name, text):
    with open(name, "w") as file:
        file.write(text)
    assert main(["convert", name, "--output", "out.extxyz"]) == 0
    gradient = np.array([[0.01, -0.02, 0], [-0.01, 0, 0], [0, 0.02, 0]])
    same(read("out.extxyz", ":"), [-76.25 * Hartree], [-gradient * Hartree / Bohr], [WATER])
    assert "energy" in standard_labels(read_frames(name))


def test_every_label_survives_in_the_unit_it_is_written_in():
    alpha = np.array([[5.0, 0.1, 0.2], [0.1, 6.0, 0.3], [0.2, 0.3, 7.0]])
    atoms = Atoms(
        "OH2", WATER, cell=[8, 9, 10], pbc=True, info={"s": np.arange(1.0, 7.0), "a": alpha, "REF_energy": 3.0}
    )
    atoms.info |= {"charge": 0, "note": "kept", "E": -1.0}
    atoms.arrays["z"] = np.arange(27.0).reshape(3, 9)
    (made,) = convert([atoms], labels("stress=s:GPa", "polarizability=a:Bohr^3", "energy=E:Hartree"))
    assert set(made.info) == {"charge", "note", "polarizability"}
    np.testing.assert_allclose(made.info["polarizability"].reshape(3, 3), alpha * Bohr**3)
    np.testing.assert_allclose(made.get_stress(), np.arange(1.0, 7.0) / 160.21766, rtol=1e-6)


@pytest.mark.parametrize("name", ["empty.npz", "odd.npz", "odd.h5"])
def test_files_without_frames_say_what_they_hold(name):
    if name == "odd.h5":
        with h5py.File(name, "w") as file:
            file["things"] = np.ones(3)
    else:
        np.savez(name, **({} if name == "empty.npz" else {"things": np.ones(3)}))
    with pytest.raises(InputError, match=r"holds no frames.*it holds (things|nothing)"):
        read_frames(name)


def test_objects_and_links_are_not_followed(tmp_path):
    np.savez("objects.npz", R=POSITIONS, z=np.array([object()], dtype=object))
    with pytest.raises(InputError, match="Python objects"):
        read_frames("objects.npz")
    with h5py.File("secret.h5", "w") as file:
        file["atomic_numbers"], file["coordinates"] = [8, 1, 1], POSITIONS
    with h5py.File("link.h5", "w") as file:
        file["inside"] = h5py.ExternalLink("secret.h5", "/")
        file["turn"] = h5py.SoftLink("/")
    with pytest.raises(InputError, match="holds no frames"):
        read_frames("link.h5")


def test_ragged_archives_are_cut_to_their_atoms():
    numbers = np.array([[8, 1, 1], [1, 1, 0]])
    np.savez("ragged.npz", Z=numbers, R=POSITIONS[:2], F=FORCES[:2])
    frames = read_frames("ragged.npz")
    assert [len(a) for a in frames] == [3, 2]
    assert frames[1].arrays["F"].shape == (2, 3)

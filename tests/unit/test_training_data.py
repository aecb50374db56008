"""Labels reach the network in eV, Å and e wherever and however they are stored, or are refused."""

import gzip
import logging

import ase.db
import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator

from painn_ase import units
from painn_ase.errors import InputError
from painn_ase.training import Label, read_frames
from painn_ase.training.data import batch_indices, collate, make_examples

ENERGY = {"energy": Label("energy", "eV")}


def frame(name="H2O", **info) -> Atoms:
    atoms = molecule(name)
    atoms.info.update(info)
    return atoms


def label(name: str, value, unit: str, atoms: Atoms | None = None) -> torch.Tensor:
    """The label `name` that an example gets from `value` in `info`."""
    atoms = frame() if atoms is None else atoms
    atoms.info["it"] = value
    return make_examples([atoms], {name: Label("it", unit)}, 4.0)[0].labels[name]


def test_labels_are_found_in_info_arrays_and_results(tmp_path):
    atoms = frame(mu=[1.0, 2.0, 3.0])
    atoms.arrays["REF_forces"] = np.arange(9.0).reshape(3, 3)
    atoms.calc = SinglePointCalculator(atoms, energy=-5.0)
    keys = {"forces": Label("REF_forces", "eV/Å"), "dipole": Label("mu", "e·Å")} | ENERGY
    ase.io.write(tmp_path / "a.extxyz", atoms)
    labels = make_examples(read_frames(tmp_path / "a.extxyz"), keys, 4.0)[0].labels
    assert labels["energy"].item() == -5.0
    assert labels["forces"].tolist() == np.arange(9.0).reshape(3, 3).tolist()
    assert labels["dipole"].tolist() == [[1.0, 2.0, 3.0]]


def test_labels_are_found_in_an_ase_database(tmp_path):
    atoms = molecule("H2O")
    atoms.calc = SinglePointCalculator(atoms, energy=-5.0, forces=np.ones((3, 3)))
    with ase.db.connect(tmp_path / "a.db") as database:
        database.write(atoms, source="md", data={"alpha": np.eye(3)})
        database.write(atoms, source="wigner", data={"alpha": 2 * np.eye(3)})
    keys = {"forces": Label("forces", "eV/Å"), "polarizability": Label("alpha", "Å³")} | ENERGY
    examples = make_examples(read_frames(tmp_path / "a.db"), keys, 4.0, group="source")
    assert [e.group for e in examples] == ["md", "wigner"]
    alpha = examples[1].labels["polarizability"][0]
    torch.testing.assert_close(alpha, 2 * units.POLARIZABILITY_VOLUME * torch.eye(3, dtype=torch.float64))


@pytest.mark.parametrize(
    ("name", "unit", "shape", "factor"),
    [
        ("energy", "Hartree", (), units.HARTREE),
        ("energy", "kcal/mol", (1,), units.KCAL_PER_MOL),
        ("forces", "a.u.", (3, 3), units.HARTREE / units.BOHR),
        ("dipole", "Debye", (3,), units.DEBYE),
    ],
)
def test_units_are_converted_once_at_the_border(name, unit, shape, factor):
    value = np.random.default_rng(0).normal(size=shape)
    np.testing.assert_allclose(label(name, value, unit).numpy().ravel(), factor * value.ravel(), rtol=1e-15)


def test_polarizability_and_stress_come_as_matrix_nine_numbers_or_voigt():
    xx, yy, zz, yz, xz, xy = range(1, 7)
    matrix = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]], float)
    voigt = np.array([xx, yy, zz, yz, xz, xy], float)
    silicon = bulk("Si")
    for given in (matrix, matrix.ravel(), voigt, voigt.tolist()):
        assert label("polarizability", given, "e²Å²/eV")[0].tolist() == matrix.tolist()
        assert label("stress", given, "eV/Å^3", silicon)[0].tolist() == matrix.tolist()


def test_a_key_that_no_frame_has_is_refused_with_the_keys_present():
    with pytest.raises(
        InputError, match=r"no frame has the key 'enrgy'; did you mean 'energy'.*keys present: .*energy"
    ):
        make_examples([frame(energy=1.0)], {"energy": Label("enrgy", "eV")}, 4.0)


@pytest.mark.parametrize(
    ("name", "value", "unit", "message"),
    [
        ("forces", np.ones((2, 3)), "eV/Å", r"expected shape \(3, 3\); got \(2, 3\)"),
        ("dipole", np.ones(4), "e·Å", "expected shape"),
        ("polarizability", np.ones(5), "Å³", "expected 3x3, 9 or 6"),
        ("energy", np.nan, "eV", "NaN or infinity"),
        ("energy", "low", "eV", "expected numbers"),
        ("stress", np.ones(6), "GPa", "stress needs a cell that is periodic"),
    ],
)
def test_labels_that_cannot_be_right_are_refused(name, value, unit, message):
    with pytest.raises(InputError, match=f"frame 0.*{message}"):
        label(name, value, unit)


@pytest.mark.parametrize("name", ["dipole", "polarizability"])
def test_molecular_labels_of_periodic_frames_are_refused(name):
    atoms = frame()
    atoms.set_cell([8, 8, 8])
    atoms.pbc = (True, False, False)
    with pytest.raises(InputError, match="not defined under periodic boundaries"):
        label(name, np.ones(3 if name == "dipole" else 9), "a.u.", atoms)


def test_a_zero_cell_with_pbc_means_a_molecule_and_is_logged_once(tmp_path, caplog):
    text = '3\nLattice="0 0 0 0 0 0 0 0 0" Properties=species:S:1:pos:R:3 potential=-76.3\n'
    text += "O 0.07 0.0 0.0\nH -0.53 -0.77 -0.03\nH -0.53 0.77 -0.03\n"
    (tmp_path / "water.xyz").write_text(text * 3)
    frames = read_frames(tmp_path / "water.xyz")
    assert frames[0].pbc.all()
    with caplog.at_level(logging.INFO):
        examples = make_examples(frames, {"energy": Label("potential", "Hartree")}, 5.0)
    assert not examples[0].graph.pbc.any()
    assert examples[0].graph.n_pairs == 6
    assert [r.message for r in caplog.records] == [
        "3 frames claim to be periodic along a zero cell vector: treated as not periodic"
    ]


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (Atoms(), "no atoms"),
        (Atoms("H2", [[0, 0, 0], [0, 0, np.nan]]), "NaN"),
        (Atoms("CH2", [[0, 0, 3], [0, 0, 0], [0, 0, 0]]), "atoms 1 and 2"),
        (Atoms("X", [[0, 0, 0]]), "atomic numbers from 1 to 99"),
    ],
)
def test_structures_that_cannot_be_right_are_refused_with_their_number(atoms, message):
    atoms.info["energy"] = 1.0
    with pytest.raises(InputError, match=f"frame 1.*{message}"):
        make_examples([frame(energy=1.0), atoms], ENERGY, 4.0)


def test_a_compressed_file_is_decompressed_once(tmp_path, monkeypatch):
    """ASE alone begins anew at every jump backwards, which made minutes of a few thousand frames."""
    frames = [frame(it=float(k)) for k in range(20)]
    ase.io.write(tmp_path / "a.extxyz", frames)
    (tmp_path / "a.extxyz.gz").write_bytes(gzip.compress((tmp_path / "a.extxyz").read_bytes()))
    opened = []
    monkeypatch.setattr(gzip, "open", lambda *words, _open=gzip.open, **more: opened.append(1) or _open(*words, **more))
    monkeypatch.setattr(gzip.GzipFile, "rewind", lambda self: pytest.fail("the file was rewound"))
    read = read_frames(tmp_path / "a.extxyz.gz")
    assert [a.info["it"] for a in read] == list(range(20))
    assert len(opened) == 1


@pytest.mark.parametrize("content", [None, "", "not a structure"])
def test_files_without_structures_are_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "a.extxyz").write_text(content)
    with pytest.raises(InputError, match="data: "):
        read_frames(tmp_path / "a.extxyz")


def test_the_total_charge_comes_from_info():
    charges = [
        e.graph.charges.item() for e in make_examples([frame(energy=0, q=-1), frame(energy=0)], ENERGY, 4.0, charge="q")
    ]
    assert charges == [-1.0, 0.0]


def test_a_batch_masks_labels_that_frames_lack():
    dipole = {"dipole": Label("mu", "e·Å"), "forces": Label("f", "eV/Å")}
    frames = [frame(energy=1.0, mu=[1, 0, 0]), frame("CH4", energy=2.0), frame(energy=3.0)]
    frames[1].arrays["f"] = np.ones((5, 3))
    batch = collate(make_examples(frames, ENERGY | dipole, 4.0))
    assert batch.labels["energy"].tolist() == [1, 2, 3]
    assert "energy" not in batch.masks
    assert batch.masks["dipole"].tolist() == [True, False, False]
    assert batch.masks["forces"].tolist() == [False] * 3 + [True] * 5 + [False] * 3


def test_batches_hold_every_frame_once_and_never_mix_periodic_with_isolated():
    frames = [frame(energy=0.0) for _ in range(7)] + [bulk("Si") for _ in range(5)]
    for atoms in frames:
        atoms.info["energy"] = 1.0
    examples = make_examples(frames, ENERGY, 3.0)
    batches = [b.tolist() for b in batch_indices(examples, 3, np.random.default_rng(0))]
    assert sorted(k for b in batches for k in b) == list(range(12))
    assert all(len({k < 7 for k in b}) == 1 for b in batches)
    assert max(map(len, batches)) <= 3

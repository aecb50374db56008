"""Modes are compared with the modes they are, whatever their order; bonds are counted as a chemist counts them."""

from dataclasses import replace

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator

from painn_ase import PaiNNCalculator, relax
from painn_ase.cards.measure import bonds, harmonic_check, harmonic_picture
from painn_ase.cards.measure.dynamics import _watch_bonds
from painn_ase.cards.measure.harmonic import FREE, pair_modes
from painn_ase.errors import InputError
from painn_ase.normal_modes import Vibrations
from painn_ase.reference import displaced_frames
from painn_ase.spectra import NormalModes
from painn_ase.structures import read_structure
from painn_ase.units import COULOMB_CONSTANT


@pytest.fixture(scope="module")
def itself():
    """The bundled ethanol model checked against finite differences of itself."""
    atoms = read_structure("ethanol")
    calculator = PaiNNCalculator("ethanol", dtype="float64")
    atoms.calc = calculator
    relax(atoms, fmax=1e-5, optimizer="BFGS", progress=False)
    frames = displaced_frames(atoms, step=0.002)
    for frame in frames:
        results = {
            name: calculator.get_property(name, frame) for name in ("energy", "forces", "dipole", "polarizability")
        }
        frame.info["polarizability"] = COULOMB_CONSTANT * results.pop("polarizability")  # Å³
        frame.calc = SinglePointCalculator(frame, **results)
    return harmonic_check("ethanol", frames, fmax=1e-5)


def test_a_model_agrees_with_finite_differences_of_itself(itself):
    # the finite steps of 0.002 Å see a smoother energy where vector features vanish (docs/architecture.md on ε)
    assert itself.mae < 3
    assert itself.overlaps.min() > 0.99
    figures = itself.to_dict()
    for kind in ("infrared", "raman"):
        assert figures[kind]["correlation"] > 0.999
        assert figures[kind]["strong_beyond"] == 0
    assert figures["frames"] == 55
    assert len(figures["modes"]["shift"]) == 21


def test_a_mode_that_turns_freely_is_named_and_left_out_of_the_means(itself):
    """So hot that two modes move an atom by more than a bond length."""
    amplitudes = itself.reference.modes.amplitudes(1.0)
    between = 0.5 * (np.sort(amplitudes)[-3] + np.sort(amplitudes)[-2])
    hot = replace(itself, temperature=(FREE / between) ** 2)  # amplitudes grow with the root of the temperature
    assert hot.free.sum() == 2
    assert hot.mae == pytest.approx(np.abs(itself.shifts[~hot.free]).mean())
    assert hot.to_dict()["frequencies"]["turn_freely"] == pytest.approx(itself.reference.frequencies[hot.free], abs=0.1)
    assert hot.table().count("turns freely") == 2
    assert replace(itself, temperature=1e9).mae == 0
    assert "turn_freely" not in itself.to_dict()["frequencies"]


def test_the_picture_is_written(itself, tmp_path):
    pytest.importorskip("matplotlib")
    path = harmonic_picture(itself, tmp_path / "h.png", "ethanol")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_modes_are_paired_by_motion_not_by_order(itself):
    """The same molecule turned, with its modes in another order: every overlap is one."""
    reference = itself.reference
    order = np.random.default_rng(0).permutation(len(reference.modes))
    turned = reference.atoms.copy()
    turned.rotate(50, (1, -2, 0.5))
    turned.translate([3, 4, 5])
    a, b = (x.positions - x.get_center_of_mass() for x in (reference.atoms, turned))
    rotation = np.linalg.lstsq(a, b, rcond=None)[0]  # rows: a R = b
    modes = NormalModes(reference.modes.wavenumbers[order], reference.modes.displacements[order] @ rotation)
    model = Vibrations(turned, reference.hessian, reference.free, modes, None, None, None, 0.0)
    found, overlaps, distance = pair_modes(reference, model)
    assert (order[found] == np.arange(len(order))).all()
    assert overlaps == pytest.approx(1.0, abs=1e-6)
    assert distance < 1e-6


def test_frames_without_labels_are_refused():
    with pytest.raises(InputError, match="no forces"):
        harmonic_check("ethanol", displaced_frames(molecule("CH3CH2OH")))


@pytest.mark.parametrize(
    ("atoms", "count"),
    [
        (molecule("CH3CH2OH"), 8),
        (molecule("H2O"), 2),
        (molecule("C6H6"), 12),
        (Atoms("He"), 0),
        (bulk("Si"), 4),  # the two atoms of the primitive cell share four bonds
        (bulk("Si", cubic=True), 16),
        (Atoms("C", cell=[1.4, 8, 8], pbc=True), 1),  # a chain of one atom per cell
    ],
    ids=["ethanol", "water", "benzene", "atom", "silicon-2", "silicon-8", "chain"],
)
def test_bonds_are_counted_once(atoms, count):
    i, j, jumps = bonds(atoms)
    assert len(i) == len(j) == len(jumps) == count


def test_the_first_broken_bond_is_named():
    atoms = molecule("H2O")
    positions = np.repeat(atoms.positions[None], 10, axis=0)
    arm = positions[0, 1] - positions[0, 0]
    positions[5, 1] += 0.4 * arm
    times = 10.0 * np.arange(10)
    assert _watch_bonds(atoms, times, positions) == (pytest.approx(1.4), None)
    positions[7:, 1] += 0.6 * arm
    largest, sentence = _watch_bonds(atoms, times, positions)
    assert largest == pytest.approx(1.6)
    assert sentence == "O0-H1 broke after 0.07 ps"


def test_bonds_over_cell_faces_do_not_break_when_atoms_are_unwrapped():
    atoms = bulk("Si", cubic=True)
    drifting = atoms.positions + np.linspace(0, 20, 5)[:, None, None] * [1.0, 0.3, -0.2]
    assert _watch_bonds(atoms, np.arange(5.0), drifting) == (pytest.approx(1.0), None)


def test_the_example_structure_of_water_is_near_the_minimum_of_its_reference():
    from pathlib import Path

    models = Path(__file__).parents[2] / "models" / "water"
    frames = ase.io.read(models / "data" / "harmonic.extxyz", ":")
    atoms = next(f for f in frames if "displaced_atom" not in f.info)
    example = ase.io.read(models / "structure.xyz")
    # the model's own minimum: 0.01 Å of a bond are an error of 0.5 eV/Å in a force
    assert example.get_all_distances() == pytest.approx(atoms.get_all_distances(), abs=0.002)
    assert np.linalg.norm(atoms.get_forces(), axis=1).max() < 1e-3  # eV/Å

"""Structures on which neighbour lists, stresses and frames go wrong. Each function returns ASE Atoms.

Elements are H, C and O. Atoms of the random ones keep at least 0.9 Å, images included, so that a repulsive or
a trained potential stays within reach.
"""

from functools import cache

import numpy as np
from ase import Atoms
from ase.build import molecule as g2

from painn_ase import PaiNNCalculator
from painn_ase.structures import read_structure

CLOSEST = 0.9  # Å, between any two atoms of a random structure
_MOST_IMAGES = 2000  # to look for close pairs in; a cell that needs more is too flat to be of use


def molecule() -> Atoms:
    """Ethanol in open space with ASE's default zero cell."""
    return g2("CH3CH2OH")


def molecule_with_cell() -> Atoms:
    """Ethanol that carries a cell smaller than itself but is not periodic: the cell must not matter."""
    return _with_cell(g2("CH3CH2OH"), [[2.0, 0.3, 0.0], [0.0, 2.5, 0.4], [0.1, 0.0, 1.5]], False)


def far_molecule() -> Atoms:
    """Ethanol 1000 Å from the origin that carries a small cell; not periodic."""
    atoms = _with_cell(g2("CH3CH2OH"), 6.0 * np.eye(3), False)
    atoms.translate([1000.0, -700.0, 400.0])
    return atoms


def molecule_in_box() -> Atoms:
    """Ethanol in a periodic box that it meets its images in, centred on a corner."""
    return _with_cell(g2("CH3CH2OH"), np.diag([5.0, 5.5, 6.0]), True)


def bundled_ethanol() -> Atoms:
    """The example structure of the bundled model, with a calculator of its own; the model is read once."""
    atoms = read_structure("ethanol")
    atoms.calc = _bundled_calculator().clone()
    return atoms


@cache
def _bundled_calculator() -> PaiNNCalculator:
    return PaiNNCalculator("ethanol")


def hydrogen() -> Atoms:
    """H2: a linear molecule of two atoms."""
    return g2("H2")


def single_atom() -> Atoms:
    """One atom without neighbours."""
    return Atoms("O")


def crystal_atom() -> Atoms:
    """One atom in a periodic, tilted cell much smaller than any cutoff: all pairs are with its own images."""
    return Atoms("C", positions=[[0.3, 0.2, 0.1]], cell=[[1.9, 0.2, 0.0], [0.7, 1.8, 0.1], [-0.3, 0.6, 2.1]], pbc=True)


def slab() -> Atoms:
    """A corrugated slab, periodic along x and y, whose third cell vector is long and tilted."""
    return _with_cell(_layers(), [[4.2, 0.0, 0.0], [1.1, 3.9, 0.0], [3.0, -2.0, 14.0]], [True, True, False])


def slab_with_zero_vector() -> Atoms:
    """The same kind of slab without a third cell vector, as ASE's surface builders make it."""
    return _with_cell(_layers(), [[4.2, 0.0, 0.0], [1.1, 3.9, 0.0], [0.0, 0.0, 0.0]], [True, True, False])


def tilted_slab() -> Atoms:
    """A slab in a general plane, periodic along the first and third vector, moved off the cell by several vectors."""
    cell = np.array([[3.5, 1.2, 0.8], [0.0, 5.0, 0.5], [-0.9, 1.0, 3.8]])
    atoms = Atoms(
        "COH", positions=[[0.0, 0.0, 0.0], [0.4, 1.2, 0.3], [0.9, 1.5, 1.2]], cell=cell, pbc=[True, False, True]
    )
    atoms.translate(3 * cell[0] - 2 * cell[2] + 7 * cell[1])
    return atoms


def wire() -> Atoms:
    """A zigzag chain, periodic along a vector that lies along no axis, without other cell vectors."""
    axis = np.array([1.5, 1.4, 1.6])
    positions = [[0.0, 0.0, 0.0], axis / 2 + [0.5, -0.5, 0.0], [1.1, -0.2, -0.9]]
    return Atoms("CCH", positions=positions, cell=[[0, 0, 0], axis, [0, 0, 0]], pbc=[False, True, False])


def triclinic() -> Atoms:
    """A periodic, strongly tilted cell: images far along the vectors are near in space."""
    cell = [[4.0, 0.0, 0.0], [3.4, 2.9, 0.0], [-2.9, 2.2, 3.1]]
    return Atoms(
        "COHH", scaled_positions=[[0, 0, 0], [0.5, 0.4, 0.1], [0.1, 0.6, 0.6], [0.8, 0.1, 0.5]], cell=cell, pbc=True
    )


def left_handed() -> Atoms:
    """The triclinic structure with two cell vectors exchanged: negative determinant."""
    atoms = triclinic()
    atoms.set_cell(atoms.cell[[1, 0, 2]])
    return atoms


def unwrapped() -> Atoms:
    """The triclinic structure with atoms several cells apart, as after a long simulation without wrapping."""
    atoms = triclinic()
    atoms.positions += np.array([[0, 0, 0], [3, -2, 1], [-4, 0, 2], [1, 1, -3]]) @ atoms.cell.array
    return atoms


NASTY = {
    build.__name__: build
    for build in (
        molecule,
        molecule_with_cell,
        far_molecule,
        molecule_in_box,
        hydrogen,
        single_atom,
        crystal_atom,
        slab,
        slab_with_zero_vector,
        tilted_slab,
        wire,
        triclinic,
        left_handed,
        unwrapped,
    )
}
"""Every structure above by name; for parametrised tests."""


def random_system(rng: np.random.Generator, max_atoms: int = 12) -> Atoms:
    """A random structure: any pbc, tilted cell of either hand, atoms inside, outside or far away from it.

    Cell vectors that are not periodic are random, zero or far too short.
    """
    while True:
        atoms = _random_candidate(rng, max_atoms)
        if keeps_distance(atoms):
            return atoms


def keeps_distance(atoms: Atoms) -> bool:
    """Whether no two atoms, images included, are closer than CLOSEST; False for cells too flat to tell cheaply."""
    cell = _some_cell(atoms)
    inverse = np.linalg.inv(cell)
    s = atoms.positions @ inverse
    s -= np.floor(s) * atoms.pbc
    # a close pair has |Δs_k + S_k| < CLOSEST |b_k|, with |Δs_k| < 1 and the reciprocal vectors b_k, columns of h⁻¹
    reach = np.where(atoms.pbc, np.ceil(1 + CLOSEST * np.linalg.norm(inverse, axis=0)), 0).astype(int)
    if np.prod(2 * reach + 1.0) > _MOST_IMAGES:
        return False
    shifts = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), -1).reshape(-1, 3)
    x = s @ cell
    distances = np.linalg.norm(x[None, None] - x[None, :, None] + (shifts @ cell)[:, None, None], axis=-1)
    home = (shifts == 0).all(1)
    distances[home] += np.diag(np.full(len(atoms), np.inf))  # an atom is no neighbour of itself
    return bool((distances >= CLOSEST).all())


def _random_candidate(rng: np.random.Generator, max_atoms: int) -> Atoms:
    n = int(rng.integers(1, max_atoms + 1))
    # Å: 8 to 20 Å^3 per atom, unit vectors turned by up to about 50 degrees against each other
    cell = np.eye(3) * (n * rng.uniform(8.0, 20.0)) ** (1 / 3) * rng.uniform(0.8, 1.25, (3, 1))
    cell = cell @ np.linalg.qr(rng.normal(size=(3, 3)))[0]
    cell += rng.uniform(0.0, 0.6) * rng.uniform(-1, 1, (3, 3)) @ cell
    positions = rng.random((n, 3)) @ cell
    pbc = rng.random(3) < rng.choice([0.0, 0.5, 1.0])
    if rng.random() < 0.4:
        positions += (rng.integers(-3, 4, (n, 3)) * pbc) @ cell  # unwrapped
    if rng.random() < 0.3:
        positions += rng.uniform(-300, 300, 3)
    if rng.random() < 0.5:
        cell[~pbc] *= rng.choice([0.0, 0.05])
    return Atoms(rng.choice(["H", "C", "O"], n), positions=positions, cell=cell, pbc=pbc)


def _some_cell(atoms: Atoms) -> np.ndarray:
    """The cell with vectors that are not periodic replaced: ASE's list wants three long ones."""
    cell = atoms.cell.array.copy()
    cell[~atoms.pbc] = 0.0
    return Atoms(cell=cell).cell.complete().array


def _layers() -> Atoms:
    return Atoms("COCH", positions=[[0.1, 0.2, 0.0], [2.2, 1.9, 0.9], [0.3, 0.1, 2.0], [2.4, 2.2, 2.6]])


def _with_cell(atoms: Atoms, cell: object, pbc: object) -> Atoms:
    atoms.set_cell(cell)
    atoms.set_pbc(pbc)
    return atoms

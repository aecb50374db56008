"""What a network can see: pairs of structures that bonds, distances, angles, or sums of directions cannot tell apart.

Untrained networks show it best: whatever the weights, SchNet gives both structures of a pair the same energy. The
argument is in docs/networks.md; tests/physics/test_beyond_distances.py proves that the pairs are what they claim.
"""

import numpy as np
import torch
from ase import Atoms

from painn_ase import Model, PaiNNCalculator

NETWORKS = {
    "SchNet": {"kind": "schnet"}, "PaiNN without vectors": {"kind": "painn_variant", "vectors": "none"},
    "PaiNN, vectors stay local": {"kind": "painn_variant", "vectors": "local"}, "PaiNN": {"kind": "painn"},
    "TensorNet": {"kind": "tensornet"}, "ICTP": {"kind": "ictp", "interactions": 2},
    "ACE": {"kind": "mace", "interactions": 1}, "MACE": {"kind": "mace", "interactions": 2},
    "Cormorant": {"kind": "cormorant", "features": 16}, "ENINet": {"kind": "eninet"},
    "SchNet in tensor frames": {"kind": "tensor_frames", "network": "schnet"},
    "PaiNN in tensor frames": {"kind": "tensor_frames", "network": "painn"},
}  # fmt: skip


def rectangles() -> tuple[Atoms, Atoms]:
    """C4 in one rectangle, O4 in another, around one centre, crossed in two ways. Every carbon atom sees the same
    distances, every oxygen atom too, and in both structures the same: messages of distances have nothing to pass on."""
    k, size = 0.3, 1.2  # k: 0 to 3/4; size of both half diagonals in Å
    cot = np.sqrt((3 - 4 * k) / (1 - k))  # of half the angle between the carbon diagonals
    e = np.array([[cot, 1, 0], [cot, -1, 0]]) / np.sqrt(1 + cot**2)
    near, far = np.sqrt(k), np.sqrt(1 - k)
    f_one = np.array([[near, 0, far], [0, near * cot, -np.sqrt(1 - k * cot**2)]])
    f_two = np.array([[near, 0, far], [near, 0, -far]])
    return tuple(Atoms("C4O4", size * np.concatenate([e, -e, f, -f])) for f in (f_one, f_two))


def chains() -> tuple[Atoms, Atoms]:
    """Diazene HN=NH, cis and trans. With a cutoff of 1.85 Å only bonds count; their lengths and angles are the same."""
    bond, middle, bend = 1.03, 1.25, np.radians(113)
    along, aside = middle / 2 - bond * np.cos(bend), bond * np.sin(bend)
    core = [[-middle / 2, 0, 0], [middle / 2, 0, 0]]
    return tuple(Atoms("HN2H", [[-along, aside, 0], *core, [along, side * aside, 0]]) for side in (1, -1))


def opposed() -> tuple[Atoms, Atoms]:
    """CH4 as a tetrahedron and as a square, bonds alone: at the carbon atom directions sum to zero in both."""
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3)
    square = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]])
    return tuple(Atoms("CH4", [[0, 0, 0], *(1.1 * bonds)]) for bonds in (corners, square))


def rings() -> tuple[Atoms, Atoms]:
    """Carbon of decalin and of bicyclopentyl, flat, bonds alone, of one length: colour refinement (1-WL) fails."""
    k, radius = np.arange(-2, 3), 0.5 / np.sin(np.pi / 5)  # the right half of each, in bonds, as complex numbers
    six = np.sqrt(3) / 2 + np.exp(1j * np.pi * (1 + 2 * k) / 6)
    five = 0.5 + radius - radius * np.exp(2j * np.pi * k / 5)
    both = (1.54 * np.concatenate([half, -half]) for half in (six, five))
    return tuple(Atoms("C10", np.stack([z.real, z.imag, 0 * z.real], 1)) for z in both)


PAIRS = {  # structures, cutoff in Å
    "rectangles": (rectangles(), 5.0), "chains": (chains(), 1.85), "opposed bonds": (opposed(), 1.3),
    "rings": (rings(), 2.3),
}  # fmt: skip


def energies(options: dict, structures: tuple[Atoms, Atoms], cutoff: float, seed: int) -> np.ndarray:
    """Energies in eV by an untrained network."""
    representation = {"features": 32, "interactions": 3, "cutoff": cutoff, **options}
    torch.manual_seed(seed)
    model = Model.from_config({"representation": representation, "heads": {"energy": {}}, "elements": [1, 6, 7, 8]})
    calculator = PaiNNCalculator(model.double(), dtype="float64")
    return np.array([calculator.get_property("energy", atoms) for atoms in structures])


if __name__ == "__main__":
    print(f"{'energy difference in meV':27s}" + "".join(f"{name:>14s}" for name in PAIRS))
    for network, options in NETWORKS.items():
        gaps = [1000 * np.ptp(energies(options, *pair, seed=0)) for pair in PAIRS.values()]
        print(f"{network:27s}" + "".join(f"{gap:14.6f}" for gap in gaps))

"""Domain decomposition in one process: a structure cut into slabs, whose borders are exchanged by hand."""

from ctypes import byref, c_void_p

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list

from painn_ase.backends.kernel import Kernel
from painn_ase.model import Model
from painn_ase.native import library as c


class Slab:
    """One domain: `owned` atoms of the structure, and ghosts as far as the cutoff reaches."""

    def __init__(
        self, kernel: Kernel, atoms: Atoms, owned: np.ndarray, pairs: tuple, threads: int, images: bool = False
    ) -> None:
        i, j, shifts = pairs
        place = {int(atom): k for k, atom in enumerate(owned)}
        seen: dict[tuple, int] = {}
        rows: list[list[int]] = [[] for _ in owned]
        for a, b, shift in zip(i.tolist(), j.tolist(), shifts.tolist(), strict=True):
            if a not in place:
                continue
            if b in place and not any(shift):
                if a < b:
                    rows[place[a]].append(place[b])
            else:
                rows[place[a]].append(seen.setdefault((b, *shift), len(owned) + len(seen)))
        self.atoms = np.array([*owned, *(ghost[0] for ghost in seen)], dtype=np.int64)
        self.offsets = np.zeros((len(self.atoms), 3))
        if seen:
            self.offsets[len(owned) :] = np.array([ghost[1:] for ghost in seen]) @ atoms.cell.array
        self.owned, self.place = len(owned), place
        here = _images(seen, place) if images else [-1] * len(seen)
        self.images = np.array([*here, 0], dtype=np.int32)
        self.library = c.library()
        elements = np.unique(atoms.numbers).astype(np.int32)
        self.handle = self.library.painn_domain_new(kernel._handle, len(elements), elements.ctypes.data, threads)
        assert self.handle, self.library.painn_error(kernel._handle)
        self.positions = np.ascontiguousarray(atoms.positions[self.atoms] + self.offsets)
        self.set(atoms.numbers[self.atoms].astype(np.int32), rows)

    def set(self, numbers: np.ndarray, rows: list[list[int]]) -> None:
        lists = [np.array([*row, 0], dtype=np.int32) for row in rows]
        counts = np.array([len(row) for row in rows] or [0], dtype=np.int32)
        pointers = (c_void_p * (len(rows) + 1))(*(row.ctypes.data for row in lists))
        given = c.DomainAtoms(
            self.owned,
            len(self.atoms) - self.owned,
            numbers.ctypes.data,
            counts.ctypes.data,
            c.address(pointers),
            2**30 - 1,
            self.positions.ctypes.data,
            self.images.ctypes.data,
        )
        self.call("set", byref(given))

    def call(self, name: str, *arguments: object) -> None:
        assert not getattr(self.library, f"painn_domain_{name}")(self.handle, *arguments), self.error()

    def error(self) -> str:
        return self.library.painn_domain_error(self.handle).decode()

    def get(self, border: int, width: int, rows: np.ndarray) -> np.ndarray:
        rows = np.asarray(rows, dtype=np.int32)
        buffer = np.empty((len(rows), width), dtype=np.float32)
        self.library.painn_border_get(self.handle, border, len(rows), rows.ctypes.data, 0, buffer.ctypes.data)
        return buffer

    def put(self, border: int, rows: np.ndarray, buffer: np.ndarray) -> None:
        rows = np.asarray(rows, dtype=np.int32)
        self.library.painn_border_put(self.handle, border, len(rows), rows.ctypes.data, 0, buffer.ctypes.data)

    def __del__(self) -> None:
        if getattr(self, "handle", None):
            self.library.painn_domain_free(self.handle)


def _images(seen: dict[tuple, int], place: dict[int, int]) -> list[int]:
    """The row that each ghost is an image of, its atom's or that of its atom's first ghost, which itself has -1."""
    first: dict[int, int] = {}
    rows = []
    for (atom, *_), row in seen.items():
        known = place.get(atom, first.get(atom, -1))
        rows.append(known)
        if known < 0:
            first[atom] = row
    return rows


def evaluate_in_slabs(
    model: Model, atoms: Atoms, slabs: int, threads: int = 1, instruction_set: str = "", images: bool = True
) -> dict[str, np.ndarray]:
    """Energies, forces, virial (3, 3) and virials (atoms, 3, 3) of `atoms` by that many domains along x.

    With `images` a domain is told which ghosts are images of its own atoms, or of other ghosts.
    """
    kernel = Kernel(model, instruction_set)
    pairs = neighbor_list("ijS", atoms, model.cutoff + 0.3)  # a skin, which the kernel leaves out
    order = np.array_split(np.argsort(atoms.positions[:, 0], kind="stable"), slabs)
    domains = [Slab(kernel, atoms, part, pairs, threads, images) for part in order]
    home = {int(atom): d for d in domains for atom in d.place}
    T, F = model.representation.interactions, model.representation.features
    for t in range(T):
        for d in domains if t else []:
            _to_ghosts(d, home, c.library().painn_border_width(F, c.NODES))
        for d in domains:
            d.call("forward", t, d.positions.ctypes.data)
    for t in reversed(range(T)):
        for d in domains:
            d.call("backward", t)
        for d in domains if t else []:
            _to_owners(d, home, c.library().painn_border_width(F, c.HEARD))
    n = len(atoms)
    total = {"energies": np.zeros(n), "forces": np.zeros((n, 3)), "virial": np.zeros((3, 3))}
    total["virials"] = np.zeros((n, 3, 3))
    for d in domains:
        parts = np.zeros(d.owned), np.zeros((len(d.atoms), 3)), np.zeros((3, 3)), np.zeros((len(d.atoms), 3, 3))
        d.call("read", *(part.ctypes.data for part in parts))
        total["energies"][d.atoms[: d.owned]] = parts[0]
        np.add.at(total["forces"], d.atoms, parts[1])
        total["virial"] += parts[2]
        np.add.at(total["virials"], d.atoms, parts[3])
    return total


def _to_ghosts(d: Slab, home: dict[int, Slab], width: int) -> None:
    for row in range(d.owned, len(d.atoms)):
        owner = home[int(d.atoms[row])]
        d.put(c.NODES, [row], owner.get(c.NODES, width, [owner.place[int(d.atoms[row])]]))


def _to_owners(d: Slab, home: dict[int, Slab], width: int) -> None:
    for row in range(d.owned, len(d.atoms)):
        owner = home[int(d.atoms[row])]
        owner.put(c.HEARD, [owner.place[int(d.atoms[row])]], d.get(c.HEARD, width, [row]))

"""Random models on random structures: the native kernel against the torch backend in float64, without a mismatch."""

import numpy as np
import pytest
from ase import Atoms

from painn_ase.backends import NativeBackend, TorchBackend
from painn_ase.errors import InputError
from painn_ase.graph import AtomicGraph, batch
from painn_ase.native.library import why_unavailable
from painn_ase.neighbors import graph_of, neighbor_list

from helpers.native_systems import RUNNABLE
from helpers.random_models import random_model

pytestmark = [pytest.mark.slow, pytest.mark.skipif(why_unavailable() is not None, reason=str(why_unavailable()))]

MODELS, STRUCTURES = 60, 40  # 2400 cases


def random_options(rng: np.random.Generator) -> dict:
    radial = [
        {"kind": "bessel", "count": int(rng.integers(1, 21))},
        {"kind": "gaussian", "count": int(rng.integers(2, 26))},
        {"kind": "gaussian", "count": int(rng.integers(2, 12)), "start": 0.5, "centered": True},
    ]
    cutoff_function = [{"kind": "cosine"}, {"kind": "polynomial", "p": int(rng.integers(2, 9))}, {"kind": "mollifier"}]
    return {
        "features": 16 * int(rng.integers(1, 9)),
        "interactions": int(rng.integers(1, 4)),
        "cutoff": float(rng.uniform(2.0, 5.5)),
        "radial": radial[rng.integers(3)],
        "cutoff_function": cutoff_function[rng.integers(3)],
        "shared_filters": bool(rng.random() < 0.3),
        "shared_interactions": bool(rng.random() < 0.3),
    }


def random_heads(rng: np.random.Generator) -> dict:
    def hidden() -> list[int]:
        return [int(n) for n in rng.integers(1, 80, rng.integers(0, 4))]

    heads = {"energy": {"hidden": hidden(), "mean": bool(rng.random() < 0.2)}}
    if rng.random() < 0.5:
        atomic = bool(rng.random() < 0.7)
        heads["dipole"] = {"hidden": hidden(), "atomic_dipoles": atomic, "charge_correction": bool(rng.random() < 0.5)}
    if rng.random() < 0.5:
        heads["polarizability"] = {"hidden": hidden()}
    return heads


def random_structure(rng: np.random.Generator, kind: str) -> Atoms:
    """Atoms of which no two are closer than 0.9 Å; `kind` is "molecules", "crystals" or "any" (any directions)."""
    find = neighbor_list("matscipy")
    while True:
        n = int(rng.integers(1, 13))
        edges = (n * rng.uniform(8.0, 20.0)) ** (1 / 3) * rng.uniform(0.8, 1.25, 3)
        cell = np.diag(edges) + np.tril(rng.uniform(-0.7, 0.7, (3, 3)) * edges[:, None], -1)
        cell = cell @ np.linalg.qr(rng.normal(size=(3, 3)))[0]
        pbc = {"molecules": np.zeros(3, bool), "crystals": np.ones(3, bool)}.get(kind, rng.random(3) < 0.5)
        positions = rng.random((n, 3)) @ cell
        if len(find(positions, cell * pbc[:, None], pbc, 0.9)) == 0:
            break
    images = (rng.integers(-3, 4, (n, 3)) * pbc) @ cell if rng.random() < 0.4 else 0.0  # unwrapped
    return Atoms(rng.choice(["H", "C", "O"], n), positions + images, cell=cell, pbc=pbc)


def random_batch(rng: np.random.Generator, cutoff: float, kind: str) -> AtomicGraph:
    graphs = []
    for _ in range(int(rng.choice([1, 1, 1, 2, 5]))):
        skin = float(rng.choice([0.0, 0.5]))
        graphs.append(graph_of(random_structure(rng, kind), cutoff + skin, charge=float(rng.integers(-1, 2))))
    return batch(graphs)


@pytest.mark.parametrize("seed", range(MODELS))
def test_random_models_on_random_structures_agree(seed):
    rng = np.random.default_rng(seed)
    model = random_model(seed=seed, heads=random_heads(rng), **random_options(rng))
    native = NativeBackend(model, threads=int(rng.integers(1, 4)), instruction_set=str(rng.choice(RUNNABLE)))
    exact = TorchBackend(model, dtype="float64")
    rounded = TorchBackend(model, dtype="float32")
    for case in range(STRUCTURES):
        kind = str(rng.choice(["molecules", "crystals", "any"]))
        graph = random_batch(rng, model.cutoff, kind)
        names = {"energy", "energies", "forces"}
        if kind == "molecules":
            names |= model.properties - {"stress"}
        elif kind == "crystals":
            names.add("stress")
        try:
            expected = exact.evaluate(graph, names)
        except InputError:  # an ion in several fragments: which of them has its charge?
            with pytest.raises(InputError, match="in several fragments"):
                native.evaluate(graph, names)
            names = {"energy", "energies", "forces"}
            expected = exact.evaluate(graph, names)
        found = native.evaluate(graph, names)
        for name in names:
            allowed = 1e-5 * max(1.0, np.abs(expected[name]).max())
            worst = np.abs(found[name] - expected[name]).max()
            if not worst <= allowed:
                # Atoms nearly on top of each other and random weights make values of any size that cancel to any
                # degree; what float32 can do for such a case, torch's own float32 shows.
                float32 = rounded.evaluate(graph, {name})[name]
                allowed = max(allowed, 5 * np.abs(float32 - expected[name]).max())
            assert worst <= allowed, f"case {case}, {kind}, {name}: {worst:.2e} > {allowed:.2e}"

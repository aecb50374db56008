"""One calculator, random structures, random changes: every answer is that of float64, brute force and no memory."""

import copy
import pickle
from collections import Counter
from functools import cache, partial

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.stress import full_3x3_to_voigt_6_stress
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from painn_ase import PaiNNCalculator
from painn_ase.backends import NativeBackend, TorchBackend
from painn_ase.errors import InputError, PainnError
from painn_ase.graph import AtomicGraph
from painn_ase.native.library import why_unavailable
from painn_ase.neighbors import graph_of, neighbor_list
from painn_ase.properties import PROPERTIES

from helpers.random_models import ARCHITECTURES, random_model
from helpers.systems import keeps_distance, random_system

MODELS = [(name, seed) for name in sorted(ARCHITECTURES) for seed in range(2)]
KINDS = ["float64", "float32"]  # the second on the native kernel wherever it serves
COUNTS: Counter = Counter()


@cache
def model_of(number: int):
    name, seed = MODELS[number % len(MODELS)]
    charged = {"energy": {}, "dipole": {"atomic_dipoles": False}}
    rng = np.random.default_rng(seed)
    return random_model(name, seed=seed, heads=charged if seed else None, cutoff=float(rng.uniform(2.5, 4.5)))


@cache
def exact(number: int, dtype: str) -> TorchBackend:
    return TorchBackend(model_of(number), dtype=dtype)


@cache
def calculator(number: int, kind: str, skin: float) -> PaiNNCalculator:
    native = kind == "float32" and why_unavailable() is None and NativeBackend.obstacle(model_of(number)) is None
    return PaiNNCalculator(model_of(number), dtype=kind, backend="native" if native else "torch", skin=skin)


def wrapped_graph(atoms: Atoms, cutoff: float) -> AtomicGraph:
    wrapped = atoms.copy()
    wrapped.info = {}
    wrapped.positions -= (np.floor(scaled(wrapped)) * wrapped.pbc) @ wrapped.cell.array
    charge = atoms.info.get("charge", 0.0)
    return graph_of(wrapped, cutoff, charge=charge, neighbor_list=neighbor_list("brute_force"))


def scaled(atoms: Atoms) -> np.ndarray:
    """Fractional coordinates along the periodic vectors."""
    full = Atoms(cell=np.where(atoms.pbc[:, None], atoms.cell.array, 0.0)).cell.complete()
    return np.linalg.solve(full.array.T, atoms.positions.T).T


def expected(number: int, graph: AtomicGraph, name: str, dtype: str) -> np.ndarray:
    asked = "energy" if name == "free_energy" else name
    value = exact(number, dtype).evaluate(graph, {asked})[asked]
    if PROPERTIES[asked].per == "structure":
        value = value[0]
    return full_3x3_to_voigt_6_stress(value) if name == "stress" else np.asarray(value)


# ---- changes of the structure; each takes and returns Atoms


def move_a_little(atoms, rng, past):
    atoms.positions += rng.uniform(-0.05, 0.05, atoms.positions.shape)


def move_one(atoms, rng, past):
    atoms.positions[rng.integers(len(atoms))] += rng.uniform(-0.7, 0.7, 3)


def move_all(atoms, rng, past):
    atoms.positions += rng.uniform(-500, 500, 3)


def strain(atoms, rng, past):
    atoms.set_cell(
        atoms.cell.array @ (np.eye(3) + rng.uniform(-0.05, 0.05, (3, 3))), scale_atoms=bool(rng.random() < 0.5)
    )


def wrap(atoms, rng, past):
    atoms.positions -= (np.floor(scaled(atoms)) * atoms.pbc) @ atoms.cell.array


def unwrap(atoms, rng, past):
    atoms.positions += (rng.integers(-5, 6, (len(atoms), 3)) * atoms.pbc) @ atoms.cell.array


def other_element(atoms, rng, past):
    atoms.numbers[rng.integers(len(atoms))] = rng.choice([1, 6, 8, 14])


def add(atoms, rng, past):
    atoms += Atoms([rng.choice([1, 6, 8])], [atoms.positions[rng.integers(len(atoms))] + rng.uniform(-2, 2, 3)])


def remove(atoms, rng, past):
    if len(atoms) > 1:
        del atoms[int(rng.integers(len(atoms)))]


def reorder(atoms, rng, past):
    order = rng.permutation(len(atoms))
    atoms.positions, atoms.numbers = atoms.positions[order], atoms.numbers[order]


def other_boundaries(atoms, rng, past):
    if atoms.cell.rank == 3:
        atoms.pbc = rng.random(3) < 0.5


def charge(atoms, rng, past):
    atoms.info["charge"] = float(rng.integers(-2, 3))


def other_hand(atoms, rng, past):
    atoms.set_cell(atoms.cell.array[[1, 0, 2]])
    atoms.pbc = atoms.pbc[[1, 0, 2]]


def undo(atoms, rng, past):
    return past[rng.integers(len(past))].copy()


def start_again(atoms, rng, past):
    return random_system(rng, max_atoms=8)


def nothing(atoms, rng, past):
    pass


CHANGES = [move_a_little, move_a_little, move_one, move_all, strain, wrap, unwrap, other_element, add, remove, reorder,
           other_boundaries, charge, other_hand, undo, start_again, nothing]  # fmt: skip

# ---- changes of the calculator; each returns the one to go on with
COPIES = [copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c)), lambda c: c.clone()]


def spoil(atoms, rng):
    """A structure that cannot be computed."""
    broken = atoms.copy()
    kind = rng.integers(4)
    if kind == 0:
        broken.positions[rng.integers(len(broken)), rng.integers(3)] = rng.choice([np.nan, np.inf, 1e300])
    elif kind == 1:
        broken += Atoms([1], [broken.positions[0]])
    elif kind == 2:
        broken.numbers[0] = 79
    else:
        broken.set_cell(np.zeros((3, 3)))
        broken.pbc = True
    return broken


def agrees(calc, number, kind, atoms, name, graph) -> None:
    """The answer equals the oracle's, or is the refusal that physics asks for."""
    molecular = name in model_of(number).molecular
    COUNTS["cases"] += 1
    if (molecular and atoms.pbc.any()) or (name == "stress" and not atoms.pbc.all()):
        with pytest.raises(PropertyNotImplementedError):
            calc.get_property(name, atoms)
        return
    try:
        right = expected(number, graph(), name, "float64")
    except InputError:  # which of its fragments has the charge of an ion?
        with pytest.raises(InputError, match="in several fragments"):
            calc.get_property(name, atoms)
        return
    found = np.asarray(calc.get_property(name, atoms))
    scale = max(1.0, float(np.abs(right).max()))
    # 1e-13 Å is the rounding of positions 500 Å from the origin; 1e4 eV/Å² the stiffest of atoms 0.6 Å apart
    allowed = (1e-8 if kind == "float64" else 2e-5) * scale
    assert found.shape == right.shape
    worst = np.abs(found - right).max()
    if kind == "float32" and not worst <= allowed:  # what float32 can do for such a case, torch's own float32 shows
        allowed = max(allowed, 10 * np.abs(expected(number, graph(), name, "float32") - right).max())
    assert worst <= allowed, f"{name}: {worst:.2e} > {allowed:.2e}, {atoms}, {atoms.info}"


def run(seed: int, number: int, kind: str, changes: list[int]) -> None:
    rng = np.random.default_rng(seed)
    calc = calculator(number, kind, float(rng.choice([0.0, 0.3, 1.0]))).clone()
    names = [n for n in calc.implemented_properties if n != "born_effective_charges"]
    atoms = random_system(rng, max_atoms=8)
    past = [atoms.copy()]
    for change in changes:
        before = atoms.copy()
        atoms = CHANGES[change](atoms, rng, past) or atoms
        if not keeps_distance(atoms) or len(atoms) > 12:
            atoms = before
        kept = atoms.copy()
        # one for the questions about one structure
        graph = cache(partial(wrapped_graph, kept, model_of(number).cutoff))
        for name in rng.choice(names, size=rng.integers(1, 3)):
            agrees(calc, number, kind, atoms, str(name), graph)
        assert atoms == kept  # the user's own
        assert atoms.info == kept.info
        past.append(kept)
        if rng.random() < 0.1:
            with pytest.raises(InputError):
                calc.get_property("energy", spoil(atoms, rng))
            COUNTS["refusals"] += 1
        if rng.random() < 0.1:
            calc = COPIES[rng.integers(len(COPIES))](calc)


SEQUENCES = {
    "seed": st.integers(0, 2**32 - 1),
    "number": st.integers(0, len(MODELS) - 1),
    "kind": st.sampled_from(KINDS),
    "changes": st.lists(st.integers(0, len(CHANGES) - 1), min_size=6, max_size=14),
}
COMMON = {"deadline": None, "derandomize": True, "database": None, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=30, **COMMON)
@given(**SEQUENCES)
def test_no_sequence_of_changes_gives_an_answer_of_the_past(seed, number, kind, changes):
    run(seed, number, kind, changes)


@pytest.mark.slow
def test_ten_thousand_answers_agree_with_brute_force_in_float64():
    COUNTS.clear()

    @settings(max_examples=800, **COMMON)
    @given(**SEQUENCES)
    def explore(seed, number, kind, changes):
        run(seed, number, kind, changes)

    explore()
    print(f"{COUNTS['cases']} answers compared, {COUNTS['refusals']} broken structures refused")
    assert COUNTS["cases"] >= 10_000


def test_errors_of_broken_structures_are_ours():
    rng = np.random.default_rng(0)
    calc = PaiNNCalculator(model_of(0), dtype="float64")
    for _ in range(60):
        broken = spoil(random_system(rng, max_atoms=5), rng)
        with pytest.raises(PainnError):
            calc.get_property("forces", broken)

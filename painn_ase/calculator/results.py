"""From the arrays of a backend to the results of an ASE calculator."""

from math import isfinite
from typing import Any

import numpy as np
from ase.stress import full_3x3_to_voigt_6_stress

from painn_ase.errors import SimulationError
from painn_ase.graph import AtomicGraph
from painn_ase.neighbors import Pairs, check_distances
from painn_ase.properties import PROPERTIES, SPREAD


def in_ase_shape(values: dict[str, np.ndarray]) -> dict[str, Any]:
    """Results of one structure: without the structures axis, numbers as floats, stress in Voigt order."""
    results: dict[str, Any] = {}
    for name, value in values.items():
        if PROPERTIES[name.removesuffix(SPREAD)].per == "structure":
            value = value[0]
        if name == "stress":
            value = full_3x3_to_voigt_6_stress(value)
        results[name] = value if np.ndim(value) else float(value)
    if "energy" in results:
        results["free_energy"] = results["energy"]
    return results


def check_finite(values: dict[str, np.ndarray], model: str, graph: AtomicGraph, pairs: Pairs | None) -> None:
    """Raises an error instead of letting NaN into a trajectory.

    values: results by name
    model: its name, for the message
    graph: what was evaluated
    pairs: those of `graph`

    `InputError` names atoms that coincide; where none do, `SimulationError` says that the model gave no numbers.
    """
    if all(isfinite(value.sum()) for value in values.values()):  # NaN and infinity survive a sum
        return
    assert pairs is not None
    check_distances(pairs, graph.positions.numpy(), graph.cells[0].numpy())
    raise SimulationError(
        f"model {model!r} returned values that are not finite for this structure; it lies far outside of what the "
        "model was trained on. Look at the last frames of the trajectory"
    )

"""The keywords that a calculator was made with: which of them may change while it lives."""

from typing import Any

from painn_ase.errors import InputError, closest
from painn_ase.neighbors import GraphBuilder, VerletList, neighbor_list

CHANGEABLE = ("charge", "skin", "neighbors")


def check_settings(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Raises `InputError` for names that `old` lacks, and for another value of what makes another calculator."""
    for name, value in new.items():
        if name not in old:
            raise InputError(f"set: expected some of {', '.join(old)}; got {name!r}{closest(name, old)}")
        if name not in CHANGEABLE and value != old[name]:
            raise InputError(
                f"set: {name} is part of what the calculator was made of; make another one: "
                f"PaiNNCalculator(..., {name}={value!r})"
            )


def graph_builder(settings: dict[str, Any], cutoff: float) -> GraphBuilder:
    """What makes graphs with pairs up to `cutoff` Å as `settings` say. Raises `InputError` for impossible values."""
    verlet = VerletList(neighbor_list(settings["neighbors"]), cutoff, settings["skin"])
    return GraphBuilder(verlet, settings["charge"])

"""What a calculator can do beyond ASE's interface: the one place that asks."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from painn_ase.errors import InputError
from painn_ase.plain import plain

if TYPE_CHECKING:  # torch, which quantum chemistry does without
    from painn_ase.backends import Backend


class Batching(Protocol):
    """A calculator with a backend, which evaluates many structures at once."""

    backend: Backend


class Remembering(Protocol):
    """A calculator whose numbers depend on earlier structures: `recall` brings back what `memory` holds."""

    @property
    def memory(self) -> dict[str, Any]: ...

    def recall(self, atoms: Atoms, memory: Mapping[str, Any], properties: Collection[str]) -> None: ...


def batching(calc: Any) -> Batching | None:
    """The calculator, if it evaluates batches."""
    return calc if hasattr(calc, "backend") else None


def remembering(calc: Any) -> Remembering | None:
    """The calculator, or the only one of its parts, that remembers; others are taken for functions of the structure."""
    if hasattr(calc, "recall"):
        return calc
    found = [part for part in map(remembering, parts_of(calc)) if part is not None]
    return found[0] if len(found) == 1 else None


def still_learns(calc: Any) -> bool:
    """Whether its forces change while it runs, or those of a part, until its models are taken by `freeze`."""
    return hasattr(calc, "freeze") or any(map(still_learns, parts_of(calc)))


def discontinuity(calc: Any) -> float:
    """Energy in eV by which its answer lies off the surface it began on: a calculator that learns changes surfaces.

    That of its parts, with their factors, for a calculator made of others.
    """
    if hasattr(calc, "discontinuity"):
        return float(calc.discontinuity)
    return sum(factors_of(calc).get(id(part), 1.0) * discontinuity(part) for part in parts_of(calc))


def has_response(calc: Any) -> bool:
    """Whether it has analytic second derivatives, Born charges and derivatives of the polarizability."""
    return hasattr(calc, "get_response")


def knows_its_training_data(calc: Any) -> bool:
    """Whether it tells when a structure is outside of what its model was trained on."""
    return getattr(calc, "coverage", None) is not None


def results_of(calc: Any) -> dict[str, Any]:
    """What the last evaluation gave."""
    return getattr(calc, "results", {})


def forget(calc: Any) -> None:
    """Drops what it remembers of its last structure, if it says how."""
    if hasattr(calc, "reset"):
        calc.reset()


def has_calculate(calc: Any) -> bool:
    """Whether it evaluates in ASE's method `calculate`, which can be watched."""
    return hasattr(calc, "calculate")


def works_in_files(calc: Any) -> bool:
    """Whether it has a folder, `directory`, that it reads and writes in."""
    return hasattr(calc, "directory")


def finite_forces(atoms: Atoms) -> np.ndarray:
    """The forces (atoms, 3) in eV/Å by the calculator of a structure that is to move; `InputError` for NaN."""
    forces = np.asarray(atoms.calc.get_property("forces", atoms))
    if not np.isfinite(forces).all():
        raise InputError(f"the calculator's forces on the structure are not finite (atoms {bad(forces)})")
    return forces


def bad(rows: np.ndarray) -> str:
    """The first atoms whose rows are not finite."""
    index = np.flatnonzero(~np.isfinite(rows).reshape(len(rows), -1).all(axis=1))
    return ", ".join(map(str, index[:5])) + (", ..." if len(index) > 5 else "")


def parts_of(calc: Any) -> list[Any]:
    """The calculators that a calculator is made of, such as those of a sum; none of most."""
    own = getattr(calc, "__dict__", {})
    held = [*own.values(), *getattr(own.get("mixer"), "__dict__", {}).values()]  # of ASE's linear combinations
    groups = (list(one.values()) if isinstance(one, dict) else one for one in held)
    each = (part for group in groups for part in (group if isinstance(group, list | tuple) else [group]))
    parts = list({id(part): part for part in each if isinstance(part, BaseCalculator) and part is not calc}.values())
    stands_in = len(parts) == 1 and not isinstance(calc, BaseCalculator)  # for a calculator, as runs do
    return parts_of(parts[0]) if stands_in else parts


def factors_of(calc: Any) -> dict[int, float]:
    """The factors of the parts of one of ASE's linear combinations, by their `id`; empty for any other calculator."""
    mixer = getattr(calc, "mixer", None)
    pairs = zip(mixer.calcs, mixer.weights, strict=True) if mixer else ()
    return {id(part): float(factor) for part, factor in pairs}


def settings_of(calc: Any) -> dict[str, Any]:
    """The parameters of a calculator, JSON-able; of one made of others their names, factors and parameters as "parts".

    Empty for one that does not tell them.
    """
    settings = plain(calc.todict(), f"calculator {calc.name}") if hasattr(calc, "todict") else {}
    parts = parts_of(calc)
    if parts:
        factors = factors_of(calc)
        settings["parts"] = [
            {"calculator": part.name, "parameters": settings_of(part)}
            | ({"factor": factors[id(part)]} if id(part) in factors else {})
            for part in parts
        ]
    return settings


def name_of(calc: Any) -> str:
    """The calculator in words: name, model and backend where it has them, and what it is made of."""
    batched = batching(calc)
    backend = f" on the {batched.backend.name} backend" if batched else ""
    parts = " and ".join(map(name_of, parts_of(calc)))
    return f"{calc.name} {getattr(calc, 'model_name', '')}".strip() + backend + (f" of {parts}" if parts else "")


def hidden(calc: Any, name: str) -> str:
    """Of a property that a calculator lacks: says which of its parts has it and what to do; empty if none has."""
    parts = parts_of(calc)
    have = [part.name for part in parts if name in part.implemented_properties]
    if not have:
        return ""
    others = [part.name for part in parts if name not in part.implemented_properties]
    return (
        f" ({have[0]} does{', but not ' + ', '.join(others) if others else ''}; "
        "painn_ase.CorrectedCalculator(model, correction) adds energies and passes on all else)"
    )


def weights_of(calc: Any) -> str | None:
    """A checksum of the networks of a `PaiNNCalculator`: a model's name may come to stand for another one.

    That of its parts for a calculator made of others.
    """
    batched, digest = batching(calc), hashlib.sha256()
    if batched is None:
        sums = [found for found in map(weights_of, parts_of(calc)) if found]
        return "+".join(sums) or None
    for model in batched.backend.models:
        for name, tensor in sorted(model.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]

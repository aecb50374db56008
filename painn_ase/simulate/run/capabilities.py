"""What a calculator can do beyond ASE's interface: the one place that asks."""

from __future__ import annotations

import hashlib
from typing import Any

from painn_ase.simulate.run.plain import plain


def evaluates_batches(calc: Any) -> bool:
    """Whether it has a backend, which evaluates many structures at once."""
    return hasattr(calc, "backend")


def remembers(calc: Any) -> bool:
    """Whether its numbers depend on earlier structures, and `memory` and `recall` bring that back."""
    return hasattr(calc, "recall")


def has_response(calc: Any) -> bool:
    """Whether it has analytic second derivatives, Born charges and derivatives of the polarizability."""
    return hasattr(calc, "get_response")


def knows_its_training_data(calc: Any) -> bool:
    """Whether it tells when a structure is outside of what its model was trained on."""
    return getattr(calc, "guard", None) is not None


def results_of(calc: Any) -> dict[str, Any]:
    """What the last evaluation gave."""
    return getattr(calc, "results", {})


def settings_of(calc: Any) -> dict[str, Any]:
    """The parameters of a calculator, JSON-able; empty for one that does not tell them."""
    return plain(calc.todict(), f"calculator {calc.name}") if hasattr(calc, "todict") else {}


def name_of(calc: Any) -> str:
    """The calculator in words: name, model and backend where it has them."""
    backend = f" on the {calc.backend.name} backend" if hasattr(calc, "backend") else ""
    return f"{calc.name} {getattr(calc, 'model_name', '')}".strip() + backend


def weights_of(calc: Any) -> str | None:
    """A checksum of the networks of a `PaiNNCalculator`: a model's name may come to stand for another one."""
    backend = getattr(calc, "backend", None)
    digest = hashlib.sha256()
    if backend is None:
        return None
    for model in backend.models:
        for name, tensor in sorted(model.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]

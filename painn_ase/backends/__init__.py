"""Backends: what evaluates a trained model, and which one a calculator gets."""

import logging

from painn_ase.backends.base import Backend
from painn_ase.backends.native import NativeBackend, why_unavailable
from painn_ase.backends.torch_backend import TorchBackend
from painn_ase.errors import InputError, choice
from painn_ase.model import Model

__all__ = ["Backend", "NativeBackend", "TorchBackend", "choose_backend"]

BACKENDS = ("auto", "native", "torch")
log = logging.getLogger(__name__)


def choose_backend(
    model: Model, backend: str = "auto", device: str = "cpu", dtype: str = "float32", threads: int | None = None
) -> Backend:
    """The backend called `backend`; "auto" is native for float32 on the CPU where it supports the model, else torch.

    model: the trained model
    backend: "auto", "native" or "torch"
    device: "cpu", "cuda", ...; only torch runs elsewhere than on the CPU
    dtype: precision of the network, "float32" or "float64"
    threads: of an evaluation; by default one for small structures and torch's number for large ones

    When "auto" has to do without the native kernel there, one line is logged that says why. Raises `InputError` for
    requests that exclude each other.
    """
    choice("backend", backend, BACKENDS)
    on_cpu = device == "cpu" and dtype == "float32"
    if backend == "native" and not on_cpu:
        raise InputError(
            f"backend 'native' computes in float32 on the cpu; got dtype={dtype!r}, device={device!r}. "
            "Use backend='torch' for these"
        )
    if backend == "torch" or not on_cpu:
        return TorchBackend(model, device, dtype, threads)
    reason = NativeBackend.obstacle(model) or why_unavailable()
    if backend == "auto" and reason:
        log.warning("model %r runs on the slower torch backend: %s", model.name, reason)
        return TorchBackend(model, device, dtype, threads)
    return NativeBackend(model, threads)

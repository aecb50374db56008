"""Backends: what evaluates a trained model, and which one a calculator gets."""

import logging

from painn_ase.backends.base import Backend
from painn_ase.backends.native import NativeBackend, why_unavailable
from painn_ase.backends.passes_backend import PassesBackend
from painn_ase.backends.torch_backend import DTYPES, TorchBackend
from painn_ase.errors import InputError, choice
from painn_ase.model import Model

__all__ = ["Backend", "NativeBackend", "PassesBackend", "TorchBackend", "choose_backend"]

BACKENDS = ("auto", "native", "torch")
log = logging.getLogger(__name__)


def choose_backend(
    model: Model, backend: str = "auto", device: str = "cpu", dtype: str = "float32", threads: int | None = None
) -> Backend:
    """The backend called `backend`; "auto" is native on the CPU where it supports the model, else torch.

    model: the trained model
    backend: "auto", "native" or "torch"
    device: "cpu", "cuda", ...; only torch runs elsewhere than on the CPU
    dtype: precision of the network, "float32" or "float64"
    threads: of an evaluation; by default one for small structures and torch's number for large ones

    When "auto" has to do without compiled code there, one line is logged that says why. Raises `InputError` for
    requests that exclude each other.
    """
    choice("backend", backend, BACKENDS)
    choice("dtype", dtype, DTYPES)
    if backend == "native" and device != "cpu":
        raise InputError(f"backend 'native' computes on the cpu; got device={device!r}. Use backend='torch' there")
    if backend == "torch" or device != "cpu":
        return TorchBackend(model, device, dtype, threads)
    unsupported = NativeBackend.obstacle(model)
    if dtype == "float32" and not unsupported and not why_unavailable():
        return NativeBackend(model, threads)
    reason = PassesBackend.obstacle(model)
    if not reason:
        return PassesBackend(model, dtype, threads)
    reason = unsupported or reason
    if backend == "native":
        raise InputError(f"backend 'native': {reason}; use backend='torch'")
    log.warning("model %r runs on the slower torch backend: %s", model.name, reason)
    return TorchBackend(model, device, dtype, threads)

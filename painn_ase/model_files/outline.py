"""Modules in outline: shapes and types of all their tensors, without memory or values."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


@contextmanager
def outline() -> Iterator[None]:
    """Inside the block tensors are made on the meta device, as under `torch.device("meta")`, without its first use.

    There PyTorch leaves shapes of grids, random numbers and products to the Python side of its compiler, which imports
    800 modules for it: seconds, in every process that loads a model. What constructors of networks do of these is
    answered here; everything else still goes the long way, and takes no memory either.
    """
    with torch.device("meta"), _Shapes():
        yield


class _Shapes(TorchFunctionMode):
    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        options = {} if kwargs is None else kwargs
        if function in _FACTORIES:
            # constants that live on the CPU say so, and are computed
            if torch.device(options.get("device") or "meta").type == "meta":
                return _FACTORIES[function](*args, **options)
        elif function in _OPERATIONS:
            first = args[0] if args else options["tensor"]
            if isinstance(first, Tensor) and first.is_meta:
                return _OPERATIONS[function](first, *args[1:])
        return function(*args, **options)


def _same(tensor: Tensor, *_: Any) -> Tensor:
    return tensor


def _new(tensor: Tensor, *_: Any) -> Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype)


def _product(tensor: Tensor, other: Any) -> Tensor:
    shape = np.broadcast_shapes(tensor.shape, getattr(other, "shape", ()))
    return torch.empty(shape, dtype=torch.result_type(tensor, other))


_FACTORIES: dict[Any, Callable[..., Tensor]] = {
    torch.arange: lambda *ends, **options: torch.empty(len(range(*ends)), **{"dtype": torch.int64, **options}),
    torch.linspace: lambda start, end, steps, **options: torch.empty(steps, **options),
    torch.randn: torch.empty,
}
_OPERATIONS: dict[Any, Callable[..., Tensor]] = {
    nn.init.normal_: _same,
    Tensor.normal_: _same,
    torch.zeros_like: _new,
    torch.full_like: _new,
    Tensor.mul: _product,
    Tensor.div: _product,
}

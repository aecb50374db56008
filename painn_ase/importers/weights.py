"""The tensors of a foreign checkpoint, taken by name and shape so that none is lost unseen."""

import math

import torch
from torch import Tensor

from painn_ase.errors import ModelError, closest

# for codes that take |V| without an ε: keeps the gradient finite at V = 0 and is far below rounding
TINY = 1e-30


class Weights:
    """The tensors of a checkpoint by name. Each is taken once; what is left over would have been lost."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.tensors = tensors
        self.taken: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def take(self, name: str, *shape: int | None) -> Tensor:
        """The tensor, whose shape must be `shape` (None: any).

        Raises `ModelError` when it is absent, misfit or not finite.
        """
        if name not in self.tensors:
            raise ModelError(f"expected a tensor {name!r}; the checkpoint has none{closest(name, self.tensors)}")
        tensor = self.tensors[name]
        fits = len(tensor.shape) == len(shape) and all(n in (None, m) for n, m in zip(shape, tensor.shape, strict=True))
        if not fits:
            wanted = tuple("any" if n is None else n for n in shape)
            raise ModelError(f"{name}: expected shape {wanted}, got {tuple(tensor.shape)}")
        if not bool(torch.isfinite(tensor).all()):
            raise ModelError(f"{name}: holds values that are not finite numbers; the checkpoint is damaged")
        self.taken.add(name)
        return tensor

    def number(self, name: str) -> float:
        """The value of a tensor of one element."""
        tensor = self.take_any(name)
        if tensor.numel() != 1:
            raise ModelError(f"{name}: expected one number; got shape {tuple(tensor.shape)}")
        return float(tensor)

    def take_any(self, name: str) -> Tensor:
        """The tensor, whatever its shape."""
        return self.take(name, *self.tensors[name].shape) if name in self.tensors else self.take(name)

    def ignore(self, *prefixes: str) -> None:
        """Marks tensors that have no effect on the network."""
        self.taken.update(name for name in self.tensors if name.startswith(prefixes))

    def finish(self) -> None:
        """Raises `ModelError` when tensors are left over: a part of the network was not understood."""
        left = sorted(set(self.tensors) - self.taken)
        if left:
            more = f" and {len(left) - 5} more" if len(left) > 5 else ""
            raise ModelError(f"the checkpoint has tensors that no part of PaiNN explains: {', '.join(left[:5])}{more}")


def take_mlp(weights: Weights, theirs: str, ours: str, features: int, state: dict[str, Tensor]) -> list[int]:
    """Dense layers 0, 1, ... to one output; returns the hidden sizes."""
    layers = count_tensors(weights, theirs + "{}.weight")
    sizes = [features]
    for k in range(layers):
        weight = weights.take(f"{theirs}{k}.weight", 1 if k == layers - 1 else None, sizes[-1])
        sizes.append(weight.shape[0])
        bias = weights.take(f"{theirs}{k}.bias", weight.shape[0])
        state |= {f"{ours}{2 * k}.weight": weight, f"{ours}{2 * k}.bias": bias}
    return sizes[1:-1]


def take_gated(weights: Weights, theirs: str, ours: str, features: int, state: dict[str, Tensor]) -> list[int]:
    """Gated equivariant blocks 0, 1, ... to one output; returns the sizes between them."""
    blocks = count_tensors(weights, theirs + "{}.mix_vectors.weight")
    sizes = [features]
    for k in range(blocks):
        p, q, n = f"{theirs}{k}.", f"{ours}blocks.{k}.", sizes[-1]
        mix = weights.take(p + "mix_vectors.weight", 2 if k == blocks - 1 else None, n)
        m = mix.shape[0] // 2
        state |= {
            q + "mix.weight": mix,
            q + "gate.0.weight": weights.take(p + "scalar_net.0.weight", n, n + m),
            q + "gate.0.bias": weights.take(p + "scalar_net.0.bias", n),
            q + "gate.2.weight": weights.take(p + "scalar_net.1.weight", 2 * m, n),
            q + "gate.2.bias": weights.take(p + "scalar_net.1.bias", 2 * m),
        }
        sizes.append(m)
    return sizes[1:-1]


def count_tensors(weights: Weights, pattern: str) -> int:
    """How many tensors pattern.format(0), pattern.format(1), ... there are, without a gap; at least one."""
    count = 0
    while pattern.format(count) in weights:
        count += 1
    if count == 0:
        raise ModelError(f"expected a tensor {pattern.format(0)!r}; the checkpoint has none")
    return count


def take_dense(
    weights: Weights,
    theirs: str,
    ours: str,
    shape: tuple[int, int],
    state: dict[str, Tensor],
    order: tuple[int, ...] = (0,),
) -> None:
    """Weight and bias of a dense layer (outputs, inputs), the blocks of its outputs put in `order`."""
    state[ours + ".weight"] = reorder(weights.take(theirs + ".weight", *shape), order)
    state[ours + ".bias"] = reorder(weights.take(theirs + ".bias", shape[0]), order)


def reorder(tensor: Tensor, order: tuple[int, ...]) -> Tensor:
    """The tensor with its rows, cut into equal blocks, in another order: block k of the result is block order[k]."""
    blocks = tensor.chunk(len(order))
    return torch.cat([blocks[k] for k in order])


def bessel_frequencies(count: int, cutoff: float) -> Tensor:
    """nπ/rc for n = 1 ... count, for codes that do not store them."""
    return torch.arange(1, count + 1, dtype=torch.float64) * (math.pi / cutoff)

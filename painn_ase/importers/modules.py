"""A pickled torch module as data: attributes, tensors and children by name."""

from typing import Any

from torch import Tensor

from painn_ase.errors import ModelError
from painn_ase.importers.names import Name, Record

# by the names that the codes give them
ACTIVATIONS = {
    "silu": "silu",
    "SiLU": "silu",
    "swish": "silu",
    "Swish": "silu",
    "shifted_softplus": "shifted_softplus",
    "tanh": "tanh",
    "Tanh": "tanh",
}
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks")
_MOST_MODULES = 10_000  # PaiNN has some dozens; a damaged pickle can share one child so often that a walk never ends


class Module:
    """One module of a pickled network. `path` is its place in it, as in a state dict."""

    def __init__(self, record: Any, path: str = "") -> None:
        if not isinstance(record, Record):
            raise ModelError(f"{path or 'checkpoint'}: expected a pickled module; got {type(record).__name__}")
        self.kind: Name = record.kind
        self.path = path
        state = record.state
        self.attributes = state
        parts = [state.get(part) for part in ("_parameters", "_buffers", "_modules")]
        if not all(type(part) is dict for part in parts) or any(state.get(hook) for hook in _HOOKS):
            raise ModelError(f"{path or 'checkpoint'}: {self.kind} is not a plain torch module")
        parameters, buffers, modules = parts
        self.tensors: dict[str, Tensor] = {}
        for name, tensor in (parameters | buffers).items():  # type: ignore[operator]
            if isinstance(tensor, Tensor):
                self.tensors[name] = tensor
            elif tensor is not None:
                raise ModelError(f"{path}.{name}: expected a tensor; got {type(tensor).__name__}")
        self.modules: dict[str, Any] = {n: m for n, m in modules.items() if m is not None}  # type: ignore[union-attr]

    @property
    def class_name(self) -> str:
        """Name of the class without its module."""
        return self.kind.name

    def child(self, name: str) -> "Module":
        """The child `name`; raises `ModelError` when there is none."""
        if name not in self.modules:
            raise ModelError(
                f"{self._where()}: expected a part {name!r}; this one has {', '.join(self.modules) or 'none'}"
            )
        return Module(self.modules[name], self._join(name))

    def children(self) -> list["Module"]:
        """All children in order."""
        return [self.child(name) for name in self.modules]

    def only(self, *names: str) -> "Module":
        """Itself, if it has no children but `names`; raises `ModelError` that names the others."""
        for module in self.modules:
            if module not in names:
                kind = getattr(self.modules[module], "kind", "?")
                raise ModelError(
                    f"{self._where()} has a part {module!r} ({kind}) that has no counterpart in this package"
                )
        return self

    def get(self, name: str, *kinds: type, default: Any = ...) -> Any:
        """The attribute `name`, which must be of one of `kinds`."""
        value = self.attributes.get(name, default)
        if value is ...:
            raise ModelError(f"{self._where()}: expected an attribute {name!r}; it has none")
        if not isinstance(value, kinds):
            wanted = " or ".join(kind.__name__ for kind in kinds)
            raise ModelError(f"{self._where()}.{name}: expected {wanted}; got {type(value).__name__}")
        return value

    def _join(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def _where(self) -> str:
        return f"{self.path or 'model'} ({self.kind})"


def state_dict(module: Module) -> dict[str, Tensor]:
    """All tensors of the module and its descendants, by the names of a state dict."""
    found: dict[str, Tensor] = {}
    waiting = [module]
    for count in range(_MOST_MODULES):
        if not waiting:
            return found
        current = waiting.pop()
        if current.path.count(".") > 32:
            break
        found.update((current._join(name), tensor) for name, tensor in current.tensors.items())
        waiting += current.children()
        if len(waiting) > _MOST_MODULES - count:
            break
    raise ModelError(f"the checkpoint holds more than {_MOST_MODULES} modules; this is not a PaiNN network")


def layer_activation(layer: Module, attribute: str = "activation") -> str | None:
    """Our name of the activation that a layer applies to its result; None for none."""
    if attribute in layer.modules:
        name: Any = layer.child(attribute).kind
    else:
        name = layer.attributes.get(attribute)
    if name is None or (isinstance(name, Name) and name.name == "Identity"):
        return None
    if not isinstance(name, Name) or name.name not in ACTIVATIONS:
        known = ", ".join(sorted(set(ACTIVATIONS.values())))
        raise ModelError(
            f"{layer.path}: activation {name if isinstance(name, Name) else type(name).__name__}; known: {known}"
        )
    return ACTIVATIONS[name.name]


def sequence_activation(layers: Module) -> str:
    """The one activation between the dense layers of a sequence, which applies none after the last."""
    dense = layers.children()
    found = [layer_activation(layer) for layer in dense]
    if list(layers.modules) != [str(k) for k in range(len(dense))] or not dense:
        raise ModelError(f"{layers.path}: expected layers 0, 1, ...; got {', '.join(layers.modules) or 'none'}")
    between = set(found[:-1])
    if found[-1] is not None or len(between) > 1 or None in between:
        raise ModelError(f"{layers.path}: expected one activation between the layers and none at the end; got {found}")
    return between.pop() or "silu" if between else "silu"

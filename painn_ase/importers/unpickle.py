"""Reads pickles without running them.

A pickle is a program for a small stack machine; two of its instructions import names and call them, and that is how a
checkpoint can run code. Here the instructions come from `pickletools.genops`, which only parses, and are carried out
by the few lines below. They import nothing and call nothing: a name is a pair of strings, an object is a `Record` of
the name of its class and its attributes. Names outside the allow-list are refused before anything is built from them.
"""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from torch import Tensor

from painn_ase.errors import ModelError


@dataclass(frozen=True)
class Name:
    """A global name in a pickle: two strings, never looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass
class Record:
    """An object in a pickle: the name of its class and, once BUILD has come, its attributes."""

    kind: Name
    state: dict[str, Any] = field(default_factory=dict)


_CONTAINERS = {("collections", "OrderedDict"): dict, ("builtins", "set"): set, ("__builtin__", "set"): set}
_REBUILD = {("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_parameter")}
_STORAGES = {"Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool"}
_TORCH_LAYERS = {
    "torch.nn.modules.container": {"ModuleList", "ModuleDict", "Sequential"},
    "torch.nn.modules.linear": {"Identity", "Linear"},
    "torch.nn.modules.sparse": {"Embedding"},
    "torch.nn.modules.activation": {"SiLU", "Softplus", "Tanh", "Sigmoid"},
    "torch.nn.modules.dropout": {"Dropout"},
}
_TORCH_FUNCTIONS = {
    "torch.nn.functional": {"silu", "softplus", "tanh", "relu", "elu", "gelu"},
    "torch._C._nn": {"softplus", "silu", "gelu"},
    "torch.nn.init": {"xavier_uniform_", "zeros_", "constant_", "kaiming_uniform_", "orthogonal_", "normal_"},
}
_PARTIAL = Name("functools", "partial")  # nff keeps its initialisers so; a record like any other, never called
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
}
_LITERALS = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE"}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_SKIP = {"PROTO", "FRAME", "STOP"}


class Unpickler:
    """One reading of one pickle.

    `packages` are top-level packages whose classes become records ("schnetpack"). `load_storage` turns a persistent
    id into a storage, `make_tensor` (storage, offset, size, stride) into a tensor; both must check what they get.
    """

    def __init__(
        self,
        packages: frozenset[str],
        load_storage: Callable[[Any], Any],
        make_tensor: Callable[[Any, Any, Any, Any], Tensor],
    ) -> None:
        self.packages = packages
        self.load_storage = load_storage
        self.make_tensor = make_tensor
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def load(self, data: bytes) -> Any:
        """What the pickle describes. Raises `ModelError` for a damaged pickle and for names that are not allowed."""
        try:
            for opcode, argument, _ in pickletools.genops(data):
                self._step(opcode.name, argument)
            (result,) = self.stack
            return result
        except ModelError:
            raise
        except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
            said = ascii(str(error))[:100]  # it may quote the whole pickle
            raise ModelError(f"damaged pickle ({type(error).__name__}: {said}); copy the checkpoint again") from None

    def _step(self, op: str, argument: Any) -> None:
        stack = self.stack
        if op in _LITERALS:
            stack.append(argument)
        elif op in _CONSTANTS:
            stack.append(_CONSTANTS[op]())
        elif op in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif op == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif op in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif op == "MARK":
            self.marks.append(stack)
            self.stack = []
        elif op == "TUPLE":
            self._replace_mark(tuple(stack))
        elif op in _TUPLES:
            count = _TUPLES[op]
            if len(stack) < count:
                raise IndexError("stack too short")
            stack[-count:] = [tuple(stack[-count:])]
        elif op in ("SETITEMS", "SETITEM", "APPENDS", "APPEND", "ADDITEMS"):
            self._fill(op)
        elif op == "GLOBAL":
            stack.append(self._name(*argument.split(" ", 1)))
        elif op == "STACK_GLOBAL":
            name, module = stack.pop(), stack.pop()
            stack.append(self._name(module, name))
        elif op == "BINPERSID":
            stack.append(self.load_storage(stack.pop()))
        elif op in ("REDUCE", "NEWOBJ"):
            arguments, called = stack.pop(), stack.pop()
            stack.append(self._called(called, arguments))
        elif op == "BUILD":
            self._build(stack.pop())
        elif op not in _SKIP:
            raise ModelError(f"pickle instruction {op}: torch.save does not write it; this checkpoint is not read")

    def _replace_mark(self, value: Any) -> None:
        self.stack = self.marks.pop()
        self.stack.append(value)

    def _fill(self, op: str) -> None:
        """APPEND, SETITEM and their plural forms."""
        count = {"APPEND": 1, "SETITEM": 2}.get(op)
        if count is None:
            items = self.stack
            self.stack = self.marks.pop()
        else:
            items = self.stack[-count:]
            del self.stack[-count:]
        target = self.stack[-1]
        if op.startswith("APPEND") and type(target) is list:
            target.extend(items)
        elif op.startswith("SETITEM") and type(target) is dict and len(items) % 2 == 0:
            target.update((_plain(key), value) for key, value in zip(items[::2], items[1::2], strict=True))
        elif op == "ADDITEMS" and type(target) is set:
            target.update(map(_plain, items))
        else:
            raise TypeError(f"{op} on an object that is not a container")

    def _name(self, module: Any, name: Any) -> Name:
        if not isinstance(module, str) or not isinstance(name, str):
            raise TypeError("a name that is not text")
        found = Name(module, name)
        if not name.isidentifier() or not self._allowed(found):
            _refuse(found)
        return found

    def _allowed(self, name: Name) -> bool:
        return (
            (name.module, name.name) in _CONTAINERS
            or (name.module, name.name) in _REBUILD
            or (name.module == "torch" and name.name.removesuffix("Storage") in _STORAGES)
            or name.name in _TORCH_FUNCTIONS.get(name.module, ())
            or self._is_class(name)
        )

    def _is_class(self, name: Name) -> bool:
        """Whether the name may stand for a class whose objects become records."""
        if name == _PARTIAL or name.name in _TORCH_LAYERS.get(name.module, ()):
            return True
        return name.module.partition(".")[0] in self.packages

    def _called(self, called: Any, arguments: Any) -> Any:
        """What the pickle wants `called` to make of `arguments`; nothing is called but the lines here."""
        if not isinstance(called, Name) or not isinstance(arguments, tuple):
            raise TypeError("a call of something that is not a name")
        container = _CONTAINERS.get((called.module, called.name))
        if container is dict:
            pairs = arguments[0] if arguments else ()
            return {_plain(key): value for key, value in pairs}
        if container is set:
            return {_plain(item) for item in (arguments[0] if arguments else ())}
        if called.name == "_rebuild_tensor_v2" and called.module == "torch._utils":
            return self.make_tensor(*arguments[:4])
        if called.name == "_rebuild_parameter" and called.module == "torch._utils":
            if not isinstance(arguments[0], Tensor):
                raise TypeError("a parameter that is not a tensor")
            return arguments[0]
        if self._is_class(called):
            return Record(called)
        _refuse(called)

    def _build(self, state: Any) -> None:
        target = self.stack[-1]
        if type(target) is dict or (isinstance(target, Record) and target.kind == _PARTIAL):
            return  # attributes of an OrderedDict: the version notes of a state dict
        if not isinstance(target, Record) or type(state) is not dict:
            raise TypeError("attributes for something that is not a module")
        target.state.update(state)


def _plain(key: Any) -> Any:
    """A dictionary key or set member, which must be text or a number: hashing a nested tuple can take for ever."""
    if not isinstance(key, (str, int, float)):
        raise TypeError(f"a key of type {type(key).__name__}")
    return key


def _refuse(name: Name) -> NoReturn:
    raise ModelError(
        f"the checkpoint asks for {str(name)[:200]!r}, which is not among the names that a PaiNN checkpoint needs. "
        "Nothing was executed. If the model is your own, save its state dict instead and import that with its "
        "hyperparameters (docs/importing.md)"
    )

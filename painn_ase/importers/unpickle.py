"""Reads pickles without running them.

A pickle is a program for a small stack machine; two of its instructions import names and call them, and that is how a
checkpoint can run code. Here the instructions come from `pickletools.genops`, which only parses, and are carried out
by the few lines below. They import nothing and call nothing: a name is a pair of strings, an object is a `Record` of
the name of its class and its attributes. Names outside the allow-list (`names`) are refused before anything is built
from them.
"""

import pickletools
import struct
from collections.abc import Callable
from typing import Any, NoReturn

from torch import Tensor

from painn_ase.errors import ModelError
from painn_ase.importers.names import MAKERS, Name, Record, fill, is_class, is_storage, is_value, plain

_TENSOR = ("torch._utils", "_rebuild_tensor_v2")
_SUBCLASS = (
    "torch._tensor",
    "_rebuild_from_type_v2",
)  # a tensor or parameter with attributes: function, type, arguments
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
}
_LITERALS = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
_LITERALS |= {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_SKIP = {"PROTO", "FRAME", "STOP"}


class Unpickler:
    """One reading of one pickle.

    `packages` are top-level packages whose classes become records ("schnetpack"). `load_storage` turns a persistent
    id into a storage, `make_tensor` (storage, offset, size, stride) into a tensor; both must check what they get.
    `advice` ends the refusal of a name. What is copied may not outgrow the pickle itself: a list can be named again in
    two bytes, and copied as often.
    """

    def __init__(
        self,
        packages: frozenset[str],
        load_storage: Callable[[Any], Any],
        make_tensor: Callable[[Any, Any, Any, Any], Tensor],
        advice: str = "",
    ) -> None:
        self.packages = packages
        self.load_storage = load_storage
        self.make_tensor = make_tensor
        self.advice = advice
        self.budget = 0  # entries that may still be copied
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def load(self, data: bytes) -> Any:
        """What the pickle describes. Raises `ModelError` for a damaged pickle and for names that are not allowed."""
        self.budget = len(data)
        try:
            for opcode, argument, _ in pickletools.genops(data):
                self._step(opcode.name, argument)
            (result,) = self.stack
            return result
        except ModelError:
            raise
        except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, struct.error) as error:
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
        elif op == "FROZENSET":
            self._replace_mark(frozenset(map(plain, stack)))
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
            target.update((plain(key), value) for key, value in zip(items[::2], items[1::2], strict=True))
        elif op == "ADDITEMS" and type(target) is set:
            target.update(map(plain, items))
        else:
            raise TypeError(f"{op} on an object that is not a container")

    def _name(self, module: Any, name: Any) -> Name:
        if not isinstance(module, str) or not isinstance(name, str):
            raise TypeError("a name that is not text")
        found = Name(module, name)
        if not name.isidentifier() or not self._allowed(found):
            self._refuse(found)
        return found

    def _allowed(self, name: Name) -> bool:
        return (
            (name.module, name.name) in (_TENSOR, _SUBCLASS)
            or (name.module, name.name) in MAKERS
            or is_storage(name)
            or is_value(name)
            or is_class(name, self.packages)
        )

    def _called(self, called: Any, arguments: Any) -> Any:
        """What the pickle wants `called` to make of `arguments`; nothing is called but lines of this package."""
        if not isinstance(called, Name) or not isinstance(arguments, tuple):
            raise TypeError("a call of something that is not a name")
        key = (called.module, called.name)
        if key == _TENSOR:
            return self.make_tensor(*arguments[:4])
        if key == _SUBCLASS:
            function, _, inner, _ = arguments
            if not isinstance(function, Name) or (function.module, function.name) != _TENSOR:
                raise TypeError("a tensor that torch does not write")
            return self.make_tensor(*inner[:4])
        if key in MAKERS:
            self._spend(sum(len(part) for part in arguments if isinstance(part, (list, tuple, dict, set, str, bytes))))
            return MAKERS[key](*arguments)
        if is_class(called, self.packages):
            return Record(called)
        self._refuse(called)

    def _build(self, state: Any) -> None:
        target = self.stack[-1]
        if type(target) is dict or isinstance(target, Tensor):
            return  # attributes of an OrderedDict: the version notes of a state dict
        if not isinstance(target, Record):
            raise TypeError("attributes for something that is not a module")
        self._spend(len(state) if type(state) is dict else 0)
        fill(target, state)

    def _spend(self, entries: int) -> None:
        self.budget -= entries
        if self.budget < 0:
            raise ModelError("damaged checkpoint: its pickle copies more than it holds")

    def _refuse(self, name: Name) -> NoReturn:
        raise ModelError(
            f"the checkpoint asks for {str(name)[:200]!r}, which is not among the names that a PaiNN checkpoint needs. "
            f"Nothing was executed. {self.advice}".rstrip()
        )

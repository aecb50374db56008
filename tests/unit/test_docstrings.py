"""The reference for users: every public function says what it returns, and lists its parameters where they are many."""

import dataclasses
import inspect
import re
from importlib import import_module

import pytest

PARTS = "simulate spectra training reference testing coverage neighbors representations heads backends"
PUBLIC = ("painn_ase", *(f"painn_ase.{part}" for part in PARTS.split()))
MANY = 5


def public() -> list:
    for module in map(import_module, PUBLIC):
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isfunction(thing) or inspect.isclass(thing):
                yield pytest.param(thing, id=f"{module.__name__}.{name}")


@pytest.mark.parametrize("thing", list(public()))
def test_it_has_a_docstring(thing):
    assert inspect.getdoc(thing)


@pytest.mark.parametrize("thing", list(public()))
def test_many_parameters_are_listed_one_a_line(thing):
    callables = [thing]
    if inspect.isclass(thing):
        callables += [member for name, member in vars(thing).items() if inspect.isfunction(member) and name[0] != "_"]
    for each in callables:
        if dataclasses.is_dataclass(each) and not each.__dataclass_params__.init:
            continue
        try:
            names = [name for name in inspect.signature(each).parameters if name != "self"]
        except ValueError:
            continue
        if len(names) >= MANY:
            text = inspect.getdoc(each) or ""
            if dataclasses.is_dataclass(each):
                text += "\n" + inspect.getsource(each)
            listed, field = r"^\s*\**(\w+, )*{0}(, \w+)*: ", r"^    {0}: .*  # "
            pattern = field + "|" + listed if dataclasses.is_dataclass(each) else listed
            missing = [n for n in names if not re.search(pattern.format(n), text, re.MULTILINE)]
            assert not missing, f"{each.__qualname__} lists no {', '.join(missing)}"

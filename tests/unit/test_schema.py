"""One schema for model folders, training configurations and architectures: keys, types and ranges from annotations."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from painn_ase.errors import InputError, ModelError
from painn_ase.model import Model
from painn_ase.schema import as_annotated, at_least, between, check_keys, from_table


@dataclass(frozen=True)
class Inner:
    kind: Literal["one", "two"] = "one"
    share: float = between(0.0, 1.0, 0.5)


@dataclass(frozen=True)
class Outer:
    files: tuple[Path, ...]
    inner: Inner = Inner()
    count: int = at_least(1, 3)
    flag: bool = False


def test_a_table_becomes_its_dataclass_with_defaults_and_paths_of_its_folder():
    table = {"files": "a.xyz", "inner": {"share": 1}, "flag": True}
    assert from_table(Outer, table, folder=Path("/data")) == Outer((Path("/data/a.xyz"),), Inner(share=1.0), flag=True)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, r"\[files\] is missing"),
        ({"files": 3}, r"\[files\]: expected a path in quotes; got 3"),
        ({"files": "a", "inner": []}, r"\[inner\]: expected a table; got \[\]"),
        ({"files": "a", "inner": {"kind": "on"}}, r"\[inner\] kind: expected one of 'one', 'two'; got 'on'; did you"),
        ({"files": "a", "inner": {"share": 2}}, r"\[inner\] share: expected a number from 0.0 to 1.0; got 2.0"),
        ({"files": "a", "count": 0}, r"\[count\]: expected a number >= 1; got 0"),
        ({"files": "a", "flag": 1}, r"\[flag\]: expected true or false; got 1"),
        ({"files": "a", "cuont": 1}, "unknown key 'cuont'; did you mean 'count'"),
    ],
)  # fmt: skip
def test_every_mistake_says_what_was_expected_and_what_came(table, message):
    with pytest.raises(InputError, match=message):
        from_table(Outer, table)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (int | None, [None, 3], [3.0, True, "3"]),
        (Sequence[int] | None, [None, [1, 2], (1, 2)], [[1, 2.5], 3, "12"]),
        (dict[str, float], [{"a": 1}], [{"a": "b"}, 1]),
        (float, [1, 2.5], [True, None, "2.5"]),
        (Any, [object, None, 1], []),
    ],
)
def test_values_are_what_annotations_say(kind, good, bad):
    for value in good:
        as_annotated(kind, value, "x")
    for value in bad:
        with pytest.raises(InputError, match=r"\[x(\.a)?\]?.*: expected .*; got "):
            as_annotated(kind, value, "x")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"features": True}, "PaiNN features: expected a whole number; got True"),
        ({"shared_filters": "false"}, "PaiNN shared_filters: expected true or false; got 'false'"),
        ({"cutoff": "5"}, "PaiNN cutoff: expected a number; got '5'"),
        ({"radial": {"kind": "bessel", "count": 2.5}}, "BesselFunctions count: expected a whole number; got 2.5"),
        ({"radial": {"kind": "besel"}}, "expected one of bessel, .*; got 'besel'; did you mean 'bessel'"),
    ],
)
def test_architectures_are_held_to_the_types_of_their_classes_wherever_they_come_from(options, message):
    """Before, only model folders were: a TOML file or a dictionary with "false" built a network where it was true."""
    architecture = {"representation": {"kind": "painn", "features": 8, **options}, "heads": {"energy": {}}}
    with pytest.raises(InputError, match=message):
        Model.from_config({**architecture, "elements": [1]})


def test_the_class_of_the_error_is_that_of_the_file():
    with pytest.raises(ModelError, match="checkpoint: unknown key 'b'; known: a"):
        check_keys("checkpoint", {"b": 1}, optional=("a",), error=ModelError)
    with pytest.raises(ModelError, match="checkpoint: expected a table; got 3"):
        check_keys("checkpoint", 3, error=ModelError)

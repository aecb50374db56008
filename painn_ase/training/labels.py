"""Labels as the command line names them, and as a trained model remembers them."""

from collections.abc import Iterable

from painn_ase.data import Label
from painn_ase.errors import InputError
from painn_ase.model import Model
from painn_ase.training.config import check_labels


def parse_labels(words: Iterable[str]) -> dict[str, Label]:
    """Labels from words like "forces=REF_forces:eV/Å", that is PROPERTY=KEY:UNIT.

    Raises `InputError` for words of another form, unknown properties and units.
    """
    labels = {}
    for word in words:
        name, equals, rest = word.partition("=")
        key, colon, unit = rest.rpartition(":")
        if not (name and equals and key and colon and unit):
            raise InputError(f"label: expected PROPERTY=KEY:UNIT, for example forces=REF_forces:eV/Å; got {word!r}")
        labels[name] = Label(key, unit)
    check_labels(labels)
    return labels


def trained_labels(model: Model) -> dict[str, Label]:
    """The label keys and units that `model` was trained with. Raises `InputError` if it does not say."""
    try:
        stored = model.provenance["training"]["data"]["labels"]
        return {
            name: Label(label["key"], label["unit"], tuple(label.get("also", ()))) for name, label in stored.items()
        }
    except (KeyError, TypeError):
        raise InputError(
            f"model {model.name!r} does not record label keys; name them, for example --label energy=KEY:UNIT"
        ) from None

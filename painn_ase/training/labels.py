"""Labels as the command line names them, and as a trained model remembers them."""

from collections.abc import Iterable, Sequence

from ase import Atoms

from painn_ase.data import Label
from painn_ase.data.labels import check_label_keys, dialects, keys_of, raw_label
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


def present_labels(labels: dict[str, Label], frames: Sequence[Atoms]) -> tuple[dict[str, Label], str]:
    """Those of a model's labels that some frame has, and a sentence about the others: empty where there are none.

    Raises `InputError` where no frame has any.
    """
    found = {name: label for name, label in labels.items() if any(raw_label(a, label) is not None for a in frames)}
    absent = [name for name in labels if name not in found]
    if not found:
        check_label_keys(frames, labels)
    if not absent:
        return found, ""
    keys = keys_of(frames)
    hints = []
    for name in absent:
        meant = [key for key in dialects(name, keys) if key not in {k for label in found.values() for k in label.keys}]
        hints += [f"--label {name}={meant[0]}:UNIT, if {meant[0]!r} is it"] if meant else []
    said = ", ".join(f"{name} ({labels[name].key!r})" for name in absent)
    return found, f"not compared, since no frame has it: {said}" + "".join(f"; {hint}" for hint in hints)


def trained_charge(model: Model) -> str | float:
    """Where `model` found the total charge of a frame: the key in info, or the one charge of all frames in e."""
    stored = model.provenance.get("training", {}).get("data", {}).get("charge", "charge")
    return stored if isinstance(stored, str | int | float) else "charge"


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

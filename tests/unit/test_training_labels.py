"""Label words of the command line."""

import pytest

from painn_ase.errors import InputError
from painn_ase.training import Label, parse_labels, trained_labels

from helpers.random_models import random_model


def test_label_words_name_property_key_and_unit():
    labels = parse_labels(["forces=REF_forces:eV/Å", "energy=E:kcal/mol"])
    assert labels == {"forces": Label("REF_forces", "eV/Å"), "energy": Label("E", "kcal/mol")}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("forces", "PROPERTY=KEY:UNIT"),
        ("forces=F", "PROPERTY=KEY:UNIT"),
        ("force=F:eV/Å", "did you mean 'forces'"),
        ("energy=E:ev", "did you mean 'eV'"),
    ],
)
def test_wrong_label_words_are_named(word, message):
    with pytest.raises(InputError, match=message):
        parse_labels([word])


def test_model_without_training_asks_for_labels():
    with pytest.raises(InputError, match="--label"):
        trained_labels(random_model())

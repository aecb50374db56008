"""What a calculator may change while it lives, and devices that a machine does not have."""

import pytest

from painn_ase import PaiNNCalculator
from painn_ase.errors import InputError
from painn_ase.training.device import choose_device


def test_settings_that_make_another_calculator_and_unknown_ones_are_refused():
    calculator = PaiNNCalculator("ethanol-small")
    with pytest.raises(InputError, match="did you mean 'skin'"):
        calculator.set(skinn=0.1)
    with pytest.raises(InputError, match="make another one: PaiNNCalculator"):
        calculator.set(dtype="float64")
    calculator.set(skin=0.1, dtype="float32")  # the value it has


def test_a_device_that_cannot_be_used_is_refused_with_the_way_out():
    assert choose_device("cpu").type == "cpu"
    with pytest.raises(InputError, match="'cpu' always can"):
        choose_device("nonsense")

"""The parts of a learning calculator: threshold, tables, sides of the split."""

import pytest
from ase.build import molecule

from painn_ase.learning.judge import FIRST, Judge
from painn_ase.learning.record import Table


def test_threshold_is_a_guess_before_anything_was_measured():
    assert Judge(None, 0.2).threshold == pytest.approx(0.2 / FIRST)
    assert Judge(0.07, 0.2, [(0.1, 9.0)] * 40).threshold == 0.07


def test_four_in_five_structures_below_the_threshold_are_within_the_tolerance():
    """Errors of 1 to 10 times the disagreement, evenly: at tolerance/8.2 the tolerance is kept by 80 %."""
    judge = Judge(None, 0.2, [(0.01, 0.01 * ratio) for ratio in range(1, 11)])
    assert judge.threshold == pytest.approx(0.2 / 8.2)  # NumPy's linear quantile of 1 to 10
    for _ in range(40):
        judge.learn(molecule("H2"), "audit", 0.1, 0.2)  # only the latest 40 count
    assert judge.threshold == pytest.approx(0.1)


def test_a_row_that_a_kill_left_half_written_is_cut_off(tmp_path):
    path = tmp_path / "calls.csv"
    table = Table(path, ("one", "two"))
    table.add({"one": 1, "two": 0.5})
    table.add({"one": 2})
    with open(path, "a") as file:
        file.write("3,0.")
    again = Table(path, ("one", "two"))
    assert again.rows == [{"one": "1", "two": "0.5"}, {"one": "2", "two": ""}]
    assert again.numbers("one", "two") == [(1.0, 0.5)]
    again.add({"one": 3, "two": 1.0})
    assert path.read_text() == "one,two\n1,0.5\n2,\n3,1\n"

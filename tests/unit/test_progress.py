"""Long work shows where it is: a bar on a terminal, lines in a log, nothing where nobody asked."""

import io
import sys

import pytest

from painn_ase.progress import Meter, duration


class Terminal(io.StringIO):
    def isatty(self):
        return True


def worked(monkeypatch, stream, **options):
    monkeypatch.setattr(sys, "stderr", stream)
    with Meter(5, "epoch", "train", **options) as shown:
        for k in range(options.get("initial", 0), 5):
            shown.update(f"forces {k} meV/Å")
    return stream.getvalue()


def test_a_log_gets_the_first_and_the_last_line_and_what_is_due_between(monkeypatch):
    lines = worked(monkeypatch, io.StringIO()).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("train: epoch 1 of 5 after 0 s, about 0 s left; forces 0 meV/Å")
    assert lines[1] == "train: epoch 5 of 5 after 0 s; forces 4 meV/Å"
    assert len(worked(monkeypatch, io.StringIO(), every=0.0).splitlines()) == 5
    assert len(worked(monkeypatch, io.StringIO(), every=0.0, initial=3).splitlines()) == 2


def test_a_terminal_gets_a_bar_and_nobody_nothing(monkeypatch):
    assert "5/5" in worked(monkeypatch, Terminal())
    assert worked(monkeypatch, io.StringIO(), shown=False) == ""


@pytest.mark.parametrize(("seconds", "text"), [(8, "8 s"), (89, "89 s"), (720, "12 min"), (12240, "3.4 h")])
def test_durations_read_well(seconds, text):
    assert duration(seconds) == text

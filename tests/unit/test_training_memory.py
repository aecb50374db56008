"""Malloc's thresholds around a training run."""

import pytest

from painn_ase.training import memory


def test_thresholds_are_raised_inside_the_block_and_lowered_after_an_error(monkeypatch):
    calls = []
    monkeypatch.setattr(memory, "_mallopt", lambda: lambda option, value: calls.append((option, value)))
    with pytest.raises(ZeroDivisionError), memory.memory_kept():
        len(calls) / 0
    assert calls[:2] == [(-1, 1 << 30), (-3, 1 << 30)]
    assert calls[2:] == [(-1, 64 << 20), (-3, 32 << 20)]


def test_without_glibc_the_block_runs_as_it_is(monkeypatch):
    monkeypatch.setattr(memory, "_mallopt", lambda: None)
    with memory.memory_kept():
        pass

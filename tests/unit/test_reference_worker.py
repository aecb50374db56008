"""A worker process of `label` has the threads it was given, ends at Ctrl-C, and outlives nobody.

That workers die with a killed parent is shown with real processes in test_label.py; here is what each function does.
"""

import os
import signal
import threading

import pytest

from painn_ase.reference import worker

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Ended(BaseException):
    """What the end of the process is here."""


@pytest.fixture
def _restored(monkeypatch):
    for variable in VARIABLES:
        monkeypatch.setenv(variable, "7")
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_restored")
def test_worker_has_its_thread_count_and_dies_of_an_interrupt():
    threads = set(threading.enumerate())
    worker.start(3)
    assert [os.environ[variable] for variable in VARIABLES] == ["3", "3", "3"]
    assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    for thread in set(threading.enumerate()) - threads:  # this process has no parent to follow
        thread.join(10)
        assert not thread.is_alive()


def test_worker_ends_when_its_parent_has(monkeypatch):
    events = []

    class Parent:
        def join(self):
            events.append("waited")

    def end(code):
        events.append(code)
        raise Ended

    monkeypatch.setattr(worker, "parent_process", Parent)
    monkeypatch.setattr(os, "_exit", end)
    with pytest.raises(Ended):
        worker._follow_parent()
    assert events == ["waited", 1]


def test_files_opened_anew_for_writing_are_noted(monkeypatch, tmp_path):
    monkeypatch.setattr(worker, "_watching", False)
    hooks = []
    monkeypatch.setattr(worker.sys, "addaudithook", hooks.append)  # a real one would stay in this process
    with worker.watched() as written:
        (note,) = hooks
        note("open", (str(tmp_path / "a"), "w", 0))
        note("open", (tmp_path / "b", None, os.O_WRONLY | os.O_TRUNC))
        note("open", (str(tmp_path / "c"), "r", 0))
        note("open", (str(tmp_path / "d"), "a", 0))
        note("open", (3, "w", 0))
        note("open", ("/dev/null", "w", 0))
        note("open", (str(tmp_path), "w+b", 0))  # as tempfile opens files that have no name
        note("exec", ("w",))
        assert written == {str(tmp_path / "a"), str(tmp_path / "b")}
    with worker.watched() as written:
        assert not written
    assert len(hooks) == 1

"""What becomes of one structure, and of files that calculators write outside of the folders they were given."""

import numpy as np
import pytest
from ase.build import molecule

from painn_ase.errors import InputError, MissingPackageError
from painn_ase.reference import pool


def raises(error):
    def labeller(atoms):
        raise error

    return labeller


def test_whatever_is_raised_is_the_reason_of_that_structure():
    water = molecule("H2O")
    assert pool.attempt(raises(IndexError("line 3")), water) == "IndexError: line 3"
    assert pool.attempt(lambda atoms: {"energy": np.nan, "forces": np.zeros(3)}, water) == "not finite: energy"
    assert pool.attempt(lambda atoms: {"energy": 1.0}, water) == {"energy": 1.0}
    with pytest.raises(MissingPackageError):
        pool.attempt(raises(MissingPackageError("pyscf", "labels", "reference")), water)


def test_files_within_the_folder_of_a_labeller_are_its_own(monkeypatch):
    monkeypatch.setattr(pool.worker.sys, "addaudithook", lambda hook: None)

    class Writes:
        scratch = "/scratch/run"

        def __call__(self, atoms):
            pool.worker._note("open", ("/scratch/run/0/out", "w", 0))
            pool.worker._note("open", ("/fixed/out", "w", 0))
            return {"energy": 1.0}

    outcome, written = pool._watched(Writes(), molecule("H2O"))
    assert outcome == {"energy": 1.0}
    assert written == {"/fixed/out"}


def test_a_file_that_every_structure_writes_is_refused_and_files_of_their_own_are_not():
    places = pool._Places()
    assert list(places.sorted_out(0, "a", frozenset())) == [(0, "a")]
    assert list(places.sorted_out(1, "b", frozenset({"/x/1"}))) == []  # not known yet whether it is always this file
    assert list(places.sorted_out(2, "c", frozenset({"/x/2"}))) == [(1, "b"), (2, "c")]
    with pytest.raises(InputError, match="write '/x/2'"):
        list(places.sorted_out(3, "d", frozenset({"/x/2"})))
    first = pool._Places()
    assert list(first.sorted_out(0, "a", frozenset({"/y"}))) == []
    assert list(first.held_back()) == [(0, "a")]

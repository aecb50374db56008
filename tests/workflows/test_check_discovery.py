"""ASE finds the calculator: by its plugin system where it has one, and by name once registered."""

import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from ase.calculators.calculator import external_calculators, get_calculator_class, names

from painn_ase import PaiNNCalculator
from painn_ase.ase_plugin import register

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_entry_point_leads_ase_to_the_calculator(monkeypatch):
    plugins = pytest.importorskip("ase._4.plugins")
    tomllib = pytest.importorskip("tomllib")
    declared = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["entry-points"]["ase.plugins"]
    points = [EntryPoint(name, value, "ase.plugins") for name, value in declared.items()]
    monkeypatch.setattr("ase._4.plugins.plugin_collection.entry_points", lambda group: points)
    (found,) = plugins.PluginCollection.from_entry_points().calculators
    assert found.name == "painn"
    assert found.implementation is PaiNNCalculator
    assert "painn_ase.ase_plugin" in found.display()


def test_ase_lists_the_calculator_on_its_command_line(tmp_path):
    """As an installed package would be found: by the metadata of a distribution on the path."""
    pytest.importorskip("ase._4.plugins")
    metadata = tmp_path / "listed-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: listed\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[ase.plugins]\npainn = painn_ase.ase_plugin\n")
    command = [sys.executable, "-m", "ase", "info", "--plugins"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert "painn" in done.stdout


def test_importing_the_plugin_imports_no_network():
    script = "import sys, painn_ase.ase_plugin; assert not {'torch', 'painn_ase.calculator'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_registered_class_is_found_by_name(monkeypatch):
    monkeypatch.setattr("ase.calculators.calculator.external_calculators", dict(external_calculators))
    before = list(names)
    try:
        register()
        register()  # harmless
        assert get_calculator_class("painn") is PaiNNCalculator
    finally:
        names[:] = before

"""Results show themselves: one line at a prompt, their text or a curve in a notebook, never a dump of fields."""

import inspect
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

import painn_ase
from painn_ase import PaiNNCalculator, relax, run_md, vibrations
from painn_ase.simulate import Analysis, Report
from painn_ase.spectra import Spectrum, infrared, raman
from painn_ase.structures import read_structure
from painn_ase.training.evaluate import Comparison, Evaluation

RNG = np.random.default_rng(0)
SETTINGS = {"timestep": 0.5, "temperature": 300, "resolution": 100, "unit": "e·Å"}


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    atoms = read_structure("water")
    atoms.calc = PaiNNCalculator("water", dtype="float64")
    folder = tmp_path_factory.mktemp("run")
    relax(atoms, fmax=1e-3, progress=False)
    modes = vibrations(atoms)
    run = run_md(atoms, steps=5, path=folder / "water", progress=False)
    spectrum = infrared(RNG.normal(size=(2, 2000, 3)), **SETTINGS)
    scattering = raman(RNG.normal(size=(2, 2000, 1, 1)) * np.eye(3), **(SETTINGS | {"unit": "Å³"}))
    row = np.zeros((4000, 3))
    evaluation = Evaluation({"forces": Comparison("forces", row, row, row, np.full(4000, ""))}, 10)
    report = Report(folder, {"infrared": spectrum, "raman": scattering}, {"method": "mine <b>"}, {}, modes)
    return [atoms.calc, run, modes, spectrum, scattering, evaluation, report]


def test_a_prompt_shows_one_line_with_the_name_of_the_class(shown):
    for thing in shown:
        line = repr(thing)
        assert line.startswith(f"{type(thing).__name__}(")
        assert len(line.splitlines()) == 1
        assert len(line) < 400
        assert " object at 0x" not in line


def test_a_notebook_shows_text_or_curves_that_are_whole_html(shown):
    for thing in shown[1:]:
        html = thing._repr_html_()
        ET.fromstring(f"<div>{html.replace('<br>', '<br/>')}</div>")
        assert len(html) < 60_000
    assert "mine &lt;b&gt;" in shown[-1]._repr_html_()


def test_the_lines_say_what_matters(shown):
    calc, run, modes, spectrum, _, evaluation, report = map(repr, shown)
    assert "'water', float64" in calc
    assert "forces" in calc
    assert "NVT of H2O, 5 steps" in run
    assert re.search(r"3 modes, 1\d{3}\.\d to 3\d{3}\.\d cm", modes)
    assert "infrared" in spectrum
    assert "km/mol" in spectrum
    assert "forces 0 meV/Å" in evaluation
    assert "infrared, raman" in report


def test_a_curve_keeps_the_highest_point_in_sight():
    wavenumbers = np.arange(100.0)
    html = Spectrum(wavenumbers, np.where(wavenumbers == 50, 7.0, 0.0), unit="x")._repr_html_()
    heights = [float(point.split(",")[1]) for point in re.search(r'points="([^"]*)"', html)[1].split()]
    assert int(np.argmin(heights)) == 50
    assert min(heights) == 0.0


def test_the_constructor_of_the_calculator_explains_itself():
    assert "help(PaiNNCalculator)" in inspect.getdoc(PaiNNCalculator.__init__)
    assert Analysis().resolution == 10.0


def test_progress_bars_are_those_of_the_place():
    """tqdm.auto: a widget in a notebook, text on a terminal; a bar of text leaves hundreds of outputs in a cell."""
    sources = Path(painn_ase.__file__).parent.rglob("*.py")
    found = [
        line for path in sources for line in path.read_text(encoding="utf-8").splitlines() if "import tqdm" in line
    ]
    assert found
    assert set(found) == {"from tqdm.auto import tqdm"}

"""Every example runs as it stands, in under a minute."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("[0-9]*.py"))


@pytest.mark.filterwarnings("ignore", "error::DeprecationWarning:painn_ase")
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_example_runs(path, tmp_path, monkeypatch, capsys):
    """In this process, which has imported everything already: a third of the time."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setattr(sys, "argv", [str(path)])
    try:
        runpy.run_path(str(path), run_name="__main__")
    except SystemExit as end:
        assert end.code in (0, None)  # noqa: PT017
    assert capsys.readouterr().out.strip(), "an example shows something"
    assert not list(tmp_path.iterdir()), "an example leaves nothing behind"


@pytest.mark.parametrize(
    "path", [EXAMPLES[0], *(pytest.param(p, marks=pytest.mark.slow) for p in EXAMPLES[1:])], ids=lambda p: p.stem
)
def test_example_runs_in_a_process_of_its_own(path, tmp_path):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:painn_ase", str(path)],
        cwd=tmp_path, capture_output=True, text=True, timeout=240, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip(), "an example shows something"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_example_is_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) < 80

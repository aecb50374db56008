"""What others install: a wheel made from the source distribution, without this repository."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("setuptools") is None or find_spec("pip") is None, reason="needs pip and setuptools")
def test_the_wheel_of_the_source_distribution_has_sources_and_models(tmp_path):
    """Without a compiler, which makes it quick: the library is optional, the sources for LAMMPS' plugin are not."""
    copy = tmp_path / "copy"
    for name in ("painn_ase", "models"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("*.so", "__pycache__", "plugin"))
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "constraints.txt"):
        shutil.copy(ROOT / name, copy)
    environment = {**os.environ, "CC": "false", "CXX": "false"}
    run([sys.executable, "setup.py", "-q", "sdist", "-d", str(tmp_path)], copy, environment)
    archive = next(tmp_path.glob("*.tar.gz"))
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", str(archive)]
    run([*command, "-w", str(tmp_path)], tmp_path, environment)
    names = set(ZipFile(next(tmp_path.glob("*.whl"))).namelist())
    for kind in ("native/csrc/*.cpp", "native/csrc/*.h*", "lammps/csrc/*"):
        files = {str(path.relative_to(ROOT)) for path in (ROOT / "painn_ase").glob(kind)}
        assert files
        assert not files - names
    for model in (ROOT / "models").glob("*/model.json"):
        folder = f"painn_ase/bundled/{model.parent.name}"
        assert {f"{folder}/{name}" for name in ("model.json", "weights.safetensors", "card.md")} <= names


def run(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]

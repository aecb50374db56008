"""The kernel under the address and undefined-behaviour sanitizers, with the tests of this folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def runtime(compiler: str, name: str) -> str | None:
    """Path of a sanitizer's run-time library, or None if the compiler has none."""
    path = subprocess.run([compiler, f"-print-file-name={name}"], capture_output=True, text=True).stdout.strip()
    return path if Path(path).is_absolute() and Path(path).exists() else None


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_kernel_is_clean_under_sanitizers(tmp_path):
    libraries = [runtime("g++", name) for name in ("libasan.so", "libubsan.so", "libstdc++.so")]
    if None in libraries:
        pytest.skip("g++ has no sanitizer libraries here")
    # Compiled in a third of the time and checked at least as well: the last -O counts, and line numbers need no more.
    compiler = tmp_path / "compiler"
    compiler.write_text('#!/bin/sh\nexec g++ "$@" -O1 -g1\n')
    compiler.chmod(0o755)
    flags = "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
    places = [f"--build-lib={tmp_path}", f"--build-temp={tmp_path / 'obj'}"]
    build = [sys.executable, "setup.py", "-q", "build_ext", *places]
    tools = dict.fromkeys(("CC", "CXX"), str(compiler)) | dict.fromkeys(("CFLAGS", "CXXFLAGS"), flags)
    environment = os.environ | tools | {"LDFLAGS": "-fsanitize=address,undefined"}
    subprocess.run(build, cwd=ROOT, env=environment, check=True, capture_output=True)
    (library,) = tmp_path.rglob("_native*.so")
    environment = os.environ | {
        "PAINN_ASE_NATIVE_LIBRARY": str(library),
        "LD_PRELOAD": " ".join(libraries),
        # leaks are the interpreter's; the rest is checked
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1:verify_asan_link_order=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    names = ("test_native_parity.py", "test_native_backend.py", "test_passes_backend.py")
    names += ("test_native_domains.py", "test_training_gradients.py", "test_training_steps.py")
    tests = [str(HERE / name) for name in names]
    # pickling and forking are about processes, energy conservation is about time: no memory is touched in a new way
    chosen = ["-k", "not fork and not conserved"]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *chosen, *tests]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]

"""Every promise in docs/reliability.md names tests that exist, and tests that it says are slow are slow."""

import ast
import re
from pathlib import Path

import pytest

from painn_ase.testing import CHECKS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`( \(slow\))?", PAGE)


def test_promises_name_their_tests():
    assert len(NAMED) >= 30
    for line in PAGE.partition("## Promises")[2].splitlines():
        if line.startswith("| ") and "kept by" not in line:
            assert "::test_" in line, line


@pytest.mark.parametrize(("file", "name", "slow"), NAMED, ids=[name for _, name, _ in NAMED])
def test_named_test_exists_and_takes_as_long_as_the_page_says(file, name, slow):
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    assert found, f"{file} has no {name}"
    marks = [ast.unparse(d) for d in found[0].decorator_list]
    marks += [
        ast.unparse(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and "pytestmark" in ast.unparse(node)
    ]
    assert any(re.search(r"\bslow\b", mark) and "pytest.param(" not in mark for mark in marks) == bool(slow)


def test_table_of_findings_has_every_check():
    rows = {line.split("|")[1].strip() for line in PAGE.splitlines() if line.startswith("|")}
    assert set(CHECKS) <= rows, "run benchmarks/check_ase_calculators.py"

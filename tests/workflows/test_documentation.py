"""The documentation does what it shows: tutorials run, commands parse, options are explained."""

import argparse
import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from painn_ase.cli import parser

DOCS = Path(__file__).parents[2] / "docs"
TUTORIALS = sorted((DOCS / "tutorials").glob("*.md"))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize(
    "page", [p for p in [*TUTORIALS, DOCS / "index.md"] if blocks(p, "python")], ids=lambda p: p.stem
)
def test_python_of_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in blocks(page, "python"):
        exec(compile(block, page.name, "exec"), names)


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda p: p.relative_to(DOCS).as_posix())
def test_commands_of_a_page_are_accepted_by_the_parser(page):
    for block in blocks(page, "bash"):
        lines = block.replace("\\\n", " ").splitlines()
        commands = [shlex.split(line, comments=True) for line in lines if line.startswith("painn-ase ")]
        for words in commands:
            assert callable(parser().parse_args(words[1:]).run)


def verbs() -> dict[str, argparse.ArgumentParser]:
    (action,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(action.choices)


@pytest.mark.parametrize("verb", sorted(verbs()))
def test_every_option_says_what_it_does(verb):
    silent = [a.dest for a in verbs()[verb]._actions if not a.help]
    assert not silent


def test_plain_docstrings_become_lists_of_parameters():
    spec = importlib.util.spec_from_file_location("plain_docstrings", DOCS / "_extensions" / "plain_docstrings.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def energy(positions, cell=None):
        """"""

    lines = [
        "The energy |E| in eV.",
        "",
        "positions: in `Å`, (n, 3);",
        "    wrapped or not",
        "cell: (3, 3)",
        "Raises `E`.",
    ]
    module.process(None, "function", "energy", energy, None, lines)
    assert lines == [
        "The energy \\|E\\| in eV.", "",
        ":param positions: in ``Å``, (n, 3); wrapped or not", ":param cell: (3, 3)", "",
        "Raises ``E``.", "",
    ]  # fmt: skip

"""What the README shows works as printed: its Python tour, its commands, its links."""

import re
import shlex
from pathlib import Path

import pytest

from painn_ase.cards.render import models_table
from painn_ase.cli import parser

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_tour_runs_as_printed(tmp_path, monkeypatch, capsys):
    (tour,) = blocks("python")
    assert len(tour.splitlines()) <= 20
    monkeypatch.chdir(tmp_path)
    exec(compile(tour, "README.md", "exec"), {})
    assert "ethanol_300K.h5" in capsys.readouterr().out
    assert (tmp_path / "ethanol_300K.traj").exists()


def test_table_of_models_is_what_their_headers_say():
    assert models_table() in README


def test_commands_are_accepted_by_the_parser():
    lines = [line.split("#")[0] for block in blocks("bash") for line in block.splitlines()]
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("painn-ase")]
    assert len(commands) >= 5
    for words in commands:
        assert callable(parser().parse_args(words).run)


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))])
def test_links_to_files_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)", text):
        if not target.startswith(("http", "mailto")):
            assert ((ROOT / page).parent / target).exists(), target

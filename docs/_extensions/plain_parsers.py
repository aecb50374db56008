"""The parsers for the page of the command line: their texts are plain, and every character stands for itself."""

import argparse
import re

from plain_docstrings import text_of

from painn_ase import cli

_FILLED_IN = re.compile(r"(%\(\w+\)s)")


def parser() -> argparse.ArgumentParser:
    """`painn-ase` with descriptions and help as Sphinx reads them."""
    top = cli.parser()
    _mark(top)
    return top


def _mark(p: argparse.ArgumentParser) -> None:
    p.description, p.epilog = _marked(p.description), _marked(p.epilog)
    for group in p._action_groups:
        group.description = _marked(group.description)
    for action in p._actions:
        action.help = _marked(action.help)
        if isinstance(action, argparse._SubParsersAction):
            for choice in action._choices_actions:
                choice.help = _marked(choice.help)
            for verb in set(action.choices.values()):
                _mark(verb)


def _marked(text: str | None) -> str | None:
    if text is None or text == argparse.SUPPRESS:
        return text
    return "".join(part if k % 2 else text_of(part) for k, part in enumerate(_FILLED_IN.split(text)))

"""Turns the package's docstrings, which are plain text, into what Sphinx reads.

A docstring is made of paragraphs. Lines "name: meaning, unit, shape" about the object's parameters become its list of
parameters, which comments behind the fields of a data class complete. "Raises `Error` ..." begins a paragraph, indented
blocks are code, `words` in backticks are code, and every other character stands for itself.
"""

import dataclasses
import inspect
import re
from typing import Any

_PARAMETER = re.compile(r"(\*{0,2}\w+(?:, \*{0,2}\w+)*): (.*)")
_FIELD = re.compile(r"    (\w+): .*?  # (.*)")
_SPECIAL = re.compile(r"([\\*|_])")


def text_of(line: str) -> str:
    """`line` with its code marked and every other special character escaped."""
    parts = line.split("`")
    if len(parts) % 2 == 0:  # an odd backtick is a character
        return _SPECIAL.sub(r"\\\1", line).replace("`", r"\`")
    return "".join(f"``{part}``" if odd % 2 else _SPECIAL.sub(r"\\\1", part) for odd, part in enumerate(parts))


def fields_of(block: list[str], names: set[str]) -> list[str] | None:
    """The block as a list of parameters if each of its entries names one."""
    entries: list[list[str]] = []
    for line in block:
        match = _PARAMETER.fullmatch(line)
        if match and all(name.lstrip("*") in names for name in match[1].split(", ")):
            entries.append([match[1], match[2]])
        elif entries:
            entries[-1][1] += " " + line.strip()
        else:
            return None
    return [f":param {text_of(name)}: {text_of(meaning)}" for name, meaning in entries]


def parameters_of(what: str, thing: Any) -> set[str]:
    """The names of parameters, or of the fields of a data class."""
    try:
        names = set(inspect.signature(thing).parameters)
    except (TypeError, ValueError):
        names = set()
    return names | set(getattr(thing, "__annotations__", {})) if what == "class" else names


def comments_of(thing: Any) -> dict[str, str]:
    """The comment behind each field of a data class: `energy: float  # eV`."""
    if not dataclasses.is_dataclass(thing):
        return {}
    found = (_FIELD.match(line) for line in inspect.getsource(thing).splitlines())
    return {match[1]: match[2] for match in found if match}


def _listing(block: list[str]) -> list[str]:
    """Lines that begin with a dash or a star, and their continuations."""
    return [line[:2] + text_of(line[2:]) if line[:2] in ("- ", "* ") else text_of(line) for line in block]


def process(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Rewrites `lines` in place."""
    names = parameters_of(what, thing)
    out: list[str] = []
    block: list[str] = []

    def close() -> None:
        while block:
            at = next((k for k, line in enumerate(block) if k and starts_anew(block[k - 1], line, names)), len(block))
            out.extend(_rendered(block[:at], names))
            out.append("")
            del block[:at]

    for line in lines:
        if line.strip():
            block.append(line)
        else:
            close()
    close()
    listed = {line.split(":")[1].removeprefix("param ") for line in out if line.startswith(":param ")}
    comments = (
        {field: text for field, text in comments_of(thing).items() if field not in listed} if what == "class" else {}
    )
    out += [f":param {field}: {text_of(text)}" for field, text in comments.items()] + [""] * bool(comments)
    lines[:] = out


def starts_anew(before: str, line: str, names: set[str]) -> bool:
    """Whether `line` begins another kind of block than `before` is in."""
    match = _PARAMETER.fullmatch(line)
    parameter = bool(match) and all(name.lstrip("*") in names for name in match[1].split(", "))
    was = _PARAMETER.fullmatch(before) or before.startswith("  ")
    indents = line.startswith("    ") != before.startswith("    ")
    bullet = line[:2] in ("- ", "* ") and before[:2] not in ("- ", "* ", "  ")
    return line.startswith("Raises ") or (parameter and not was) or (indents and not was) or bullet


def _rendered(block: list[str], names: set[str]) -> list[str]:
    if all(line.startswith("    ") for line in block):
        return ["::", "", *block]
    if block[0][:2] in ("- ", "* "):
        return _listing(block)
    return fields_of(block, names) or [text_of(line) for line in block]


def setup(app: Any) -> dict[str, bool]:
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", process)
    return {"parallel_read_safe": True}

"""Objects by name: how a JSON or TOML description becomes a module."""

import inspect
from typing import Any

from painn_ase.errors import InputError, closest


def build(table: dict[str, Any], options: dict[str, Any], what: str, *arguments: Any) -> Any:
    """The class that options["kind"] names in `table`, called with the other options."""
    options = dict(options)
    kind = options.pop("kind", None)
    if kind not in table:
        raise InputError(f"{what}: expected one of {', '.join(table)}; got {kind!r}{closest(str(kind), table)}")
    accepted = list(inspect.signature(table[kind]).parameters)[len(arguments) :]
    for name in options:
        if name not in accepted:
            raise InputError(f"{what} {kind!r}: unknown option {name!r}{closest(name, accepted)}")
    return table[kind](*arguments, **options)

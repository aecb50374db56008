"""Objects by name: how a JSON or TOML description becomes a module."""

from typing import Any

from painn_ase.errors import choice
from painn_ase.schema import check_keys, check_options, options_of


def build(table: dict[str, Any], options: dict[str, Any], what: str, *arguments: Any) -> Any:
    """The class that options["kind"] names in `table`, called with `arguments` and the other options.

    Raises `InputError` for an unknown name or option, and for an option of another type than the class declares.
    """
    options = dict(options)
    kind = choice(what, options.pop("kind", None), table)
    accepted = list(options_of(table[kind]))[len(arguments) :]
    check_keys(f"{what} {kind!r}", options, optional=accepted, what="option")
    check_options(table[kind], options)
    return table[kind](*arguments, **options)

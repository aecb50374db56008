"""Versions of the packages that decide about the last digits of a result."""

import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version


def versions(*packages: str) -> dict[str, str]:
    """Those of Python and of the `packages` that are installed, by name."""
    found = {"python": platform.python_version()}
    for package in packages:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found

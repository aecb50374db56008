"""The command line `painn-ase`: one file per verb, each a thin layer over a public function."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from painn_ase import __version__
from painn_ase.errors import PainnError

VERBS = (
    "info",
    "md",
    "relax",
    "vibrations",
    "spectrum",
    "rpmd",
    "ipi_driver",
    "convert",
    "train",
    "evaluate",
    "card",
    "import_",
    "sample",
    "label",
    "select",
    "bench",
    "check",
)


def parser() -> argparse.ArgumentParser:
    """The parser with every verb registered; heavy modules are imported only when a verb runs."""
    top = argparse.ArgumentParser(prog="painn-ase", description="Trained PaiNN networks for atomistic simulation.")
    top.add_argument("--version", action="version", version=f"painn-ase {__version__}")
    top.add_argument("-v", "--verbose", action="store_true", help="log what is chosen and done")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb in VERBS:
        import_module(f"painn_ase.cli.{verb}").add_parser(verbs)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb; returns 0, 1 after an error the user can mend or a check that failed, 130 after Ctrl-C."""
    options = parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
    )
    try:
        code = options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output has gone, as in `painn-ase info | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (PainnError, OSError) as error:  # also a file that may not be read, a folder on a full disk
        print(f"painn-ase {options.verb}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"painn-ase {options.verb}: interrupted", file=sys.stderr)
        return 130
    return code or 0

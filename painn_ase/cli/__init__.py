"""The command line `painn-ase`: one file per verb, each a thin layer over a public function."""

import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from painn_ase import __version__
from painn_ase.cli.arguments import Parser, UsageError, refuse_existing
from painn_ase.errors import NotConverged, PainnError, SimulationError, StorageError, closest

VERBS = (
    "info",
    "md",
    "relax",
    "vibrations",
    "spectrum",
    "rpmd",
    "ipi_driver",
    "lammps",
    "convert",
    "build",
    "train",
    "evaluate",
    "card",
    "import_",
    "sample",
    "label",
    "select",
    "bench",
    "check",
    "completion",
)


def parser() -> Parser:
    """The parser with every verb registered; heavy modules are imported only when a verb runs."""
    top = Parser(prog="painn-ase", description="Trained PaiNN networks for atomistic simulation.")
    top.add_argument("--version", action="version", version=f"painn-ase {__version__}")
    top.add_argument("-v", "--verbose", action="store_true", help="log what is chosen and done")
    verbs = top.add_subparsers(dest="verb", metavar="VERB")
    for verb in VERBS:
        import_module(f"painn_ase.cli.{verb}").add_parser(verbs)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb. Returns 0 when all went well; 1 when it ran and the outcome is bad (a check failed, a run was
    stopped by its guards or a full disk, nothing converged); 2 when it could not be done as asked; 130 after Ctrl-C."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    top = parser()
    try:
        _check_verb(top, words)
        options = top.parse_args(words)
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    if options.verb is None:
        top.print_help()
        return 0
    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
    )
    try:
        refuse_existing(options)
        code = options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output has gone, as in `painn-ase info | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (PainnError, OSError) as error:  # also a file that may not be read, a folder on a full disk
        print(f"painn-ase {options.verb}: {error}", file=sys.stderr)
        return 1 if isinstance(error, SimulationError | NotConverged | StorageError) else 2
    except KeyboardInterrupt:
        print(f"painn-ase {options.verb}: interrupted", file=sys.stderr)
        return 130
    return code or 0


def _check_verb(top: Parser, words: list[str]) -> None:
    """Ends with the nearest verb where the first word is none."""
    verb = next((word for word in words if not word.startswith("-")), None)
    known = [name.rstrip("_").replace("_", "-") for name in VERBS]
    if verb is not None and verb not in known:
        top.error(f"expected one of {', '.join(known)}; got {verb!r}{closest(verb, known)}")

"""`painn-ase ipi-driver`: answers an i-PI server with energies and forces of a model."""

import argparse
import sys

from painn_ase.cli.arguments import number, whole, without_effect
from painn_ase.cli.common import add_structure_and_model, structure_with_calculator


def add_parser(verbs: argparse._SubParsersAction) -> None:
    p = verbs.add_parser("ipi-driver", help="be a force provider of i-PI", description=__doc__)
    add_structure_and_model(p)
    p.add_argument("--unix", metavar="NAME", help="UNIX socket /tmp/ipi_NAME, or its path")
    p.add_argument("--host", default="localhost", help="of a TCP socket (default: %(default)s)")
    p.add_argument("--port", type=whole(1), default=31415, help="of a TCP socket (default: %(default)s)")
    p.add_argument("--extras", nargs="*", default=[], metavar="PROPERTY", help="dipole and polarizability, as JSON")
    p.add_argument(
        "--patience", type=number(least=0), default=60.0, help="seconds to try to connect (default: %(default)s)"
    )
    p.add_argument("--pes-path", action="store_true", help="print the file for i-PI's <ffdirect> and end")
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from painn_ase.engines.ipi import direct, serve

    if options.pes_path:
        print(direct.__file__)
        return
    if options.unix is not None:
        without_effect(options, ["host", "port"], "the socket is that of --unix")
    serve(
        structure_with_calculator(options),
        unix=options.unix,
        host=options.host,
        port=options.port,
        extras=tuple(options.extras),
        patience=options.patience,
        report=lambda text: print(text, file=sys.stderr, flush=True),
    )

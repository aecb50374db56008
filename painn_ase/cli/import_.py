"""`painn-ase import`: a model folder from another code's PaiNN checkpoint, without running anything in it."""

import argparse
from pathlib import Path

from painn_ase.cli.arguments import folder, source
from painn_ase.cli.common import add_overwrite
from painn_ase.importers import DIALECTS


def add_parser(verbs: argparse._SubParsersAction) -> None:
    p = verbs.add_parser("import", help="import a PaiNN checkpoint of another code", description=__doc__)
    dialects = p.add_subparsers(
        dest="dialect", required=True, metavar="DIALECT", help="the code that wrote the checkpoint"
    )
    for name, dialect in DIALECTS.items():
        d = dialects.add_parser(name, help=dialect.code, description=f"Imports a checkpoint of {dialect.code}.")
        d.add_argument("checkpoint", type=source, help=dialect.file)
        d.add_argument("folder", type=folder, help="model folder to write")
        for option, text in dialect.options.items():
            d.add_argument("--" + option.replace("_", "-"), help=text)
        add_overwrite(d)
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from painn_ase.errors import InputError
    from painn_ase.importers import convert
    from painn_ase.importers.card import card
    from painn_ase.model_files import HEADER

    header = Path(options.folder) / HEADER
    if header.exists() and not options.overwrite:
        raise InputError(f"{options.folder} holds a model already; choose another folder or pass --overwrite")
    asked = ((name, getattr(options, name)) for name in DIALECTS[options.dialect].options)
    given = {name: value for name, value in asked if value is not None}
    if options.elements:
        given["elements"] = options.elements.split(",")
    print(card(convert(options.dialect, options.checkpoint, options.folder, **given)))

"""`painn-ase info`: what is installed, and what a model is."""

import argparse

from painn_ase.cli.arguments import source


def add_parser(verbs: argparse._SubParsersAction) -> None:
    p = verbs.add_parser("info", help="list bundled models, or describe one", description=__doc__)
    p.add_argument("model", nargs="?", type=source, help="bundled name or model folder")
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from painn_ase.cards.render import describe_installation, describe_model

    print(describe_model(options.model) if options.model else describe_installation())

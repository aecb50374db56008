"""`painn-ase train`: fit a model to labelled structures."""

import argparse

from painn_ase.cli.arguments import source


def add_parser(verbs: argparse._SubParsersAction) -> None:
    p = verbs.add_parser("train", help="train a model from a TOML file", description=__doc__)
    p.add_argument("config", type=source, help="TOML file; models/ethanol/train.toml is an example")
    p.add_argument("--resume", action="store_true", help="continue an interrupted run, to the same result")
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from painn_ase.training import load_config, train

    trained = train(load_config(options.config), resume=options.resume)
    for part, evaluation in trained.evaluations.items():
        print(f"\n{part} ({evaluation.structures} structures)\n{evaluation.table()}")
    state = "finished" if trained.finished else "interrupted or out of time; --resume continues"
    print(f"\n{state} after {trained.epochs} epochs, best epoch {trained.best_epoch}; model: {trained.folder}")

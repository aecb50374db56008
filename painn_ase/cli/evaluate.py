"""`painn-ase evaluate`: errors of a model on labelled structures."""

import argparse

from painn_ase.cli.arguments import new_file, source
from painn_ase.cli.common import add_overwrite


def add_parser(verbs: argparse._SubParsersAction) -> None:
    p = verbs.add_parser("evaluate", help="compare a model with labelled structures", description=__doc__)
    p.add_argument("model", type=source, help="bundled name or model folder")
    text = "extended XYZ files or ASE databases; FILE@::5 takes every fifth frame"
    p.add_argument("data", nargs="+", type=source, help=text)
    text = "label key and unit, e.g. forces=REF_forces:eV/Å (default: those the model was trained with)"
    p.add_argument("--label", action="append", default=[], metavar="PROPERTY=KEY:UNIT", help=text)
    p.add_argument("--group", metavar="KEY", help="also separate errors by this entry of info, e.g. source")
    p.add_argument("--plot", type=new_file, metavar="PNG", help="write a parity plot")
    p.add_argument("--card", metavar="NAME", help="store the errors in the model's header and card under this name")
    add_overwrite(p)
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from painn_ase.checkpoint import find_model, load_model, save_model
    from painn_ase.describe import render_card
    from painn_ase.training import evaluate_model, parity_plot, parse_labels, read_frames, trained_labels

    folder = find_model(options.model)
    model = load_model(folder)
    labels = parse_labels(options.label) if options.label else trained_labels(model)
    print("labels: " + ", ".join(f"{name} = {label.key} in {label.unit}" for name, label in labels.items()))
    evaluation = evaluate_model(model, read_frames(options.data), labels, group=options.group)
    print(evaluation.table())
    if options.plot:
        print(f"parity plot: {parity_plot(evaluation, options.plot)}")
    if options.card:
        model.errors[options.card] = evaluation.to_dict()
        save_model(model, folder, card=render_card(model))
        print(f"errors stored in {folder}")

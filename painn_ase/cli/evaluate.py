"""`painn-ase evaluate`: errors of a model on labelled structures."""

import argparse

from painn_ase.cli.arguments import new_file, number, source
from painn_ase.cli.common import add_overwrite


def add_parser(verbs: argparse._SubParsersAction) -> None:
    p = verbs.add_parser("evaluate", help="compare a model with labelled structures", description=__doc__)
    p.add_argument("model", type=source, help="bundled name or model folder")
    text = "extended XYZ files or ASE databases; FILE@::5 takes every fifth frame"
    p.add_argument("data", nargs="+", type=source, help=text)
    text = "label key and unit, e.g. forces=REF_forces:eV/Å (default: those the model was trained with)"
    p.add_argument("--label", action="append", default=[], metavar="PROPERTY=KEY:UNIT", help=text)
    text = "total charge of all frames in e (default: from the files, as in the training)"
    p.add_argument("--charge", type=number(), help=text)
    p.add_argument("--group", metavar="KEY", help="also separate errors by this entry of info, e.g. source")
    p.add_argument("--plot", type=new_file, metavar="PNG", help="write a parity plot")
    p.add_argument("--card", metavar="NAME", help="store the errors in the model's header and card under this name")
    add_overwrite(p)
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from painn_ase.cards.render import render_card
    from painn_ase.errors import InputError
    from painn_ase.model_files import find_model, load_model, save_model
    from painn_ase.training import (
        evaluate_model,
        parity_plot,
        parse_labels,
        present_labels,
        read_frames,
        trained_labels,
    )

    if options.card is not None and not options.card.strip():
        raise InputError(f"--card: expected a name for the errors, like 'test'; got {options.card!r}")
    folder = find_model(options.model)
    model = load_model(folder)
    frames = read_frames(options.data)
    if options.label:
        labels, absent = parse_labels(options.label), ""
    else:
        labels, absent = present_labels(trained_labels(model), frames)
    print("labels: " + ", ".join(f"{name} = {label.key} in {label.unit}" for name, label in labels.items()))
    if absent:
        print(absent)
    evaluation = evaluate_model(model, frames, labels, group=options.group, charge=options.charge)
    print(evaluation.table())
    print(evaluation.coverage())
    if options.plot:
        print(f"parity plot: {parity_plot(evaluation, options.plot)}")
    if options.card:
        model.errors[options.card] = evaluation.to_dict()
        save_model(model, folder, card=render_card(model))
        print(f"errors stored in {folder}")

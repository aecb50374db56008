"""`painn-ase import`: a model folder from another code's PaiNN checkpoint, without running anything in it."""

import argparse

from painn_ase.importers import DIALECTS


def add_parser(verbs: argparse._SubParsersAction) -> None:
    p = verbs.add_parser("import", help="import a PaiNN checkpoint of another code", description=__doc__)
    p.add_argument("dialect", choices=DIALECTS, help="the code that wrote the checkpoint")
    p.add_argument("checkpoint", help="e.g. SchNetPack's best_model, or a state dict with --hyperparameters")
    p.add_argument("folder", help="model folder to write")
    p.add_argument("--energy-unit", help="what the network computes in: eV, kcal/mol, Hartree, ... (not in the file)")
    p.add_argument("--length-unit", help="Ang, Bohr, nm")
    p.add_argument("--dipole-unit", help="e*Ang, Debye, a.u., ... if it predicts dipoles")
    p.add_argument("--polarizability-unit", help="e^2Ang^2/eV, Ang^3, a.u., ... if it predicts polarizabilities")
    p.add_argument("--elements", help="comma-separated symbols it was trained on, e.g. C,H,O (others are refused)")
    p.add_argument("--energy-key", help="which output is the energy (neuralforcefield with several states)")
    p.add_argument("--hyperparameters", metavar="JSON", help="network description for a bare state dict")
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from painn_ase.importers import convert
    from painn_ase.importers.card import card

    words = ("energy_unit", "length_unit", "dipole_unit", "polarizability_unit", "energy_key", "hyperparameters")
    given = {word: getattr(options, word) for word in words if getattr(options, word) is not None}
    if options.elements:
        given["elements"] = options.elements.split(",")
    print(card(convert(options.dialect, options.checkpoint, options.folder, **given)))

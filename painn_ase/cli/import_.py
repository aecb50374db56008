"""`painn-ase import`: a model folder from another code's PaiNN checkpoint, without running anything in it."""

import argparse
from pathlib import Path

from painn_ase.cli.arguments import folder, source
from painn_ase.cli.common import add_overwrite
from painn_ase.importers import DIALECTS

_ABOUT = {
    "schnetpack": ("SchNetPack 2.x", "best_model, or a state dict with --hyperparameters"),
    "curator": ("DTU's curator and cPaiNN; eV and Å", "file of torch.save with model, num_layer, node_size and cutoff"),
    "neuralforcefield": ("NeuralForceField (nff)", "pickled Painn, or a state dict with --hyperparameters"),
}
_OPTIONS = {
    "energy_unit": "what the network computes in: eV, kcal/mol, Hartree, ... (not in the file)",
    "length_unit": "Ang, Bohr, nm",
    "dipole_unit": "e*Ang, Debye, a.u., ... if it predicts dipoles",
    "polarizability_unit": "e^2Ang^2/eV, Ang^3, a.u., ... if it predicts polarizabilities",
    "elements": "comma-separated symbols it was trained on, e.g. C,H,O (others are refused)",
    "energy_key": "which output is the energy, where there are several",
    "hyperparameters": "JSON file with the description of the network, for a bare state dict",
}
_FIXED = {
    ("curator", "energy_unit"): "eV, and no other",
    ("curator", "length_unit"): "Ang, and no other",
    ("neuralforcefield", "energy_unit"): "what the network computes in (default: kcal/mol)",
    ("neuralforcefield", "length_unit"): "Ang, Bohr, nm (default: Ang)",
}
# those of each dialect's `load`
OPTIONS = {
    "schnetpack": (
        "energy_unit", "length_unit", "dipole_unit", "polarizability_unit", "elements", "hyperparameters",
    ),
    "curator": ("energy_unit", "length_unit", "elements"),
    "neuralforcefield": ("energy_unit", "length_unit", "energy_key", "elements", "hyperparameters"),
}  # fmt: skip


def add_parser(verbs: argparse._SubParsersAction) -> None:
    p = verbs.add_parser("import", help="import a PaiNN checkpoint of another code", description=__doc__)
    dialects = p.add_subparsers(
        dest="dialect", required=True, metavar="DIALECT", help="the code that wrote the checkpoint"
    )
    for dialect in DIALECTS:
        code, file = _ABOUT[dialect]
        d = dialects.add_parser(dialect, help=code, description=f"Imports a checkpoint of {code}.")
        d.add_argument("checkpoint", type=source, help=file)
        d.add_argument("folder", type=folder, help="model folder to write")
        for name in OPTIONS[dialect]:
            d.add_argument("--" + name.replace("_", "-"), help=_FIXED.get((dialect, name), _OPTIONS[name]))
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
    asked = ((name, getattr(options, name)) for name in OPTIONS[options.dialect])
    given = {name: value for name, value in asked if value is not None}
    if options.elements:
        given["elements"] = options.elements.split(",")
    print(card(convert(options.dialect, options.checkpoint, options.folder, **given)))

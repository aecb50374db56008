"""The codes whose PaiNN checkpoints are read: what each is called, what its files hold, and what they do not say."""

from dataclasses import dataclass, field

_UNITS = {
    "energy_unit": "what the network computes in: eV, kcal/mol, Hartree, ... (not in the file)",
    "length_unit": "Ang, Bohr, nm",
}
_TENSORS = {
    "dipole_unit": "e*Ang, Debye, a.u., ... if it predicts dipoles",
    "polarizability_unit": "e^2Ang^2/eV, Ang^3, a.u., ... if it predicts polarizabilities",
}
_ELEMENTS = {"elements": "comma-separated symbols it was trained on, e.g. C,H,O (others are refused)"}
_HYPERPARAMETERS = {"hyperparameters": "JSON file with the description of the network, for a state dict alone"}


@dataclass(frozen=True)
class Dialect:
    """What is known of a code's checkpoints before one is opened."""

    code: str  # its name and version, for people
    file: str  # which of its files are read
    tensors: tuple[str, ...]  # texts that only its state dicts hold
    options: dict[str, str] = field(default_factory=dict)  # keywords of its `load`, each with its help


DIALECTS = {
    "schnetpack": Dialect(
        "SchNetPack 2.x",
        "best_model, or a state dict with --hyperparameters",
        ("interatomic_context_net", "intraatomic_context_net"),
        {**_UNITS, **_TENSORS, **_ELEMENTS, **_HYPERPARAMETERS},
    ),
    "curator": Dialect(
        "DTU's curator and cPaiNN; eV and Å",
        "file of torch.save with model, num_layer, node_size and cutoff",
        ("scalar_message_mlp",),
        {"energy_unit": "eV, and no other", "length_unit": "Ang, and no other", **_ELEMENTS},
    ),
    "neuralforcefield": Dialect(
        "NeuralForceField (nff)",
        "pickled Painn, or a state dict with --hyperparameters",
        ("inv_message", "inv_dense"),
        {
            "energy_unit": "what the network computes in (default: kcal/mol)",
            "length_unit": "Ang, Bohr, nm (default: Ang)",
            "energy_key": "which output is the energy, where there are several",
            **_ELEMENTS,
            **_HYPERPARAMETERS,
        },
    ),
}

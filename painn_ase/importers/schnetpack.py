"""SchNetPack 2.x: PaiNN checkpoints, pickled whole (`best_model`) or as a state dict with hyperparameters.

SchNetPack 2.0: doi:10.1063/5.0138367. `schnetpack_modules` reads the pickled form, `schnetpack_weights` translates.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch import Tensor

from painn_ase.errors import ModelError
from painn_ase.importers.archive import naming, read_hyperparameters, read_tensors, read_torch
from painn_ase.importers.card import provenance
from painn_ase.importers.names import Record
from painn_ase.importers.recognise import refuse_strangers
from painn_ase.importers.schnetpack_modules import describe
from painn_ase.importers.schnetpack_weights import translate
from painn_ase.importers.translation import ForeignUnits, build
from painn_ase.model import Model

DIALECT = "SchNetPack"
_ADVICE = (
    "If the model is your own, save its state dict (torch.save(model.state_dict(), FILE)) and import that with "
    "--hyperparameters (docs/importing.md)"
)


def load(
    path: str | Path,
    *,
    energy_unit: str,
    length_unit: str,
    dipole_unit: str | None = None,
    polarizability_unit: str | None = None,
    elements: Iterable[int | str] | None = None,
    hyperparameters: str | Path | dict[str, Any] | None = None,
) -> Model:
    """The PaiNN model of a SchNetPack 2.x checkpoint, in eV and Å.

    path: a `best_model` (a pickled module; nothing in it is executed), or a state dict (.npz, .safetensors, or a file
        of torch.save) together with its `hyperparameters`
    energy_unit, length_unit: of the network; units are not in the files
    dipole_unit, polarizability_unit: needed if the network has such heads
    elements: those the model shall accept; by default those with an atomic reference energy, or all
    hyperparameters: of a state dict, a dictionary or JSON file (docs/importing.md)

    Tensor heads measure positions from the centre of mass, which SchNetPack leaves to its data transforms.

    Raises `ModelError` for damaged files, for code in them, and for parts without a counterpart here, each by name;
    `InputError` for units and elements.
    """
    path = Path(path)
    foreign = ForeignUnits(energy_unit, length_unit, dipole_unit, polarizability_unit)
    refuse_strangers(path, "schnetpack", described=hyperparameters is not None)
    tensors, given = _read(path, hyperparameters)
    with naming(path):
        translation = translate(tensors, given)
        model = build(translation, foreign, elements)
    model.name = path.name
    model.provenance = provenance(path, f"{DIALECT} {given.get('version', '2.x')}", foreign, translation.notes)
    return model


def _read(path: Path, hyperparameters: str | Path | dict[str, Any] | None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    if hyperparameters is None:
        root = read_torch(path, packages=frozenset({"schnetpack"}), advice=_ADVICE)
        if not isinstance(root, Record):
            raise ModelError(
                f"{path}: expected a pickled schnetpack model; the file holds a {type(root).__name__}. If it is a "
                "state dict, give its hyperparameters"
            )
        with naming(path):
            return describe(root)
    return read_tensors(path), read_hyperparameters(hyperparameters)

"""What an imported model says of its origin."""

import hashlib
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ase.data import chemical_symbols

from painn_ase.importers.translation import ForeignUnits
from painn_ase.model import Model
from painn_ase.model_files import save_model


def provenance(path: Path, dialect: str, foreign: ForeignUnits, notes: list[str]) -> dict[str, Any]:
    """Where an imported model comes from: file, checksum, dialect, units converted."""
    return {
        "imported": {
            "from": dialect,
            "file": path.name,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "units": {name: unit for name, unit in vars(foreign).items() if unit is not None},
            "notes": notes,
            "date": datetime.now(timezone.utc).date().isoformat(),
        }
    }


def card(model: Model) -> str:
    """The card of an imported model: what it is, where it comes from, what was converted."""
    origin = model.provenance["imported"]
    r = model.representation.config
    used = ", ".join(chemical_symbols[z] for z in model.elements) if len(model.elements) < 90 else "not known"
    converted = "\n".join(f"- {name}: {unit}" for name, unit in origin["units"].items())
    notes = "\n".join(f"- {note}" for note in origin["notes"]) or "- none"
    return f"""# {model.name}

Imported from a {origin["from"]} checkpoint, `{origin["file"]}` (sha256 {origin["sha256"][:16]}...), {origin["date"]}.

PaiNN with {r["features"]} features, {r["interactions"]} interactions, {r["radial"]["kind"]} radial functions and a
cutoff of {r["cutoff"]:g} Å, {sum(p.numel() for p in model.parameters())} parameters.
Predicts {", ".join(sorted(model.properties))}. Elements: {used}.

## Units
The importer was told that the checkpoint computes in
{converted}

and converted it to eV, Å, e·Å and e²Å²/eV. If that was wrong, every number is wrong: compare one energy and one force
with the code the checkpoint came from.

## Notes
{notes}

Accuracy, training data and level of theory are those of the original; they are not in the checkpoint.
"""


def write(model: Model, folder: str | Path) -> Model:
    """Writes an imported model with its card to `folder`, whose name becomes the model's, and returns the model."""
    model.name = Path(folder).resolve().name
    save_model(model, folder, card=card(model))
    return model

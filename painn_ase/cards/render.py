"""What people read about a model: the card beside its weights, and the text of `painn-ase info`."""

from typing import Any

import torch
from ase.data import chemical_symbols

from painn_ase import __version__
from painn_ase.cards.sections import check_sections, error_table
from painn_ase.cards.sections import table as _table
from painn_ase.model import Model
from painn_ase.model_files import bundled_models, find_model, load_model, read_header
from painn_ase.native.library import library, why_unavailable
from painn_ase.properties import TRAINABLE


def describe_installation() -> str:
    """The package's and torch's versions and the bundled models, as text."""
    reason = why_unavailable()
    kernel = f"not available: {reason}" if reason else f"{library().painn_instruction_set(b'').decode()}"
    lines = [f"painn_ase {__version__}, torch {torch.__version__}", f"native kernel: {kernel}", "", "bundled models:"]
    for name, folder in bundled_models().items():
        header = read_header(folder)
        elements = ", ".join(chemical_symbols[z] for z in header["model"]["elements"])
        size = sum(f.stat().st_size for f in folder.iterdir() if f.is_file()) / 2**20
        lines.append(f"  {name:<14} {elements:<10} {', '.join(header['properties'])} ({size:.1f} MB)")
    if not bundled_models():
        lines.append("  none found")
    return "\n".join(lines)


def models_table() -> str:
    """The bundled models as the README lists them, in Markdown: elements, properties, size, errors on test data."""
    rows = []
    for name, folder in bundled_models().items():
        header = read_header(folder)
        network = header["model"]["representation"]
        test = header["errors"].get("test", {}).get("properties", {})
        crystal = "stress" in test  # every model of an energy has a stress; this one learned it
        shown = [p for p in TRAINABLE if p in header["properties"] and (crystal or p != "stress")]
        judged = ["energy per atom" if crystal and p == "energy" else p for p in shown]
        errors = ", ".join(f"{p} {_two_digits(test[p]['mae'])} {test[p]['unit']}" for p in judged if p in test)
        about = header["provenance"].get("about", {})
        rows.append((
            f"[{name}](models/{name}/card.md)",
            ", ".join(chemical_symbols[z] for z in header["model"]["elements"]),
            ", ".join(shown),
            about.get("level of theory", ""),
            f"F = {network['features']}, T = {network['interactions']}",
            errors,
        ))  # fmt: skip
    return _table(
        ("model", "elements", "properties", "level of theory", "network", "MAE on held-out trajectories"), rows
    )


def _two_digits(value: float) -> str:
    return f"{value:.0f}" if value >= 99.5 else f"{value:.2g}"


def describe_model(name_or_path: str) -> str:
    """One model as text: its folder, then its card."""
    folder = find_model(name_or_path)
    return f"{folder}\n\n{render_card(load_model(folder))}"


def render_card(model: Model) -> str:
    """The card of a model in Markdown, made from its header alone: nothing in it is typed by hand."""
    sections = [f"# {model.name}", _summary(model), _training(model.provenance), _coverage(model)]
    sections += [_errors(model.errors), *check_sections(model.checks)]
    return "\n\n".join(section for section in sections if section) + "\n"


def _summary(model: Model) -> str:
    elements = ", ".join(chemical_symbols[z] for z in model.elements)
    network = model.config["representation"]
    parameters = sum(p.numel() for p in model.parameters())
    rows = {
        "elements": elements,
        "properties": ", ".join(sorted(model.properties)),
        "network": f"{network['kind']}, {network.get('features')} features, "
        f"{network.get('interactions')} interactions, cutoff {model.cutoff:g} Å, {parameters:,} parameters",
        **{key: str(value) for key, value in model.provenance.get("about", {}).items()},
    }
    return _table(("", ""), list(rows.items()))


def _coverage(model: Model) -> str:
    """What the coverage monitor knows, or that there is none."""
    title, coverage = "## Range of the training data", model.coverage
    if coverage is None:
        return (
            f"{title}\n\nNot stored with this model: nothing warns when a structure lies outside of what it was "
            "trained on."
        )
    pairs = [f"{chemical_symbols[a]}-{chemical_symbols[b]} {d:.2f}" for (a, b), d in coverage.closest.items()]
    kinds = [f"{len(e.prototypes)} of {chemical_symbols[z]}" for z, e in coverage.environments.items()]
    rows = [
        ("shortest distances (Å)", ", ".join(pairs)),
        ("largest force", "no labels" if coverage.force is None else f"{coverage.force:.3g} eV/Å"),
        ("prototypes of environments", ", ".join(kinds)),
        ("structures", str(coverage.structures)),
    ]
    return f"{title}\n\n{_table(('', ''), rows)}\n\nThe calculator warns once when a structure lies outside."


def _training(provenance: dict[str, Any]) -> str:
    if "training" not in provenance:
        return ""
    counts = ", ".join(f"{n} {part}" for part, n in provenance.get("structures", {}).items())
    rows = [
        ("structures", counts),
        ("epochs", f"{provenance.get('epochs')} (best: {provenance.get('best_epoch')})"),
        ("time", f"{provenance.get('seconds', 0) / 60:.0f} min"),
        ("date", str(provenance.get("date"))),
        ("versions", ", ".join(f"{k} {v}" for k, v in provenance.get("versions", {}).items())),
        *((f"sha256 of {name}", f"`{value}`") for name, value in provenance.get("data_sha256", {}).items()),
    ]
    return "## Training\n\n" + _table(("", ""), rows)


def _errors(errors: dict[str, Any]) -> str:
    """A table of errors per data set, and per group of frames where the set was grouped."""
    parts = []
    for part, found in errors.items():
        parts.append(
            f"## Errors: {part} ({found.get('structures', '?')} structures)\n\n" + error_table(found["properties"])
        )
        for group, members in found.get("groups", {}).items():
            parts.append(f"### {group}\n\n" + error_table(members))
    return "\n\n".join(parts)

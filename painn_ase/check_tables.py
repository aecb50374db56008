"""Measured checks of a model (`painn_ase.quality`), as its header keeps them, in Markdown for its card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from painn_ase.errors import ModelError


def check_sections(checks: dict[str, Any]) -> list[str]:
    """A section for each kind of check that was made. Raises `ModelError` for a damaged header."""
    writers = {"committee": _committee, "harmonic": _harmonic, "nve": _drift, "md": _dynamics}
    try:
        return [write(checks[kind]) for kind, write in writers.items() if kind in checks]
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ModelError(f"the model's header holds checks that cannot be read: {error!r}") from None


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    cells = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in cells)


def error_table(members: dict[str, Any]) -> str:
    """Errors by property, as `Evaluation.to_dict` gives them."""
    rows = [
        (name, f"{e['mae']:.3g}", f"{e['rmse']:.3g}", f"{e['max']:.3g}", e["unit"], str(e["count"]))
        for name, e in members.items()
    ]
    return table(("property", "MAE", "RMSE", "largest", "unit", "components"), rows)


def _committee(found: dict[str, Any]) -> str:
    errors = found["errors"]
    text = f"## Errors: mean of a committee of {len(found['members'])}, test ({errors['structures']} structures)\n\n"
    text += error_table(errors["properties"])
    for group, members in errors.get("groups", {}).items():
        text += f"\n\n### {group}\n\n" + error_table(members)
    if found.get("forces_std") is not None:
        text += (
            f"\n\nMembers: {', '.join(found['members'])}. Their forces deviate by {found['forces_std']:.3g} meV/Å per "
            f"atom on average (`forces_std`), their mean errs by {found['forces_error']:.3g}; rank correlation of the "
            f"two {found['rank_correlation']:.2f}."
        )
    return text


def _harmonic(found: dict[str, Any]) -> str:
    frequencies, modes = found["frequencies"], found["modes"]
    rows = [
        ("frequencies, mean absolute deviation", f"{frequencies['mae']:.2f} cm⁻¹"),
        (
            "worst above 400 cm⁻¹",
            f"{frequencies['worst_above_400']:+.1f} cm⁻¹ (at {frequencies['worst_at']:.0f} cm⁻¹)",
        ),
    ]
    kinds = (
        ("infrared", "infrared intensities", "km/mol", "10 % and 2 km/mol"),
        ("raman", "Raman activities", "Å⁴/amu", "15 %"),
    )
    for kind, name, unit, limit in kinds:
        if kind in found:
            s = found[kind]
            rows += [
                (f"{name}, correlation", f"{s['correlation']:.4f}"),
                ("largest deviation", f"{s['largest_deviation']:+.2f} {unit} (at {s['largest_at']:.0f} cm⁻¹)"),
                (f"strong bands off by more than {limit}", f"{s['strong_beyond']} of {s['strong']}"),
            ]
    rows += [
        ("smallest overlap of paired modes", f"{found['smallest_overlap']:.3f}"),
        ("distance of the minima (RMS)", f"{found['minima_rms']:.4f} Å"),
    ]
    head = ["reference cm⁻¹", "shift", "overlap"]
    columns = [[f"{x:.1f}" for x in modes["reference"]], [f"{x:+.1f}" for x in modes["shift"]]]
    columns.append([f"{x:.3f}" for x in modes["overlap"]])
    for kind, name, unit in (("infrared", "IR", "km/mol"), ("raman", "Raman", "Å⁴/amu")):
        if kind in found:
            head += [f"{name} {unit}", "model"]
            columns += [[f"{x:.2f}" for x in modes[f"{kind}_{side}"]] for side in ("reference", "model")]
    who = f", committee of {found['members']}" if found.get("members", 1) > 1 else ""
    text = f"## Harmonic check ({found['frames']} reference frames, model in float64{who})\n\n"
    text += f"{table(('', ''), rows)}\n\n{table(tuple(head), list(zip(*columns, strict=True)))}"
    if "picture" in found:
        text += f"\n\n![Reference and model: IR, Raman and shifts of the frequencies]({found['picture']})"
    return text


def _drift(found: dict[str, Any]) -> str:
    rows = [
        ("drift of the total energy", f"{found['drift']:+.2g} meV/atom/ps"),
        ("fluctuation", f"{found['fluctuation']:.2g} meV/atom"),
        ("run", f"{found['ps']:g} ps at {found['temperature_K']:.0f} K, steps of {found['timestep_fs']:g} fs"),
        ("backend", found["backend"]),
    ]
    return f"## Energy conservation (NVE, {found['formula']})\n\n{table(('', ''), rows)}"


def _dynamics(found: dict[str, Any]) -> str:
    head = ("temperature", "run", "bonds", "longest bond", "inside the training data", "speed")
    rows = [
        (
            kelvin,
            f"{r['ps']:g} of {r['asked_ps']:g} ps, {r['timestep_fs']:g} fs",
            r["stopped"] or r["broken"] or f"all {r['bonds']} intact",
            f"{r['longest_bond']:.2f} of its start",
            "unknown" if r["outside"] is None else f"{100 * (1 - r['outside']):.4g} % of frames",
            f"{r['steps_per_second']:.0f} steps/s",
        )
        for kelvin, r in found.items()
    ]
    text = f"## Long dynamics (Langevin; with beads: thermostatted ring polymers)\n\n{table(head, rows)}\n\n"
    text += "A bond is broken when it is longer than 1.5 times its length at the start."
    first = [f"{kelvin}: {r['first_outside']}" for kelvin, r in found.items() if r.get("first_outside")]
    return text + ("".join(f"\n\nFirst frame outside at {line}." for line in first))

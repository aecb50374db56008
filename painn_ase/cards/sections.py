"""Measured checks of a model (`painn_ase.cards.measure`), as its header keeps them, in Markdown for its card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from painn_ase.errors import ModelError


def check_sections(checks: dict[str, Any]) -> list[str]:
    """A section for each kind of check that was made. Raises `ModelError` for a damaged header."""
    writers = {
        "committee": _committee, "crystal": _crystal, "curvature": _curvature, "harmonic": _harmonic, "nve": _drift,
        "md": _dynamics,
    }  # fmt: skip
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


def _crystal(found: dict[str, Any]) -> str:
    state = "stable" if found["stable"] else "NOT STABLE"
    title = f"## The crystal at rest ({found['formula']}): {state}"
    if "failed" in found:
        return f"{title}\n\n{found['failed']}"
    lattice, lowest = found["phonons"], found["phonons"]["lowest"]
    size = "x".join(map(str, lattice["supercell"]))
    rows = [
        ("volume", f"{found['volume_per_atom']:.3f} Å³/atom"),
        ("bulk modulus", f"{found['elastic'][-1]['bulk_modulus']:.1f} GPa"),
        ("least eigenvalue of the elastic constants", f"{min(e['eigenvalues'][0] for e in found['elastic']):.1f} GPa"),
        ("lowest phonon away from Γ", f"{_wavenumber(lowest['frequency'])} at {_wave_vector(lowest['q'])}"),
        ("phonons at Γ", _several(lattice["gamma"][3:]) or "acoustic alone"),
    ]
    named: dict[str, list[str]] = {}
    for point in lattice["boundary"]:
        named.setdefault(_several(point["frequencies"]), []).append(_wave_vector(point["q"]))
    rows += [(f"phonons at {' '.join(points)}", frequencies) for frequencies, points in named.items()]
    text = f"{title}\n\n{table(('', ''), rows)}\n\n{_elastic(found['elastic'])}\n\n"
    return text + (
        f"In float64, at the model's own lattice constants. Phonons from a {size} supercell, wave vectors in units of "
        "the reciprocal vectors of the primitive cell; i: imaginary. Elastic constants from central differences of the "
        "stress; a crystal is stable if all eigenvalues are positive and no phonon away from Γ is imaginary."
    )


def _elastic(found: Sequence[dict[str, Any]]) -> str:
    """Cubic elastic constants in one table; full matrices, of the largest strain, where a crystal is not cubic."""
    ions = {False: "clamped", True: "relaxed"}
    if all(e["cubic"] for e in found):
        rows = [(ions[e["relaxed"]], f"{e['strain']:g}", *(f"{c:.1f}" for c in e["cubic"].values())) for e in found]
        return table(("ions", "strain", "C11 / GPa", "C12", "C44"), rows)
    axes = ("xx", "yy", "zz", "yz", "xz", "xy")
    parts = []
    for e in found:
        rows = [(axis, *(f"{c:.1f}" for c in row)) for axis, row in zip(axes, e["matrix"], strict=True)]
        parts.append(
            f"{ions[e['relaxed']].capitalize()} ions, strain {e['strain']:g}, GPa:\n\n{table(('', *axes), rows)}"
        )
    return "\n\n".join(parts)


def _wavenumber(value: float) -> str:
    return f"{abs(value):.1f}{'i' if value < 0 else ''} cm⁻¹"


def _several(values: Sequence[float]) -> str:
    """Distinct wavenumbers with their multiplicities."""
    counts: dict[str, int] = {}
    for value in values:
        counts[_wavenumber(value)] = counts.get(_wavenumber(value), 0) + 1
    return ", ".join(name.removesuffix(" cm⁻¹") + (f" ({n}x)" if n > 1 else "") for name, n in counts.items()) + (
        " cm⁻¹" if counts else ""
    )


def _wave_vector(q: Sequence[float]) -> str:
    return "(" + ", ".join(f"{x:.3g}" for x in q) + ")"


def _curvature(found: dict[str, Any]) -> str:
    low, high = found["amplitudes"]
    rows = [
        ("modes", str(found["modes"])),
        ("largest deviation", f"{100 * found['largest_deviation']:+.2f} %"),
        ("there: at the site", f"{_wavenumber(found['at_site'])}"),
        ("from finite amplitudes", f"{_wavenumber(found['extrapolated'])}"),
        ("mean deviation", f"{100 * found['mean_deviation']:.2f} %"),
    ]
    state = "smooth" if found["smooth"] else "NOT smooth"
    return (
        f"## Curvature at rest and at thermal amplitudes ({found['formula']}): {state}\n\n{table(('', ''), rows)}\n\n"
        f"Frequencies at the minimum against those from forces at {low:g} and {high:g} Å, extrapolated to zero "
        "amplitude. They agree for a smooth potential, however anharmonic; a deviation says that the energy bends "
        "within thermal motion, and that harmonic frequencies and elastic constants are not those of dynamics."
    )


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

"""Whether a model may be believed: criteria that the intended use decides, never disagreement or validation alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from painn_ase.cards.measure import committee, harmonic_check
from painn_ase.cards.measure.harmonic import STRONG
from painn_ase.errors import InputError
from painn_ase.model_files import load_model
from painn_ase.training import trained_labels

WORST = 3.0  # times the mean deviation that is good enough, for the worst frequency
FLAT = 0.9  # of the error before: an error that fell by less no longer falls
_GROWN = 1.2  # times the frames before, for that to mean anything
OUTSIDE = 0.001  # share of frames outside of the training data that is no more than rare events
_BAND, _FAINT = 0.1, 2.0  # of a band's intensity, and km/mol: deviations that are small enough
LENGTH = 100.0  # ps of dynamics, all trajectories together, that must be seen


@dataclass(frozen=True)
class Criterion:
    """One of the things that must hold; `holds` is None where it could not be judged, with the reason as the text."""

    name: str
    holds: bool | None
    text: str
    value: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def frequencies(
    models: Sequence[Path], frames: Sequence[Atoms], target: float, infrared: bool, temperature: float
) -> list[Criterion]:
    """Deviations of harmonic frequencies and, if `infrared`, of strong bands, from the reference's own.

    models: the committee
    frames: of the yardstick
    target: cm⁻¹, mean deviation that is good enough
    infrared: whether intensities count
    temperature: K; modes that turn freely at it, which have no harmonic frequency, are left out and named
    """
    try:
        check = harmonic_check([load_model(m) for m in models], frames, temperature=temperature)
    except InputError as error:
        return [Criterion("frequencies", False, str(error))]
    at, free = check.reference.frequencies, check.free
    shifts = np.where(free, 0.0, np.abs(check.shifts))
    worst = int(shifts.argmax())
    mean, far = check.mae, float(shifts[worst])
    text = (
        f"off by {mean:.1f} cm⁻¹ on average (asked: {target:g}) and by {far:.1f} at most (asked: {WORST * target:g}), "
        f"at {at[worst]:.0f} cm⁻¹"
    )
    if free.any():
        left_out = ", ".join(f"{abs(f):.0f}{'i' if f < 0 else ''}" for f in at[free])
        text += f"; left out, for it turns freely at {temperature:g} K: {left_out} cm⁻¹"
    found = [Criterion("frequencies", mean <= target and far <= WORST * target, text, mean)]
    strengths = check.strengths("infrared") if infrared else None
    if strengths is not None:
        found.append(bands(at, *strengths, 2 * WORST * target))
    return found


def bands(at: np.ndarray, reference: np.ndarray, model: np.ndarray, width: float) -> Criterion:
    """Whether a model's strong infrared bands have the intensities of the reference.

    at: wavenumbers of the reference's modes, (modes,) cm⁻¹
    reference, model: intensities of modes that belong together, (modes,) km/mol
    width: in cm⁻¹, within which modes count as one band

    Neighbouring modes mix, and exchange their intensities, when their frequencies are off by a fraction of their
    distance: a pair 26 cm⁻¹ apart gave 124 and 23 km/mol for 109 and 40 where both frequencies were right within 7 and
    the dipole's derivatives within 1 %. So a strong mode is judged together with all modes within `width` of it.
    """
    near = np.abs(at[:, None] - at[None]) <= width
    whole, off = near @ reference, np.abs(near @ (model - reference))
    strong = reference >= STRONG * reference.max()
    wrong = strong & (off > np.maximum(_BAND * whole, _FAINT))
    worst = int(np.where(strong, off / np.maximum(whole, 1e-12), -1.0).argmax())
    text = (
        f"{wrong.sum()} of {strong.sum()} strong bands deviate by more than {100 * _BAND:g} % and {_FAINT:g} km/mol, "
        f"at most {100 * off[worst] / whole[worst]:.0f} %, at {at[worst]:.0f} cm⁻¹; modes within {width:g} cm⁻¹ are "
        "one band"
    )
    return Criterion("infrared bands", not wrong.any(), text, float(wrong.sum()))


def force_error(models: Sequence[Path], frames: Sequence[Atoms]) -> float:
    """Mean absolute error of force components in meV/Å of the committee's mean on frames that trained none of it."""
    members = [load_model(m) for m in models]
    labels = {name: label for name, label in trained_labels(members[0]).items() if name in ("energy", "forces")}
    found = committee(members, frames, labels).evaluation
    return next(e.mae for e in found.errors if e.name == "forces")


def forces(error: float, wanted: float, before: tuple[float, int] | None, frames: int) -> Criterion:
    """Whether the honest force error is small enough, or falls no longer.

    error: of this round in meV/Å, on frames that were labelled before they could train anything
    wanted: in meV/Å
    before: that of the round before, and how many frames had trained then
    frames: that have trained now
    """
    text = f"honest error {error:.1f} meV/Å on frames of the committee's own dynamics (asked: {wanted:g})"
    if error <= wanted:
        return Criterion("forces", True, text, error)
    flat = before is not None and frames >= _GROWN * before[1] and error > FLAT * before[0]
    if flat and before is not None:
        text += f"; it no longer falls: {before[0]:.1f} with {before[1]} frames, now {frames}"
    return Criterion("forces", flat, text, error)


def dynamics(found: Mapping[str, Any]) -> Criterion:
    """Whether the intended dynamics (`Exploration.to_dict`) ran long enough inside of what training data covered."""
    text = found["sentence"]
    if found["first"]:
        text += f", such as: {found['first']}"
    long_enough = found["ps"] >= LENGTH
    if not long_enough:
        text += f"; {LENGTH:g} ps must be seen"
    return Criterion("dynamics", not found["broke"] and found["share"] <= OUTSIDE and long_enough, text, found["share"])


def believed(criteria: Sequence[Criterion]) -> bool:
    """Whether all that could be judged holds."""
    return all(c.holds is not False for c in criteria)

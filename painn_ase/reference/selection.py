"""Which frames to label: where models disagree, where the structures known so far are far, and some at random."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

import numpy as np
from ase import Atoms

from painn_ase.calculator import PaiNNCalculator
from painn_ase.errors import InputError
from painn_ase.model import Model
from painn_ase.model_files import load_model
from painn_ase.properties import FORCES_SPREAD
from painn_ase.reference.descriptors import distance_descriptors, environment_descriptors, model_descriptors

NEAR = 0.03  # of the median distance of frames of a composition from their mean: what lies nearer is a duplicate


def select(
    frames: Sequence[Atoms],
    count: int,
    *,
    models: Sequence[str | Path | Model] = (),
    known: Sequence[Atoms] = (),
    ceiling: float = np.inf,
    quotas: Mapping[str, int] | Literal["even"] | None = None,
    audits: int = 0,
    seed: int = 0,
) -> list[Atoms]:
    """At most `count` of the frames, the most useful first, without near duplicates of each other and of `known`.

    frames: proposals
    count: how many to choose
    models: two or more: frames they disagree about and that are far from what is chosen and known, the largest product
        of disagreement and distance first; one: those farthest in the features of that model; none: the same in sorted
        distances, or by environments where frames are of several compositions or periodic
    known: frames that are labelled already
    ceiling: with two or more models, frames with a larger `forces_std` (eV/Å) are left out as broken geometries
    quotas: how many of each source, info["source"]: "even" for as many of each kind (what "_min0" follows), or
        numbers by pattern, {"*_md_300K*": 20, "*wigner*": 10}; what they leave of `count` comes from other sources
    audits: so many of `count` are drawn at random from all frames: the error of models on these is honest
    seed: of the random draw

    info["selected"] says why: "disagreement", "distance" or "audit". With two or more models the largest `forces_std`
    of a frame goes into info["forces_std"]. Raises `InputError` for impossible requests.
    """
    if count < 1 or not frames or not 0 <= audits <= count:
        raise InputError(
            f"select: expected frames, a count >= 1 and at most as many audits; got {len(frames)} frames, count "
            f"{count} and {audits} audits"
        )
    scores = disagreement(frames, PaiNNCalculator(models)) if len(models) > 1 else None
    open_to = np.ones(len(frames), dtype=bool) if scores is None else scores <= ceiling
    drawn = np.random.default_rng(seed).permutation(np.flatnonzero(open_to))[:audits]
    open_to[drawn] = False
    groups, most = _groups(frames, count - len(drawn), quotas, open_to)
    rows = _described([*frames, *known], models)
    chosen = farthest_points(
        rows[: len(frames)],
        count - len(drawn),
        np.concatenate([rows[len(frames) :], rows[drawn]]),
        weights=scores,
        apart=NEAR * _spread(frames, rows[: len(frames)]),
        groups=np.where(open_to, groups, -1),
        most=np.append(most, 0),  # of frames that are not open
    )
    if scores is not None:
        chosen = chosen[np.argsort(-scores[chosen], kind="stable")]
    return [*_marked(frames, chosen, scores), *_marked(frames, drawn, scores, "audit")]


def _marked(frames: Sequence[Atoms], chosen: np.ndarray, scores: np.ndarray | None, why: str = "") -> list[Atoms]:
    """The chosen frames, which say why and with how much disagreement."""
    for index in chosen:
        info = frames[index].info
        info["selected"] = why or ("distance" if scores is None else "disagreement")
        if scores is not None:
            info[FORCES_SPREAD] = float(scores[index])
    return [frames[index] for index in chosen]


def disagreement(frames: Sequence[Atoms], calculator: PaiNNCalculator) -> np.ndarray:
    """The largest `forces_std` of any atom, (frames,) in eV/Å, by a calculator over several models.

    Seung, Opper and Sompolinsky, Query by Committee (1992), doi:10.1145/130385.130417.
    """
    if FORCES_SPREAD not in calculator.implemented_properties:
        raise InputError("disagreement: expected a calculator of several models, PaiNNCalculator([...]); got one model")
    return np.array([np.max(calculator.get_property(FORCES_SPREAD, atoms.copy())) for atoms in frames])


def farthest_points(
    descriptors: np.ndarray,
    count: int,
    known: np.ndarray | None = None,
    *,
    weights: np.ndarray | None = None,
    apart: np.ndarray | float = 0.0,
    groups: np.ndarray | None = None,
    most: np.ndarray | None = None,
) -> np.ndarray:
    """Indices of `count` rows, each as far as possible from those before it and from the rows of `known`.

    descriptors: (frames, numbers)
    count: how many
    known: (known, numbers), to stay away from
    weights: (frames,), distances are multiplied by them; without `known` the first row is that of the largest weight,
        or without weights the one nearest to the mean
    apart: (frames,) or one number: rows at no larger distance from a chosen one are duplicates
    groups: (frames,) the group of each row
    most: (groups,) rows of each group that may be chosen

    Duplicates are never taken, so fewer indices may come back. Gonzalez, Theor. Comput. Sci. 38, 293 (1985),
    doi:10.1016/0304-3975(85)90224-5: without weights no choice of `count` covers the rows with less than half its
    radius.
    """
    rows = np.asarray(descriptors, dtype=float)
    if rows.ndim != 2 or not np.isfinite(rows).all():
        raise InputError(f"descriptors: expected a finite array (frames, numbers); got shape {rows.shape}")
    groups = np.zeros(len(rows), dtype=int) if groups is None else groups
    left = np.array([count]) if most is None else np.array(most)
    limit = np.maximum(apart, 1e-9 * (1 + np.abs(rows).max()))
    first = -np.linalg.norm(rows - rows.mean(axis=0), axis=1) if weights is None else weights
    chosen: list[int] = []
    distances = np.full(len(rows), np.inf)
    for row in () if known is None else np.asarray(known):
        distances = np.minimum(distances, np.linalg.norm(rows - row, axis=1))
    while len(chosen) < count:
        free = (distances > limit) & (left[groups] > 0)
        if not free.any():
            break
        begun = np.isfinite(distances[0])
        values = first if not begun else distances if weights is None else weights * distances
        best = int(np.argmax(np.where(free, values, -np.inf)))
        chosen.append(best)
        left[groups[best]] -= 1
        distances = np.minimum(distances, np.linalg.norm(rows - rows[best], axis=1))
    return np.array(chosen, dtype=int)


def _described(frames: Sequence[Atoms], models: Sequence[str | Path | Model]) -> np.ndarray:
    """The rows that distances are measured between."""
    if len(models) == 1:
        model = models[0]
        return model_descriptors(frames, load_model(model) if isinstance(model, str | Path) else model)
    compositions = {tuple(sorted(atoms.numbers)) for atoms in frames}
    if models or len(compositions) > 1 or any(atoms.pbc.any() for atoms in frames):
        return environment_descriptors(frames)
    return distance_descriptors(frames)


def _spread(frames: Sequence[Atoms], rows: np.ndarray) -> np.ndarray:
    """(frames,) the median distance of frames of the same composition from their mean."""
    names = np.array([atoms.get_chemical_formula() for atoms in frames])
    spread = np.zeros(len(frames))
    for name in np.unique(names):
        members = rows[names == name]
        spread[names == name] = np.median(np.linalg.norm(members - members.mean(axis=0), axis=1))
    return spread


def kind_of(source: str) -> str:
    """What a source says of how frames were made, without the number of the minimum and what follows."""
    return re.sub(r"_min\d+.*$", "", source)


def _groups(
    frames: Sequence[Atoms], count: int, quotas: Mapping[str, int] | str | None, open_to: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(frames,) the group of each frame, and (groups,) how many of it may be chosen."""
    sources = [str(atoms.info.get("source", "")) for atoms in frames]
    if quotas is None:
        return np.zeros(len(frames), dtype=int), np.array([count])
    if isinstance(quotas, str):
        if quotas != "even":
            raise InputError(f"quotas: expected 'even' or numbers by pattern, as in {{'*_md_*': 20}}; got {quotas!r}")
        _, groups = np.unique([kind_of(source) for source in sources], return_inverse=True)
        return groups, _even(np.bincount(groups[open_to], minlength=groups.max() + 1), count)
    if any(number < 0 for number in quotas.values()) or sum(quotas.values()) > count:
        raise InputError(f"quotas: expected numbers >= 0 that add up to at most {count}; got {dict(quotas)}")
    patterns = list(quotas)
    for pattern in patterns:
        if not any(fnmatchcase(source, pattern) for source in sources):
            have = ", ".join(sorted({kind_of(source) or "none" for source in sources}))
            raise InputError(f"quotas: no source is like {pattern!r}; the frames come from {have}")
    matched = [next((k for k, p in enumerate(patterns) if fnmatchcase(s, p)), len(patterns)) for s in sources]
    return np.array(matched), np.array([*quotas.values(), count - sum(quotas.values())])


def _even(sizes: np.ndarray, count: int) -> np.ndarray:
    """`count` shared among groups of these sizes as evenly as they allow."""
    shares = np.zeros(len(sizes), dtype=int)
    while shares.sum() < min(count, sizes.sum()):
        behind = np.flatnonzero(shares < sizes)
        shares[behind[np.argmin(shares[behind])]] += 1
    return shares

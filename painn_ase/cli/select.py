"""`painn-ase select`: the structures worth labelling, by disagreement of models and by distance from each other."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from painn_ase.cli.arguments import new_file, number, source, whole, without_effect
from painn_ase.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms


def add_parser(verbs: argparse._SubParsersAction) -> None:
    p = verbs.add_parser("select", help="pick the structures worth labelling", description=__doc__)
    p.add_argument("frames", nargs="+", type=source, help="files of structures that ASE reads")
    p.add_argument("--count", type=whole(1), required=True, help="structures to pick")
    text = "several: where they disagree; one: farthest in its features; none: farthest in sorted distances"
    p.add_argument("--models", nargs="+", type=source, default=[], metavar="MODEL", help=text)
    p.add_argument("--known", nargs="+", type=source, default=[], metavar="FILE", help="structures to stay away from")
    text = "leave out structures with a larger disagreement, as broken geometries"
    p.add_argument("--ceiling", type=number(above=0), default=float("inf"), metavar="eV/Å", help=text)
    text = "'even' (as many of each kind of source), or PATTERN=N with the wildcards of a shell, as in wigner?=10"
    p.add_argument("--quotas", nargs="+", default=[], metavar="PATTERN=N", help=text)
    text = "so many of COUNT are drawn at random: the error of models on these is honest"
    p.add_argument("--audits", type=whole(0), default=0, metavar="N", help=text)
    p.add_argument("--seed", type=whole(0), default=0, help="of the random draw (default: %(default)s)")
    text = "extended XYZ (default: %(default)s)"
    p.add_argument("--output", type=new_file, default="selected.extxyz", metavar="PATH", help=text)
    p.add_argument("--overwrite", action="store_true", help="replace an existing output")
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from pathlib import Path

    from painn_ase.reference import select
    from painn_ase.structures import write_frames
    from painn_ase.training import read_frames

    frames = read_frames(options.frames)
    known = read_frames(options.known) if options.known else []
    if len(options.models) < 2:
        without_effect(options, ["ceiling"], "it is of the disagreement of several --models")
    if not options.audits:
        without_effect(options, ["seed"], "frames are drawn at random with --audits")
    names = ("models", "ceiling", "audits", "seed")
    given = {name: getattr(options, name) for name in names}
    chosen = select(frames, options.count, known=known, quotas=quotas_of(options.quotas), **given)
    write_frames(Path(options.output), chosen)
    print(f"{options.output}: {len(chosen)} of {len(frames)} frames{_by_kind(chosen)}")


def quotas_of(words: Sequence[str]) -> Any:
    """What `select` takes for the words of --quotas."""
    if not words or list(words) == ["even"]:
        return "even" if words else None
    quotas = {}
    for word in words:
        pattern, _, number = word.rpartition("=")
        if not pattern or not number.isdigit():
            raise InputError(f"--quotas: expected 'even', or patterns with numbers, '*_md_*=20'; got {word!r}")
        quotas[pattern] = int(number)
    return quotas


def _by_kind(chosen: Sequence[Atoms]) -> str:
    """How many frames of each kind of source there are, where sources are named."""
    from painn_ase.reference.selection import kind_of

    kinds = Counter(kind_of(atoms.info["source"]) for atoms in chosen if "source" in atoms.info)
    return " (" + ", ".join(f"{number} {kind}" for kind, number in kinds.most_common()) + ")" if kinds else ""

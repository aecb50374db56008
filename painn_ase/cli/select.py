"""`painn-ase select`: the structures worth labelling, by disagreement of models or by distance from each other."""

import argparse

from painn_ase.cli.arguments import new_file, number, source, whole, without_effect


def add_parser(verbs: argparse._SubParsersAction) -> None:
    p = verbs.add_parser("select", help="pick the structures worth labelling", description=__doc__)
    p.add_argument("frames", nargs="+", type=source, help="files of structures that ASE reads")
    p.add_argument("--count", type=whole(1), required=True, help="structures to pick")
    text = "several: where they disagree most; one: farthest in its features; none: farthest in sorted distances"
    p.add_argument("--models", nargs="+", type=source, default=[], metavar="MODEL", help=text)
    p.add_argument("--known", nargs="+", type=source, default=[], metavar="FILE", help="structures to stay away from")
    text = "leave out structures with a larger disagreement, as broken geometries"
    p.add_argument("--ceiling", type=number(above=0), default=float("inf"), metavar="eV/Å", help=text)
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
    chosen = select(frames, options.count, models=options.models, known=known, ceiling=options.ceiling)
    write_frames(Path(options.output), chosen)
    print(f"{options.output}: {len(chosen)} of {len(frames)} frames")

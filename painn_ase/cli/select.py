"""`painn-ase select`: the structures worth labelling, by disagreement of models or by distance from each other."""

import argparse


def add_parser(verbs: argparse._SubParsersAction) -> None:
    p = verbs.add_parser("select", help="pick the structures worth labelling", description=__doc__)
    p.add_argument("frames", nargs="+", help="files of structures that ASE reads")
    p.add_argument("--count", type=int, required=True, help="structures to pick")
    text = "several: where they disagree most; one: farthest in its features; none: farthest in sorted distances"
    p.add_argument("--models", nargs="+", default=[], metavar="MODEL", help=text)
    p.add_argument("--known", nargs="+", default=[], metavar="FILE", help="structures to stay away from")
    text = "leave out structures with a larger disagreement, as broken geometries"
    p.add_argument("--ceiling", type=float, default=float("inf"), metavar="eV/Å", help=text)
    p.add_argument("--output", default="selected.extxyz", metavar="PATH", help="extended XYZ (default: %(default)s)")
    p.add_argument("--overwrite", action="store_true", help="replace an existing output")
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from pathlib import Path

    import ase.io

    from painn_ase.files import claim
    from painn_ase.reference import select
    from painn_ase.training import read_frames

    frames = read_frames(options.frames)
    known = read_frames(options.known) if options.known else []
    claim([Path(options.output)], options.overwrite)
    chosen = select(frames, options.count, models=options.models, known=known, ceiling=options.ceiling)
    ase.io.write(options.output, chosen, format="extxyz")
    print(f"{options.output}: {len(chosen)} of {len(frames)} frames")

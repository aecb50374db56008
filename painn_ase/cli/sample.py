"""`painn-ase sample`: geometries to label, from dynamics, quantum-harmonic modes and scans."""

import argparse

from painn_ase.cli.arguments import new_file, number, source, whole, without_effect


def add_parser(verbs: argparse._SubParsersAction) -> None:
    p = verbs.add_parser("sample", help="propose structures to label", description=__doc__)
    p.add_argument(
        "conformers", nargs="+", type=source, help="files of structures, one or more conformers of a molecule"
    )
    p.add_argument(
        "--model", type=source, help="bundled name or model folder that drives (default: GFN2-xTB by tblite)"
    )
    p.add_argument("--md", type=whole(0), default=0, metavar="N", help="frames per conformer and temperature")
    kelvins = [300.0, 500.0, 800.0]
    p.add_argument("--temperatures", type=number(above=0), nargs="+", default=kelvins, metavar="K", help="300 500 800")
    p.add_argument("--every", type=whole(1), default=40, help="steps of 0.5 fs between frames (default: %(default)s)")
    p.add_argument("--quantum", type=whole(0), default=0, metavar="N", help="quantum-harmonic frames per conformer")
    text = "(default: %(default)s)"
    p.add_argument("--quantum-temperature", type=number(least=0), default=300.0, metavar="K", help=text)
    p.add_argument("--scan", type=whole(0), default=0, metavar="N", help="frames to either side of each normal mode")
    text = "extended XYZ (default: %(default)s)"
    p.add_argument("--output", type=new_file, default="frames.extxyz", metavar="PATH", help=text)
    p.add_argument("--seed", type=whole(0), default=0, help="of all random numbers (default: %(default)s)")
    p.add_argument("--overwrite", action="store_true", help="replace an existing output")
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from pathlib import Path

    from painn_ase.calculator import PaiNNCalculator
    from painn_ase.reference import Plan, gfn2_xtb, sample
    from painn_ase.structures import write_frames
    from painn_ase.training import read_frames

    names = ("md", "every", "quantum", "quantum_temperature", "scan")
    plan = Plan(temperatures=tuple(options.temperatures), **{name: getattr(options, name) for name in names})
    driver = (lambda atoms: PaiNNCalculator(options.model)) if options.model else gfn2_xtb
    if not options.md:
        without_effect(options, ["temperatures", "every"], "dynamics are run with --md")
    if not options.quantum:
        without_effect(options, ["quantum_temperature"], "quantum-harmonic frames are drawn with --quantum")
    name = Path(options.model).name if options.model else "gfn2"
    frames = sample(read_frames(options.conformers), driver, plan, seed=options.seed, name=name)
    write_frames(Path(options.output), frames)
    print(f"{options.output}: {len(frames)} frames")

"""`painn-ase sample`: geometries to label, from dynamics, quantum-harmonic modes and scans."""

import argparse


def add_parser(verbs: argparse._SubParsersAction) -> None:
    p = verbs.add_parser("sample", help="propose structures to label", description=__doc__)
    p.add_argument("conformers", nargs="+", help="files of structures, one or more conformers of a molecule")
    p.add_argument("--model", help="bundled name or model folder that drives (default: GFN2-xTB by tblite)")
    p.add_argument("--md", type=int, default=0, metavar="N", help="frames per conformer and temperature")
    p.add_argument("--temperatures", type=float, nargs="+", default=[300, 500, 800], metavar="K", help="300 500 800")
    p.add_argument("--every", type=int, default=40, help="steps of 0.5 fs between frames (default: %(default)s)")
    p.add_argument("--quantum", type=int, default=0, metavar="N", help="quantum-harmonic frames per conformer")
    p.add_argument("--quantum-temperature", type=float, default=300.0, metavar="K", help="(default: %(default)s)")
    p.add_argument("--scan", type=int, default=0, metavar="N", help="frames to either side of each normal mode")
    p.add_argument("--output", default="frames.extxyz", metavar="PATH", help="extended XYZ (default: %(default)s)")
    p.add_argument("--seed", type=int, default=0, help="of all random numbers (default: %(default)s)")
    p.add_argument("--overwrite", action="store_true", help="replace an existing output")
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from pathlib import Path

    import ase.io

    from painn_ase.calculator import PaiNNCalculator
    from painn_ase.files import claim
    from painn_ase.reference import Plan, gfn2_xtb, sample
    from painn_ase.training import read_frames

    names = ("md", "every", "quantum", "quantum_temperature", "scan")
    plan = Plan(temperatures=tuple(options.temperatures), **{name: getattr(options, name) for name in names})
    driver = (lambda atoms: PaiNNCalculator(options.model)) if options.model else gfn2_xtb
    claim([Path(options.output)], options.overwrite)
    name = Path(options.model).name if options.model else "gfn2"
    frames = sample(read_frames(options.conformers), driver, plan, seed=options.seed, name=name)
    ase.io.write(options.output, frames, format="extxyz")
    print(f"{options.output}: {len(frames)} frames")

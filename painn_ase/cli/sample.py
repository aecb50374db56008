"""`painn-ase sample`: geometries to label, from dynamics, quantum-harmonic modes, scans, torsions and pairs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from painn_ase.cli.arguments import new_file, number, source, whole, without_effect

if TYPE_CHECKING:
    from ase import Atoms


def add_parser(verbs: argparse._SubParsersAction) -> None:
    p = verbs.add_parser("sample", help="propose structures to label", description=__doc__)
    p.add_argument(
        "conformers", nargs="+", type=source, help="files of structures, or smiles:CCO, whose conformers RDKit makes"
    )
    p.add_argument("--conformers", type=whole(1), default=5, dest="most", metavar="N", help="of SMILES (%(default)s)")
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
    text = "frames about each bond that turns, 360°/(N + 1) apart"
    p.add_argument("--torsions", type=whole(0), default=0, metavar="N", help=text)
    text = "frames of each bond outside of rings, at 0.85 to 1.5 times its length"
    p.add_argument("--stretch", type=whole(0), default=0, metavar="N", help=text)
    p.add_argument("--dimers", type=whole(0), default=0, metavar="N", help="hydrogen-bonded pairs per conformer")
    text = "extended XYZ (default: %(default)s)"
    p.add_argument("--output", type=new_file, default="frames.extxyz", metavar="PATH", help=text)
    p.add_argument("--seed", type=whole(0), default=0, help="of all random numbers (default: %(default)s)")
    p.add_argument("--overwrite", action="store_true", help="replace an existing output")
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    import os
    from pathlib import Path

    if not options.model:  # of this process, before tblite is loaded: on two threads small molecules take longer
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    from painn_ase.calculator import PaiNNCalculator
    from painn_ase.reference import Plan, gfn2_xtb, sample
    from painn_ase.structures import write_frames

    names = ("md", "every", "quantum", "quantum_temperature", "scan", "torsions", "stretch", "dimers")
    plan = Plan(temperatures=tuple(options.temperatures), **{name: getattr(options, name) for name in names})
    driver = (lambda atoms: PaiNNCalculator(options.model)) if options.model else gfn2_xtb
    if not options.md:
        without_effect(options, ["temperatures", "every"], "dynamics are run with --md")
    if not options.quantum:
        without_effect(options, ["quantum_temperature"], "quantum-harmonic frames are drawn with --quantum")
    name = Path(options.model).name if options.model else "gfn2"
    frames = sample(_conformers(options), driver, plan, seed=options.seed, name=name)
    write_frames(Path(options.output), frames)
    print(f"{options.output}: {len(frames)} frames")


def _conformers(options: argparse.Namespace) -> list[Atoms]:
    from painn_ase.data import read_frames
    from painn_ase.smiles import from_smiles, is_smiles

    if not any(is_smiles(word) for word in options.conformers):
        without_effect(options, ["most"], "conformers are made of SMILES")
    found: list[Atoms] = []
    for word in options.conformers:
        found += from_smiles(word, options.most, seed=options.seed) if is_smiles(word) else read_frames(word)
    return found

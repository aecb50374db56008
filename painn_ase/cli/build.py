"""`painn-ase build`: from a molecule and a reference method to a model that can be believed.

Exit code 0: all criteria hold; 3: the budget ended before they did.
"""

import argparse

from painn_ase.cli.arguments import folder, number, source, whole


def add_parser(verbs: argparse._SubParsersAction) -> None:
    p = verbs.add_parser("build", help="make a model of a molecule or crystal, to be believed", description=__doc__)
    text = "file that ASE reads (its frames: conformers), smiles:NC=O, a name ASE knows, or a build.toml"
    p.add_argument("structure", type=source, help=text)
    text = "gfn2, gfn1, FUNCTIONAL/BASIS, a model, or refs.py:make (default: gfn2)"
    p.add_argument("--reference", metavar="REFERENCE", help=text)
    p.add_argument("--polarizability", metavar="LEVEL", help="level of polarizabilities, if the reference has none")
    text = "end with pictures of spectra; spectrum: those that labels allow"
    p.add_argument("--for", dest="purposes", nargs="+", choices=("ir", "raman", "spectrum"), help=text)
    p.add_argument("--temperature", type=number(above=0), help="K, of the intended dynamics (default: 300)")
    p.add_argument("--beads", type=whole(1), help="of ring polymers in the intended dynamics (default: 1, classical)")
    p.add_argument("--target", type=number(above=0), help="cm⁻¹, mean deviation of frequencies that will do (5)")
    p.add_argument("--forces", type=number(above=0), help="meV/Å, error of forces that will do (default: 20)")
    p.add_argument("--hours", type=number(above=0), help="budget of time, earlier parts included (default: 2)")
    p.add_argument("--frames", type=whole(0), help="budget of labels (default: 0, what the time allows)")
    p.add_argument("--processes", type=whole(0), help="calls of the reference at a time (default: all cores)")
    p.add_argument("--committee", type=whole(2), help="networks that are trained (default: 2)")
    p.add_argument("--from", dest="start", type=source, metavar="MODEL", help="begin from the weights of this model")
    p.add_argument("--charge", type=int, help="total charge in e (default: from the file, else 0)")
    p.add_argument("--multiplicity", type=whole(1), help="2S + 1 (default: from the file, else the lowest)")
    p.add_argument("--seed", type=whole(0), help="of all random numbers (default: 0)")
    p.add_argument("--output", type=folder, metavar="FOLDER", help="everything (default: the structure's name)")
    p.add_argument("--dry-run", action="store_true", help="print plan and cost after one timed call; begin nothing")
    p.add_argument("--resume", action="store_true", help="insist on going on with the build in the folder")
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    import re
    from pathlib import Path

    from painn_ase.build import Request, build, dry_run, read_request

    names = [name for name in Request.__dataclass_fields__ if name not in ("structure", "folder")]
    given = {name: getattr(options, name) for name in names if name in options.given_options}
    if options.structure.endswith(".toml"):
        given.setdefault("output", Path(options.structure).parent)
        request = read_request(options.structure, **given)
    else:
        stem = Path(options.structure.rpartition("@")[0] or options.structure).stem
        given.setdefault("output", re.sub(r"[^\w.-]+", "_", stem.removeprefix("smiles:")) or "build")
        request = Request(options.structure, **given)
    if options.dry_run:
        print(dry_run(request))
        return 0
    built = build(request, resume=options.resume)
    print(built)
    return 0 if built.believed else 3

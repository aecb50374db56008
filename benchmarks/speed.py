"""Time of a force call and of a step of molecular dynamics, native kernel against PyTorch, interleaved in one run.

    python benchmarks/speed.py [--systems ethanol "water 192"] [--seconds 20] [--json result.json]

This is `painn-ase bench`, and then benchmarks/schnetpack_step.py where SchNetPack can be imported.
"""

import sys
from importlib.util import find_spec

from painn_ase.cli import main

if __name__ == "__main__":
    code = main(["bench", *sys.argv[1:]])
    if code == 0 and find_spec("schnetpack"):
        from schnetpack_step import CHECKPOINT, compare

        if CHECKPOINT.is_file():
            compare(CHECKPOINT, seconds=30.0)
        else:
            print(f"SchNetPack is left out: {CHECKPOINT} is absent; PAINN_ASE_DATA names the folder of reference data")
    sys.exit(code)

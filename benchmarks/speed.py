"""Time of a force call and of a step of molecular dynamics, native kernel against PyTorch, interleaved in one run.

    python benchmarks/speed.py [--systems ethanol "water 192"] [--seconds 20] [--json result.json]

This is `painn-ase bench`.
"""

import sys

from painn_ase.cli import main

if __name__ == "__main__":
    sys.exit(main(["bench", *sys.argv[1:]]))

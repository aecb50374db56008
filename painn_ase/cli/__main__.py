"""`python -m painn_ase.cli` is `painn-ase`."""

import sys

from painn_ase.cli import main

sys.exit(main())

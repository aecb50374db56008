"""Is a calculator fit for dynamics? The conformance suite on ours, on ASE's EMT, and on one with a mistake."""

import sys

from ase import Atoms
from ase.calculators.emt import EMT

from painn_ase import PaiNNCalculator
from painn_ase.structures import read_structure
from painn_ase.testing import check_calculator

LAWS = (
    "forces are -dE/dr",
    "1000 Å from the origin",
    "rotation",
    "order of atoms",
    "notices positions",
    "pickle",
    "global state",
)


class Careless(EMT):
    """Rounds positions, as a network that runs in float32 from the first line on would."""

    def calculate(self, atoms, properties, system_changes):
        rounded = atoms.copy()
        rounded.positions = rounded.positions.astype("float32")
        super().calculate(rounded, properties, system_changes)


if __name__ == "__main__":  # the suite starts processes of its own
    cluster = Atoms("Cu3Au", positions=[[0, 0, 0], [2.6, 0, 0], [1.3, 2.2, 0], [1.3, 0.8, 2.2]])

    ours = check_calculator(PaiNNCalculator("ethanol"), read_structure("ethanol"), only=LAWS)
    print(ours, end="\n\n")

    theirs = check_calculator(EMT(), cluster, only=LAWS)
    print(theirs, end="\n\n")

    careless = check_calculator(Careless(), cluster, only=LAWS)
    print(careless)
    for failure in careless.failures:
        print(f"found: {failure.check} ({failure.structure}): {failure}")

    sys.exit(ours.exit_code)  # for continuous integration; all checks: painn-ase check ethanol

"""What a model's example structure shows at rest, measured for every card: a crystal's stability, and curvatures."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from ase import Atoms

from painn_ase.calculator import PaiNNCalculator
from painn_ase.cards.measure.crystal import crystal_check
from painn_ase.cards.measure.curvature import curvature_check
from painn_ase.cards.measure.subject import Subject, calculator_of, stamp
from painn_ase.coverage import CoverageWarning
from painn_ase.errors import InputError, SimulationError
from painn_ase.simulate.md.relax import relax

AT_REST = frozenset({"crystal", "curvature"})  # their names in a header
_MODES = 300  # of the structure whose curvatures are compared; more would take minutes


def measure_at_rest(model: Subject, structure: Atoms | None, say: Callable = print) -> dict[str, Any]:
    """The checks `crystal` (of periodic structures) and `curvature`, as a header keeps them.

    A crystal that does not relax, or whose ions leave their places under strain, is an outcome and stored as such. What
    cannot be measured is told to `say` in a sentence.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CoverageWarning)
        return _measured(calculator_of(model, "float64"), structure, say)


def _measured(calculator: PaiNNCalculator, structure: Atoms | None, say: Callable) -> dict[str, Any]:
    if structure is None or "forces" not in calculator.implemented_properties:
        say("nothing at rest was measured: no example structure with forces; name one with --structure")
        return {}
    checks: dict[str, Any] = {}
    if structure.pbc.all():
        try:
            found = crystal_check(calculator, structure)
        except InputError as error:
            say(str(error))
            return {}
        except SimulationError as error:
            say(f"NOT STABLE: {error}")
            failure = {"formula": structure.get_chemical_formula(), "stable": False, "failed": str(error)}
            return {"crystal": failure | stamp()}
        say(str(found))
        checks["crystal"] = found.to_dict()
        resting = found.atoms
        if 8 * 3 * len(resting) <= _MODES:  # with the zone boundary
            resting = resting.repeat(2)
        resting.calc = calculator
    else:
        resting = structure.copy()
        resting.calc = calculator
        relax(resting, fmax=1e-4, steps=2000, optimizer="BFGS", progress=False)
    if 3 * len(resting) > _MODES:
        say(f"curvature was not measured: {3 * len(resting)} modes are more than {_MODES}")
        return checks
    curvature = curvature_check(resting)
    say(str(curvature))
    return checks | {"curvature": curvature.to_dict()}

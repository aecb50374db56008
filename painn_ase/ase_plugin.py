"""What ASE's plugin system lists of this package (entry point group `ase.plugins`; `ase info --plugins` shows it).

The system is new and private in ASE 3.29 (`ase._4`); where it is missing or different, there is nothing to list. ASE
imports this module while it looks for plugins, so nothing else is imported here.
"""

from typing import Any

__ase_plugins__: set[Any] = set()

try:
    from ase._4.plugins.plugin import CalculatorPlugin

    __ase_plugins__.add(
        CalculatorPlugin(
            name="painn",
            citation="K. T. Schütt, O. T. Unke, M. Gastegger, ICML 2021, arXiv:2102.03150",
            implementation="painn_ase.calculator.PaiNNCalculator",
        )
    )
except (ImportError, TypeError):  # another ASE
    pass


def register() -> None:
    """Makes `ase.calculators.calculator.get_calculator_class("painn")` return `PaiNNCalculator`, in this process."""
    from ase.calculators.calculator import external_calculators, register_calculator_class

    from painn_ase.calculator import PaiNNCalculator

    if "painn" not in external_calculators:
        register_calculator_class("painn", PaiNNCalculator)

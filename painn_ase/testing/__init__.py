"""A conformance suite for any ASE calculator: laws of physics, ASE's conventions, and good manners in a process.

from painn_ase.testing import check_calculator
report = check_calculator(calculator, [atoms, ...])
print(report)
"""

from painn_ase.testing.report import Outcome, Report
from painn_ase.testing.suite import CHECKS, check_calculator

__all__ = ["CHECKS", "Outcome", "Report", "check_calculator"]

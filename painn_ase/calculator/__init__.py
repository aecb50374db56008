"""The ASE calculator, and what it consists of."""

from painn_ase.calculator.painn import PaiNNCalculator

__all__ = ["PaiNNCalculator"]

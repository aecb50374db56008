"""Teaching ASE that a polarizability exists, so that its files keep one."""

import ase.calculators.calculator
import ase.io.extxyz
import ase.outputs

_NAME = "polarizability"


def register_polarizability() -> bool:
    """Adds the property "polarizability", (3, 3) in e²Å²/eV, to ASE's tables; True if ASE knows it afterwards.

    ASE 3.29 has no such property: trajectories and extxyz files drop it silently and `SinglePointCalculator`
    refuses it. The tables are private, so every step checks first and a future ASE with other tables is left alone.
    Safe to call any number of times.
    """
    outputs = getattr(ase.outputs, "all_outputs", None)
    define = getattr(ase.outputs, "_defineprop", None)
    properties = getattr(ase.calculators.calculator, "all_properties", None)
    per_config = getattr(ase.io.extxyz, "per_config_properties", None)
    if not isinstance(outputs, dict) or not isinstance(properties, list) or not callable(define):
        return False
    if _NAME not in outputs:
        define(_NAME, float, (3, 3))
    if _NAME not in properties:
        properties.append(_NAME)
    if isinstance(per_config, list) and _NAME not in per_config:
        per_config.append(_NAME)
    return True

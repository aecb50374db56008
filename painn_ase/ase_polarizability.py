"""Teaching ASE that polarizabilities, quadrupoles and hyperpolarizabilities exist, so that its files keep them."""

import ase.calculators.calculator
import ase.io.extxyz
import ase.outputs

_SHAPES = {"polarizability": (3, 3), "quadrupole": (3, 3), "hyperpolarizability": (3, 3, 3)}


def register_polarizability() -> bool:
    """Adds polarizability, quadrupole and hyperpolarizability to ASE's tables; True if ASE knows them afterwards.

    Their units are e²Å²/eV, e·Å² and e³Å³/eV². ASE 3.29 has none of them: trajectories and extxyz files drop them
    silently and `SinglePointCalculator` refuses them. The tables are private, so every step checks first and a future
    ASE with other tables is left alone. Safe to call any number of times.
    """
    outputs = getattr(ase.outputs, "all_outputs", None)
    define = getattr(ase.outputs, "_defineprop", None)
    properties = getattr(ase.calculators.calculator, "all_properties", None)
    per_config = getattr(ase.io.extxyz, "per_config_properties", None)
    if not isinstance(outputs, dict) or not isinstance(properties, list) or not callable(define):
        return False
    for name, shape in _SHAPES.items():
        if name not in outputs:
            define(name, float, shape)
        if name not in properties:
            properties.append(name)
        if isinstance(per_config, list) and name not in per_config:
            per_config.append(name)
    return True

"""Dipole, polarizability and first hyperpolarizability of the water monomer from one network, CCSD/d-aug-cc-pVTZ.

    python benchmarks/accuracy_water_beta.py --minutes 20 [--network ictp|painn|tensornet]

Learned from 800 of 1000 distorted monomers (80 of them choose the epoch), errors on the other 200. The aims are
relative RMSEs of at most 1 % (dipole), 2 % (polarizability) and 5 % (hyperpolarizability). A stopped run continues when
called again. Data: TENSOAP, in the folder that PAINN_ASE_DATA names.
"""

import itertools
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from response_training import Study, arguments, judge, report, run

from painn_ase import PaiNNCalculator, units
from painn_ase.training import Trained

AIMS = {"dipole": 0.01, "polarizability": 0.02, "hyperpolarizability": 0.05}
STUDY = Study(
    "accuracy_water_beta",
    "water_response/water_monomer_1000.xyz",
    (720, 80, 200),
    {
        "labels": {
            "dipole": {"key": "mu", "unit": "e*Bohr"},
            "polarizability": {"key": "alpha", "unit": "Bohr^3"},
            "hyperpolarizability": {"key": "beta", "unit": "a.u."},
        },
        "heads": {"dipole": {}, "tensor_polarizability": {}, "hyperpolarizability": {"tensors": True}},
        "representation": {"cutoff": 4.0},
        "loss": {"dipole": 1.0, "polarizability": 1.0, "hyperpolarizability": 1.0},
        "batch_size": 20,
    },
    {"ictp": 5e-3, "painn": 1e-3, "tensornet": 1e-3},
)


def asymmetry(trained: Trained, test: Path) -> dict[str, Any]:
    """The largest change of the predicted tensors when their indices are permuted: exactly zero."""
    calculator, worst = PaiNNCalculator(trained.model), 0.0
    for atoms in ase.io.read(test, ":20"):
        atoms.pbc = False
        beta = calculator.get_property("hyperpolarizability", atoms)
        alpha = calculator.get_property("polarizability", atoms)
        worst = max(worst, float(np.abs(alpha - alpha.T).max()))
        worst = max([worst, *(float(np.abs(beta - beta.transpose(p)).max()) for p in itertools.permutations(range(3)))])
    return {"largest_asymmetry": worst}


def main() -> None:
    result = run(STUDY, arguments(__doc__), asymmetry)
    atomic = {
        "dipole": ("e·a0", 1 / units.BOHR),
        "polarizability": ("a0³", 1 / units.POLARIZABILITY["a.u."]),
        "hyperpolarizability": ("a.u.", 1 / units.HYPERPOLARIZABILITY["a.u."]),
    }
    report(result, atomic)
    print(f"largest asymmetry under permutation of indices: {result['largest_asymmetry']:g}")
    for name, aim in AIMS.items():
        judge(name, 100 * result["errors"][name]["relative_rmse"], 100 * aim, "%")


if __name__ == "__main__":
    main()

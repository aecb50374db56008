"""Energies, forces, stress, polarizability and dipole of α-quartz (72 atoms) from one network with features of rank 2.

    python benchmarks/sio2_response.py --minutes 60 [--network ictp|painn|tensornet]

161 training, 20 validation and 20 test frames. The aim is a polarizability with an RMSE of its components of at most
0.03 e·Å²/V. The dipole is that of the cell up to a constant (head cell_dipole, labels of one branch), so that Born
charges are its derivatives; they are compared with those of linear response, which no training sees. A stopped run
continues when called again. Data: Falletta et al. 2025 (allegro-pol), in the folder that PAINN_ASE_DATA names.
"""

from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from response_training import Study, arguments, judge, report, run

from painn_ase import PaiNNCalculator, units
from painn_ase.training import Trained

AIM = 0.03  # e·Å²/V
STUDY = Study(
    "sio2_response",
    "sio2_response/SiO2.xyz",
    (161, 20, 20),
    {
        "labels": {
            "energy": {"key": "total_energy", "unit": "eV"},
            "forces": {"key": "forces", "unit": "eV/Å"},
            "stress": {"key": "stress", "unit": "eV/Å³"},
            "dipole": {"key": "polarization", "unit": "e·Å"},
            "polarizability": {"key": "polarizability", "unit": "e*Ang^2/V"},
        },
        "heads": {"energy": {}, "cell_dipole": {}, "tensor_polarizability": {}},
        "representation": {"cutoff": 5.0},
        "loss": {"energy": 0.2, "forces": 1.0, "stress": 0.3, "dipole": 0.5, "polarizability": 1.0},
        "batch_size": 1,
    },
    {"ictp": 2e-3, "painn": 1e-3, "tensornet": 1e-3},
)


def born_charges(trained: Trained, test: Path) -> dict[str, Any]:
    """Errors of Z*[i, a, b] = ∂μ_a/∂r_ib against linear response, and how far they are from summing to zero."""
    calculator = PaiNNCalculator(trained.model)
    differences, labels, sums = [], [], []
    for atoms in ase.io.read(test, ":5"):
        found = calculator.get_property("born_effective_charges", atoms)
        reference = atoms.arrays["born_charge"].reshape(-1, 3, 3)
        differences.append(found - reference)
        labels.append(reference)
        sums.append(np.abs(found.sum(0)).max())
    rmse = float(np.sqrt(np.mean(np.square(differences))))
    return {
        "born_charges": {
            "rmse_e": rmse,
            "relative_rmse": rmse / float(np.std(labels)),
            "largest_sum_over_atoms_e": float(max(sums)),
            "frames": len(sums),
        }
    }


def main() -> None:
    result = run(STUDY, arguments(__doc__), born_charges)
    report(
        result,
        {
            "energy": ("meV per cell", 1e3),
            "forces": ("meV/Å", 1e3),
            "stress": ("GPa", 1 / units.GIGAPASCAL),
            "dipole": ("e·Å", 1.0),
            "polarizability": ("e·Å²/V", 1.0),
        },
    )
    born = result["born_charges"]
    print(f"Born charges by differentiation: RMSE {born['rmse_e']:.3f} e, {100 * born['relative_rmse']:.1f} % of their "
          f"standard deviation; sum over atoms below {born['largest_sum_over_atoms_e']:.1e} e")  # fmt: skip
    judge("polarizability", result["errors"]["polarizability"]["rmse"], AIM, "e·Å²/V")


if __name__ == "__main__":
    main()

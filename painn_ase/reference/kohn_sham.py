"""Energy, forces, dipole and static polarizability of a molecule by Kohn-Sham theory with PySCF.

Sun et al., J. Chem. Phys. 153, 024109 (2020), doi:10.1063/5.0006074.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_masses

# ASE's constants (CODATA 2014), so that labels agree to the last digit with those of ASE's calculators and of data
# made with them: with later constants a total energy of 4 keV would shift by 35 µeV.
from ase.units import Bohr, Hartree

from painn_ase.errors import NotConverged
from painn_ase.reference.dispersion import dispersion
from painn_ase.reference.gradient import gradient
from painn_ase.reference.level import Level, charge_and_spin
from painn_ase.reference.response import MAX_CYCLES, polarizability, with_grid

PROPERTIES = ("energy", "forces", "dipole", "polarizability")
_COARSE, _ROUGH = 0, 1e-6  # grid that a field is first converged on, and how far, in Hartree
_OF_THE_GRADIENT = (
    0.3  # of the root of the energy's tolerance, for the gradient in the orbitals, as which forces converge
)
_LAST_WITHOUT_ECP = 36  # krypton; the def2 family has effective core potentials beyond


def compute(
    atoms: Atoms, level: Level, properties: Iterable[str], *, threads: int = 1, guess: np.ndarray | None = None
) -> dict[str, Any]:
    """The `properties` of a molecule: energy (eV), forces (eV/Å), dipole (e·Å), polarizability (3, 3) in Å³.

    Charge and multiplicity are read from info; open shells are computed unrestricted. The dipole of an ion refers to
    the centre of mass. `guess` is a density matrix to start from; the converged one is returned as "density".
    Raises `NotConverged` if a self-consistent cycle does not converge.
    """
    from pyscf import lib

    properties = set(properties)
    with lib.with_omp_threads(threads):
        scf = self_consistent_field(atoms, level)
        energy = converge(scf, level, guess)
        if not scf.converged:
            raise NotConverged(f"the self-consistent field did not converge in {MAX_CYCLES} cycles")
        results = {"energy": float(energy) * Hartree, "density": scf.make_rdm1()}
        if "forces" in properties:
            results["forces"] = -gradient(scf) * Hartree / Bohr
        if level.dispersion is not None:
            more, pull = dispersion(atoms, level.functional, level.dispersion)
            results["energy"] += more
            if "forces" in properties:
                results["forces"] += pull
        if "dipole" in properties:
            masses = atomic_masses[atoms.numbers]  # of the elements, whatever isotopes the structure has
            results["dipole"] = dipole(scf, masses @ atoms.positions / masses.sum())
        if "polarizability" in properties:
            results["polarizability"] = polarizability(scf, level)
    return {name: value for name, value in results.items() if name in properties | {"density"}}


def self_consistent_field(atoms: Atoms, level: Level) -> Any:
    """PySCF's mean-field object for a molecule, ready to run."""
    from pyscf import dft, gto

    from painn_ase.reference.grid_values import KeptValues

    charge, unpaired = charge_and_spin(atoms)
    heavy = {s for s, z in zip(atoms.symbols, atoms.numbers, strict=True) if z > _LAST_WITHOUT_ECP}
    molecule = gto.M(
        atom=[(s, tuple(r)) for s, r in zip(atoms.symbols, atoms.positions, strict=True)],
        unit="Angstrom",
        basis=level.basis,
        ecp=dict.fromkeys(heavy, level.basis) if level.basis.startswith("def2") else {},
        charge=charge,
        spin=unpaired,
        verbose=0,
    )
    scf = (dft.UKS if unpaired else dft.RKS)(molecule, xc=level.functional)
    if (checkpoint := getattr(scf, "_chkfile", None)) is not None:
        checkpoint.close()  # PySCF opens a file for its state, which nobody reads
    scf.chkfile = None
    if level.density_fitting:
        scf = scf.density_fit()
    scf._numint = KeptValues()
    scf.grids.level = level.grid
    scf.conv_tol = level.scf_tolerance
    scf.conv_tol_grad = _OF_THE_GRADIENT * level.scf_tolerance**0.5
    scf.max_cycle = MAX_CYCLES
    return scf


def converge(scf: Any, level: Level, guess: np.ndarray | None = None) -> float:
    """Total energy in Hartree of the mean field, which is converged then, or says that it is not.

    The field is converged on a coarse grid first, whose density is a start from which the level's grid needs half the
    cycles; the integrals are shared.
    """
    if level.grid > _COARSE and scf._numint._xc_type(scf.xc) != "HF":
        first = with_grid(scf, _COARSE)
        first.conv_tol, first.conv_tol_grad, first.conv_check = _ROUGH, None, False
        first.kernel(guess)
        guess = first.make_rdm1() if first.converged else guess
    return float(scf.kernel(guess))


def dipole(scf: Any, origin: np.ndarray) -> np.ndarray:
    """μ = Σ_A Z_A (R_A - O) - tr D (r - O), (3,) in e·Å, about `origin` O in Å."""
    molecule, density = scf.mol, scf.make_rdm1()
    total = density if density.ndim == 2 else density.sum(axis=0)
    start = np.asarray(origin) / Bohr
    with molecule.with_common_orig(start):
        position = molecule.intor_symmetric("int1e_r", comp=3)
    nuclei = molecule.atom_charges() @ (molecule.atom_coords() - start)
    return (nuclei - np.einsum("xpq,qp->x", position, total)) * Bohr

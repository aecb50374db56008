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
from painn_ase.reference.level import Level, charge_and_spin

PROPERTIES = ("energy", "forces", "dipole", "polarizability")
_POLARIZABILITY = Bohr**3  # Å³
_MAX_CYCLES = 100
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
        energy = scf.kernel(guess)
        if not scf.converged:
            raise NotConverged(f"the self-consistent field did not converge in {_MAX_CYCLES} cycles")
        results = {"energy": float(energy) * Hartree, "density": scf.make_rdm1()}
        if "forces" in properties:
            results["forces"] = -scf.nuc_grad_method().kernel() * Hartree / Bohr
        if "dipole" in properties:
            masses = atomic_masses[atoms.numbers]  # of the elements, whatever isotopes the structure has
            results["dipole"] = dipole(scf, masses @ atoms.positions / masses.sum())
        if "polarizability" in properties:
            results["polarizability"] = polarizability(scf, level)
    return {name: value for name, value in results.items() if name in properties | {"density"}}


def self_consistent_field(atoms: Atoms, level: Level) -> Any:
    """PySCF's mean-field object for a molecule, ready to run."""
    from pyscf import dft, gto

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
    if level.density_fitting:
        scf = scf.density_fit()
    scf.grids.level = level.grid
    scf.conv_tol = level.scf_tolerance
    scf.max_cycle = _MAX_CYCLES
    return scf


def dipole(scf: Any, origin: np.ndarray) -> np.ndarray:
    """μ = Σ_A Z_A (R_A - O) - tr D (r - O), (3,) in e·Å, about `origin` O in Å."""
    molecule, density = scf.mol, scf.make_rdm1()
    total = density if density.ndim == 2 else density.sum(axis=0)
    start = np.asarray(origin) / Bohr
    with molecule.with_common_orig(start):
        position = molecule.intor_symmetric("int1e_r", comp=3)
    nuclei = molecule.atom_charges() @ (molecule.atom_coords() - start)
    return (nuclei - np.einsum("xpq,qp->x", position, total)) * Bohr


def polarizability(scf: Any, level: Level) -> np.ndarray:
    """Static polarizability (3, 3) in Å³ of a converged mean field, by coupled-perturbed Kohn-Sham.

    The first-order orbitals x_ai of a uniform field obey (ε_a - ε_i) x_ai + v_ai[x] = -⟨a|r|i⟩ for each spin and
    direction, solved in a Krylov space; then α = -2 Σ_σ Σ_ai ⟨a|r|i⟩ x_ai. Closed shells count one spin twice.
    Raises `NotConverged` if the solution does not converge. Stevens, Pitzer and Lipscomb, J. Chem. Phys. 38, 550
    (1963), doi:10.1063/1.1733693.
    """
    from pyscf import lib

    restricted = scf.mo_occ.ndim == 1
    spins = _Spins(scf, restricted)
    induced = _response(scf, level.response_grid)

    def coupling(x: np.ndarray) -> np.ndarray:
        density = spins.density(x)  # (spins, fields, basis, basis)
        potential = induced(2 * density[0])[None] if restricted else induced(density)
        return spins.blocks(potential) / spins.gaps

    fields = spins.blocks(_positions(scf.mol, spins.count))  # (3, pairs), ⟨a|r|i⟩
    start = -fields / spins.gaps
    x = lib.krylov(coupling, start, tol=level.response_tolerance, max_cycle=_MAX_CYCLES)
    residual = np.linalg.norm(x + coupling(x) - start)
    if not residual < 1e-4 * np.linalg.norm(start):
        raise NotConverged(f"the coupled-perturbed equations did not converge (residual {residual:.1e})")
    alpha = -(4 if restricted else 2) * fields @ x.T
    return 0.5 * (alpha + alpha.T) * _POLARIZABILITY


class _Spins:
    """Orbitals of one spin (closed shells) or both, and pairs (a, i) of empty and filled ones as flat vectors."""

    def __init__(self, scf: Any, restricted: bool) -> None:
        lead = (lambda array: array[None]) if restricted else np.asarray
        coefficients, occupations, energies = lead(scf.mo_coeff), lead(scf.mo_occ), lead(scf.mo_energy)
        self.count = len(occupations)
        self.filled = [c[:, o > 0] for c, o in zip(coefficients, occupations, strict=True)]
        self.empty = [c[:, o == 0] for c, o in zip(coefficients, occupations, strict=True)]
        self.gaps = np.concatenate(
            [(e[o == 0][:, None] - e[o > 0]).ravel() for e, o in zip(energies, occupations, strict=True)]
        )

    def blocks(self, matrices: np.ndarray) -> np.ndarray:
        """(spins, fields, basis, basis) -> (fields, pairs)."""
        parts = [(a.T @ m @ i).reshape(len(m), -1) for a, m, i in zip(self.empty, matrices, self.filled, strict=True)]
        return np.concatenate(parts, axis=1)

    def density(self, x: np.ndarray) -> np.ndarray:
        """First-order density of each spin, x_ai (a i + i a); x (fields, pairs) -> (spins, fields, basis, basis)."""
        x, start, densities = x.reshape(-1, len(self.gaps)), 0, []
        for a, i in zip(self.empty, self.filled, strict=True):
            size = a.shape[1] * i.shape[1]
            half = a @ x[:, start : start + size].reshape(-1, a.shape[1], i.shape[1]) @ i.T
            densities.append(half + half.transpose(0, 2, 1))
            start += size
        return np.stack(densities)


def _positions(molecule: Any, spins: int) -> np.ndarray:
    """⟨p|r|q⟩, (spins, 3, basis, basis); the origin drops out between orthogonal orbitals."""
    return np.stack([molecule.intor_symmetric("int1e_r", comp=3)] * spins)


def _response(scf: Any, grid: int) -> Any:
    """Density -> induced potential, with the exchange-correlation kernel on a grid of its own."""
    from pyscf.dft.gen_grid import Grids

    other = scf.copy()
    other.grids = Grids(scf.mol)
    other.grids.level = grid
    return other.gen_response(hermi=1)

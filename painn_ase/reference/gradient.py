"""The gradient of a Kohn-Sham energy, its exchange and correlation contracted over orbitals instead of matrices."""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import Any

import numpy as np

_SECOND = tuple(enumerate(combinations_with_replacement(range(3), 2), start=4))  # place of ∂a∂bφ, and (a, b)


def gradient(scf: Any) -> np.ndarray:
    """dE/dR (atoms, 3) in Hartree/Bohr of a converged mean field, without the response of its grid.

    That of generalised-gradient functionals, hybrids too, is the sum of PySCF's for their exact exchange alone and of
    the integral below. All others are PySCF's.
    """
    numint = scf._numint
    omega, _, exchange = numint.rsh_and_hybrid_coeff(scf.xc, spin=scf.mol.spin)
    if numint._xc_type(scf.xc) != "GGA" or omega or numint.libxc.is_nlc(scf.xc):
        return scf.nuc_grad_method().kernel()
    rest = scf.copy()
    rest.xc = f"{exchange!r}*HF"
    return rest.nuc_grad_method().kernel() + _of_exchange_and_correlation(scf)


def _of_exchange_and_correlation(scf: Any) -> np.ndarray:
    """-2 Σ_μ∈A ∫ ∂_aφ_μ Σ_c v_c ∂_cX_μ + Σ_b ∂_a∂_bφ_μ v_b X_μ for every atom A and direction a, (atoms, 3).

    X = Dφ with the density matrix D; v_c is the derivative of the energy density by the density (c = 0, where ∂_0 is
    none) and its gradient. Pople, Gill and Johnson, Chem. Phys. Lett. 199, 557
    (1992), doi:10.1016/0009-2614(92)85009-Y.
    """
    from painn_ase.reference.grid_values import POINTS

    molecule, numint = scf.mol, scf._numint
    restricted = scf.mo_occ.ndim == 1
    lead = (lambda array: array[None]) if restricted else np.asarray
    orbitals = [c[:, n > 0] * np.sqrt(n[n > 0]) for c, n in zip(lead(scf.mo_coeff), lead(scf.mo_occ), strict=True)]
    found = np.zeros((3, molecule.nao))
    for values, _, weights, _ in numint.block_loop(molecule, scf.grids, molecule.nao, 2, blksize=POINTS):
        phi = [one.T for one in values]  # (basis, points) each: φ, its three first and six second derivatives
        halves = [[c.T @ one for one in phi[:4]] for c in orbitals]  # (filled, points)
        rho = np.array([[(h[0] * one).sum(0) * (2 if k else 1) for k, one in enumerate(h)] for h in halves])
        potential = numint.eval_xc_eff(scf.xc, rho[0] if restricted else rho, 1, xctype="GGA", spin=not restricted)[1]
        for c, half, v in zip(orbitals, halves, weights * lead(potential), strict=True):
            found += _of_block(phi, c @ half[0], c @ sum(a * b for a, b in zip(v, half, strict=True)), v)
    return np.array([-2 * found[:, start:end].sum(1) for start, end in molecule.aoslice_by_atom()[:, 2:]])


def _of_block(phi: list[np.ndarray], x: np.ndarray, vx: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The integral of a block of points for every basis function, (3, basis); `x` is X_μ, `vx` Σ_c v_c ∂_cX_μ."""
    found = np.array([np.einsum("mg,mg->m", first, vx) for first in phi[1:4]])
    for place, (a, b) in _SECOND:
        moments = (phi[place] * x) @ v[1:].T  # (basis, 3)
        found[a] += moments[:, b]
        if a != b:
            found[b] += moments[:, a]
    return found

"""Static polarizabilities by coupled-perturbed Kohn-Sham, in the space of orbitals where the integrals are fitted.

Sun et al., J. Chem. Phys. 153, 024109 (2020), doi:10.1063/5.0006074.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ase.units import Bohr

from painn_ase.errors import SimulationError
from painn_ase.reference.level import Level

MAX_CYCLES = 100
_POLARIZABILITY = Bohr**3  # Å³
_LAST = 0.05  # length of the last Krylov vectors in units of the residual that is asked for
_MEMORY = 2e9  # bytes of integrals over orbitals, beyond which they are made anew in every step


def polarizability(scf: Any, level: Level, *, in_orbitals: bool = True) -> np.ndarray:
    """Static polarizability (3, 3) in Å³ of a converged mean field, by coupled-perturbed Kohn-Sham.

    The first-order orbitals x_ai of a uniform field obey (ε_a - ε_i) x_ai + v_ai[x] = -⟨a|r|i⟩, or M x = -r, for each
    spin and direction, solved in a Krylov space. α = -2 Σ_σ (2 r·x + x·M x) is stationary at the solution, so that its
    error is the square of that of x, which is solved to the root of `level.response_tolerance` (Hylleraas, Z. Phys. 65,
    209 (1930), doi:10.1007/BF01397032). Closed shells count one spin twice.
    Coulomb and exchange come from fitted integrals over orbitals, made once (`in_orbitals`), where density fitting is
    on and they fit into memory; else, and for long-range exchange, PySCF makes them in every step, to the same values.
    Raises `SimulationError` if the solution does not converge. Stevens, Pitzer and Lipscomb, J. Chem. Phys. 38, 550
    (1963), doi:10.1063/1.1733693.
    """
    from pyscf import lib

    spins = _Spins(scf, scf.mo_occ.ndim == 1)
    fast = in_orbitals and level.density_fitting and _fits(scf, spins)
    induced = _in_orbitals(scf, spins, level.response_grid) if fast else _in_basis(scf, spins, level.response_grid)

    def coupling(x: np.ndarray) -> np.ndarray:
        return induced(x.reshape(-1, len(spins.gaps))) / spins.gaps

    fields = spins.blocks(_positions(scf.mol, spins.count))  # (3, pairs), ⟨a|r|i⟩
    start = -fields / spins.gaps
    tolerance = level.response_tolerance**0.5
    x = lib.krylov(coupling, start, tol=_LAST * tolerance, max_cycle=MAX_CYCLES)
    applied = x + coupling(x)  # M x, divided by the gaps
    residual = np.linalg.norm(applied - start) / np.linalg.norm(start)
    if not residual < tolerance:
        raise SimulationError(
            f"the coupled-perturbed equations did not converge: the residual is {residual:.1e}, not {tolerance:.1e}"
        )
    half = fields @ x.T + 0.5 * x @ (spins.gaps * applied).T
    return -(4 if spins.restricted else 2) * (half + half.T) * _POLARIZABILITY


class _Spins:
    """Orbitals of one spin (closed shells) or both, and pairs (a, i) of empty and filled ones as flat vectors."""

    def __init__(self, scf: Any, restricted: bool) -> None:
        lead = (lambda array: array[None]) if restricted else np.asarray
        coefficients, occupations, energies = lead(scf.mo_coeff), lead(scf.mo_occ), lead(scf.mo_energy)
        self.count, self.restricted = len(occupations), restricted
        self.filled = [c[:, o > 0] for c, o in zip(coefficients, occupations, strict=True)]
        self.empty = [c[:, o == 0] for c, o in zip(coefficients, occupations, strict=True)]
        self.gaps = np.concatenate(
            [(e[o == 0][:, None] - e[o > 0]).ravel() for e, o in zip(energies, occupations, strict=True)]
        )

    def blocks(self, matrices: np.ndarray) -> np.ndarray:
        """(spins, fields, basis, basis) -> (fields, pairs)."""
        parts = [(a.T @ m @ i).reshape(len(m), -1) for a, m, i in zip(self.empty, matrices, self.filled, strict=True)]
        return np.concatenate(parts, axis=1)

    def split(self, x: np.ndarray) -> list[np.ndarray]:
        """x (fields, pairs) -> for each spin (fields, empty, filled)."""
        parts, start = [], 0
        for a, i in zip(self.empty, self.filled, strict=True):
            size = a.shape[1] * i.shape[1]
            parts.append(x[:, start : start + size].reshape(-1, a.shape[1], i.shape[1]))
            start += size
        return parts

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


def _in_basis(scf: Any, spins: _Spins, grid: int) -> Callable[[np.ndarray], np.ndarray]:
    """x -> v_ai[x], (fields, pairs), through densities in the basis; the kernel on a grid of its own."""
    response = with_grid(scf, grid).gen_response(hermi=1)

    def induced(x: np.ndarray) -> np.ndarray:
        density = spins.density(x)  # (spins, fields, basis, basis)
        return spins.blocks(response(2 * density[0])[None] if spins.restricted else response(density))

    return induced


def _in_orbitals(scf: Any, spins: _Spins, grid: int) -> Callable[[np.ndarray], np.ndarray]:
    """The same, with Coulomb and exchange from B^L_pq over orbitals: v_ai gets Σ_L B_ai ρ_L with ρ_L = 2 Σ_σ Σ_bj B_bj
    x_bj of all electrons, less c_x [Σ B_ab x_bj B_ji + Σ B_aj x_bj B_bi]; the kernel of the functional from PySCF."""
    fitted = _fitted_integrals(scf, spins)
    numint = scf._numint
    exchange = numint.rsh_and_hybrid_coeff(scf.xc, spin=scf.mol.spin)[2]
    kernel = _kernel(scf, spins, grid)
    electrons = 4 if spins.restricted else 2

    def induced(x: np.ndarray) -> np.ndarray:
        parts = spins.split(x)
        pairs = list(zip(parts, fitted, strict=True))
        charges = electrons * sum(np.tensordot(p, b.ai, axes=([1, 2], [1, 2])) for p, b in pairs)
        found = []
        for p, b in pairs:
            value = np.tensordot(charges, b.ai, axes=1)  # (fields, empty, filled)
            if exchange:
                for field, one in enumerate(p):
                    half = b.ab @ one  # (L, a, j)
                    value[field] -= exchange * np.tensordot(half, b.ij, axes=([0, 2], [0, 1]))
                    value[field] -= exchange * np.tensordot(b.ai, one.T @ b.ai, axes=([0, 2], [0, 1]))
            found.append(value.reshape(len(x), -1))
        return np.concatenate(found, axis=1) + kernel(x)

    return induced


class _Fitted:
    """B^L_pq of one spin: ai (L, empty, filled), ij (L, filled, filled), ab (L, empty, empty)."""

    def __init__(self, ai: list[np.ndarray], ij: list[np.ndarray], ab: list[np.ndarray]) -> None:
        self.ai, self.ij, self.ab = (np.concatenate(blocks) for blocks in (ai, ij, ab))


def _fitted_integrals(scf: Any, spins: _Spins) -> list[_Fitted]:
    from pyscf import lib

    blocks: list[tuple[list, list, list]] = [([], [], []) for _ in range(spins.count)]
    for part in scf.with_df.loop():
        square = lib.unpack_tril(part)  # (L, basis, basis)
        for (ai, ij, ab), a, i in zip(blocks, spins.empty, spins.filled, strict=True):
            filled = square @ i
            ai.append(a.T @ filled)
            ij.append(i.T @ filled)
            ab.append(a.T @ (square @ a))
    return [_Fitted(*three) for three in blocks]


def _kernel(scf: Any, spins: _Spins, grid: int) -> Callable[[np.ndarray], np.ndarray]:
    """x -> the response of the exchange-correlation potential, (fields, pairs); zero for Hartree-Fock."""
    numint, molecule = scf._numint, scf.mol
    if numint._xc_type(scf.xc) == "HF":
        return np.zeros_like
    other = with_grid(scf, grid)
    other.grids.build()
    zero, first, second = numint.cache_xc_kernel(
        molecule, other.grids, scf.xc, scf.mo_coeff, scf.mo_occ, 0 if spins.restricted else 1
    )
    evaluate = numint.nr_rks_fxc if spins.restricted else numint.nr_uks_fxc

    def response(x: np.ndarray) -> np.ndarray:
        density = spins.density(x)
        total = 2 * density[0] if spins.restricted else density
        potential = evaluate(molecule, other.grids, scf.xc, None, total, 0, 1, zero, first, second)
        return spins.blocks(np.asarray(potential)[None] if spins.restricted else np.asarray(potential))

    return response


def _fits(scf: Any, spins: _Spins) -> bool:
    """Whether the integrals over orbitals can be kept, and are all that is needed: no long-range exchange, no
    non-local correlation."""
    numint = scf._numint
    omega = numint.rsh_and_hybrid_coeff(scf.xc, spin=scf.mol.spin)[0]
    sizes = [(a.shape[1] + i.shape[1]) ** 2 for a, i in zip(spins.empty, spins.filled, strict=True)]
    fitted = scf.with_df.get_naoaux() * sum(sizes) * 8
    return omega == 0 and not numint.libxc.is_nlc(scf.xc) and fitted < _MEMORY


def with_grid(scf: Any, grid: int) -> Any:
    """The mean field with another grid, of the response."""
    from pyscf.dft.gen_grid import Grids

    other = scf.copy()
    other.grids = Grids(scf.mol)
    other.grids.level = grid
    return other

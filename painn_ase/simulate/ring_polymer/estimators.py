"""Estimators: quantum averages from ring polymers. Their means over a run are the averages; single values are not.

Arrays are (..., beads, atoms, 3): positions in Å, forces in eV/Å, one ring per leading index. u_k = q_k - q̄ are
the beads relative to their centroid.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ase.units import kB

from painn_ase.simulate.replicas.modes import Ring
from painn_ase.simulate.run.averages import estimate


def spread(positions: np.ndarray) -> np.ndarray:
    """u_k = q_k - q̄, the beads relative to their centroid."""
    return positions - positions.mean(axis=-3, keepdims=True)


def virial_kinetic_energies(ring: Ring, positions: np.ndarray, forces: np.ndarray) -> np.ndarray:
    """Kinetic energy of every atom by the centroid virial estimator, (..., atoms) in eV.

    f_i kT/2 - (1/2P) Σ_k u_ik·F_ik (Herman, Bruskin and Berne 1982, doi:10.1063/1.442815); its scatter does not
    grow with the number of beads. f_i is 3, less the share 3 m_i/M of a centre of mass at rest.
    """
    virial = np.einsum("...kai,...kai->...a", spread(positions), forces) / ring.beads
    return 0.5 * (ring.shares * kB * ring.temperature - virial)


def primitive_kinetic_energy(ring: Ring, spring_energy: np.ndarray) -> np.ndarray:
    """Kinetic energy of the whole from the springs alone, in eV: (freedom kT/2) - (Σ ½ m ω_P² (q_k - q_{k+1})²)/P.

    Barker 1979, doi:10.1063/1.437829. It needs no forces, and scatters with √P.
    """
    return 0.5 * ring.freedom * kB * ring.temperature - spring_energy / ring.beads


def squared_gyration_radii(positions: np.ndarray) -> np.ndarray:
    """(1/P) Σ_k |u_k|² of every atom, (..., atoms) in Å²."""
    u = spread(positions)
    return np.einsum("...kai,...kai->...a", u, u) / positions.shape[-3]


def energy_slope(
    ring: Ring,
    positions: np.ndarray,
    forces: np.ndarray,
    forces_of: Callable[[np.ndarray], np.ndarray],
    stretch: float = 0.02,
) -> np.ndarray:
    """d²(βV̄)/dβ² along rings that swell as √β, in eV²: what the heat capacity needs beside the energy.

    With g(s) = (1/P) Σ_k V(q̄ + s u_k) it is (3 g' + g'')/4β (Yamamoto 2005, doi:10.1063/1.2013257, from the derivative
    of the centroid virial energy). g'' comes from the forces on rings `stretch` larger and smaller, `forces_of` both.
    """
    u, beads = spread(positions), ring.beads
    centroid = positions - u

    def slope(f: np.ndarray) -> np.ndarray:
        return -np.einsum("...kai,...kai->...", u, f) / beads

    larger, smaller = (slope(forces_of(centroid + s * u)) for s in (1 + stretch, 1 - stretch))
    curvature = (larger - smaller) / (2 * stretch)
    return 0.25 * kB * ring.temperature * (3 * slope(forces) + curvature)


def heat_capacity(ring: Ring, energies: np.ndarray, slopes: np.ndarray) -> tuple[float, float]:
    """Heat capacity at constant volume in units of kB, and its standard error.

    C/kB = f/2 + β² (Var(E_cv) - <W''>): f degrees of freedom of the centroid, E_cv the total energy by the centroid
    virial estimator, W'' from `energy_slope`, both of the same moments of one run. The error is that of a mean of
    correlated terms, so it wants a run much longer than the memory of the energy.
    """
    beta = 1 / (kB * ring.temperature)
    energies = np.asarray(energies) - np.mean(energies)
    count = max(len(energies), 2)
    terms = 0.5 * ring.centroid_freedom + beta**2 * (energies**2 * count / (count - 1) - slopes)
    return estimate(terms)[:2]

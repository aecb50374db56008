"""Radial functions φ_n(d) and cutoff functions fc(d) of the pair distance."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from painn_ase.errors import InputError
from painn_ase.nn.registry import build


class RadialFunctions(nn.Module, ABC):
    """φ: distances (pairs,) in Å to (pairs, count)."""

    count: int

    @abstractmethod
    def forward(self, distances: Tensor) -> Tensor: ...


class BesselFunctions(RadialFunctions):
    """φ_n(d) = sin(nπd/rc)/d for n = 1 … count (PaiNN, section 4.1; DimeNet without its prefactor). d > 0."""

    frequencies: Tensor

    def __init__(self, cutoff: float, count: int = 20) -> None:
        super().__init__()
        self.count = count
        self.register_buffer("frequencies", torch.arange(1, count + 1, dtype=torch.float64) * (math.pi / cutoff))

    def forward(self, distances: Tensor) -> Tensor:
        d = distances[:, None]
        return torch.sin(d * self.frequencies) / d


class GaussianFunctions(RadialFunctions):
    """φ_n(d) = exp(-(d - c_n)²/2σ_n²).

    By default centres are spread evenly from `start` to the cutoff and every width is their spacing. With
    `centered`, all centres are zero and the widths are spread evenly instead.
    """

    centers: Tensor
    widths: Tensor

    def __init__(self, cutoff: float, count: int = 20, start: float = 0.0, centered: bool = False) -> None:
        super().__init__()
        if count < 2:
            raise InputError(f"Gaussian radial functions: expected count >= 2; got {count}")
        self.count = count
        grid = torch.linspace(start, cutoff, count, dtype=torch.float64)
        self.register_buffer("centers", torch.zeros_like(grid) if centered else grid)
        self.register_buffer(
            "widths", grid.clone() if centered else torch.full_like(grid, (cutoff - start) / (count - 1))
        )

    def forward(self, distances: Tensor) -> Tensor:
        return torch.exp(-0.5 * ((distances[:, None] - self.centers) / self.widths) ** 2)


class ExponentialNormalFunctions(RadialFunctions):
    """φ_n(d) = exp(-β (exp(-5 d/rc) - μ_n)²), μ_n spread evenly over [e⁻⁵, 1], β = (2 (1 - e⁻⁵)/count)⁻².

    Gaussians of e^(-5 d/rc): narrow at bonding distances, wide near the cutoff (Unke and Meuwly 2019, PhysNet,
    doi:10.1021/acs.jctc.9b00181, where the exponent is d/Å).
    """

    centers: Tensor

    def __init__(self, cutoff: float, count: int = 32) -> None:
        super().__init__()
        if count < 2:
            raise InputError(f"exponential normal radial functions: expected count >= 2; got {count}")
        self.count = count
        self.decay = 5.0 / cutoff  # 1/Å
        least = math.exp(-5.0)
        self.beta = (2.0 / count * (1.0 - least)) ** -2
        self.register_buffer("centers", torch.linspace(least, 1.0, count, dtype=torch.float64))

    def forward(self, distances: Tensor) -> Tensor:
        return torch.exp(-self.beta * (torch.exp(-self.decay * distances[:, None]) - self.centers) ** 2)


class CutoffFunction(nn.Module, ABC):
    """fc: distances (pairs,) in Å to (pairs,), one at zero and exactly zero from the cutoff on."""

    def __init__(self, cutoff: float) -> None:
        super().__init__()
        self.cutoff = cutoff

    @abstractmethod
    def inside(self, x: Tensor) -> Tensor:
        """fc as a function of x = d/rc in [0, 1)."""

    def forward(self, distances: Tensor) -> Tensor:
        x = distances / self.cutoff
        # the outer `where` alone would let a NaN of the untaken branch into the gradient
        within = x < 1
        return torch.where(within, self.inside(torch.where(within, x, 0.0)), 0.0)


class CosineCutoff(CutoffFunction):
    """(cos(πd/rc) + 1)/2 (Behler 2011). Its second derivative jumps at the cutoff."""

    def inside(self, x: Tensor) -> Tensor:
        return 0.5 * (torch.cos(math.pi * x) + 1.0)


class PolynomialCutoff(CutoffFunction):
    """1 - (p+1)(p+2)/2 xᵖ + p(p+2) xᵖ⁺¹ - p(p+1)/2 xᵖ⁺² (DimeNet, eq. 8): two continuous derivatives."""

    def __init__(self, cutoff: float, p: int = 6) -> None:
        super().__init__(cutoff)
        if p < 2:
            raise InputError(f"polynomial cutoff: expected p >= 2; got {p}")
        self.p = p

    def inside(self, x: Tensor) -> Tensor:
        p = self.p
        return 1.0 - x**p * ((p + 1) * (p + 2) / 2 - p * (p + 2) * x + p * (p + 1) / 2 * x * x)


class MollifierCutoff(CutoffFunction):
    """exp(1 - 1/(1 - (d/rc)²)): every derivative is continuous. Zero within `epsilon` Å of the cutoff."""

    def __init__(self, cutoff: float, epsilon: float = 1e-7) -> None:
        super().__init__(cutoff)
        self.epsilon = epsilon

    def inside(self, x: Tensor) -> Tensor:
        near = x < 1 - self.epsilon / self.cutoff
        safe = torch.where(near, x, 0.0)
        return torch.where(near, torch.exp(1.0 - 1.0 / (1.0 - safe * safe)), 0.0)


class Repulsion(nn.Module):
    """strength · (sigma/d)^power: the energy that a pair adds to each of its atoms, in eV; `sigma` in Å.

    Keeps atoms apart where a network has seen no data. It is cut off with the network, without an envelope.
    """

    def __init__(self, strength: float, sigma: float, power: float) -> None:
        super().__init__()
        if not (strength >= 0 and sigma > 0 and 1 <= power <= 64):
            raise InputError(
                "repulsion: expected strength >= 0 eV, sigma > 0 Å and 1 <= power <= 64; "
                f"got {strength}, {sigma}, {power}"
            )
        self.strength, self.sigma, self.power = strength, sigma, power

    def forward(self, distances: Tensor) -> Tensor:
        return self.strength * (self.sigma / distances) ** self.power


RADIAL: dict[str, type[RadialFunctions]] = {
    "bessel": BesselFunctions,
    "gaussian": GaussianFunctions,
    "exponential_normal": ExponentialNormalFunctions,
}
CUTOFFS: dict[str, type[CutoffFunction]] = {
    "cosine": CosineCutoff,
    "polynomial": PolynomialCutoff,
    "mollifier": MollifierCutoff,
}


def build_radial(spec: dict, cutoff: float) -> RadialFunctions:
    """The radial functions that `spec` describes: {"kind": "bessel" | "gaussian" | ..., "count": n, ...}."""
    return build(RADIAL, spec, "radial functions", cutoff)


def build_cutoff(spec: dict, cutoff: float) -> CutoffFunction:
    """The cutoff function that `spec` describes: {"kind": "cosine" | "polynomial" | "mollifier", ...}."""
    return build(CUTOFFS, spec, "cutoff function", cutoff)

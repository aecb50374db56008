"""Guards: what a run must not do, and what is said when it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from ase import Atoms

from painn_ase.capabilities import knows_its_training_data
from painn_ase.errors import InputError, positive
from painn_ase.properties import FORCES_SPREAD


class GuardWarning(UserWarning):
    """A run went where a guard objects, and goes on."""


@dataclass(frozen=True)
class Guards:
    """What a run must not do. Forces and energies that are not finite always stop it.

    max_temperature: in K; by default 5000 K or, if larger, (10 + 60/f) times the temperature of the run, f degrees of
        freedom: out of reach of thermal fluctuation even for f = 1
    max_force: on an atom in eV/Å; by default unlimited
    stop_outside: object to leaving what the model's training data covered (`PaiNNCalculator.outside`): pairs closer
        than any in them, forces far above, unknown environments; geometries of many copies (beads, trajectories in
        lock-step) are looked at whenever an atom has moved by 0.15 Å (`CoverageMonitor.LATE`)
    min_distance: in Å, of pairs of any elements and with any calculator
    max_disagreement: in eV/Å, of a committee: the largest `forces_std` of an atom
    action: what an objection does: "stop" ends the run; "warn" says it (`GuardWarning`) and goes on; a function is
        called with a copy of the frame, results attached, and the sentence, to label it, say, and the run goes on
        unless it raises

    The last two actions happen when an excursion begins, not at each of its steps, and their frames are
    appended to `<path>.flagged.traj`.
    """

    max_temperature: float | None = None
    max_force: float | None = None
    stop_outside: bool = False
    min_distance: float | None = None
    max_disagreement: float | None = None
    action: Literal["stop", "warn"] | Callable[[Atoms, str], Any] = "stop"

    def limit(self, temperature: float, freedom: int) -> float:
        """The highest temperature allowed, in K."""
        if self.max_temperature is not None:
            return self.max_temperature
        return max(5000.0, (10 + 60 / freedom) * temperature)

    def check(self, calculator: Any) -> None:
        """Raises `InputError` for impossible limits, and for what the calculator cannot say."""
        units = {"max_temperature": "K", "max_force": "eV/Å", "min_distance": "Å", "max_disagreement": "eV/Å"}
        for name, unit in units.items():
            value = getattr(self, name)
            if value is not None:
                positive(name, value, unit)
        if self.action not in ("stop", "warn") and not callable(self.action):
            raise InputError(f"action of Guards: expected 'stop', 'warn' or a function; got {self.action!r}")
        if self.stop_outside and not knows_its_training_data(calculator):
            raise InputError(
                "stop_outside: this calculator's model does not store what its training data covered, so there is no "
                "telling when a run leaves it; painn_ase's own models do, imported ones do not"
            )
        if self.max_disagreement is not None and FORCES_SPREAD not in calculator.implemented_properties:
            raise InputError(
                f"max_disagreement: needs a calculator with {FORCES_SPREAD}, which several models together provide: "
                "PaiNNCalculator([...]), or --ensemble"
            )

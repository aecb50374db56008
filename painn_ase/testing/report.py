"""What a check found, and the table of all of them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["pass", "fail", "not applicable"]


@dataclass(frozen=True)
class Outcome:
    """What one check found for one structure: a measured figure that must not exceed its tolerance, or a verdict."""

    check: str  # name
    status: Status  # pass, fail, or not applicable
    why: str = ""  # what was measured, what is wrong, or why the check does not apply
    figure: float | None = None  # in `unit`
    tolerance: float | None = None  # in `unit`
    unit: str = ""  # of figure and tolerance
    structure: str = ""  # formula

    @property
    def excess(self) -> float:
        """figure / tolerance; what is worst has most of it."""
        if self.figure is None or self.tolerance is None:
            return 0.0 if self.status == "pass" else 1.0
        return self.figure / self.tolerance if self.tolerance else float(self.figure > 0) * float("inf")

    def __str__(self) -> str:
        parts = [] if self.figure is None else [f"{self.figure:.2g} (at most {self.tolerance:.2g}) {self.unit}".strip()]
        return "; ".join([*parts, *([self.why] if self.why else [])])


def measured(figure: float, tolerance: float, unit: str, why: str = "") -> Outcome:
    """Passes if `figure`, in `unit`, is at most `tolerance`; NaN fails."""
    return Outcome("", "pass" if figure <= tolerance else "fail", why, float(figure), float(tolerance), unit)


def verdict(good: bool, why: str) -> Outcome:
    """Passes if `good`; `why` says what was seen."""
    return Outcome("", "pass" if good else "fail", why)


def not_applicable(why: str) -> Outcome:
    """The check has nothing to look at here."""
    return Outcome("", "not applicable", why)


@dataclass(frozen=True)
class Report:
    """The outcomes of a conformance suite; truthy if nothing failed, printed as a table of the worst per check."""

    calculator: str
    outcomes: tuple[Outcome, ...]
    precision: str = ""  # what noise was measured, in words

    def __bool__(self) -> bool:
        return not self.failures

    @property
    def failures(self) -> tuple[Outcome, ...]:
        return tuple(o for o in self.outcomes if o.status == "fail")

    @property
    def rows(self) -> tuple[Outcome, ...]:
        """One outcome per check: its worst failure, else its closest pass, else why it does not apply."""
        return tuple(_worst([o for o in self.outcomes if o.check == name]) for name in _names(self.outcomes))

    @property
    def exit_code(self) -> int:
        """0 if nothing failed, else 1: for continuous integration."""
        return 0 if self else 1

    def as_dict(self) -> dict[str, Any]:
        """JSON-able: the calculator, counts, and every outcome."""
        counts = {s: sum(r.status == s for r in self.rows) for s in ("pass", "fail", "not applicable")}
        return {
            "calculator": self.calculator,
            "precision": self.precision,
            "counts": counts,
            "outcomes": [asdict(o) for o in self.outcomes],
        }

    def __str__(self) -> str:
        rows = self.rows
        width = max((len(r.check) for r in rows), default=0)
        marks = {"pass": "pass", "fail": "FAIL", "not applicable": "n/a "}
        lines = [f"{self.calculator}", *([self.precision] if self.precision else []), ""]
        for row in rows:
            where = f" [{row.structure}]" if row.structure else ""
            text = textwrap.shorten(f"{row}{where}", 400) or "as it should be"
            lines += textwrap.wrap(
                text,
                120,
                initial_indent=f"{marks[row.status]}  {row.check:<{width}}  ",
                subsequent_indent=" " * (width + 8),
            )
        counts = self.as_dict()["counts"]
        summary = ", ".join(f"{count} {status}" for status, count in counts.items())
        return "\n".join([*lines, "", f"{summary}"])


def _names(outcomes: Iterable[Outcome]) -> list[str]:
    return list(dict.fromkeys(o.check for o in outcomes))


def _worst(same: list[Outcome]) -> Outcome:
    for status in ("fail", "pass"):
        found = [o for o in same if o.status == status]
        if found:
            return max(found, key=lambda o: o.excess)
    return same[0]

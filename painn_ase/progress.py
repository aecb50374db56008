"""How far long work is: a bar on a terminal or in a notebook, and in the log of a batch job a line a minute."""

import sys
import time
from types import TracebackType

from tqdm.auto import tqdm


class Meter:
    """Counts `total` units of work, `initial` of them done before, and shows it on standard error.

    Without a terminal a line comes after the first unit, then at most one in `every` seconds, and after the last; with
    `shown` false nothing does.
    """

    def __init__(
        self, total: int, unit: str, what: str, *, initial: int = 0, shown: bool = True, every: float = 60.0
    ) -> None:
        self._total, self._unit, self._what, self._initial = total, unit, what, initial
        self._done, self._every = initial, every
        terminal = sys.stderr.isatty() or type(sys.stderr).__module__.startswith("ipykernel")
        self._lines = shown and not terminal
        self._bar = tqdm(
            total=total, initial=initial, unit=unit, desc=what, disable=not (shown and terminal), file=sys.stderr
        )
        self._start = time.monotonic()
        self._said = -float("inf")

    @property
    def total(self) -> int:
        """Units of work in all; may be set anew where it was an estimate."""
        return self._total

    @total.setter
    def total(self, units: int) -> None:
        self._total = units
        self._bar.total = units

    def update(self, text: str = "") -> None:
        """One more unit is done; `text` says something of it."""
        self._done += 1
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update()
        now = time.monotonic()
        if self._lines and (now - self._said >= self._every or self._done == self._total):
            self._said = now
            print(self._line(now - self._start, text), file=sys.stderr, flush=True)

    def _line(self, seconds: float, text: str) -> str:
        rest = seconds / (self._done - self._initial) * (self._total - self._done)
        left = f", about {duration(rest)} left" if self._done < self._total else ""
        line = f"{self._what}: {self._unit} {self._done} of {self._total} after {duration(seconds)}{left}"
        return f"{line}; {text}" if text else line

    def __enter__(self) -> "Meter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()


def duration(seconds: float) -> str:
    """Seconds as people say them: 8 s, 12 min, 3.4 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"

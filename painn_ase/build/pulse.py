"""A line a minute: what is done, how long the present round still takes, when the budget ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from painn_ase.build.state import State
from painn_ase.progress import duration

MINUTE = 60.0


class Pulse:
    """Says once a minute what `doing` says; a thread, so that long calls do not silence it."""

    def __init__(self, state: State, hours: float, every: float = MINUTE) -> None:
        self._state, self._budget, self._every = state, 3600 * hours, every
        self._what, self._share, self._since = "", 0.0, time.monotonic()
        self.round_seconds: float | None = None  # of the last whole round
        self.round_began = time.monotonic()
        self.rounds_left: int | None = None  # if errors fall as they did

    @contextmanager
    def beating(self) -> Iterator[None]:
        """While the block lasts, a line comes every minute."""
        stop = threading.Event()

        def beat() -> None:
            while not stop.wait(self._every):
                self._state.say(self.line())
                self._state.keep_time()

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def doing(self, what: str, share: float = 0.0) -> None:
        """From now on this is done; `share` of it is finished."""
        if what != self._what:
            self._what, self._since = what, time.monotonic()
        self._share = share

    def line(self) -> str:
        """What is done, and what is left."""
        spent, now = self._state.seconds, time.monotonic()
        text = f"{self._what}"
        if self._share > 0.02:
            rest = (now - self._since) * (1 / self._share - 1)
            text += f", {100 * self._share:.0f} %, about {duration(rest)} more"
        left = max(0.0, self._budget - spent)
        text += f"; {duration(spent)} so far, the budget ends in {duration(left)}"
        if self.round_seconds is not None:
            here = max(0.0, self.round_seconds - (now - self.round_began))
            text += f"; this round about {duration(here)} more"
            if self.rounds_left:
                whole = here + self.rounds_left * self.round_seconds
                text += f", and {self.rounds_left} more ({duration(min(left, whole))}) if errors fall as they did"
        return text

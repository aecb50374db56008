"""Where a build stands: a file that is replaced in one step, and a log that only grows."""

from __future__ import annotations

import json
import sys
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from painn_ase.build.request import Request
from painn_ase.errors import InputError
from painn_ase.files import write_atomically

STATE, LOG = "state.json", "log.txt"
_VERSION = 1


class State:
    """Facts of a build, JSON-able, in `state.json`; sentences about its decisions, in `log.txt`.

    What is too large for it is in files that are made in one step or grow frame by frame, so that after a kill the
    facts and these files say what is done. `seconds` counts the time of all parts of the build.
    """

    def __init__(self, request: Request, *, shown: bool = True) -> None:
        self.folder, self.shown = request.output, shown
        self.path = self.folder / STATE
        self.facts: dict[str, Any] = {"version": _VERSION, "request": request.to_dict(), "seconds": 0.0, "rounds": []}
        self.found = self.path.exists()
        if self.found:
            self._load(request)
        self._lock = threading.Lock()
        self._before, self._since = float(self.facts["seconds"]), time.monotonic()
        self.put(request=request.to_dict())

    @property
    def seconds(self) -> float:
        """Time spent on this build so far, without pauses between its parts."""
        return self._before + time.monotonic() - self._since

    @property
    def rounds(self) -> list[dict[str, Any]]:
        """What each round found, the last one first in being unfinished."""
        return self.facts["rounds"]

    def put(self, **facts: Any) -> None:
        """Adds facts and saves all."""
        self.facts |= facts
        text = json.dumps(self.facts, indent=1, ensure_ascii=False) + "\n"
        with self._lock:
            self._text = text
            self._write()

    def keep_time(self) -> None:
        """Saves the seconds beside the facts of the last `put`; for another thread."""
        with self._lock:
            self._write()

    def _write(self) -> None:
        write_atomically(self.path, json.dumps(json.loads(self._text) | {"seconds": round(self.seconds, 2)}, indent=1))

    def say(self, text: str) -> None:
        """A sentence about what was decided or found, on the screen and in the log."""
        line = f"{datetime.now():%Y-%m-%d %H:%M:%S} {text}\n"
        with open(self.folder / LOG, "a", encoding="utf-8") as file:
            file.write(line)
        if self.shown:
            print(f"build: {text}", file=sys.stderr, flush=True)

    def _load(self, request: Request) -> None:
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
            before, version = found["request"], found["version"]
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(f"{self.path} is no state of a build; choose another --output") from None
        if version != _VERSION:
            raise InputError(f"{self.path}: expected version {_VERSION}; got {version}; choose another --output")
        changed = request.differs(before)
        if changed:
            what = "; ".join(f"{name} was {before.get(name)!r}" for name in changed)
            raise InputError(
                f"{self.folder} holds another build ({what}). Ask for the same to go on, or choose another --output; "
                "the target, the budget and the purposes may change"
            )
        self.facts = found


def begun(folder: Path) -> bool:
    """Whether the folder holds a build."""
    return (folder / STATE).exists()

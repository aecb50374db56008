"""Processes that begin within milliseconds, since they are forks of one that has imported everything, to be killed."""

import os
import signal
import traceback
from collections.abc import Callable
from pathlib import Path

OUTPUT = "output.txt"


def forked(run: Callable[[], object], folder: Path) -> int:
    """The process that calls `run`; what it prints goes to output.txt in `folder`."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        with open(folder / OUTPUT, "a") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            try:
                run()
                code = 0
            except BaseException:
                traceback.print_exc(file=log)
    finally:
        os._exit(code)


def ended(child: int, folder: Path) -> bool:
    """Waits for a process; true if it ran to its end, false if it was killed. Fails if it ended otherwise."""
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return False
    if os.waitstatus_to_exitcode(status) != 0:
        raise AssertionError(f"a run in {folder} failed:\n{(folder / OUTPUT).read_text()[-3000:]}")
    return True

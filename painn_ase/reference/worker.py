"""What a worker process of `label` does before and beside its work. Imports nothing numerical at the top."""

import os
import signal
import threading
from multiprocessing import parent_process


def start(threads: int) -> None:
    """Sets this process's thread counts before any library reads them, and ties its life to the parent's."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(threads)  # of this process only
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it without a traceback of its own
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    """Ends this process when the parent has gone, so that a killed run leaves no work behind."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

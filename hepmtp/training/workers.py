"""What a worker process on this machine does first, whatever it works on.

The rule: one thread each, and no worker outlives the process that started it.
"""

from __future__ import annotations

import os
import signal
import threading
import time

#: Threads of numerical libraries in a worker process: several on busy cores are much slower.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def begin_worker(parent: int) -> None:
    """Leave Ctrl-C to the process that started this one, and end with it, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process when the one that started it is gone."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)

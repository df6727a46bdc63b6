"""How long something takes, and whether the machine may be measured now."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

#: Load of the machine below which it counts as idle, and how long one waits for that [s].
IDLE, PATIENCE = 0.5, 180.0


def seconds(call: Callable[[], object]) -> float:
    """CPU time of one call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def idle() -> bool:
    """Whether the machine does nothing else; the load of what has just ended is waited out."""
    end = time.monotonic() + PATIENCE
    while os.getloadavg()[0] >= IDLE:
        if time.monotonic() > end:
            return False
        time.sleep(5)
    return True

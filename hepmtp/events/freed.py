"""Freed memory kept in the process, for what allocates as much again: chunks, layers of a model.

The rule: it changes how long something takes, and nothing else.
"""

from __future__ import annotations

import numpy as np

#: Bytes; glibc takes no hint from blocks of 32 MiB or more.
_LARGEST = 31 << 20


def keep_freed() -> None:
    """Keep what is freed from now on, up to 62 MiB.

    glibc keeps twice the largest block below 32 MiB that was ever freed. What it does not keep goes
    back to the system, and each page of it is fetched and cleared anew. That is a tenth of the time
    of a reader, and a fifth of that of a model.
    """
    np.empty(_LARGEST, dtype=np.uint8)

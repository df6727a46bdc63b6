"""What a benchmark found: shown, and written where it is wanted; and whether it may measure now."""

from __future__ import annotations

import os
import time
from pathlib import Path

#: Load of the machine below which it counts as idle, and how long one waits for that [s].
IDLE, PATIENCE = 0.5, 180.0


def show(text: str, out: Path | None) -> None:
    """Print the text, and write it into the file `out`, if that is named."""
    print(text.removesuffix("\n"))
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")


def idle() -> bool:
    """Whether the machine does nothing else; the load of what has just ended is waited out."""
    end = time.monotonic() + PATIENCE
    while os.getloadavg()[0] >= IDLE:
        if time.monotonic() > end:
            return False
        time.sleep(5)
    return True

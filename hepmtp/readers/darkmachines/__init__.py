"""Dark Machines CSV: `line` is the slow truth about one line, `chunk` the fast path for many, `reader` the reader."""

from __future__ import annotations

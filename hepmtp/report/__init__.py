"""Report: numbers become a folder for a reader.

`folder` writes a run's folder, `figures` draws into it, `info` is what the run says of itself, and `page` makes one
HTML page of all this.
"""

from __future__ import annotations

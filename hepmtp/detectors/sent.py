"""Saved detectors on their way to workers: as path and digest, opened once in each process.

The rule: a worker scores with the detector that it was sent, or says that it cannot.
"""

from __future__ import annotations

from typing import Any

from hepmtp.plugins import allow_plugins
from hepmtp.storage import open_once


def open_form(cls: Any, path: str, digest: str, form: str, plugins: tuple[str, ...] = ()) -> Any:
    """The detector that was saved to a folder, with this form of its score.

    Parameters
    ----------
    plugins
        what the process that sends it may open.
    """
    allow_plugins(*plugins)
    return open_once(cls, path, digest).with_score(form)

"""Saved detectors on their way to workers: as path and digest, opened once in each process.

The rule: a worker scores with the detector that it was sent, or says that it cannot.
"""

from __future__ import annotations

import functools
from typing import Any

from hepmtp import storage
from hepmtp.errors import StorageError
from hepmtp.plugins import allow_plugins


@functools.lru_cache(maxsize=64)  # a cross-fitted one has several members, each of which is small
def open_once(cls: Any, path: str, digest: str) -> Any:
    """The detector of this class in a folder; StorageError if that has another digest."""
    if storage.digest(path) != digest:
        raise StorageError(
            f"{path} is not the detector that the processor was made with (its sha256 differs): "
            "copy it again"
        )
    return cls.load(path)


def open_form(cls: Any, path: str, digest: str, form: str, plugins: tuple[str, ...] = ()) -> Any:
    """The same in this form of its score.

    Parameters
    ----------
    plugins
        what the process that sends it may open.
    """
    allow_plugins(*plugins)
    return open_once(cls, path, digest).with_score(form)

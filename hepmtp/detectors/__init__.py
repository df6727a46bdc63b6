"""Detectors: each gives every event one number, larger = stranger.

The rule: a detector is fitted on background training events only, and on those alone that
:func:`hepmtp.split.split_of` calls train (and validation, for early stopping): what a histogram shows was never used.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, Self, runtime_checkable

import awkward as ak
import numpy as np
from hist.axis import Regular
from numpy.typing import NDArray


@runtime_checkable
class Detector(Protocol):
    """What a detector can do; passed as an object, or as the folder that `save` wrote.

    Attributes
    ----------
    name
        short name, the key of its histogram and the row of its table.
    axis
        histogram axis of the score, its range from the training background.
    """

    name: str

    @property
    def axis(self) -> Regular: ...

    def fit(self, events: ak.Array) -> Self:
        """Fit on the training part of background events; raises TrainingError on signal."""

    def score(self, events: ak.Array) -> NDArray[np.float64]:
        """One finite number per event, shape (n_events,), empty events included."""

    def save(self, path: str | Path) -> None:
        """Write to a folder of plain data; never a pickle."""

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote; a damaged folder or one of another version raises ScoreError."""

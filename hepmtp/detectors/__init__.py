"""Detectors: each gives every event one number, larger = stranger.

The rule: a detector is fitted on background training events only, and on those alone that
:func:`hepmtp.events.split.split_of` calls train (and validation, for early stopping): what a histogram shows was never used.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import awkward as ak
import numpy as np
from hist.axis import Regular
from numpy.typing import NDArray

from hepmtp import storage
from hepmtp.errors import OptionError, StorageError, TrainingError
from hepmtp.events.split import Part, check_background, in_one_order, part_of


@runtime_checkable
class Detector(Protocol):
    """What a detector can do; passed as an object, or as the folder that `save` wrote.

    Attributes
    ----------
    name
        short name, the key of its histogram and the row of its table.
    description
        what the score is, in a sentence for a reader of the report.
    axis
        histogram axis of the score, its range from the training background.
    """

    @property
    def name(self) -> str: ...

    @property
    def description(self) -> str: ...

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
        """Read what `save` wrote; a damaged folder or one of another version raises StorageError."""


def training_events(events: ak.Array, part: Part = "train") -> ak.Array:
    """The events of one part that a detector may fit on, sorted by (source, event) so that reading order has no effect.

    Raises
    ------
    TrainingError
        if the events are not background, or none of them is in this part.
    """
    check_background(events)
    chosen = part_of(events, part)
    if len(chosen) == 0:
        raise TrainingError(
            f"none of the {len(events)} events is in the {part} part: give more events"
        )
    return in_one_order(chosen)


def score_axis(values: NDArray[np.float64], *, label: str, bins: int = 200) -> Regular:
    """Axis for scores of background training events with room for stranger ones, named "score"."""
    low, high = np.quantile(values, [0.0, 0.999])
    span = max(high - low, 1e-6)
    return Regular(
        bins, float(low - 0.02 * span), float(high + 0.5 * span), name="score", label=label
    )


def plain_axis(axis: Regular) -> dict[str, Any]:
    """An axis as plain data; `axis_from` gives it back."""
    return {"bins": axis.size, "start": axis.edges[0], "stop": axis.edges[-1], "label": axis.label}


def axis_from(plain: dict[str, Any]) -> Regular:
    """The axis that `plain_axis` described."""
    return Regular(plain["bins"], plain["start"], plain["stop"], name="score", label=plain["label"])


def load_detector(path: str | Path) -> Detector:
    """The detector in a folder; ``FOLDER#form`` gives a `MaskedTokenDetector` with that form of score.

    Raises
    ------
    StorageError
        if the folder is missing or damaged, or holds something else.
    """
    folder, _, form = str(path).partition("#")
    detector = storage.load(folder)
    if not isinstance(detector, Detector):
        raise StorageError(f"{folder} holds a {storage.kind_of(detector)!r}, expected a detector")
    if not form:
        return detector
    with_score: Callable[[str], Detector] | None = getattr(detector, "with_score", None)
    if with_score is None:
        raise OptionError(
            f"{path}: a {detector.name} detector has one form of score only; leave out #{form}"
        )
    return with_score(form)

"""Detectors: each gives every event one number, larger = stranger.

The rule: a detector is fitted on background training events only, and on those alone that
:func:`hepmtp.events.split.split_of` calls train (and validation, for early stopping). What a
histogram shows was never used.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, Self, cast, runtime_checkable

import awkward as ak
import numpy as np
from hist.axis import Regular
from numpy.typing import NDArray

from hepmtp import storage
from hepmtp.detectors.card import MOST_EVENTS, Card, card_from, card_of, say_what_is_far
from hepmtp.detectors.card_text import CARD, page_of
from hepmtp.detectors.shown import line, table
from hepmtp.errors import NotFittedError, OptionError, StorageError, TrainingError, fitted
from hepmtp.events.entering import as_events
from hepmtp.events.folds import Fold
from hepmtp.events.ragged import Floats
from hepmtp.events.split import (
    Part,
    Trained,
    check_background,
    in_one_order,
    joined,
    part_of,
)

#: Folder of the anomaly score that is made of a model, within that of the model.
SCORE = "detector"


@runtime_checkable
class Detector(Protocol):
    """What a detector can do; passed as an object, or as the folder that `save` wrote.

    `BaseDetector` has the axis, and `forms`, `with_score`, `n_parameters` and `supervised` of a
    detector with one form of score, no parameters and no labels.

    Attributes
    ----------
    name
        short name, the key of its histogram and the row of its table.
    description
        what the score is, in a sentence for a reader of the report.
    axis
        histogram axis of the score, its range from the training background.
    forms
        names of the forms of the score that `with_score` knows; empty if there is only one.
    n_parameters
        number of trainable parameters; 0 if that means nothing.
    supervised
        whether signal is used in its training, or in that of something that it is made from.
    """

    @property
    def name(self) -> str: ...

    @property
    def description(self) -> str: ...

    @property
    def axis(self) -> Regular: ...

    @property
    def forms(self) -> tuple[str, ...]: ...

    @property
    def n_parameters(self) -> int: ...

    @property
    def supervised(self) -> bool: ...

    def with_score(self, form: str) -> Self:
        """The same fitted detector with another of its `forms`; raises OptionError if unknown."""

    def fit(self, events: ak.Array) -> Self:
        """Fit on the training part of background events; raises TrainingError on signal."""

    def score(self, events: ak.Array) -> Floats:
        """One finite number per event, shape (n_events,), empty events included."""

    def save(self, path: str | Path) -> None:
        """Write to a folder of plain data; never a pickle."""

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote; a damaged folder or one of another kind raises StorageError."""


class BaseDetector:
    """What detectors share: the axis, and one form of score without parameters or labels.

    A subclass has `name`, `description`, `fit`, which sets `axis_`, `score`, `save` and `load`.

    Attributes
    ----------
    axis_
        axis of the score; None before `fit`.
    trained_
        which events it was given to train on; None if nobody knows, as of a detector that was saved
        before this was remembered.
    card_
        what it says of its training (:mod:`hepmtp.detectors.card`); None as before.
    """

    axis_: Regular | None = None
    trained_: tuple[Trained, ...] | None = None
    card_: Card | None = None

    @property
    def axis(self) -> Regular:
        """Axis of the score; raises NotFittedError before `fit`."""
        return fitted(self.axis_, self)

    @property
    def forms(self) -> tuple[str, ...]:
        """Names of the forms of the score; none, as there is only one."""
        return ()

    @property
    def n_parameters(self) -> int:
        """Number of trainable parameters."""
        return 0

    @property
    def supervised(self) -> bool:
        """Whether signal is used in the training."""
        return False

    def with_score(self, form: str) -> Self:
        """Raises OptionError: there is one form of score only."""
        raise OptionError(
            f"{type(self).__name__} has one form of score only, found form {form!r}: leave it out"
        )

    def describe(self, training: ak.Array) -> None:
        """Make the card of a fitted detector from events that trained it, shape (n_events,)."""
        self.card_ = None
        detector = cast("Detector", self)
        some = training[:: len(training) // MOST_EVENTS + 1]
        ones = [detector.with_score(form) for form in detector.forms] or [detector]
        self.card_ = card_of(training, {one.name: one.score(some) for one in ones})

    def __str__(self) -> str:
        """What it is, in a line; ``repr`` has all options, and is what makes a fit."""
        detector = cast("Detector", self)
        return line(detector, is_fitted=is_fitted(detector))

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002 - IPython's
        printer.text(str(self))

    def _repr_html_(self) -> str:
        detector = cast("Detector", self)
        return table(detector, is_fitted=is_fitted(detector))

    def _entering(self, events: ak.Array) -> ak.Array:
        """The events, checked, as :func:`hepmtp.events.entering.as_events` gives them.

        What is far from the training is said.
        """
        events = as_events(events)
        if self.card_ is not None:
            say_what_is_far(cast("Detector", self).name, self.card_, events)
        return events

    def _write(
        self, folder: Path, meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> None:
        """Write what a subclass saves into a folder, with the memory of its training and a card."""
        detector = cast("Detector", self)
        card = None if self.card_ is None else self.card_._asdict()
        head = {**meta, "trained": self.trained_, "card": card}
        about = {"name": detector.name, "description": detector.description}
        text = page_of(head | about | {"kind": storage.kind_of(self)})
        storage.write(folder, storage.kind_of(self), head | {"about": about}, arrays, {CARD: text})

    def _recall(self, meta: Mapping[str, Any]) -> None:
        """Take up the memory that `_write` has saved; one of before it was kept has none."""
        self.trained_, self.card_ = trained_from(meta), card_from(meta)


def training_events(events: ak.Array, part: Part = "train") -> ak.Array:
    """The events of one part that a detector may fit on.

    They are sorted by (source, event), so that reading order has no effect.

    Raises
    ------
    TrainingError
        if the events are not background, or none of them is in this part.
    """
    check_background(events)
    events = as_events(events)
    chosen = part_of(events, part)
    if len(chosen) == 0:
        raise TrainingError(
            f"none of the {len(events)} events is in the {part} part: give more events"
        )
    return in_one_order(chosen)


def in_fold(detector: Detector, fold: Fold) -> Detector:
    """A copy of a detector that is not fitted, for the training that leaves this fold out.

    A detector that is made of others, or learns from more events than ``fit`` is given, says by a
    method ``in_fold`` of its own what it is then made of.

    Raises
    ------
    OptionError
        for one that is fitted, or learns from signal and has no such method.
    """
    own: Callable[[Fold], Detector] | None = getattr(detector, "in_fold", None)
    if own is not None:
        return own(fold)
    if is_fitted(detector):
        raise OptionError(
            f"{detector.name} is fitted already, to events of all folds: cross-fitting needs a "
            "detector that is not"
        )
    if detector.supervised:
        raise OptionError(
            f"{detector.name} learns from signal: to be cross-fitted it needs a method in_fold "
            "that leaves a fold of the signal out, too"
        )
    return copy.deepcopy(detector)


def is_fitted(detector: Detector) -> bool:
    """Whether a detector can score already."""
    try:
        _ = detector.axis
    except NotFittedError:
        return False
    return True


def trained_on(detectors: Iterable[Detector]) -> tuple[Trained, ...] | None:
    """Which events any of these detectors was given to train on; None if one does not know.

    One that was trained with labels, or has a tokenizer that was, does not know of its signal,
    unless it says so (``knows_signal``). One that scores no event with what has trained on it, of
    whatever kind, names no event.
    """
    spans: list[Trained] = []
    for one in detectors:
        found = getattr(one, "trained_", None)
        knows = not one.supervised or getattr(one, "knows_signal", False)
        if found is None or (found and not knows):
            return None
        spans += found
    return joined(spans)


def trained_from(meta: Mapping[str, Any]) -> tuple[Trained, ...] | None:
    """What a saved detector remembers; one of before this was kept remembers nothing."""
    found = meta.get("trained")
    return None if found is None else tuple(Trained(*one) for one in found)


def score_axis(values: Floats, *, label: str, bins: int = 200) -> Regular:
    """Axis for scores of background training events with room for stranger ones."""
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
    """The detector in a folder; ``FOLDER#form`` gives it with that form of score.

    Raises
    ------
    StorageError
        if the folder is missing or damaged, or holds something else.
    OptionError
        if the detector has no such form.
    """
    folder, _, form = str(path).partition("#")
    try:
        detector: Detector = storage.load(folder, Detector)
    except StorageError as error:
        if (Path(folder) / SCORE / storage.META).is_file():
            raise StorageError(f"{error}; its anomaly score is {Path(folder) / SCORE}") from None
        raise
    return detector.with_score(form) if form else detector

"""What the detectors on event features share: the features that they read, and how they are fitted, scored and saved.

The rule: a subclass sees an array of float64, of background training events when it fits, and nothing else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Self

import awkward as ak
import numpy as np
from hist.axis import Regular
from numpy.typing import NDArray

from hepmtp import storage
from hepmtp.detectors import axis_from, plain_axis, score_axis, training_events
from hepmtp.errors import NotFittedError, OptionError, StorageError
from hepmtp.events.observables import EVENT_FEATURES

Floats = NDArray[np.float64]

#: Events that are scored at once.
CHUNK = 4096


def chosen_features(events: ak.Array, names: tuple[str, ...]) -> Floats:
    """These columns of :func:`hepmtp.events.observables.event_features`, shape (n_events, n_features); unknown names raise OptionError."""
    unknown = [name for name in names if name not in EVENT_FEATURES]
    if unknown or not names:
        raise OptionError(
            f"event features {unknown or '()'} are unknown or none; there are {', '.join(EVENT_FEATURES)}"
        )
    columns = [
        np.asarray(EVENT_FEATURES[name].function(events), dtype=np.float64) for name in names
    ]
    return np.stack(columns, axis=1)


@dataclass(eq=False)
class EventFeatureDetector(ABC):
    """A detector that reads event features: what is left to a subclass is the score of an array.

    Parameters
    ----------
    features
        names in :data:`hepmtp.events.observables.EVENT_FEATURES`.
    name
        of the detector.
    """

    features: tuple[str, ...] = tuple(EVENT_FEATURES)
    name: str = ""
    axis_: Regular | None = field(default=None, init=False, repr=False)

    #: Label of the axis.
    label: ClassVar[str]

    @property
    @abstractmethod
    def description(self) -> str:
        """What the score is, in a sentence."""

    @abstractmethod
    def _fit(self, training: Floats, events: ak.Array) -> None:
        """Fit on the features of training events; `events` holds the validation events too."""

    @abstractmethod
    def _score(self, x: Floats) -> Floats:
        """Scores of features, shape (n_events,)."""

    @abstractmethod
    def _arrays(self) -> dict[str, NDArray[Any]]:
        """What was fitted, as named arrays."""

    @abstractmethod
    def _restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take up what `_arrays` gave."""

    @property
    def n_parameters(self) -> int:
        """Trainable parameters."""
        return 0

    @property
    def axis(self) -> Regular:
        """Axis of the score."""
        if self.axis_ is None:
            raise NotFittedError(
                f"this {type(self).__name__} is not fitted yet: call fit(background events) first"
            )
        return self.axis_

    def fit(self, events: ak.Array) -> Self:
        """Fit on background events; only their train and validation parts are used."""
        training = chosen_features(training_events(events), self.features)
        self._fit(training, events)
        self.axis_ = score_axis(self._score(training), label=self.label)
        return self

    def score(self, events: ak.Array) -> Floats:
        """Score of each event, shape (n_events,)."""
        _ = self.axis  # before the features, which cost time
        return self._score(chosen_features(events, self.features))

    def save(self, path: str | Path) -> None:
        """Write options, axis and what was fitted to a folder."""
        meta = {"options": self._options(), "axis": plain_axis(self.axis)}
        with storage.new_folder(path) as folder:
            storage.write(folder, storage.kind_of(self), meta, self._arrays())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote."""
        meta, arrays = storage.read(path, storage.kind_of(cls))
        options = {
            name: tuple(one) if isinstance(one, list) else one
            for name, one in meta["options"].items()
        }
        detector = cls._made_with(options)
        try:
            detector._restore(arrays)
        except (KeyError, TypeError, RuntimeError) as error:
            raise StorageError(
                f"{path}: what was saved does not fit the options ({error}); save it again"
            ) from None
        detector.axis_ = axis_from(meta["axis"])
        return detector

    def _options(self) -> dict[str, Any]:
        """What the constructor takes, as plain data."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.init}

    @classmethod
    def _made_with(cls, options: dict[str, Any]) -> Self:
        """A detector with the options that `_options` gave."""
        return cls(**options)

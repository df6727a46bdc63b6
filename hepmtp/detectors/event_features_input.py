"""What the detectors on event features share: which they read, and how they are fitted and saved.

The rule: a subclass sees an array of float64, of background training events when it fits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Self

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp import storage
from hepmtp.detectors import (
    BaseDetector,
    axis_from,
    plain_axis,
    score_axis,
    training_events,
)
from hepmtp.errors import OptionError, StorageError
from hepmtp.events.observables import EVENT_FEATURES, KNOWN_FEATURES
from hepmtp.events.ragged import Floats
from hepmtp.events.split import trained_by

#: Events that are scored at once.
CHUNK = 4096


def chosen_features(events: ak.Array, names: tuple[str, ...]) -> Floats:
    """These columns of :func:`hepmtp.events.observables.event_features`, (n_events, n_features).

    Raises
    ------
    OptionError
        if a name is unknown, or there is none.
    """
    unknown = [name for name in names if name not in KNOWN_FEATURES]
    if unknown or not names:
        raise OptionError(
            f"event features {unknown or '()'} are unknown or none; "
            f"there are {', '.join(EVENT_FEATURES)}"
        )
    columns = [
        np.asarray(KNOWN_FEATURES[name].function(events), dtype=np.float64) for name in names
    ]
    return np.stack(columns, axis=1)


@dataclass(eq=False)
class EventFeatureDetector(BaseDetector, ABC):
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

    def fit(self, events: ak.Array) -> Self:
        """Fit on background events; only their train and validation parts are used."""
        chosen = training_events(events)
        training = chosen_features(chosen, self.features)
        self.trained_ = trained_by(events)
        self._fit(training, events)
        self.axis_ = score_axis(self._score(training), label=self.label)
        self.describe(chosen)
        return self

    def score(self, events: ak.Array) -> Floats:
        """Score of each event, shape (n_events,)."""
        _ = self.axis  # before the features, which cost time
        return self._score(chosen_features(self._entering(events), self.features))

    def save(self, path: str | Path) -> None:
        """Write options, axis and what was fitted to a folder."""
        meta = {
            "options": self._options(),
            "axis": plain_axis(self.axis),
        }
        with storage.new_folder(path) as folder:
            self._write(folder, meta, self._arrays())

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
        detector._recall(meta)
        return detector

    def _options(self) -> dict[str, Any]:
        """What the constructor takes, as plain data."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.init}

    @classmethod
    def _made_with(cls, options: dict[str, Any]) -> Self:
        """A detector with the options that `_options` gave."""
        return cls(**options)

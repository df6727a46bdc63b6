"""A detector under another name, so that several trainings of one score can stand in one run.

The rule: nothing but the name differs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import awkward as ak
from hist.axis import Regular

from hepmtp import storage
from hepmtp.detectors import BaseDetector, Detector, load_detector
from hepmtp.errors import OptionError, check_protocol
from hepmtp.events.ragged import Floats


@dataclass(eq=False)
class Named(BaseDetector):
    """A detector with a name that it is given.

    Parameters
    ----------
    detector
        what scores.
    name
        key of its histogram, row of its tables.

    Raises
    ------
    OptionError
        without a name.

    Examples
    --------
    >>> from hepmtp.detectors.observables import Observable
    >>> Named(Observable("ht"), "other").name
    'other'
    """

    detector: Detector
    name: str

    def __post_init__(self) -> None:
        check_protocol(self.detector, Detector)
        if not self.name:
            raise OptionError(f"a name for {self.detector.name} is missing")
        self._adopt()

    def __getattr__(self, name: str) -> Any:
        """What no protocol asks for, as the replicas of a calibration: that of the detector."""
        if name.startswith("__") or name == "detector":  # before there is one
            raise AttributeError(name)
        return getattr(self.detector, name)

    @property
    def description(self) -> str:
        """What the score is, in a sentence, and whose."""
        return f"{self.detector.description} A training of {self.detector.name}."

    @property
    def axis(self) -> Regular:
        """Axis of the score."""
        return self.detector.axis

    @property
    def n_parameters(self) -> int:
        """Number of trainable parameters."""
        return self.detector.n_parameters

    @property
    def supervised(self) -> bool:
        """Whether signal is used in the training."""
        return self.detector.supervised

    def fit(self, events: ak.Array) -> Self:
        """Fit the detector on background events, shape (n_events,)."""
        self.detector.fit(events)
        self._adopt()
        return self

    def score(self, events: ak.Array) -> Floats:
        """Score of each event, shape (n_events,)."""
        return self.detector.score(events)

    def save(self, path: str | Path) -> None:
        """Write the name to a folder, and the detector to a folder within it."""
        _ = self.axis
        with storage.new_folder(path) as folder:
            self._write(folder, {"name": self.name}, {})
            self.detector.save(folder / "detector")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote."""
        meta, _ = storage.read(path, storage.kind_of(cls))
        return cls(load_detector(Path(path) / "detector"), meta["name"])

    def _adopt(self) -> None:
        """Take up what the detector remembers of its training."""
        self.trained_ = getattr(self.detector, "trained_", None)
        self.card_ = getattr(self.detector, "card_", None)


def trainings_of(detectors: Iterable[Detector]) -> dict[str, tuple[str, ...]]:
    """Scores of which there are several trainings: name of the score -> names of its trainings.

    A training is known by the name that it was saved with.
    """
    found: dict[str, tuple[str, ...]] = {}
    for one in detectors:
        score = one.detector.name if isinstance(one, Named) else one.name
        found[score] = (*found.get(score, ()), one.name)
    return {score: names for score, names in found.items() if len(names) > 1}

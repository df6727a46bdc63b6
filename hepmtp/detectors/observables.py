"""Plain observables as detectors: what a token model has to beat.

The rule: nothing is learned; ``fit`` only sets the range of the histogram.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import awkward as ak
import numpy as np
from hist.axis import Regular

from hepmtp import storage
from hepmtp.detectors import (
    BaseDetector,
    axis_from,
    plain_axis,
    score_axis,
    training_events,
)
from hepmtp.errors import OptionError
from hepmtp.events.observables import ht, n_b, n_jets
from hepmtp.events.ragged import Floats, Ints
from hepmtp.events.split import trained_by
from hepmtp.jets.observables import jet_mass, jet_width


class Definition(NamedTuple):
    """What an observable is: function of the events, axis label, meaning, whether it counts."""

    function: Callable[[ak.Array], Floats | Ints]
    label: str
    meaning: str
    counts: bool


def _multiplicity(events: ak.Array) -> Ints:
    return np.asarray(ak.num(events.Particle), dtype=np.int64)


def _met(events: ak.Array) -> Floats:
    return np.asarray(events.MET.pt, dtype=np.float64)


#: The observables that every table prints.
OBSERVABLES: dict[str, Definition] = {
    "multiplicity": Definition(
        _multiplicity, "number of particles", "number of reconstructed particles", True
    ),
    "n_jets": Definition(n_jets, "number of jets", "number of jets, b-jets included", True),
    "n_b": Definition(n_b, "number of b-jets", "number of b-tagged jets", True),
    "ht": Definition(ht, "$H_T$ [GeV]", "scalar sum of pt over all particles", False),
    "met": Definition(_met, "$E_T^{miss}$ [GeV]", "missing transverse momentum", False),
}
#: Those of jets as events, beside the multiplicity.
JET_OBSERVABLES: dict[str, Definition] = {
    "jet_mass": Definition(jet_mass, "jet mass [GeV]", "mass of the sum of constituents", False),
    "jet_width": Definition(jet_width, "width", "mean distance from the axis, by pt", False),
}
_KNOWN = OBSERVABLES | JET_OBSERVABLES


@dataclass(eq=False)
class Observable(BaseDetector):
    """An observable as a detector: the larger, the stranger.

    Parameters
    ----------
    name
        one of `OBSERVABLES` or `JET_OBSERVABLES`.

    Examples
    --------
    >>> Observable("thrust")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    hepmtp.errors.OptionError: observable 'thrust' is unknown; there are multiplicity, n_jets, ...
    """

    name: str

    def __post_init__(self) -> None:
        if self.name not in _KNOWN:
            raise OptionError(f"observable {self.name!r} is unknown; there are {', '.join(_KNOWN)}")

    @property
    def description(self) -> str:
        """What the score is, in a sentence."""
        return f"Plain observable: {_KNOWN[self.name].meaning}."

    def fit(self, events: ak.Array) -> Self:
        """Set the range of the axis; what counts gets one bin a number."""
        definition = _KNOWN[self.name]
        training, self.trained_ = training_events(events), trained_by(events)
        values = self.score(training)
        if definition.counts:
            top = int(values.max()) + 10
            self.axis_ = Regular(top + 1, -0.5, top + 0.5, name="score", label=definition.label)
        else:
            self.axis_ = score_axis(values, label=definition.label)
        self.describe(training)
        return self

    def score(self, events: ak.Array) -> Floats:
        """The observable, shape (n_events,)."""
        events = self._entering(events)
        return np.asarray(_KNOWN[self.name].function(events), dtype=np.float64)

    def save(self, path: str | Path) -> None:
        """Write name and axis to a folder."""
        meta = {"name": self.name, "axis": plain_axis(self.axis)}
        with storage.new_folder(path) as folder:
            self._write(folder, meta, {})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote."""
        meta, _ = storage.read(path, storage.kind_of(cls))
        observable = cls(meta["name"])
        observable.axis_ = axis_from(meta["axis"])
        observable._recall(meta)
        return observable

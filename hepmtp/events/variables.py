"""Variables: functions of events with the axis that they are filled on.

The rule: a user's own variable is a `Variable` object; it is filled like a score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp.errors import EventError, OptionError
from hepmtp.events.observables import ht, met, n_b, n_jets
from hepmtp.events.ragged import Floats


@dataclass(frozen=True)
class Variable:
    """A number of each event, and the axis of its histogram.

    Parameters
    ----------
    name
        short name without "/", the key of its histogram.
    label
        text for plots, TeX allowed, with the unit.
    function
        of the events, one number each, shape (n_events,); of a module, so that it pickles.
    bins, low, high
        of the axis; what lies outside stays in its flow bins.

    Examples
    --------
    >>> Variable.count("n_jets", "number of jets", n_jets, upto=9).bins
    10
    """

    name: str
    label: str
    function: Callable[[ak.Array], NDArray[Any]]
    bins: int
    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name:
            raise OptionError(f"a variable's name must be text without '/', found {self.name!r}")
        if not (self.bins >= 1 and self.low < self.high):
            raise OptionError(
                f"variable {self.name!r}: {self.bins} bins from {self.low:g} to {self.high:g} are "
                "no axis"
            )

    @classmethod
    def count(
        cls, name: str, label: str, function: Callable[[ak.Array], NDArray[Any]], *, upto: int
    ) -> Variable:
        """A number of things: one bin for each from 0 on."""
        return cls(name, label, function, upto + 1, -0.5, upto + 0.5)

    def values(self, events: ak.Array) -> Floats:
        """The variable, float64, shape (n_events,); raises EventError for anything else."""
        found = np.asarray(self.function(events))
        if found.shape != (len(events),) or found.dtype.kind not in "iufb":
            raise EventError(
                f"variable {self.name!r} gives {found.dtype} {found.shape}, expected one number "
                f"for each of {len(events)} events"
            )
        return found.astype(np.float64)


N_JETS = Variable.count("n_jets", "number of jets", n_jets, upto=19)
N_B = Variable.count("n_b", "number of b-jets", n_b, upto=9)
HT = Variable("ht", "$H_T$ [GeV]", ht, 60, 0.0, 3000.0)
MET = Variable("met", "$E_T^{miss}$ [GeV]", met, 60, 0.0, 1500.0)

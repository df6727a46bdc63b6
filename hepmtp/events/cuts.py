"""Cuts: selections with a name, of which regions are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import awkward as ak
import numpy as np

from hepmtp.events.ragged import Bools
from hepmtp.events.variables import Variable

#: Gives one bool per event.
Selection = Callable[[ak.Array], Bools]


@dataclass(frozen=True)
class Cut:
    """A selection with a name.

    Parameters
    ----------
    name
        text of cutflows; equal names in several regions are the same cut.
    select
        function of the events that gives one bool per event; of a module, so that it pickles.
    variable
        what is cut on; it is drawn with all other cuts of the region applied.
    """

    name: str
    select: Selection
    variable: Variable | None = None


@dataclass(frozen=True)
class Window:
    """Events with `above` < variable <= `upto`, as a selection."""

    variable: Variable
    above: float = -inf
    upto: float = inf

    def __call__(self, events: ak.Array) -> Bools:
        """Shape (n_events,)."""
        values = self.variable.values(events)
        return (values > self.above) & (values <= self.upto)


@dataclass(frozen=True)
class AllOf:
    """Events that pass all of these cuts, as a selection."""

    cuts: tuple[Cut, ...]

    def __call__(self, events: ak.Array) -> Bools:
        """Shape (n_events,)."""
        passed: Bools = np.all([np.asarray(cut.select(events)) for cut in self.cuts], axis=0)
        return passed


def window(name: str, variable: Variable, *, above: float = -inf, upto: float = inf) -> Cut:
    """A cut on a variable: `above` < value <= `upto`.

    Examples
    --------
    >>> from hepmtp.events.variables import HT
    >>> window("HT > 500 GeV", HT, above=500).variable.name
    'ht'
    """
    return Cut(name, Window(variable, above, upto), variable)

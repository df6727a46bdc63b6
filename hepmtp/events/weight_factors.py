"""Factors on weights: what one sigma of an uncertainty does to the weight of an event.

The rule: a factor follows from the particles of the event as they are reconstructed, for true
flavours are not in our files. Every assumption in its place is a named number here.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np

from hepmtp.errors import OptionError
from hepmtp.events.observables import n_b, n_jets
from hepmtp.events.ragged import Floats, Ints

#: Relative uncertainty of the b-tag efficiency; our choice.
B_TAG_SIZE = 0.03
#: Efficiency for true b-jets; our choice: the shipped simulation has 60 to 75 %, by pt.
B_TAG_EFFICIENCY = 0.7
#: Share of true b-jets among jets without a tag. Our choice: two true b-jets an event leave 0.6
#: without a tag, among some four such jets.
B_MISSED = 0.15
#: Relative uncertainty of the rate at which other jets are tagged; our choice. Most of them are
#: c-jets, for which ATLAS has 3 to 17 % (arXiv:2109.10627).
MISTAG_SIZE = 0.2
#: Rate of tags among jets that are no b-jets: mostly c-jets of W decays; our choice.
MISTAG_RATE = 0.02
#: Share of wrong tags among the first two tags of an event and among all further ones; our choice:
#: top pairs bring two true b-jets, so that a third tag is as often wrong as right.
MISTAGGED = (0.05, 0.5)
#: Relative uncertainty of the efficiency of each lepton, isolation included; our choice.
LEPTON_SIZE = 0.02
#: Size of a step in the number of jets or of b-jets; our choice.
STEP = 0.2
#: Relative uncertainty of the background for each 100 GeV of MET above 100 GeV; our choice.
MET_SIZE, MET_START, MET_UNIT = 0.2, 100.0, 100.0
#: The same for each 250 GeV of HT above 500 GeV; our choice.
HT_SIZE, HT_START, HT_UNIT = 0.2, 500.0, 250.0


@dataclass(frozen=True)
class Step:
    """A factor 1 + size for each unit of a count above `start`; limits hold the count.

    Parameters
    ----------
    size
        of one step, above -1.
    count
        function of events that gives whole numbers, shape (n_events,); of a module.
    start
        the number with factor 1.
    least, most
        counts beyond them are taken for them; None is no limit.

    Examples
    --------
    The step from 4 to 5 and from 5 to 6 jets, none from there on:

    >>> step = Step(0.2, n_jets, start=4, least=4, most=6)
    >>> step.of(np.array([2, 4, 5, 6, 9])).round(2).tolist()
    [1.0, 1.0, 1.2, 1.44, 1.44]
    """

    size: float
    count: Callable[[ak.Array], Ints]
    start: int = 0
    least: int | None = None
    most: int | None = None

    def __post_init__(self) -> None:
        if not self.size > -1:
            raise OptionError(f"a step must be above -1, for weights stay above 0: {self.size}")

    def __call__(self, events: ak.Array) -> Floats:
        """Factor of each event, shape (n_events,)."""
        return self.of(_counted(self.count, events))

    def of(self, counts: Ints) -> Floats:
        """Factor of each count."""
        low, high = (
            limit if one is None else one
            for one, limit in ((self.least, -np.inf), (self.most, np.inf))
        )
        return np.asarray((1.0 + self.size) ** (np.clip(counts, low, high) - self.start))


@dataclass(frozen=True)
class Slope:
    """A factor 1 + size for each `unit` of a variable above `start`, and 1 below.

    Parameters
    ----------
    size
        of one unit, above -1.
    variable
        function of events that gives numbers, shape (n_events,); of a module.
    start, unit
        in the unit of the variable.

    Examples
    --------
    >>> from hepmtp.events.observables import met
    >>> slope = Slope(0.2, met, start=100.0, unit=100.0)
    >>> slope.of(np.array([30.0, 100.0, 150.0, 300.0])).round(3).tolist()
    [1.0, 1.0, 1.095, 1.44]
    """

    size: float
    variable: Callable[[ak.Array], Floats]
    start: float
    unit: float

    def __post_init__(self) -> None:
        if not (self.size > -1 and self.unit > 0):
            raise OptionError(
                f"a slope must be above -1, its unit above 0: found {self.size}, {self.unit}"
            )

    def __call__(self, events: ak.Array) -> Floats:
        """Factor of each event, shape (n_events,)."""
        return self.of(self.variable(events))

    def of(self, values: Floats) -> Floats:
        """Factor of each value."""
        return np.asarray((1.0 + self.size) ** (np.maximum(values - self.start, 0.0) / self.unit))


@dataclass(frozen=True)
class TagEfficiency:
    """B-jets are tagged with an efficiency that is 1 + size times as large.

    A tagged jet counts 1 + size: it is taken for a true b-jet. A jet without a tag is one with the
    probability `missed`, and then counts (1 - eps (1 + size)) / (1 - eps).

    Examples
    --------
    Two tags alone; one tag and one jet without:

    >>> TagEfficiency(0.03).of(np.array([2, 1]), np.array([0, 1])).round(4).tolist()
    [1.0609, 1.0192]
    """

    size: float
    efficiency: float = B_TAG_EFFICIENCY
    missed: float = B_MISSED

    def __post_init__(self) -> None:
        _check_shares(
            {"efficiency": self.efficiency, "missed": self.missed},
            (1 + self.size) * self.efficiency,
        )

    def __call__(self, events: ak.Array) -> Floats:
        """Factor of each event, shape (n_events,)."""
        tagged = _counted(n_b, events)
        return self.of(tagged, _counted(n_jets, events) - tagged)

    def of(self, tagged: Ints, untagged: Ints) -> Floats:
        """Factor of each event with so many jets."""
        lost = _complement(self.efficiency, self.size)
        missed = 1.0 - self.missed + self.missed * lost
        return np.asarray((1.0 + self.size) ** tagged * missed**untagged)


@dataclass(frozen=True)
class Mistag:
    """Jets that are no b-jets are tagged at a rate that is 1 + size times as large.

    A tag is wrong with the probabilities `shares`, the first for the first two of an event, the
    second for all further ones. A jet without a tag counts (1 - rate (1 + size)) / (1 - rate).

    Examples
    --------
    >>> Mistag(0.2).of(np.array([2, 3]), np.array([0, 0])).round(4).tolist()
    [1.0201, 1.1221]
    """

    size: float
    rate: float = MISTAG_RATE
    shares: tuple[float, float] = MISTAGGED

    def __post_init__(self) -> None:
        first, further = self.shares
        _check_shares(
            {"rate": self.rate, "first share": first, "second share": further},
            (1 + self.size) * self.rate,
        )

    def __call__(self, events: ak.Array) -> Floats:
        """Factor of each event, shape (n_events,)."""
        tagged = _counted(n_b, events)
        return self.of(tagged, _counted(n_jets, events) - tagged)

    def of(self, tagged: Ints, untagged: Ints) -> Floats:
        """Factor of each event with so many jets."""
        first, further = (1.0 + share * self.size for share in self.shares)
        more = np.maximum(tagged - 2, 0)
        right = _complement(self.rate, self.size) ** untagged
        return np.asarray(first ** (tagged - more) * further**more * right)


# what was last counted of which content: many variations ask the same of one chunk of events
_Counts = dict[Callable[[ak.Array], Ints], Ints]
_last_counted: tuple[Callable[[], Any], _Counts] = (lambda: None, {})


def _counted(count: Callable[[ak.Array], Ints], events: ak.Array) -> Ints:
    """A count of each event, shape (n_events,), made once for all that ask in turn."""
    global _last_counted  # noqa: PLW0603 (of one array, weakly, as in entering.py)
    layout, (of_layout, found) = events.layout, _last_counted
    if of_layout() is not layout:
        found = {}
        _last_counted = (weakref.ref(layout), found)
    if count not in found:
        found[count] = count(events)
    return found[count]


def _complement(efficiency: float, size: float) -> float:
    """What a jet that was not tagged counts, if tags are 1 + size times as frequent."""
    return (1.0 - efficiency * (1.0 + size)) / (1.0 - efficiency)


def _check_shares(shares: dict[str, float], shifted: float) -> None:
    for name, value in {**shares, "shifted efficiency": shifted}.items():
        if not 0 <= value <= 1 or (value == 1 and name in {"efficiency", "rate"}):
            raise OptionError(f"{name} must be a share between 0 and 1, found {value}")

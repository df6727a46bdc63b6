"""The strangest events of a run, whole: what they are made of and how strange each particle is.

The rule: a sum of `Strangest` is that of all its events, in any order: the largest scores win, and
of equal ones the smaller (source, event). So chunks and executors do not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import awkward as ak

from hepmtp.events.record import make_events

#: So many events are kept.
MOST = 10
#: What is kept of each particle.
PARTICLE = ("pt", "eta", "phi", "energy", "type")


class StrangeEvent(NamedTuple):
    """An event of a large score; lists have a number for each particle."""

    score: float
    source: int  #: its file, as in every event record
    event: int
    weight: float
    met: float  #: GeV
    met_phi: float
    particles: dict[str, list[float]]  #: pt, eta, phi, energy, type
    surprises: list[float] | None  #: None if the detector predicts no particles
    met_surprise: float | None

    def record(self) -> ak.Record:
        """The event as a record, for :func:`hepmtp.plotting.event_display`."""
        columns: dict[str, Any] = dict(self.particles)
        counts = [len(self.particles["pt"])]
        return make_events(counts=counts, **columns, met=[self.met], met_phi=[self.met_phi])[0]


@dataclass(frozen=True)
class Strangest:
    """At most `MOST` events, the strangest first; adds up as an accumulator of coffea.

    Examples
    --------
    >>> nothing = {name: [] for name in PARTICLE}
    >>> one, other = (
    ...     Strangest((StrangeEvent(score, 1, i, 1.0, 20.0, 0.0, nothing, None, None),))
    ...     for i, score in enumerate((3.0, 5.0))
    ... )
    >>> [event.score for event in (one + other).events], one + other == other + one
    ([5.0, 3.0], True)
    """

    events: tuple[StrangeEvent, ...] = ()

    def __add__(self, other: Self) -> Self:
        both = [*self.events, *other.events]
        both.sort(key=lambda one: (-one.score, one.source, one.event))
        return type(self)(tuple(both[:MOST]))

    def scaled(self, factor: float) -> Self:
        """The same with other weights."""
        return type(self)(tuple(one._replace(weight=one.weight * factor) for one in self.events))

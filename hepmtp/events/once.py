"""Numbers of the same events, computed once however many ask for them.

The rule: what was found is kept with the content of the events and goes with it. Events changed in
place, as by a new field, have another content; a column must not be overwritten value by value.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

import awkward as ak
import numpy as np

R = TypeVar("R")

# content of events -> function -> what it found; weakly, so that it lives as long as the events
_found: weakref.WeakKeyDictionary[Any, dict[Callable[..., Any], Any]] = weakref.WeakKeyDictionary()


def content_of(events: ak.Array) -> Any:
    """What the array holds now: another one after it was changed in place, as by a new field."""
    return events.layout


def once(function: Callable[[ak.Array], R]) -> Callable[[ak.Array], R]:
    """A function of events that is called once for the same events.

    Each caller gets a copy of an array. Anything else must be immutable, and must not hold the
    events themselves: these would never be freed.

    Examples
    --------
    >>> asked = []
    >>> @once
    ... def multiplicity(events):
    ...     asked.append(len(events))
    ...     return np.asarray(ak.num(events.Particle))
    >>> events = ak.Array([{"Particle": [1, 2]}, {"Particle": []}])
    >>> multiplicity(events).tolist(), multiplicity(events).tolist(), asked
    ([2, 0], [2, 0], [2])
    """

    @functools.wraps(function)
    def found(events: ak.Array) -> R:
        known = _found.setdefault(content_of(events), {})
        if function not in known:
            known[function] = function(events)
        kept: R = known[function]
        return kept.copy() if isinstance(kept, np.ndarray) else kept

    return found

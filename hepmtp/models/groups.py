"""Events of equal multiplicity, gathered so that nothing has to be padded.

The rule: events are sorted by multiplicity, and those of one multiplicity are a group.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Group(NamedTuple):
    """Events of equal multiplicity that lie one after the other in the flat array."""

    n_events: int
    multiplicity: int


def sort_by_multiplicity(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[Group]]:
    """Order of the events by multiplicity (stable), and the groups that it forms.

    Events without tokens form none.

    Examples
    --------
    >>> order, groups = sort_by_multiplicity(np.array([3, 0, 2, 3]))
    >>> order.tolist(), groups
    ([1, 2, 0, 3], [Group(n_events=1, multiplicity=2), Group(n_events=2, multiplicity=3)])
    """
    multiplicities, sizes = np.unique(counts, return_counts=True)
    groups = [
        Group(int(size), int(n)) for n, size in zip(multiplicities, sizes, strict=True) if n > 0
    ]
    return np.argsort(counts, kind="stable"), groups


def buckets(counts: NDArray[np.int64], max_tokens: int = 4096) -> Iterator[NDArray[np.int64]]:
    """Indices of events of one multiplicity at a time, about `max_tokens` tokens in each bucket.

    4096 tokens fit a core's cache; four times as many are slower. An event with more tokens is a
    bucket by itself.
    """
    order, groups = sort_by_multiplicity(counts)
    start = int(np.count_nonzero(counts == 0))
    for n_events, multiplicity in groups:
        step = max(1, max_tokens // multiplicity)
        for first in range(start, start + n_events, step):
            yield order[first : min(first + step, start + n_events)]
        start += n_events


def packs(counts: NDArray[np.int64], max_tokens: int = 4096) -> Iterator[NDArray[np.int64]]:
    """Indices of events of mixed multiplicity, sorted by it.

    A pack has at most `max_tokens` tokens, unless one event has more.
    """
    order = np.argsort(counts, kind="stable")
    order = order[counts[order] > 0]
    ends = np.cumsum(counts[order])
    start = done = 0
    while start < len(order):
        stop = max(start + 1, int(np.searchsorted(ends, done + max_tokens, side="right")))
        yield order[start:stop]
        start, done = stop, int(ends[stop - 1])

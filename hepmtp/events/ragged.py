"""Ragged idioms: values of many events in one flat array, told apart by their number per event.

The rule: `counts` has one number per event, 0 included; values of an event lie together, in the
order of the events.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def owner(counts: Ints) -> Ints:
    """Index of the event that each value belongs to, shape (n_values,).

    Examples
    --------
    >>> owner(np.array([2, 0, 3])).tolist()
    [0, 0, 2, 2, 2]
    """
    return np.repeat(np.arange(len(counts)), counts)


def starts(counts: Ints) -> Ints:
    """Index of the first value of each event, shape (n_events,).

    Examples
    --------
    >>> starts(np.array([2, 0, 3])).tolist()
    [0, 2, 2]
    """
    return np.cumsum(counts) - counts


def ragged_arange(counts: Ints, first: Ints | int = 0) -> Ints:
    """``first, first + 1, ...`` for each event, as many as it has, shape (n_values,).

    Parameters
    ----------
    first
        0 gives the place of each value in its event; the start of each event in another flat array,
        shape (n_events,), gives where its values are there.

    Examples
    --------
    >>> ragged_arange(np.array([2, 0, 3])).tolist()
    [0, 1, 0, 1, 2]
    >>> ragged_arange(np.array([2, 0, 3]), np.array([10, 20, 30])).tolist()
    [10, 11, 30, 31, 32]
    """
    return np.arange(counts.sum()) + np.repeat(np.asarray(first) - starts(counts), counts)


def wrap_phi(angle: Any) -> Any:
    """An angle, or a difference of two, in [-pi, pi); a number, numpy or awkward array [rad].

    Examples
    --------
    >>> round(wrap_phi(3.5), 4), round(wrap_phi(-1.0), 4)
    (-2.7832, -1.0)
    """
    return (angle + np.pi) % (2 * np.pi) - np.pi

"""Folds of the events, for a cross-fitting: as many trainings as folds, each without one of them.

The rule: an event's fold is a hash of (source, event), as its part in the one split is
(:mod:`hepmtp.events.split`), and independent of that. In the training that leaves a fold out, its
events are the analysis part: the metadata of the events say so (`with_fold`), and cuts keep them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp.errors import EventError, OptionError
from hepmtp.events.ragged import Bools, Floats, Ints
from hepmtp.events.record import metadata, with_fields

#: Share of the events outside a fold that only decide when a training stops: as in the one split.
VALIDATION_SHARE = 1 / 7

#: Sources of events that no file names: called by numbers of the experiment, or not at all.
BY_NUMBERS, NAMELESS = -2, -1

#: Between the states of splitmix64.
_STEP = 0x9E3779B97F4A7C15


class Fold(NamedTuple):
    """One of `of` folds: in its training the events of this fold are those that are analysed."""

    number: int
    of: int


def folds(of: int) -> tuple[Fold, ...]:
    """All folds of a cross-fitting; OptionError for fewer than three.

    Scores of two trainings are made comparable on events that neither has learned from, which two
    folds do not have.
    """
    if of < 3:
        raise OptionError(
            f"cross-fitting needs 3 folds or more, found {of}: two trainings have no events that "
            "both have not seen, on which their scores could be compared"
        )
    return tuple(Fold(number, of) for number in range(of))


def with_fold(events: ak.Array, fold: Fold) -> ak.Array:
    """The same events, of which this fold is the analysis part wherever they are split.

    Outside the fold a second hash takes `VALIDATION_SHARE` for validation, the same events for
    every fold; the rest trains.

    Examples
    --------
    >>> from hepmtp.events.record import make_events
    >>> from hepmtp.events.split import split_of
    >>> nothing = dict.fromkeys(("pt", "eta", "phi", "energy", "type"), [])
    >>> events = make_events(counts=[0] * 5, **nothing, met=[9.0] * 5, met_phi=[0.0] * 5, source=7)
    >>> [int((split_of(with_fold(events, one)) == "analysis").sum()) for one in folds(3)]
    [1, 4, 0]
    """
    if not 0 <= fold.number < fold.of:
        raise OptionError(f"fold {fold.number} of {fold.of} does not exist: they count from 0")
    return with_fields(events, {**metadata(events), "fold": f"{fold.number}/{fold.of}"})


def fold_from(found: Mapping[str, Any]) -> Fold | None:
    """The fold that metadata of events name; None if they are split as ever."""
    word = found.get("fold")
    return None if word is None else Fold(*map(int, str(word).split("/")))


def fold_of(events: ak.Array, of: int) -> Ints:
    """Number of each event's fold, 0 to of - 1, shape (n_events,).

    It is independent of the event's part in the one split, and of its fold among any other number
    of folds.
    """
    return np.asarray(hashed(events, of) % np.uint64(of), dtype=np.int64)


def never_trains(events: ak.Array) -> Bools:
    """Events that no training of a cross-fitting learns from, shape (n_events,).

    They are the validation part of each fold that they are not in.
    """
    return uniform(hashed(events, 1)) < VALIDATION_SHARE


def hashed(events: ak.Array, stream: int = 0) -> NDArray[np.uint64]:
    """Random bits of each event, shape (n_events,), others in each stream.

    The finaliser of splitmix64 (Steele, Lea, Flood 2014) of (source, event) is stream 0, that of
    the one split. The others are what splitmix64 gives from there on: 1 takes validation events,
    and K the folds of K. Events without a name are refused.
    """
    if (ak.to_numpy(events.source) == NAMELESS).any():
        raise EventError(
            "these events have no name, so nobody can say which of them may train or be scored by "
            "what: give events_from a whole chunk of coffea's Runner, or run, luminosityBlock and "
            "event"
        )
    source, entry = (ak.to_numpy(events[name]).astype(np.uint64) for name in ("source", "event"))
    first = mixed(mixed(source) + entry)
    return mixed(first + np.uint64((stream - 1) * _STEP % 2**64)) if stream else first


def uniform(bits: NDArray[np.uint64]) -> Floats:
    """The upper 53 bits as a number in [0, 1)."""
    return np.asarray((bits >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64: numbers that differ in one bit become unrelated ones."""
    x = x + np.uint64(_STEP)  # wraps modulo 2**64, as it must
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))

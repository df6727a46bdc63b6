"""Which values are legal in the record of events, and how one that is not is refused.

The rule: every number is finite, a pt is not negative, a phi lies in (-pi, pi], but for rounding.
The error names the first event, what was found and what was expected.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepmtp.errors import EventError

#: No particle is at a larger absolute eta: such a value is of another unit or means "none".
MAX_ETA = 30.0

#: phi written with four digits can exceed pi by this much.
PHI_ROUNDING = 5e-4


def check_values(
    counts: NDArray[np.int64],
    particles: Mapping[str, NDArray[Any]],
    per_event: Mapping[str, NDArray[Any]],
    n_types: int,
) -> None:
    """Raise EventError naming the first event with a value that is not legal.

    Parameters
    ----------
    counts
        particles of each event, (n_events,).
    particles
        pt, eta, phi, energy and type of all, each (n_particles,); GeV and radians.
    per_event
        "pt" and "phi" of MET, and "weight", each (n_events,).
    n_types
        a type is one of 0, 1, ... n_types - 1.
    """
    for name, values in particles.items():
        _refuse(name, values, f"Particle.{name}", counts, n_types)
    one_each = np.ones(len(counts), dtype=np.int64)
    for name, values in per_event.items():
        where = name if name == "weight" else f"MET.{name}"
        _refuse(name, values, where, one_each, n_types)


def _refuse(
    name: str, values: NDArray[Any], where: str, counts: NDArray[np.int64], n_types: int
) -> None:
    """Raise EventError if a value of a column is not legal; the extremes tell whether one is."""
    # NaN is passed on by min and max
    if len(values) and not _legal(name, np.array([values.min(), values.max()]), n_types).all():
        bad = ~_legal(name, values, n_types)
        refuse_values(bad, values, where, counts, _expected(name, n_types))


def _legal(name: str, values: NDArray[Any], n_types: int) -> NDArray[np.bool_]:
    """Whether each value is legal: those that are lie between two limits."""
    if name == "type":
        return np.asarray((values >= 0) & (values < n_types))
    legal = np.isfinite(values)
    if name == "pt":
        legal &= values >= 0
    if name == "phi":
        legal &= np.abs(values) <= np.pi + PHI_ROUNDING
    return np.asarray(legal)


def refuse_values(
    bad: NDArray[np.bool_],
    values: NDArray[Any],
    name: str,
    counts: NDArray[np.int64],
    expected: str,
) -> None:
    """Raise EventError naming the first event with one of these values, if there is any."""
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        event = np.searchsorted(np.cumsum(counts), first, side="right")
        raise EventError(
            f"event {event}: {name} is {values[first]}, expected {expected} ({int(bad.sum())} such "
            "values); units are GeV and radians"
        )


def _expected(name: str, n_types: int) -> str:
    legal = {"pt": "finite and >= 0", "phi": "in (-pi, pi]", "type": f"0..{n_types - 1}"}
    return legal.get(name, "finite")

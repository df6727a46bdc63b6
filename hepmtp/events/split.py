"""The one rule that says which events may train and which may be looked at.

The rule: an event's part follows from (file identity, entry number) alone, so it is the same in
every process, chunk, file format and year. Histograms and metrics take the analysis part only;
their weights are scaled up for it.
"""

from __future__ import annotations

from typing import Literal

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp.errors import TrainingError
from hepmtp.events.record import metadata

Part = Literal["train", "validation", "analysis"]

#: Share of the events in each part.
FRACTIONS: dict[Part, float] = {"train": 0.6, "validation": 0.1, "analysis": 0.3}


def split_of(events: ak.Array) -> NDArray[np.str_]:
    """Part of each event: "train", "validation" or "analysis", shape (n_events,).

    A hash of (source, event), the splitmix64 finaliser (Steele, Lea, Flood 2014), gives a uniform
    number in [0, 1). Events with the role "data" never train, so all of them are "analysis".
    """
    if metadata(events).get("role") == "data":
        return np.full(len(events), "analysis")
    x = _mix(
        _mix(ak.to_numpy(events.source).astype(np.uint64))
        + ak.to_numpy(events.event).astype(np.uint64)
    )
    uniform = (x >> np.uint64(11)).astype(np.float64) * 2.0**-53
    edges = np.cumsum(list(FRACTIONS.values()))[:-1]
    return np.array(list(FRACTIONS))[np.searchsorted(edges, uniform, side="right")]


def analysis_scale(events: ak.Array) -> float:
    """Factor that makes the analysis part stand for all events: 1 / its share, or 1 for data."""
    return 1.0 if metadata(events).get("role") == "data" else 1.0 / FRACTIONS["analysis"]


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = x + np.uint64(0x9E3779B97F4A7C15)  # wraps modulo 2**64, as it must
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def check_background(events: ak.Array) -> None:
    """Raise TrainingError unless the events' role is "background".

    Nothing else may be fitted on.
    """
    found = metadata(events)
    if found.get("role") != "background":
        raise TrainingError(
            f"fit was asked for data set {found.get('dataset', '(unnamed)')!r} with role "
            f"{found.get('role')!r}: only background may be fitted on. Give role='background' to "
            "make_events, with_metadata or the manifest; glue with hepmtp.concatenate"
        )


def in_one_order(events: ak.Array) -> ak.Array:
    """The events sorted by (source, event): a fit must not depend on the order of reading."""
    return events[np.lexsort((ak.to_numpy(events.event), ak.to_numpy(events.source)))]


def part_of(events: ak.Array, part: Part) -> ak.Array:
    """The events of one part."""
    return events[split_of(events) == part]

"""The one rule that says which events may train and which may be looked at.

The rule: an event's part follows from (file identity, entry number) alone, so it is the same in
every process, chunk, file format and year. A detector remembers which events it was given to train
on (`Trained`). Of those, histograms and metrics take the analysis part only, with weights scaled up
for it; of all others they take everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp.errors import TrainingError
from hepmtp.events.ragged import Bools, Floats
from hepmtp.events.record import metadata, role_of, with_fields

Part = Literal["train", "validation", "analysis"]

#: Share of the events in each part.
FRACTIONS: dict[Part, float] = {"train": 0.6, "validation": 0.1, "analysis": 0.3}


def split_of(events: ak.Array) -> NDArray[np.str_]:
    """Part of each event: "train", "validation" or "analysis", shape (n_events,).

    A hash of (source, event), the splitmix64 finaliser (Steele, Lea, Flood 2014), gives a uniform
    number in [0, 1). Events with the role "data" never train, so all of them are "analysis", unless
    they are a `sideband`.
    """
    found = metadata(events)
    if role_of(found) == "data" and not found.get("sideband"):
        return np.full(len(events), "analysis")
    return _part_by_number(events)


def _part_by_number(events: ak.Array) -> NDArray[np.str_]:
    uniform = (event_hash(events) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    edges = np.cumsum(list(FRACTIONS.values()))[:-1]
    return np.array(list(FRACTIONS))[np.searchsorted(edges, uniform, side="right")]


def analysis_scale(events: ak.Array) -> float:
    """Factor that makes the analysis part stand for all events: 1 / its share, or 1 for data."""
    return 1.0 if role_of(metadata(events)) == "data" else 1.0 / FRACTIONS["analysis"]


def event_hash(events: ak.Array) -> NDArray[np.uint64]:
    """A number that follows from (source, event) alone, uniform in [0, 2**64), (n_events,)."""
    source, event = (ak.to_numpy(events[name]) for name in ("source", "event"))
    return mixed(mixed(source.astype(np.uint64)) + event.astype(np.uint64))


def mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The splitmix64 finaliser: numbers that differ in one bit become unrelated ones."""
    x = x + np.uint64(0x9E3779B97F4A7C15)  # wraps modulo 2**64, as it must
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def check_background(events: ak.Array) -> None:
    """Raise TrainingError unless the events may train: background, or a `sideband` of data."""
    found = metadata(events)
    role = role_of(found)
    if role == "background" or (role == "data" and found.get("sideband")):
        return
    advice = (
        "Data train in a sideband that is named, events of hepmtp.events.split.sideband or "
        "hepmtp train --sideband CR"
        if role == "data"
        else "Give role='background' to make_events, with_metadata or the manifest; glue with "
        "hepmtp.concatenate"
    )
    raise TrainingError(
        f"fit was asked for data set {found.get('dataset', '(unnamed)')!r} with role {role!r}: "
        f"only background may be fitted on. {advice}"
    )


def sideband(events: ak.Array, region: str, inside: Bools) -> ak.Array:
    """Data of a region that may train, said explicitly: the events where `inside` is true.

    Parameters
    ----------
    events
        shape (n_events,), of the role "data".
    region
        name of the region, "CR" for instance; what is trained on it remembers the name.
    inside
        whether each event is in that region, shape (n_events,).

    Raises
    ------
    TrainingError
        for events that are not data.
    """
    found = metadata(events)
    if role_of(found) != "data":
        raise TrainingError(
            f"a sideband is a region of data; data set {found.get('dataset', '(unnamed)')!r} has "
            f"the role {found.get('role')!r}"
        )
    return with_fields(events[inside], {**found, "role": "data", "sideband": region})


class Trained(NamedTuple):
    """Events that were given to train on: entries [start, stop) of a file.

    Their train and validation parts have trained. Of data, only those of a region.
    """

    source: int
    start: int
    stop: int
    region: str = ""


def trained_by(events: ak.Array) -> tuple[Trained, ...]:
    """What a detector remembers of events that it is fitted on, shape (n_events,)."""
    source, entry = (ak.to_numpy(events[name]) for name in ("source", "event"))
    files, of_event = np.unique(source, return_inverse=True)
    first, last = np.full(len(files), np.iinfo(np.int64).max), np.full(len(files), -1)
    np.minimum.at(first, of_event, entry)
    np.maximum.at(last, of_event, entry)
    region = str(metadata(events).get("sideband", ""))
    return tuple(
        Trained(int(file), int(start), int(stop) + 1, region)
        for file, start, stop in zip(files, first, last, strict=True)
    )


def joined(spans: Iterable[Trained]) -> tuple[Trained, ...]:
    """The same spans, those that touch put together.

    Examples
    --------
    >>> [one[:3] for one in joined([Trained(7, 0, 10), Trained(7, 10, 15), Trained(7, 40, 50)])]
    [(7, 0, 15), (7, 40, 50)]
    """
    found: list[Trained] = []
    for one in sorted(set(spans), key=lambda one: (one.source, one.region, one.start)):
        last = found[-1] if found else None
        if last and last[::3] == one[::3] and one.start <= last.stop:
            found[-1] = last._replace(stop=max(last.stop, one.stop))
        else:
            found.append(one)
    return tuple(found)


def unseen(
    events: ak.Array,
    trained: Iterable[Trained] | None,
    region_of: Callable[[str], Callable[[ak.Array], Bools]] | None = None,
) -> tuple[Bools, Floats]:
    """Which events trained nothing, and the factors that make these stand for all.

    Parameters
    ----------
    events
        shape (n_events,).
    trained
        what detectors remember. None if that is not known: then every event but data may have
        trained by its place in the split.
    region_of
        gives the selection of a region by name, for what was trained on a sideband of data.

    Returns
    -------
    bool and float64, each of shape (n_events,); the factor is 1 for all events outside the spans
    of `trained`, and 1 / (share of the analysis part) inside.
    """
    if trained is None:
        inside = np.full(len(events), role_of(metadata(events)) != "data")
    else:
        inside = _inside(events, joined(trained), region_of)
    if not inside.any():
        return np.ones(len(events), dtype=bool), np.ones(len(events))
    keep = ~inside | (_part_by_number(events) == "analysis")
    return keep, np.where(inside, 1.0 / FRACTIONS["analysis"], 1.0)


def _inside(
    events: ak.Array,
    trained: Iterable[Trained],
    region_of: Callable[[str], Callable[[ak.Array], Bools]] | None,
) -> Bools:
    """Whether each event was among those that were given to train on."""
    source, entry = (ak.to_numpy(events[name]) for name in ("source", "event"))
    here = set(np.unique(source).tolist())
    inside = np.zeros(len(events), dtype=bool)
    for one in trained:
        if one.source not in here:
            continue
        found = (source == one.source) & (entry >= one.start) & (entry < one.stop)
        if one.region and found.any():
            if region_of is None:
                raise TrainingError(
                    f"a detector was trained on the sideband {one.region} of these events: the "
                    "selection of that region is needed"
                )
            found &= region_of(one.region)(events)
        inside |= found
    return inside


def in_one_order(events: ak.Array) -> ak.Array:
    """The events sorted by (source, event): a fit must not depend on the order of reading."""
    return events[np.lexsort((ak.to_numpy(events.event), ak.to_numpy(events.source)))]


def part_of(events: ak.Array, part: Part) -> ak.Array:
    """The events of one part."""
    return events[split_of(events) == part]

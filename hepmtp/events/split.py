"""The one rule that says which events may train and which may be looked at.

The rule: an event's part follows from (file identity, entry number) alone, so it is the same in
every process, chunk, file format and year. A detector remembers which events it was given to train
on (`Trained`). Of those, histograms and metrics take the analysis part only, with weights scaled up
for it; of all others they take everything.

In a cross-fitting the analysis part is a fold instead (:mod:`hepmtp.events.folds`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp.errors import TrainingError
from hepmtp.events.folds import (
    BY_NUMBERS,
    Fold,
    fold_from,
    fold_of,
    hashed,
    never_trains,
    uniform,
)
from hepmtp.events.ragged import Bools, Floats
from hepmtp.events.record import metadata, role_of, with_fields

Part = Literal["train", "validation", "analysis"]

#: Share of the events in each part.
FRACTIONS: dict[Part, float] = {"train": 0.6, "validation": 0.1, "analysis": 0.3}


def split_of(events: ak.Array) -> NDArray[np.str_]:
    """Part of each event: "train", "validation" or "analysis", shape (n_events,).

    A hash of (source, event) gives a uniform number in [0, 1)
    (:func:`hepmtp.events.folds.hashed`). Events with the role "data" never train, so all of them
    are "analysis", unless they are a `sideband`. Events of
    :func:`hepmtp.events.folds.with_fold` are split by their fold.
    """
    found = metadata(events)
    if role_of(found) == "data" and not found.get("sideband"):
        return np.full(len(events), "analysis")
    return _parts(events, fold_from(found))


def _parts(events: ak.Array, fold: Fold | None) -> NDArray[np.str_]:
    """The one split, or that of the training that leaves this fold out."""
    if fold is not None:
        parts = np.where(never_trains(events), "validation", "train")
        return np.where(fold_of(events, fold.of) == fold.number, "analysis", parts)
    edges = np.cumsum(list(FRACTIONS.values()))[:-1]
    return np.array(list(FRACTIONS))[np.searchsorted(edges, uniform(hashed(events)), side="right")]


def analysis_scale(events: ak.Array) -> float:
    """Factor that makes the analysis part stand for all events: 1 / its share, or 1 for data."""
    found = metadata(events)
    return 1.0 if role_of(found) == "data" else _scale(fold_from(found))


def _scale(fold: Fold | None) -> float:
    return 1.0 / FRACTIONS["analysis"] if fold is None else float(fold.of)


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

    Their train and validation parts have trained: those of the one split, or of a cross-fitting of
    so many `folds` in which `fold` was left out. Of data, only those of a region.
    """

    source: int
    start: int
    stop: int
    region: str = ""
    fold: int = 0
    folds: int = 0  #: 0: the one split

    @property
    def left_out(self) -> Fold | None:
        """The fold that has trained nothing; None for the one split."""
        return Fold(self.fold, self.folds) if self.folds else None


def trained_by(events: ak.Array) -> tuple[Trained, ...]:
    """What a detector remembers of events that it is fitted on, shape (n_events,)."""
    source, entry = (ak.to_numpy(events[name]) for name in ("source", "event"))
    files, of_event = np.unique(source, return_inverse=True)
    first, last = np.full(len(files), np.iinfo(np.int64).max), np.full(len(files), -1)
    np.minimum.at(first, of_event, entry)
    np.maximum.at(last, of_event, entry)
    meta = metadata(events)
    rest = (str(meta.get("sideband", "")), *(fold_from(meta) or ()))
    return tuple(
        Trained(int(file), int(start), int(stop) + 1, *rest)
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
    for one in sorted(set(spans), key=lambda one: (one.source, *one[3:], one.start)):
        last = found[-1] if found else None
        if (
            last
            and last == one._replace(start=last.start, stop=last.stop)
            and one.start <= last.stop
        ):
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

    Raises
    ------
    TrainingError
        for single members of one cross-fitting: no event is unseen by two of them.
    """
    keep, factor = np.ones(len(events), dtype=bool), np.ones(len(events))
    seen: dict[int, Bools] = {}  # by trainings that leave out some fold of so many
    for fold, inside in _given(events, trained, region_of):
        if fold is not None:
            others = seen.setdefault(fold.of, np.zeros(len(events), dtype=bool))
            if (inside & others).any():
                raise TrainingError(
                    f"two trainings of one cross-fitting with {fold.of} folds were given apart: no "
                    "event is unseen by both; give the folder that holds them all"
                )
            others |= inside
        keep &= ~inside | (_parts(events, fold) == "analysis")
        factor *= np.where(inside, _scale(fold), 1.0)
    return keep, factor


def _given(
    events: ak.Array,
    trained: Iterable[Trained] | None,
    region_of: Callable[[str], Callable[[ak.Array], Bools]] | None,
) -> Iterator[tuple[Fold | None, Bools]]:
    """Each way that events were split, and which of these events were given to train by it."""
    trained = None if trained is None else tuple(trained)
    check_names(events, trained)
    if trained is None:
        found = [(None, np.full(len(events), role_of(metadata(events)) != "data"))]
    else:
        spans = sorted(joined(trained), key=lambda one: (one.folds, one.fold))
        found = [
            (fold, _inside(events, some, region_of))
            for fold, some in itertools.groupby(spans, key=lambda one: one.left_out)
        ]
    yield from ((fold, inside) for fold, inside in found if inside.any())


def check_names(events: ak.Array, trained: Iterable[Trained] | None) -> None:
    """Raise TrainingError unless the events are named as those that have trained.

    Events of a file have two names (:mod:`hepmtp.events.naming`). Signals train nothing.
    """
    spans = [] if trained is None else list(trained)
    role = role_of(metadata(events))
    safe = role == "signal" or (role == "data" and not any(one.region for one in spans))
    if safe or not len(events) or (trained is not None and not spans):
        return
    here = set(np.unique(ak.to_numpy(events.source) == BY_NUMBERS).tolist())
    there = {one.source == BY_NUMBERS for one in spans} or {False}
    if here != there:
        raise TrainingError(
            "these events, or those that have trained, are named by run, luminosity block and "
            "event, and the others by file and entry: nobody can tell which of them have trained. "
            "Give events_from identity='entries' and whole chunks; or say in the metadata that the "
            "role is signal or data"
        )


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

"""Events of a league: those that are fitted on, in memory, and those that are scored, on disk.

The rule: memory does not grow with the events, but for columns. These are weights, regions, and in
the signal region the variations of the weight.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp import storage
from hepmtp.datasets.files import in_chunks, read
from hepmtp.datasets.manifest import Dataset
from hepmtp.errors import ManifestError
from hepmtp.events.ragged import Floats
from hepmtp.events.record import PARTICLE_FIELDS
from hepmtp.events.regions import REGIONS, Region
from hepmtp.events.split import analysis_scale, part_of, split_of
from hepmtp.events.stored_events import StoredEvents
from hepmtp.run.proportions import MOST_EVENTS, fair_stop
from hepmtp.statistics.normalisation import Normalisation, normalisation, tally
from hepmtp.studies.league.search import Part, Search

#: Events of a data set that are in memory together as they are read and scored.
CHUNK = 50_000


@dataclass(frozen=True)
class LeagueEvents:
    """The events of a league.

    Nothing of the analysis part is in `training` and `signal`; with folds, events of all parts are
    in both. Those that are scored are on disk.
    """

    training: ak.Array
    held_out: dict[str, StoredEvents]  # that are scored: in any of the regions
    columns: dict[str, dict[str, NDArray[Any]]]  # "weight" and "region:<name>", held-out events
    background: list[str]
    signals: dict[str, Dataset]
    folds: int  # of a cross-fitting; 1: the one split
    search: Search  # what a fit needs of the same events, and of the control regions
    stop: int | None  # first events of each file that are read; None for all
    most: int  # events that are fitted on, of the background and of each signal

    @classmethod
    def read(
        cls,
        datasets: Sequence[Dataset],
        regions: Sequence[Region],
        stop: int | None,
        folds: int,
        scratch: Path,
        fitted: tuple[Region, ...] = REGIONS,
        *,
        most: int = MOST_EVENTS,
    ) -> LeagueEvents:
        """Read and split; data sets of other roles are left out.

        Scores are judged in `regions`; `fitted` are those of the simultaneous fit. Events that are
        scored are kept in the folder `scratch`, which has to stay as long as they are used.
        """
        sets = {role: [one for one in datasets if one.role == role] for role in _ROLES}
        if missing := [role for role, found in sets.items() if not found]:
            raise ManifestError(
                f"a league needs background and signal: no data set with role {missing[0]} among "
                f"{', '.join(dataset.name for dataset in datasets) or 'none'}"
            )
        held_out, columns, search = {}, {}, Search.empty(stop, fitted)
        for dataset in (one for one in datasets if one.role in sets):
            place = scratch / storage.file_name(dataset.name)
            chosen = StoredEvents(place / "chosen")
            known = _chosen_of(dataset, stop, folds, chosen)
            held_out[dataset.name] = kept_ones = StoredEvents(place / "held out")
            found: dict[str, list[NDArray[Any]]] = {}
            parts: list[Part] = []
            for events in chosen:
                factor = 1.0 if folds > 1 else analysis_scale(events)
                masks = {f"region:{region.name}": region.select(events) for region in regions}
                kept = np.any(list(masks.values()), axis=0)
                parts.append(search.count(dataset, known, events, kept, factor))
                kept_ones.append(events[kept])
                for name, column in {"weight": _weight(events) * factor, **masks}.items():
                    found.setdefault(name, []).append(column[kept])
            chosen.clear()
            search.parts[dataset.name] = Part.joined(parts)
            columns[dataset.name] = {name: np.concatenate(some) for name, some in found.items()}
        return cls(
            _fitted_on(sets["background"], stop, folds, most),
            held_out,
            columns,
            [one.name for one in sets["background"]],
            {one.name: one for one in sets["signal"]},
            folds,
            search,
            stop,
            most,
        )

    def holds(self, signal: str, region: str) -> bool:
        """Whether the region has events of the signal and of the background."""
        inside = {name: bool(one[f"region:{region}"].any()) for name, one in self.columns.items()}
        return inside[signal] and any(inside[name] for name in self.background)

    def signal(self, name: str) -> ak.Array:
        """Events of a signal for what is trained with labels; read again each time."""
        return _fitted_on([self.signals[name]], self.stop, self.folds, self.most)

    @functools.cached_property
    def digests(self) -> dict[str, str]:
        """Of the training events, and of each held-out data set's."""
        held_out = {f"held out {name}": _digest(one) for name, one in self.held_out.items()}
        return {"training": _digest([self.training]), **held_out}

    @functools.cached_property
    def signal_digests(self) -> dict[str, str]:
        """Of each signal's events for what is trained with labels."""
        return {name: _digest([self.signal(name)]) for name in self.signals}


_ROLES = ("background", "signal")


def _chosen_of(
    dataset: Dataset, stop: int | None, folds: int, chosen: StoredEvents
) -> Normalisation:
    """Keep the events of a data set that are not fitted on; what the weights of all stand for."""
    weights = []
    for events in in_chunks(dataset, CHUNK, stop=stop):
        weights.append(_weight(events))
        chosen.append(events if folds > 1 else part_of(events, "analysis"))
    weight = np.concatenate(weights)
    return normalisation(tally(dataset.known, weight, events=len(weight)))


def _fitted_on(datasets: Sequence[Dataset], stop: int | None, folds: int, most: int) -> ak.Array:
    """First events of data sets, `most` in all, that detectors may be fitted on."""
    stop = fair_stop(datasets, each=stop, most=most)
    found = read(datasets, stop=stop)
    return found if folds > 1 else found[split_of(found) != "analysis"]


def _digest(chunks: Iterable[ak.Array]) -> str:
    total = hashlib.sha256()
    for events in chunks:
        columns = [
            ak.num(events.Particle),
            *(ak.flatten(events.Particle[name]) for name in PARTICLE_FIELDS),
        ]
        columns += [events.MET.pt, events.MET.phi, events.weight, events.event, events.source]
        for column in columns:
            total.update(np.ascontiguousarray(ak.to_numpy(column)).tobytes())
    return total.hexdigest()


def _weight(events: ak.Array) -> Floats:
    return np.asarray(ak.to_numpy(events.weight), dtype=np.float64)

"""A league of events on disk: the numbers of one in memory, and memory that hardly grows.

The rule: what is counted is what Python and numpy have allocated, not what the system says.
"""

from __future__ import annotations

import gzip
import itertools
import tracemalloc
from pathlib import Path
from typing import Any, NamedTuple

import awkward as ak
import pytest

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import Dataset, embedded
from hepmtp.detectors.observables import Observable
from hepmtp.events.regions import SR, region_named
from hepmtp.events.split import part_of, split_of
from hepmtp.studies.league import league_events as module
from hepmtp.studies.league.entries import ENTRIES
from hepmtp.studies.league.entry import Entry
from hepmtp.studies.league.fits import _score
from hepmtp.studies.league.folder import League
from hepmtp.studies.league.league_events import LeagueEvents
from hepmtp.studies.league.run import run_league

SETS = [one for one in embedded() if one.name in {"ttbarW", "ttbarZ", "4top"}]
REGIONS = [region_named("preselection"), SR]
STOP = 1500


class Counts(NamedTuple):
    """Numbers of events that observables were given together."""

    fitted: list[int]
    scored: list[int]


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counts:
    found, fit, score = Counts([], []), Observable.fit, Observable.score
    monkeypatch.setattr(
        Observable,
        "fit",
        lambda self, events: found.fitted.append(len(events)) or fit(self, events),
    )
    monkeypatch.setattr(
        Observable,
        "score",
        lambda self, events: found.scored.append(len(events)) or score(self, events),
    )
    return found


def same_rows(one: League, other: League) -> None:
    assert len(one.rows) == len(other.rows) > 3
    for row, again in zip(one.rows, other.rows, strict=True):
        for (name, value), found in zip(row._asdict().items(), again, strict=True):
            if name not in {"fit_seconds", "events_per_second"}:
                assert found == (pytest.approx(value, rel=1e-6) if type(value) is float else value)


@pytest.mark.parametrize("folds", [1, 3])
def test_the_chunks_have_no_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counts: Counts, folds: int
) -> None:
    entries = [ENTRIES[name] for name in ("ht", "n_jets")]
    options: dict[str, Any] = {"seeds": (0,), "folds": folds, "stop": STOP, "figures": False}
    whole = run_league(tmp_path / "whole", SETS, entries, **options)
    monkeypatch.setattr(module, "CHUNK", 200)
    counts.scored.clear()
    parts = run_league(tmp_path / "parts", SETS, entries, **options)
    same_rows(whole, parts)
    if folds == 1:  # else members score in the fit, too
        assert len(counts.scored) > 2 * len(SETS)
        scored = sum(map(len, (part_of(read([one], stop=STOP), "analysis") for one in SETS)))
        assert sum(one for one in counts.scored if one < 400) >= 2 * scored
    assert not [*(tmp_path / "parts").glob(".*")]  # nothing of the events is left there


def test_detectors_are_fitted_on_no_more_events_than_wanted(tmp_path: Path, counts: Counts) -> None:
    given: list[ak.Array] = []

    def told(seed: int, signal: ak.Array) -> Observable:
        given.append(signal)
        return Observable("met")

    entries = [ENTRIES["ht"], Entry("told", told, kind="supervised")]
    options: dict[str, Any] = {"seeds": (0,), "stop": STOP, "figures": False}
    league = run_league(tmp_path, SETS, entries, most_events=1000, **options)
    sample, of_signal = read(SETS[:2], stop=500), read(SETS[2:], stop=1000)
    assert counts.fitted == [int((split_of(sample) != "analysis").sum())] * 2
    expected = of_signal[split_of(of_signal) != "analysis"]
    assert all(ak.array_equal(one.Particle, expected.Particle) for one in given)
    analysis = part_of(read(SETS[2:], stop=STOP), "analysis")
    rows = [row for row in league.rows if row.region == "preselection"]
    assert {row.n_signal for row in rows} == {int(REGIONS[0].select(analysis).sum())}


def test_memory_hardly_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event in memory takes 300 bytes and more; its columns and two scores less than half."""
    monkeypatch.setattr(module, "CHUNK", 500)

    def scored(datasets: list[Dataset], folder: Path) -> int:
        events = LeagueEvents.read(datasets, REGIONS, None, 3, folder, (SR,), most=200)
        found = [_score(ENTRIES[one], Observable(one), events.held_out) for one in ("ht", "met")]
        assert len(found) == 2
        assert len(events.training) == 200
        return sum(map(len, events.held_out.values()))

    peaks, sizes = [], []
    for number, times in enumerate((1, 1, 5)):  # the first fills caches
        folder, datasets = tmp_path / f"{number}", []
        folder.mkdir()
        for one in (SETS[0], SETS[2]):
            with gzip.open(one.files[0]) as file:
                lines = list(itertools.islice(file, 1000))
            path = folder / f"{one.name}.csv"
            path.write_bytes(b"".join(lines * times))
            datasets.append(
                Dataset(name=one.name, process=one.name, role=one.role, files=(str(path),))
            )
        if number:
            tracemalloc.start()
        try:
            sizes.append(scored(datasets, folder))
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert sizes == [2000, 2000, 10_000]
    assert (peaks[2] - peaks[1]) / (sizes[2] - sizes[1]) < 200

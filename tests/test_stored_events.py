"""Events on disk come back as they were, and data sets are read chunk by chunk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest

from hepmtp.datasets.files import in_chunks, num_events, read
from hepmtp.datasets.manifest import Dataset
from hepmtp.events.folds import Fold, fold_of, with_fold
from hepmtp.events.observables import ht
from hepmtp.events.record import concatenate, make_events, metadata
from hepmtp.events.stored_events import StoredEvents
from hepmtp.readers.convert import convert


def numbered(n: int, first: int = 0, source: int = 7) -> ak.Array:
    """Events of 0, 1, 2, 0, ... particles."""
    counts = np.arange(n) % 3
    pt = 20.0 + np.arange(counts.sum())
    return make_events(
        counts=counts, pt=pt, eta=0 * pt, phi=0 * pt, energy=2 * pt, type=0 * pt,
        met=np.arange(n) + 0.1, met_phi=np.zeros(n), event=first + np.arange(n), source=source,
        weight=np.arange(n) - 1.5, dataset="some", role="background",
    )  # fmt: skip


def test_what_comes_back_is_what_was_given(tmp_path: Path) -> None:
    stored = StoredEvents(tmp_path / "events")
    parts = [numbered(5), numbered(0), numbered(7, 5)[[6, 2, 2]]]
    parts[0] = with_fold(ak.with_field(parts[0], [[1], [], [2, 3], [], []], "Jet"), Fold(1, 3))
    for one in parts:
        stored.append(one)
    assert len(stored) == 8
    for _ in range(2):  # as often as is asked
        for found, given in zip(stored, parts, strict=True):
            assert ak.array_equal(found, given, dtype_exact=True)
            assert metadata(found) == metadata(given)
            assert found.Particle.mass.to_list() == given.Particle.mass.to_list()
    assert [len(one) for one in stored] == [5, 0, 3]
    np.testing.assert_array_equal(fold_of(next(iter(stored)), 3), fold_of(parts[0], 3))
    stored.clear()
    assert (len(stored), list(stored), list((tmp_path / "events").iterdir())) == (0, [], [])
    stored.append(parts[2])
    assert [one.event.to_list() for one in stored] == [[11, 7, 7]]


def test_events_that_were_cut_bring_nothing_else_to_disk(tmp_path: Path) -> None:
    cut, whole = StoredEvents(tmp_path / "cut"), StoredEvents(tmp_path / "whole")
    events = numbered(3000)
    cut.append(events[ht(events) > 5900])
    whole.append(events)
    sizes = [sum(path.stat().st_size for path in (tmp_path / name).iterdir()) for name in
             ("cut", "whole")]  # fmt: skip
    assert sizes[0] < 0.2 * sizes[1]


class Given:
    """A reader of these events, whatever the path."""

    def __init__(self, events: ak.Array) -> None:
        self.events = events

    def num_events(self, path: str) -> int:  # noqa: ARG002
        return len(self.events)

    def read(self, path: str, start: int = 0, stop: int | None = None) -> ak.Array:  # noqa: ARG002
        return self.events[start:stop]


@pytest.fixture
def files(tmp_path: Path) -> Dataset:
    """Three files of 50, 3 and 0 events of one data set."""
    paths = [str(tmp_path / f"{i}.root") for i in range(3)]
    for source, (path, n) in enumerate(zip(paths, (50, 3, 0), strict=True)):
        convert("any", path, reader=Given(numbered(n, source=source)))
    return Dataset(name="some", process="some", role="background", files=tuple(paths))


@pytest.mark.parametrize("size", [1, 7, 50, 51, 1000])
@pytest.mark.parametrize("stop", [None, 0, 2, 20, 10**9])
def test_chunks_are_the_events_in_their_order(files: Dataset, size: int, stop: Any) -> None:
    parts = list(in_chunks(files, size, stop=stop))
    expected = read([files], stop=stop)
    assert ak.array_equal(concatenate(parts), expected, dtype_exact=True)
    assert all(metadata(one) == metadata(expected) for one in parts)
    assert all(size <= len(one) < 2 * size for one in parts[:-1])
    assert len(parts[-1]) < 2 * size


def test_steps_of_a_file_are_read_in_chunks(files: Dataset) -> None:
    some = replace(files, steps=(((3, 20), (40, 99)), None, None))
    assert num_events(files) == [50, 3, 0]
    assert num_events(some) == [27, 3, 0]
    for stop in (None, 18):
        found = concatenate(in_chunks(some, 4, stop=stop))
        assert ak.array_equal(found, read([some], stop=stop), dtype_exact=True)


def test_a_file_that_cannot_be_read_has_no_events_if_told(files: Dataset) -> None:
    Path(files.files[1]).write_text("this is no event\n")
    assert num_events(files, skip_bad=True) == [50, 0, 0]
    with pytest.raises(ValueError, match=r"1\.root"):
        num_events(files)

"""First events of data sets stand for the whole of them, in proportion to cross-sections."""

from __future__ import annotations

import gzip
import inspect
import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
from hypothesis import given, strategies as st

from hepmtp.cli import analysis, studies
from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import Dataset
from hepmtp.errors import ManifestError
from hepmtp.events.record import metadata
from hepmtp.run import proportions
from hepmtp.run.proportions import MOST_EVENTS, fair_stop, first_events, in_proportion
from hepmtp.statistics.accounting import Account

#: Weights of the events in the files.
W, Z = 0.127349, 0.0789456


@pytest.fixture
def datasets(sample: Path, tmp_path: Path) -> list[Dataset]:
    found = []
    for name in ("ttbarW", "ttbarZ"):
        with gzip.open(sample / f"{name}.csv.gz", "rb") as file:
            (tmp_path / f"{name}.csv").write_bytes(b"".join(itertools.islice(file, 40)))
        found.append(
            Dataset(
                name=name, process=name, role="background", files=(str(tmp_path / f"{name}.csv"),)
            )
        )
    return found


def accounts(w: float, z: float | None) -> dict[str, Account]:
    return {
        "ttbarW": Account(events_read=40, weight_read=w),
        "ttbarZ": Account(events_read=40, weight_read=z),
    }


def test_weights_of_the_first_events_sum_to_those_of_all(datasets: list[Dataset]) -> None:
    first = first_events(datasets, stop=10)
    assert {name: len(one) for name, one in first.weights.items()} == {"ttbarW": 10, "ttbarZ": 10}
    found = in_proportion(first, datasets, accounts(40 * W, 400 * Z))
    weight = np.asarray(found.weight)
    np.testing.assert_allclose(weight[:10], 4 * W, rtol=1e-5)
    np.testing.assert_allclose(weight[10:], 40 * Z, rtol=1e-5)
    # the events are those that were read, and they alone have other weights
    assert ak.array_equal(found.Particle, read(datasets, stop=10).Particle)
    assert metadata(found) == metadata(read(datasets, stop=10))
    np.testing.assert_allclose(first.events.weight, np.repeat([W, Z], 10), rtol=1e-5)
    # what nobody has counted stays as it is
    for unknown in ({}, accounts(40 * W, None)):
        weight = np.asarray(in_proportion(first, datasets, unknown).weight)
        np.testing.assert_allclose(weight[10:], Z, rtol=1e-5)


def test_cross_sections_are_in_proportion(datasets: list[Dataset]) -> None:
    numbers = {"ttbarW": 0.7, "ttbarZ": 0.9}
    known = [
        Dataset(
            name=one.name,
            process=one.name,
            role="background",
            files=one.files,
            cross_section_pb=numbers[one.name],
            luminosity_ifb=10.0,
            sum_weights=100.0,
        )
        for one in datasets
    ]
    first = first_events(known, stop=10)
    weight = np.asarray(in_proportion(first, known, accounts(40 * W, 40 * Z)).weight)
    # a weight w in a file stands for w x cross-section x luminosity / sum of weights events
    assert weight[:10].sum() == pytest.approx(40 * W * 0.7 * 10_000 / 100, rel=1e-5)
    assert weight[10:].sum() == pytest.approx(40 * Z * 0.9 * 10_000 / 100, rel=1e-5)


def test_generated_events_are_counted(datasets: list[Dataset]) -> None:
    numbers: dict[str, Any] = {
        "cross_section_pb": 0.7,
        "luminosity_ifb": 10.0,
        "n_generated": 100.0,
    }
    known = [replace(one, **numbers) for one in datasets]
    first = first_events(known, stop=10)
    first = first._replace(weights={name: np.ones(10) for name in first.weights})
    weight = np.asarray(in_proportion(first, known, accounts(40.0, 20.0)).weight)
    np.testing.assert_allclose(weight, np.repeat([4 * 70.0, 2 * 70.0], 10))


def test_a_lost_data_set_is_left_out_only_if_told(
    datasets: list[Dataset], caplog: pytest.LogCaptureFixture
) -> None:
    Path(datasets[1].files[0]).write_text("this is no event\n")
    with pytest.raises((ManifestError, ValueError), match=r"ttbarZ.csv"):
        first_events(datasets, stop=10)
    first = first_events(datasets, stop=10, skip_bad=True)
    assert list(first.weights) == ["ttbarW"]
    assert "ttbarZ.csv is left out" in caplog.text
    weight = np.asarray(in_proportion(first, datasets, accounts(40 * W, 0.0)).weight)
    np.testing.assert_allclose(weight, 4 * W, rtol=1e-5)


@given(st.lists(st.integers(0, 60), min_size=1, max_size=6), st.integers(1, 70), st.integers(1, 99))
def test_the_largest_fair_number(counts: list[int], limit: int, most: int) -> None:
    level = proportions._level(counts, limit, most)
    fitting = [one for one in range(1, limit + 1) if sum(min(n, one) for n in counts) <= most]
    assert level == max(fitting, default=1)
    assert level == proportions._level(counts[::-1], limit, most)


def test_large_files_share_what_small_ones_lack(
    datasets: list[Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = (Path(one.files[0]) for one in datasets)
    small.write_bytes(b"".join(small.read_bytes().splitlines(keepends=True)[:10]))
    for ordered in (datasets, datasets[::-1]):
        assert fair_stop(ordered, most=44) == 34
        found = first_events(ordered, stop=34).weights
        assert {name: len(one) for name, one in found.items()} == {"ttbarW": 10, "ttbarZ": 34}
    assert fair_stop(datasets, each=20, most=44) == 20
    assert fair_stop(datasets, each=40, most=50) == 40
    assert fair_stop(datasets, most=1) == 1
    large.write_text("this is no event\n")
    with pytest.raises(ValueError, match=r"ttbarZ.csv"):
        fair_stop(datasets, most=12)
    assert fair_stop(datasets, most=12, skip_bad=True) == 12
    monkeypatch.setattr(proportions, "num_events", None)  # what cannot be too many is not counted
    assert fair_stop(datasets, each=6, most=12) == 6


@pytest.mark.parametrize("command", [analysis.train, studies.league])
def test_commands_and_library_have_one_limit(command: Callable[..., None]) -> None:
    assert inspect.signature(command).parameters["most_events"].default == MOST_EVENTS

"""What makes a result empty is one sentence each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hist.axis import Regular

from hepmtp.events.region_info import RegionInfo
from hepmtp.report.problems import LEAST, problems, twice
from hepmtp.statistics.accounting import Account
from hepmtp.statistics.histograms import book, fill

REGIONS = [RegionInfo(0, "CR", "", "control"), RegionInfo(1, "SR", "", "signal")]


def made(passing: dict[str, dict[str, int]], score: float | None = None) -> dict[str, Any]:
    """An output of data sets with this many events per region, of ten events each."""
    h = book(Regular(20, 0, 20, name="score"), name="x")
    columns, cutflow = {}, {}
    for dataset, regions in passing.items():
        n = sum(regions.values())
        values = np.arange(n, dtype=float) if score is None else np.full(n, score)
        columns[dataset] = {"score:x": values}
        cutflow[dataset] = {"all": {"raw": 10 if n else 0}}
        for region, k in regions.items():
            fill(h, dataset=dataset, region=region, score=values[:k], weight=0.5)
            cutflow[dataset][region] = {"raw": k}
    return {"scores": {"x": h}, "cutflow": cutflow, "columns": columns}


def found(passing: dict[str, dict[str, int]], **more: Any) -> list[str]:
    background = more.pop("background", ["a"])
    return problems(
        made(passing, more.pop("score", None)),
        list(passing),
        REGIONS,
        background=background,
        **more,
    )


def test_a_result_has_no_problem() -> None:
    assert found({"a": {"CR": 3, "SR": 2}, "s": {"CR": 0, "SR": 4}}) == []


def test_a_selection_that_nothing_passes_shows_the_cutflow_in_one_line() -> None:
    output = made({"a": {"CR": 0, "SR": 0}, "s": {"CR": 0, "SR": 0}})
    output["cutflow"]["a"]["all"]["raw"] = output["cutflow"]["s"]["all"]["raw"] = 10
    assert problems(output, ["a", "s"], REGIONS, background=["a"]) == [
        (
            "No event passed a region that is shown. "
            "Cutflow: a: all 10, CR 0, SR 0; s: all 10, CR 0, SR 0."
        )
    ]


def test_a_data_set_without_events_is_named() -> None:
    counts = {"a": {"CR": 3, "SR": 2}, "s": {"CR": 0, "SR": 0}}
    assert found(counts) == ["Data set s has no event to analyse."]
    assert found({"a": {"CR": 3, "SR": 2}}, accounting={"a": Account(events_read=5)}) == []
    read = {"s": Account(events_read=7)}
    assert found(counts, accounting=read) == [
        (
            "Data set s has no event to analyse: 7 were read, and none of them is left for the "
            "analysis."
        )
    ]
    output = made({"a": {"CR": 3, "SR": 2}})  # a data set that no chunk came of
    assert problems(output, ["a", "b"], REGIONS, background=["a", "b"]) == [
        "Data set b has no event to analyse."
    ]


def test_a_region_of_zero_background_is_named() -> None:
    counts = {"a": {"CR": 3, "SR": 0}, "s": {"CR": 0, "SR": 4}}
    assert found(counts) == ["Regions without background events: SR."]
    assert found(counts, background=[]) == []


@pytest.mark.parametrize(("n", "problem"), [(LEAST - 1, False), (LEAST, True)])
def test_a_detector_that_gives_one_value_to_all_is_named(n: int, problem: bool) -> None:
    sentence = f"Detector x gives one value, 2.5, to all {n} events: it separates nothing."
    assert found({"a": {"CR": n - 1, "SR": 1}}, score=2.5) == [sentence] * problem


def test_events_without_columns_are_no_problem() -> None:
    output = made({"a": {"CR": 12, "SR": 2}}, 2.5)
    del output["columns"]
    assert problems(output, ["a"], REGIONS, background=["a"]) == []


def test_events_that_come_again_are_counted() -> None:
    def table(source: int, *event: int) -> dict[str, Any]:
        return {"source": np.full(len(event), source, np.uint64), "event": np.array(event)}

    def joined(*tables: dict[str, Any]) -> dict[str, Any]:
        return {key: np.concatenate([one[key] for one in tables]) for key in tables[0]}

    both = {"a": table(7, 0, 1, 2), "b": table(7, 3, 4), "c": table(8, 0, 1, 2)}
    assert list(twice(both)) == []
    assert list(twice(both | {"d": table(7, 2, 3, 5)})) == [
        (
            "2 events come again (in a, b, d): a file, or a copy of it, is given more than once "
            "and counts each time; keep one."
        )
    ]
    (of_one,) = twice({"a": joined(table(9, 0, 1), table(9, 0, 1)), "b": table(7, 1)})
    assert of_one.startswith("2 events come again (in a): ")
    assert list(twice({"a": table(0, 0, 1), "b": table(0, 0, 1)})) == []  # nobody knows of what
    assert list(twice({"a": {"score:x": np.zeros(3)}})) == []

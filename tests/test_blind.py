"""Data are not seen where a signal could be: histograms, cutflow and columns of a few events."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hist.axis import Regular

from hepmtp.events.region_info import RegionInfo
from hepmtp.report.blind import blind_regions, blinded
from hepmtp.statistics.histograms import book, fill, spectrum

REGIONS = [
    RegionInfo(0, "loose", "", ""),
    RegionInfo(1, "CR", "", "control"),
    RegionInfo(2, "VR", "", "validation"),
    RegionInfo(3, "SR", "", "signal"),
]
#: Events of each region by their place: all are loose, the last two pass two regions.
PLACES = {"loose": [0, 1, 2, 3, 4, 5], "CR": [0, 1], "VR": [2, 5], "SR": [3, 4]}


def table(places: dict[str, list[int]]) -> dict[str, Any]:
    """Columns of six events with scores 0.5 to 5.5 that pass regions by their place."""
    masks = {f"region:{name}": np.isin(np.arange(6), one) for name, one in places.items()}
    return {"event": np.arange(6), "score:x": np.arange(6) + 0.5, **masks}


@pytest.fixture
def output() -> dict[str, Any]:
    h = book(Regular(6, 0, 6, name="score"), name="x")
    columns = {"b": table(PLACES), "run2": table(PLACES), "run3": table(PLACES)}
    for dataset, one in columns.items():
        for region in PLACES:
            fill(
                h,
                dataset=dataset,
                region=region,
                score=one["score:x"][one[f"region:{region}"]],
                weight=1,
            )
    counts = {"all": {"raw": 9}, **{name: {"raw": len(one)} for name, one in PLACES.items()}}
    cutflow = {name: dict(counts) for name in columns}
    return {"scores": {"x": h}, "cutflow": cutflow, "columns": columns, "regions": set(REGIONS)}


def test_signal_regions_and_those_without_purpose_are_blind(output: dict[str, Any]) -> None:
    assert blind_regions(output, REGIONS) == ["loose", "SR"]
    assert blind_regions({}, REGIONS) == ["loose", "SR"]
    assert blind_regions({}, REGIONS[1:3]) == []


def test_a_control_region_that_shares_an_event_with_a_signal_region_is_blind(
    output: dict[str, Any],
) -> None:
    output["columns"]["b"] = table(PLACES | {"VR": [2, 4]})
    assert blind_regions(output, REGIONS) == ["loose", "VR", "SR"]


def test_overlaps_are_known_without_columns() -> None:
    assert blind_regions({"overlaps": {("CR", "VR"), ("CR", "SR")}}, REGIONS) == [
        *("loose", "CR", "SR")
    ]


def test_variables_and_cuts_are_blind_too(output: dict[str, Any]) -> None:
    h, cut = output["scores"]["x"], {"cutflow": {"a": {"raw": 2}}, "n_minus_one": {"a": {"raw": 3}}}
    more = {"variables": {"v": h}, "n_minus_one": {"v": h}}
    cuts = {name: dict.fromkeys(PLACES, cut) for name in ("b", "run2")}
    found = blinded(output | more | {"cuts": cuts}, ["run2", "run3"], ["loose", "SR"])
    assert spectrum(found["variables"]["v"], "run2", "SR").sum(flow=True).value == 0
    assert spectrum(found["variables"]["v"], "run2", "CR").sum(flow=True).value == 2
    for region in PLACES:  # what lacks one cut of a region may be of a signal region
        assert spectrum(found["n_minus_one"]["v"], "run2", region).sum(flow=True).value == 0
    assert spectrum(found["n_minus_one"]["v"], "b", "SR").sum(flow=True).value == 2
    assert found["cuts"]["run2"] == {key: {"cutflow": {"a": {"raw": 2}}} for key in ("CR", "VR")}
    assert found["cuts"]["b"] == dict.fromkeys(PLACES, cut)


def test_nothing_of_blind_data_is_left(output: dict[str, Any]) -> None:
    before = {name: h.copy() for name, h in output["scores"].items()}
    found = blinded(output, ["run2", "run3"], ["loose", "SR"])
    h = found["scores"]["x"]
    for dataset in ("run2", "run3"):
        for region in ("loose", "SR"):
            bins = spectrum(h, dataset, region).view(flow=True)
            assert bins["value"].tolist() == bins["variance"].tolist() == [0] * 8
        assert spectrum(h, dataset, "CR").values().tolist() == [1, 1, 0, 0, 0, 0]
        assert found["cutflow"][dataset] == {"all": {"raw": 9}, "CR": {"raw": 2}, "VR": {"raw": 2}}
        left = found["columns"][dataset]
        assert set(left) == {"event", "score:x", "region:CR", "region:VR"}
        assert left["event"].tolist() == [0, 1, 2, 5]
        assert left["region:VR"].tolist() == [False, False, True, True]
    assert spectrum(h, "b", "SR").values().tolist() == [0, 0, 0, 1, 1, 0]
    assert found["cutflow"]["b"] == output["cutflow"]["b"]
    assert found["columns"]["b"] is output["columns"]["b"]
    assert output["scores"] == before  # what was given is as it was
    assert set(output["cutflow"]["run2"]) == {"all", *PLACES}


def test_strangest_events_of_blind_data_are_not_kept(output: dict[str, Any]) -> None:
    kept = {"x": {name: {"SR": name, "VR": name} for name in ("b", "run2")}}
    found = blinded(output | {"strangest": kept}, ["run2"], ["loose", "SR"])
    assert found["strangest"] == {"x": {"b": {"SR": "b", "VR": "b"}, "run2": {"VR": "run2"}}}
    assert kept["x"]["run2"] == {"SR": "run2", "VR": "run2"}


def test_a_second_time_changes_nothing(output: dict[str, Any]) -> None:
    once = blinded(output, ["run2"], ["loose", "SR"])
    twice = blinded(once, ["run2"], ["loose", "SR"])
    assert twice["scores"] == once["scores"]
    assert twice["cutflow"] == once["cutflow"]
    assert twice["columns"]["run2"]["event"].tolist() == [0, 1, 2, 5]


def test_without_data_or_blind_regions_all_is_left(output: dict[str, Any]) -> None:
    assert blinded(output, [], ["SR"]) == output
    assert blinded(output, ["run2"], []) == output


def test_data_that_no_region_shows_leave_no_row(output: dict[str, Any]) -> None:
    found = blinded(output, ["run2"], list(PLACES))
    assert found["cutflow"]["run2"] == {"all": {"raw": 9}}
    assert found["columns"]["run2"]["score:x"].tolist() == []
    assert spectrum(found["scores"]["x"], "run2", "CR").values().tolist() == [0] * 6

"""From a processor's output to the folder of a run."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coffea.processor import accumulate
from hist.axis import Regular

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import Dataset, embedded
from hepmtp.detectors.observables import Observable
from hepmtp.errors import RegionError, ScoreError
from hepmtp.events.observables import n_b, n_jets
from hepmtp.events.record import with_metadata
from hepmtp.events.regions import CR, SR, Region
from hepmtp.report.figures import caption_of, coarse, draw_scores
from hepmtp.report.folder import (
    SUMMARY,
    RunResult,
    names_of,
    passing,
    remarks,
    separation,
    write_run,
)
from hepmtp.report.info import SIMULATION_NOTE, read_info
from hepmtp.report.tables import read_csv
from hepmtp.statistics.histograms import book, fill, spectrum, yields
from processors.anomaly import AnomalyProcessor

NAMES = ("ttbarW", "ttbarZ", "4top")
BACKGROUND = ["ttbarW", "ttbarZ"]


@pytest.fixture(scope="module")
def datasets() -> list[Dataset]:
    known = {one.name: one for one in embedded()}
    return [known[name] for name in NAMES]


@pytest.fixture(scope="module")
def events(datasets: list[Dataset]) -> dict[str, Any]:
    return {one.name: read([one], stop=4000) for one in datasets}


@pytest.fixture(scope="module")
def detectors(events: dict[str, Any]) -> list[Observable]:
    return [Observable(name).fit(events["ttbarW"]) for name in ("ht", "multiplicity")]


@pytest.fixture(scope="module")
def output(events: dict[str, Any], detectors: list[Observable]) -> Any:
    processor = AnomalyProcessor(detectors, columns=True)
    return accumulate([processor.process(one) for one in events.values()])


@pytest.fixture(scope="module")
def run(
    output: Any, datasets: list[Dataset], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, RunResult]:
    """A whole run's folder, about the first detector, as there is no masked_token."""
    folder = tmp_path_factory.mktemp("run")
    return folder, write_run(
        folder, output, datasets, command="hepmtp run", started=time.perf_counter()
    )


def test_a_whole_run(run: tuple[Path, RunResult], output: Any) -> None:
    folder, result = run
    assert result.report == folder / "report.html"
    assert result.seconds > 0
    info = read_info(folder)
    assert info.detector == "ht"
    assert info.title == "ht on ttbarW, ttbarZ, 4top"
    assert (info.background, info.signals) == (BACKGROUND, ["4top"])
    assert info.note == SIMULATION_NOTE
    assert tuple(info.summary) == SUMMARY
    assert info.scores == {"ht": "$H_T$ [GeV]", "multiplicity": "number of particles"}
    assert [one.name for one in info.figures] == ["score", "shape", "roc_4top", "sic_4top"]
    assert json.loads((folder / "cutflow.json").read_text()) == output["cutflow"]
    rows = read_csv(folder / "performance.csv")
    assert [(row["detector"], row["region"]) for row in rows] == [
        ("ht", "preselection"),
        ("multiplicity", "preselection"),
        ("ht", "SR"),
        ("multiplicity", "SR"),
    ]


def test_background_alone_makes_no_rows(
    output: Any, datasets: list[Dataset], tmp_path: Path
) -> None:
    result = write_run(tmp_path, output, datasets[:2], command="x", started=0.0)
    assert (result.performance, result.selection) == ([], [])
    assert not (tmp_path / "performance.csv").exists()
    assert [one.name for one in read_info(tmp_path).figures] == ["score", "shape"]


def test_signal_alone_draws_nothing(output: Any, datasets: list[Dataset], tmp_path: Path) -> None:
    result = write_run(tmp_path, output, datasets[2:], command="x", started=0.0)
    assert (result.performance, result.selection) == ([], [])
    info = read_info(tmp_path)
    assert list(info.figures) == []
    assert list(info.remarks) == [
        (
            "No data set of this run is background: "
            "there are no thresholds and no comparison of regions."
        )
    ]
    assert result.report.exists()


def test_scores_event_by_event_are_needed(
    output: Any, run: tuple[Path, RunResult], datasets: list[Dataset], tmp_path: Path
) -> None:
    bare = {key: value for key, value in output.items() if key != "columns"}
    with pytest.raises(
        ScoreError, match=r"needs the scores event by event: run AnomalyProcessor with columns=True"
    ):
        write_run(tmp_path, bare, datasets, command="x", started=0.0)
    assert separation(bare, read_info(run[0])) == []


def loose(events: Any) -> Any:
    return CR.selection(events)


def tight(events: Any) -> Any:
    return SR.selection(events)


def run_with(
    regions: list[Region],
    events: dict[str, Any],
    detectors: list[Observable],
    datasets: list[Dataset],
    folder: Path,
) -> RunResult:
    processor = AnomalyProcessor(detectors, regions=regions, columns=True)
    out = accumulate([processor.process(one) for one in events.values()])
    return write_run(folder, out, datasets, command="x", started=0.0)


def test_regions_of_ones_own_give_the_tables_and_figures_of_the_shipped_ones(
    events: dict[str, Any],
    detectors: list[Observable],
    datasets: list[Dataset],
    run: tuple[Path, RunResult],
    tmp_path: Path,
) -> None:
    mine = [
        Region("loose", r"4 or 5 jets, $\geq 2$ b", loose, "control"),
        Region("tight", r"$\geq 6$ jets, $\geq 2$ b", tight, "signal"),
    ]
    result = run_with(mine, events, detectors, datasets, tmp_path)
    _, shipped = run
    expected = [
        row._replace(region="tight", rule=row.rule.replace("CR", "loose"))
        for row in shipped.selection
    ]
    assert result.selection == expected
    assert result.performance == [
        row._replace(region="tight") for row in shipped.performance if row.region == "SR"
    ]
    info = read_info(tmp_path)
    assert [tuple(one)[1:] for one in info.regions] == [
        ("loose", r"4 or 5 jets, $\geq 2$ b", "control"),
        ("tight", r"$\geq 6$ jets, $\geq 2$ b", "signal"),
    ]
    assert [one.name for one in info.figures] == ["score", "shape", "roc_4top", "sic_4top"]
    assert all((tmp_path / "figures" / f"{one.name}.png").stat().st_size for one in info.figures)
    page = (tmp_path / "report.html").read_text()
    assert "<dt>tight</dt><dd>≥ 6 jets, ≥ 2 b (signal region)</dd>" in page
    assert "preselection" not in page
    assert info.remarks == []


def test_regions_without_purpose_give_a_separation_and_say_what_is_missing(
    events: dict[str, Any], detectors: list[Observable], datasets: list[Dataset], tmp_path: Path
) -> None:
    mine = [Region("mine", "mine", tight), Region("none", "", nothing)]
    result = run_with(mine, events, detectors, datasets, tmp_path)
    assert result.selection == []
    assert {row.region for row in result.performance} == {"mine"}
    info = read_info(tmp_path)
    assert [one.name for one in info.figures] == ["score", "roc_4top", "sic_4top"]
    assert info.figures[0].caption == (
        "The $H_T$ [GeV] in mine: background stacked, signal as lines."
    )
    assert list(info.remarks) == [
        (
            "No region of this run has the purpose signal or control: there are no thresholds "
            "and no comparison of regions."
        ),
        "Regions without background events: none.",
    ]
    page = (tmp_path / "report.html").read_text()
    assert all(remark in page for remark in info.remarks)
    assert set(json.loads((tmp_path / "cutflow.json").read_text())["4top"]) == {
        "all",
        "mine",
        "none",
    }


def nothing(events: Any) -> Any:
    return np.zeros(len(events), dtype=bool)


def many_jets(events: Any) -> Any:
    return SR.selection(events) & (n_jets(events) >= 8)


def three_b(events: Any) -> Any:
    return SR.selection(events) & (n_b(events) >= 3)


def test_every_signal_region_is_held_against_every_control_region(
    events: dict[str, Any], detectors: list[Observable], datasets: list[Dataset], tmp_path: Path
) -> None:
    mine = [
        CR,
        SR,
        Region("8j", "8 jets", many_jets, "signal"),
        Region("3b", "3 b", three_b, "signal"),
    ]
    result = run_with(mine, events, detectors, datasets, tmp_path)
    assert [one.name for one in read_info(tmp_path).figures] == [
        *("score", "shape", "score-8j-CR", "shape-8j-CR", "score-3b-CR", "shape-3b-CR"),
        *("roc_4top", "sic_4top", "roc_4top-8j", "sic_4top-8j", "roc_4top-3b", "sic_4top-3b"),
    ]
    assert {row.region for row in result.selection} == {"SR", "8j", "3b"}
    assert len({row.threshold for row in result.selection if row.detector == "ht"}) == 2


def test_a_run_of_before_regions_were_described_is_read(
    run: tuple[Path, RunResult], tmp_path: Path
) -> None:
    content = json.loads((run[0] / "run.json").read_text())
    del content["regions"], content["remarks"]
    (tmp_path / "run.json").write_text(json.dumps(content))
    assert [one.name for one in read_info(tmp_path).regions] == ["preselection", "CR", "VR", "SR"]


def test_a_processor_that_does_not_describe_its_regions_is_not_given_ours(
    output: Any, datasets: list[Dataset], tmp_path: Path
) -> None:
    bare = {key: value for key, value in output.items() if key != "regions"}
    write_run(tmp_path, bare, datasets, command="x", started=0.0)
    assert {(one.label, one.purpose) for one in read_info(tmp_path).regions} == {("", "")}
    assert "<dt>SR</dt><dd>without description</dd>" in (tmp_path / "report.html").read_text()


def test_own_files_are_not_called_simulation(output: Any, tmp_path: Path) -> None:
    own = [Dataset(name=name, process=name, role="background", files=()) for name in BACKGROUND]
    write_run(tmp_path, output, own, command="x", started=0.0)
    info = read_info(tmp_path)
    assert info.note == "These are the events of your own files."
    caption = caption_of(info)
    assert "simulation" not in " ".join(str(one) for one in caption).lower()
    assert "hepmtp's own simulation" not in (tmp_path / "report.html").read_text().replace(
        "&#39;", "'"
    )


def test_thresholds_come_from_the_control_region(output: Any, run: tuple[Path, RunResult]) -> None:
    h, info = output["scores"]["ht"], read_info(run[0])
    by_quantile, by_label = passing(h, info, ("SR", "CR"), columns=output["columns"])
    assert by_quantile.rule == "99 % of CR background below"
    assert "labelled" in by_label.rule
    assert by_quantile.region == by_label.region == SR.name
    control = spectrum(h, BACKGROUND, CR.name)
    above = control.axes[0].edges[:-1] >= by_quantile.threshold - 1e-6
    value = control.view(flow=True)["value"]
    share = (value[1:-1][above].sum() + value[-1]) / value.sum()
    assert 0 <= share <= 0.015
    # what passes, by hand from the columns
    columns = {name: one.value for name, one in output["columns"]["4top"].items()}
    chosen = columns["region:SR"] & (columns["score:ht"] >= by_quantile.threshold)
    assert by_quantile.n_signal == int(chosen.sum())
    assert by_quantile.s == pytest.approx(columns["weight"][chosen].sum())
    total = yields(h, "4top", "SR").value
    assert by_quantile.eps_s == pytest.approx(by_quantile.s / total)
    assert passing(h, replace(info, signals=[]), ("SR", "CR")) == []
    assert passing(h, replace(info, background=[]), ("SR", "CR")) == []


def test_data_make_neither_background_nor_signal(
    events: dict[str, Any], detectors: list[Observable], output: Any, run: tuple[Path, RunResult]
) -> None:
    processor = AnomalyProcessor(detectors, columns=True)
    data = processor.process(with_metadata(events["4top"], dataset="run2", role="data"))
    both = accumulate([output, data])
    assert separation(both, read_info(run[0])) == run[1].performance
    own = Dataset(name="run2", process="run2", role="data", files=())
    assert [names_of([own], role) for role in ("background", "signal", "data")] == [
        [],
        [],
        ["run2"],
    ]


@pytest.mark.parametrize(("bins", "expected"), [(200, 20), (30, 30), (41, 41), (12, 12), (90, 30)])
def test_coarse_joins_as_many_bins_as_leave_twenty(bins: int, expected: int) -> None:
    h = book(Regular(bins, 0, 1, name="score", label="x"))
    fill(h, dataset="a", region="SR", score=np.linspace(-0.1, 1.1, 50), weight=2.0)
    joined = coarse(h)
    assert len(joined.axes["score"]) == expected
    assert yields(joined, "a", "SR") == yields(h, "a", "SR")


def test_without_events_in_the_signal_region_the_others_are_drawn(
    output: Any, run: tuple[Path, RunResult], tmp_path: Path
) -> None:
    empty = {name: h.copy() for name, h in output["scores"].items()}
    for h in empty.values():
        for part in ("value", "variance"):
            h.view(flow=True)[part][:, h.axes["region"].index("SR")] = 0
    info = read_info(run[0])
    drawn = draw_scores(tmp_path, {**output, "scores": empty}, empty, info)
    assert [one.name for one in drawn] == ["score", "roc_4top", "sic_4top"]
    assert "in preselection, CR, VR: " in drawn[0].caption
    assert list(remarks(empty["ht"], info.regions, BACKGROUND)) == [
        "Regions without background events: SR."
    ]


def test_runs_with_other_regions_of_the_same_name_do_not_add_up(
    output: Any,
    events: dict[str, Any],
    detectors: list[Observable],
    datasets: list[Dataset],
    tmp_path: Path,
) -> None:
    other = AnomalyProcessor(detectors, regions=[Region("SR", "all jets", tight)], columns=True)
    both = accumulate([output, other.process(events["ttbarZ"])])
    with pytest.raises(RegionError, match=r"different regions were added up: .*SR.*SR"):
        write_run(tmp_path, both, datasets, command="x", started=0.0)

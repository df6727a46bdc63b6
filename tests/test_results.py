"""From a processor's output to the folder of a run."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
from coffea.processor import accumulate
from hist.axis import Regular

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import Dataset, embedded
from hepmtp.detectors.observables import Observable
from hepmtp.errors import RegionError, ScoreError, StorageError
from hepmtp.events.observables import n_b, n_jets
from hepmtp.events.record import with_metadata
from hepmtp.events.regions import CR, PARTS, SR, Region
from hepmtp.plotting import OWN_FILES, SIMULATION, Caption
from hepmtp.report.again import report_again
from hepmtp.report.columns import COLUMNS, load_columns
from hepmtp.report.cut_figures import cut_figures
from hepmtp.report.drawn_figures import caption_of, coarse
from hepmtp.report.figures import draw_scores
from hepmtp.report.folder import SUMMARY, RunResult, write_run
from hepmtp.report.info import SIMULATION_NOTE, FigureText, read_info, write_json
from hepmtp.report.known import names_of
from hepmtp.report.page import write_page
from hepmtp.report.problems import remarks
from hepmtp.report.rows import passing, said_of_data, separation
from hepmtp.report.seal import new_run, seal
from hepmtp.report.tables import read_csv, rounded
from hepmtp.statistics.accounting import Account, Loss
from hepmtp.statistics.histogram_files import load
from hepmtp.statistics.histograms import book, canonical, fill, spectrum, yields
from hepmtp.statistics.normalisation import Normalisation
from processors.anomaly import AnomalyProcessor

NAMES = ("ttbarW", "ttbarZ", "4top")
BACKGROUND = ["ttbarW", "ttbarZ"]
#: Figures of what the signal region cuts on.
CUTS = tuple(f"n_minus_one-{name}" for name in ("ht", "n_jets", "n_b"))


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
    assert [one.name for one in info.figures] == ["score", "shape", *CUTS, "roc_4top", "sic_4top"]
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
    assert [one.name for one in read_info(tmp_path).figures] == ["score", "shape", *CUTS]


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


@pytest.mark.usefixtures("undrawn")
def test_without_scores_event_by_event_the_rest_is_written(
    output: Any, run: tuple[Path, RunResult], datasets: list[Dataset], tmp_path: Path
) -> None:
    bare = {key: value for key, value in output.items() if key != "columns"}
    result = write_run(tmp_path, bare, datasets, command="x", started=0.0)
    assert result.performance == []
    assert {row.counts for row in result.selection} == {"effective"}
    for one, raw in zip(result.selection, run[1].selection, strict=True):
        assert (one.detector, one.threshold, one.s) == (raw.detector, raw.threshold, raw.s)
    info = read_info(tmp_path)
    assert [one.name for one in info.figures] == ["score", "shape", *CUTS]
    assert list(info.remarks) == [
        (
            "There are no scores event by event, so there is no separation and no ROC: run without "
            "--columns, or AnomalyProcessor with columns=True."
        )
    ]
    assert separation(bare, info) == []
    assert not (tmp_path / COLUMNS).exists()


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
        ("loose", r"4 or 5 jets, $\geq 2$ b", "control", "", "", "", ()),
        ("tight", r"$\geq 6$ jets, $\geq 2$ b", "signal", "", "", "score", ()),
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
        "Regions without background events: none.",
        (
            "No region of this run has the purpose signal or control: there are no thresholds "
            "and no comparison of regions."
        ),
    ]
    assert result.problems == ("Regions without background events: none.",)
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


@pytest.mark.usefixtures("undrawn")
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
        *CUTS,
        *("roc_4top", "sic_4top", "roc_4top-8j", "sic_4top-8j", "roc_4top-3b", "sic_4top-3b"),
    ]
    assert {row.region for row in result.selection} == {"SR", "8j", "3b"}
    assert len({row.threshold for row in result.selection if row.detector == "ht"}) == 2


def test_a_run_of_before_regions_were_described_is_read(
    run: tuple[Path, RunResult], tmp_path: Path
) -> None:
    content = json.loads((run[0] / "run.json").read_text())
    for key in (
        "regions",
        "remarks",
        "data",
        "caption",
        "content",
        "labels",
        "blind",
        "incomplete",
        "inputs",
        "detectors",
        "outputs",
        "sha256",
    ):
        del content[key]
    (tmp_path / "run.json").write_text(json.dumps(content))
    info = read_info(tmp_path)
    assert [one.name for one in info.regions] == ["preselection", "CR", "VR", "SR"]
    assert (info.content, caption_of(info)) == ("Events", SIMULATION)
    (tmp_path / "run.json").write_text(json.dumps(content | {"note": "own"}))
    info = read_info(tmp_path)
    assert (info.content, caption_of(info)) == ("Sum of weights", OWN_FILES)
    for name in ("cutflow.json", "performance.csv", "selection.csv", "histograms.json", "figures"):
        (tmp_path / name).symlink_to(run[0] / name)
    assert "CR: sum of weights" in write_page(tmp_path).read_text()


@pytest.mark.usefixtures("undrawn")
def test_a_processor_that_does_not_describe_its_regions_is_not_given_ours(
    output: Any, datasets: list[Dataset], tmp_path: Path
) -> None:
    bare = {key: value for key, value in output.items() if key != "regions"}
    write_run(tmp_path, bare, datasets, command="x", started=0.0)
    assert {(one.label, one.purpose) for one in read_info(tmp_path).regions} == {("", "")}
    assert "<dt>SR</dt><dd>without description</dd>" in (tmp_path / "report.html").read_text()


@pytest.mark.usefixtures("undrawn")
def test_own_files_are_not_called_simulation(output: Any, tmp_path: Path) -> None:
    own = [Dataset(name=name, process=name, role="background", files=()) for name in BACKGROUND]
    write_run(tmp_path, output, own, command="x", started=0.0)
    info = read_info(tmp_path)
    assert info.note == "These are the events of your own files."
    assert caption_of(info) == Caption("", "", None, None)
    assert info.content == "Sum of weights"
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


RUN2 = Dataset(name="run2", process="run2", role="data", label="Data 2022", files=("x.root",))


@pytest.fixture(scope="module")
def with_data(events: dict[str, Any], detectors: list[Observable], output: Any) -> Any:
    """The same with 400 events of data, of weight 1."""
    few = events["ttbarZ"][:400]
    data = with_metadata(
        ak.with_field(few, np.ones(len(few)), "weight"), dataset="run2", role="data"
    )
    processor = AnomalyProcessor(detectors, columns=True)
    return accumulate([output, processor.process(data)])


def test_data_are_drawn_and_tabulated_but_blind_where_a_signal_could_be(
    with_data: Any, datasets: list[Dataset], run: tuple[Path, RunResult], tmp_path: Path
) -> None:
    result = write_run(tmp_path, with_data, [*datasets, RUN2], command="x", started=0.0)
    assert (result.performance, result.selection) == (run[1].performance, run[1].selection)
    info = read_info(tmp_path)
    assert (list(info.data), list(info.blind)) == (
        ["run2"],
        ["preselection", "SR", *(one.name for one in PARTS if one.part_of == "SR")],
    )
    assert [one.name for one in info.figures] == [
        *("score", "shape", "data-CR", "data-VR", "data-ttW+", "data-ttW-", "data-ttZ"),
        *("data-CR1b", *CUTS, "roc_4top", "sic_4top"),
    ]
    assert "data as points (blind in preselection, SR)" in info.figures[0].caption
    assert any(one.startswith("Data are blind in preselection, SR:") for one in info.remarks)
    raw = with_data["cutflow"]["run2"]
    assert raw["SR"]["raw"] > 0
    kept = json.loads((tmp_path / "cutflow.json").read_text())["run2"]
    shown = ("CR", "VR", "ttW+", "ttW-", "ttZ", "CR1b")
    parts = tuple(one.name for one in PARTS if one.part_of != "SR")
    assert kept == {name: raw[name] for name in ("all", *shown, *parts)}
    cuts = json.loads((tmp_path / "cuts.json").read_text())["run2"]
    assert set(cuts) == {*shown, *parts}
    assert all("n_minus_one" not in one for one in cuts.values())
    for h in load(tmp_path / "n_minus_one.json").values():
        assert yields(h, "run2", "CR") == (0, 0)
    for h in load(tmp_path / "histograms.json").values():
        assert yields(h, "run2", "SR") == yields(h, "run2", "preselection") == (0, 0)
        assert yields(h, "run2", "CR").value == raw["CR"]["raw"]
    columns = load_columns(tmp_path)["run2"]
    assert not {"region:SR", "region:preselection"} & set(columns)
    assert len(columns["event"]) == sum(raw[name]["raw"] for name in shown)
    assert {row.region for row in result.observed} == set(shown)
    (row,) = (row for row in result.observed if (row.detector, row.region) == ("ht", "CR"))
    scores = with_data["columns"]["run2"]
    inside = scores["region:CR"].value & (scores["score:ht"].value >= row.threshold)
    assert row.observed == int(inside.sum())
    h = load(tmp_path / "histograms.json")["ht"]
    assert said_of_data(h, info, ("SR", "CR")) == "data: blind in SR"
    assert said_of_data(h, info, ("CR", "CR")) == (
        f"data: {row.observed} observed above {row.threshold:.4g} in CR, background "
        f"{rounded(row.b, row.b_error)}"
    )
    assert said_of_data(h, replace(info, data=[]), ("CR", "CR")) == ""
    assert row.threshold == run[1].selection[0].threshold
    page = (tmp_path / "report.html").read_text()
    assert "<td>blind</td>" in page
    assert f"<td>{raw['CR']['raw']}</td><td>{raw['CR']['raw']}</td>" in page
    assert f"<td>{raw['SR']['raw']}</td><td>{raw['SR']['raw']}</td>" not in page
    assert "Data: Data 2022 (run2), blind in " in page
    assert "Data above the thresholds" in page


@pytest.mark.usefixtures("undrawn")
def test_unblinded_data_are_seen_everywhere(
    with_data: Any, datasets: list[Dataset], tmp_path: Path
) -> None:
    everything = [*datasets, RUN2]
    result = write_run(tmp_path, with_data, everything, command="x", started=0.0, unblind=True)
    info = read_info(tmp_path)
    assert list(info.blind) == []
    assert {"data-preselection", "data-SR"} <= {one.name for one in info.figures}
    assert {row.region for row in result.observed} == {
        *("preselection", "CR", "VR", "SR", "ttW+", "ttW-", "ttZ", "CR1b")
    }
    kept = json.loads((tmp_path / "cutflow.json").read_text())
    assert kept == with_data["cutflow"]
    assert "<td>blind</td>" not in (tmp_path / "report.html").read_text()


def test_data_alone_are_drawn_where_they_are_not_blind(with_data: Any, tmp_path: Path) -> None:
    result = write_run(tmp_path, with_data, [RUN2], command="x", started=0.0)
    assert [one.name for one in read_info(tmp_path).figures] == [
        *("data-CR", "data-VR", "data-ttW+", "data-ttW-", "data-ttZ", "data-CR1b")
    ]
    assert result.observed == ()
    assert result.problems == ()


@pytest.mark.usefixtures("undrawn")
def test_an_incomplete_run_says_so_everywhere(
    with_data: Any, datasets: list[Dataset], tmp_path: Path
) -> None:
    loss = Loss("lost", "/data/b.csv", 1, 4000, None, "truncated at byte 12")
    accounting = {
        "ttbarW": Account(2, 1, 2, 1, 8000, 4000, 12.5, [loss]),
        "run2": Account(1, 1, 1, 1, 400, 400),
    }
    everything = [*datasets, RUN2]
    options: dict[str, Any] = {"command": "x", "started": 0.0, "accounting": accounting}
    result = write_run(tmp_path, with_data, everything, **options)
    assert not result.complete
    lost = "ttbarW: 4000 events in 1 of 2 files were lost; first: truncated at byte 12"
    info = read_info(tmp_path)
    assert list(info.incomplete) == [lost]
    assert caption_of(info).text == "incomplete"
    assert all(one.caption.endswith("Incomplete: not everything was read.") for one in info.figures)
    for name in ("performance", "selection", "observed"):
        assert (tmp_path / f"{name}.md").read_text().startswith(f"Incomplete. {lost}\n\n| Score")
        assert {row["incomplete"] for row in read_csv(tmp_path / f"{name}.csv")} == {"True"}
    page = (tmp_path / "report.html").read_text()
    assert page.index("This result is incomplete") < page.index(
        "What was looked for, and in which data</h2>"
    )
    assert page.count("<table>") == page.count("<caption>Incomplete: not everything was read.")
    assert "<td>1 of 2</td><td>1 of 2</td><td>4000 of 8000</td><td>12.5</td>" in page
    assert "<li>ttbarW: /data/b.csv, lost: truncated at byte 12</li>" in page
    kept = json.loads((tmp_path / "accounting.json").read_text())
    assert {name: Account.from_dict(one) for name, one in kept.items()} == accounting
    # the folder is that of the next run alone
    whole = {"ttbarW": Account(2, 2, 2, 2, 8000, 8000, 25.0)}
    with pytest.raises(StorageError, match=r"holds what hepmtp wrote before: .*--overwrite"):
        write_run(tmp_path, with_data, datasets, **options)
    more = {"accounting": whole, "overwrite": True}
    result = write_run(tmp_path, with_data, datasets, **(options | more))
    assert result.complete
    assert "ncomplete" not in (tmp_path / "report.html").read_text()
    assert not (tmp_path / "observed.csv").exists()
    write_run(tmp_path, with_data, datasets, command="x", started=0.0, overwrite=True)
    assert not (tmp_path / "accounting.json").exists()


@pytest.mark.usefixtures("undrawn")
def test_sums_of_weights_are_called_so_in_every_table(
    output: Any, datasets: list[Dataset], run: tuple[Path, RunResult], tmp_path: Path
) -> None:
    kinds = dict.fromkeys(NAMES, Normalisation("cross-section", 1.0, 3.2))
    said = {**output, "normalisation": kinds | {"4top": Normalisation("none", note="it is so")}}
    result = write_run(tmp_path, said, datasets, command="x", started=0.0)
    info = read_info(tmp_path)
    assert info.content == "Sum of weights"
    assert caption_of(info) == Caption("hepmtp", "simulation", None, info.caption["energy"])
    assert result.selection == [row._replace(z=None) for row in run[1].selection]
    assert (
        "| Signal, sum of weights | Background, sum of weights |"
        in (tmp_path / "selection.md").read_text()
    )
    page = (tmp_path / "report.html").read_text()
    assert "SR: sum of weights" in page
    assert "SR: events" not in page
    assert "weighted by the weights of the files" in page
    said["normalisation"] = kinds
    write_run(tmp_path, said, datasets, command="x", started=0.0, overwrite=True)
    assert caption_of(read_info(tmp_path)).luminosity == 3.2
    assert "SR: events" in (tmp_path / "report.html").read_text()


def test_an_explicit_caption_is_taken(output: Any, datasets: list[Dataset], tmp_path: Path) -> None:
    mine = Caption("my experiment", "preliminary", 36.1, 13.6)
    write_run(tmp_path, output, datasets[:1], command="x", started=0.0, caption=mine)
    assert caption_of(read_info(tmp_path)) == mine


def test_columns_are_kept_in_the_order_of_the_events(
    run: tuple[Path, RunResult], output: Any
) -> None:
    found = load_columns(run[0])
    assert set(found) == set(NAMES)
    columns = {name: one.value for name, one in output["columns"]["4top"].items()}
    order = np.lexsort([columns["event"], columns["source"]])
    for name, values in columns.items():
        assert found["4top"][name].tolist() == values[order].tolist()
        assert found["4top"][name].dtype == values.dtype


def test_columns_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"columns\.safetensors cannot be read as columns"):
        load_columns(tmp_path)
    (tmp_path / COLUMNS).write_bytes(b"no columns")
    with pytest.raises(StorageError, match=r"columns\.safetensors cannot be read as columns"):
        load_columns(tmp_path)


def test_scores_beyond_their_axis_lose_nothing(
    output: Any,
    datasets: list[Dataset],
    run: tuple[Path, RunResult],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    narrow = dict(output)
    h = output["scores"]["ht"]
    axis = Regular(20, 0, 1, name="score", label="$H_T$ [GeV]")
    beyond = book(axis, name="ht")
    for dataset in NAMES:
        for region in h.axes["region"]:
            table = {name: one.value for name, one in output["columns"][dataset].items()}
            inside = table[f"region:{region}"]
            score, weight = table["score:ht"][inside], table["weight"][inside]
            fill(beyond, dataset=dataset, region=region, score=score, weight=weight)
    narrow["scores"] = {"ht": beyond, "multiplicity": output["scores"]["multiplicity"]}
    result = write_run(tmp_path, narrow, datasets, command="x", started=0.0)
    info = read_info(tmp_path)
    lost = [one for one in info.remarks if "could not be made" in one]
    assert [one.partition(" could")[0] for one in lost] == [
        "The selection by ht in SR",
        "The threshold of ht in CR",
    ]
    assert "lies above the score axis, which ends at 1" in lost[0]
    assert "hepmtp run --bins N --range SCORE=LOW,HIGH" in lost[0]
    warned = [one.message for one in caplog.records if one.levelname == "WARNING"]
    assert warned == lost
    assert {row.detector for row in result.selection} == {"multiplicity"}
    assert result.performance == run[1].performance
    assert [one.name for one in info.figures] == ["score", "shape", *CUTS, "roc_4top", "sic_4top"]
    assert load(tmp_path / "histograms.json")["ht"] == canonical(beyond)


def test_weights_that_sum_to_nothing_are_remarks(
    output: Any, datasets: list[Dataset], tmp_path: Path
) -> None:
    turned = {**output, "scores": {}, "columns": {}}
    for name, h in output["scores"].items():
        copy = turned["scores"][name] = h.copy()
        copy.view(flow=True)["value"][h.axes["dataset"].index("4top")] *= -1
    for name, table in output["columns"].items():
        sign = -1 if name == "4top" else 1
        turned["columns"][name] = {key: one.value for key, one in table.items()}
        turned["columns"][name]["weight"] = sign * table["weight"].value
    result = write_run(tmp_path, turned, datasets, command="x", started=0.0)
    assert (result.performance, result.selection, result.problems) == ([], [], ())
    info = read_info(tmp_path)
    assert [one.name for one in info.figures] == ["score", "shape", *CUTS]
    assert [one.partition(":")[0] for one in info.remarks] == [
        "4000 of 4000 events of 4top have a weight below 0",
        "The separation of 4top in preselection could not be made",
        "The separation of 4top in SR could not be made",
        "The selection by ht in SR could not be made",
        "The selection by multiplicity in SR could not be made",
        "The ROC of 4top in SR could not be made",
    ]
    assert "a positive one is needed" in info.remarks[1]
    assert "the weights of 4top in region CR sum to -" in info.remarks[3]
    page = (tmp_path / "report.html").read_text()
    assert "The ROC of 4top in SR could not be made" in page


def test_a_figure_that_cannot_be_drawn_is_a_warning_and_numbers_are_there_first(
    output: Any, datasets: list[Dataset], tmp_path: Path
) -> None:
    with new_run(tmp_path) as place:
        (place.new / "figures").write_text("a file where the folder must be")
        result = write_run(place, output, datasets, command="x", started=0.0, figures=broken)
    assert {"histograms.json", "cutflow.json", COLUMNS, "performance.csv", "run.json"} <= {
        path.name for path in tmp_path.iterdir()
    }
    info = read_info(tmp_path)
    assert list(info.figures) == []
    assert len([one for one in info.remarks if one.startswith("Figure ")]) == 4 + len(CUTS)
    assert info.remarks[-1] == (
        "The figures beside those of the scores could not be made: ZeroDivisionError: division by "
        "zero."
    )
    assert result.report.exists()


def broken(_: Path) -> list[FigureText]:
    return [FigureText(str(1 / 0), "", "")]


def test_a_selection_that_nothing_passes_is_a_problem(
    events: dict[str, Any], detectors: list[Observable], datasets: list[Dataset], tmp_path: Path
) -> None:
    mine = [Region("tight", "", nothing, "signal"), Region("low", "", nothing, "control")]
    result = run_with(mine, events, detectors, datasets, tmp_path)
    (sentence,) = result.problems
    assert sentence.startswith("No event passed a region that is shown. Cutflow: ttbarW: all ")
    assert ", tight 0, low 0; ttbarZ: all " in sentence
    assert sentence in (tmp_path / "report.html").read_text()
    assert (tmp_path / "histograms.json").exists()


def test_nothing_read_is_refused(datasets: list[Dataset], tmp_path: Path) -> None:
    loss = Loss("lost", "a.csv", 1, None, None, "is empty")
    with pytest.raises(ScoreError, match=r"no event of ttbarW was read.*0 events or more .*empty"):
        write_run(
            tmp_path,
            {},
            datasets[:1],
            command="x",
            started=0.0,
            accounting={"ttbarW": Account(files=1, losses=[loss])},
        )


def test_the_folder_is_tried_before_the_run(tmp_path: Path) -> None:
    def tried(folder: str | Path) -> None:
        with new_run(folder):
            raise InterruptedError("before anything was written")

    with pytest.raises(InterruptedError):
        tried(tmp_path / "new" / "deep")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "deep"):
        with pytest.raises(StorageError, match=r"file.*: choose another"):
            tried(folder)
    with pytest.raises(StorageError, match=r"nothing can be written into the folder /proc/hepmtp"):
        tried("/proc/hepmtp")


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
    assert [one.name for one in drawn] == ["score", *CUTS, "roc_4top", "sic_4top"]
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


def test_figures_are_drawn_again_from_the_folder(
    run: tuple[Path, RunResult], tmp_path: Path
) -> None:
    again = tmp_path / "run"
    shutil.copytree(run[0], again)
    before = read_info(again)
    names = ("score", "n_minus_one-ht", "roc_4top")
    paths = [again / "figures" / f"{name}.png" for name in names]
    drawn = [path.read_bytes() for path in paths]
    for path in paths:
        path.unlink()
    more = FigureText("tokens", "drawn elsewhere", "drawn elsewhere")
    shutil.copy(again / "figures" / "shape.png", again / "figures" / "tokens.png")
    write_json(again / "run.json", asdict(replace(before, figures=[*before.figures, more])))
    seal(again)
    before = read_info(again)
    assert report_again(again) == again / "report.html"
    assert [path.read_bytes() for path in paths] == drawn
    assert read_info(again).figures == before.figures


@pytest.mark.usefixtures("undrawn")
def test_no_data_are_drawn_without_a_cut(
    with_data: Any, datasets: list[Dataset], tmp_path: Path
) -> None:
    write_run(tmp_path, with_data, [*datasets, RUN2], command="x", started=0.0, unblind=True)
    info = read_info(tmp_path)
    for one in (one for one in info.figures if one.name in CUTS):
        assert "without the cut on it: simulation," in one.caption
    kept = load(tmp_path / "n_minus_one.json")
    assert yields(kept["ht"], "run2", "SR").value > 0
    (draw_ht, *_) = (make for _, make in cut_figures(kept, info))
    (axis,) = draw_ht()[0].axes
    assert "run2" not in axis.get_legend_handles_labels()[1]
    (grey,) = (one for one in axis.patches if one.get_alpha() == 0.35)
    ends = {grey.get_x(), grey.get_x() + grey.get_width()}
    assert ends == {axis.get_xlim()[0], 500}

"""The demo, once: killed in its second epoch, taken up again, and looked at from all sides."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from contracts import hepmtp

from hepmtp.cli.demo import FORMS, is_demo, run_demo, trained
from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.detectors import load_detector
from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.detectors.observables import OBSERVABLES
from hepmtp.events.regions import REGIONS
from hepmtp.folders import beside, kept_of
from hepmtp.report.folder import RunResult
from hepmtp.report.info import read_info
from hepmtp.report.tables import read_csv
from hepmtp.run.executors import make_executor
from hepmtp.statistics.histogram_files import load
from hepmtp.statistics.histograms import yields
from hepmtp.storage import META

DETECTORS = {
    "anomaly",
    "masked_token",
    "masked_token_calibrated",
    "token_rarity",
    *OBSERVABLES,
    "observables",
    *(f"masked_token_{form}" for form in FORMS),
}
SIGNALS = {"4top", "glgl1600_neutralino800"}
DATASETS = {"ttbarW", "ttbarWW", "ttbarZ", "ttbarHiggs", *SIGNALS}
#: A demo that stands still in its second epoch, so that it is killed there and nowhere else.
STANDS_STILL = """
import sys, time
from hepmtp.cli.demo import run_demo
def stand_still(epoch, *_):
    time.sleep(600 * (epoch - 1))
run_demo(sys.argv[1], quick=True, status=False, progress=stand_still)
"""


class Demo(NamedTuple):
    """A finished demo."""

    folder: Path
    result: RunResult
    epochs: set[int]  # trained after the interruption
    left_behind: set[str]  # what the killed one had written


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    folder = tmp_path_factory.mktemp("demo") / "run"
    with subprocess.Popen([sys.executable, "-c", STANDS_STILL, str(folder)]) as process:
        try:
            deadline = time.monotonic() + 1500
            while (
                not (kept_of(folder) / "checkpoint" / META).exists()
                and process.poll() is None
                and time.monotonic() < deadline
            ):
                time.sleep(0.05)
            assert process.poll() is None, "the demo that was to be killed ended by itself"
        finally:
            process.kill()
    assert not folder.exists()
    left_behind = {path.name for path in kept_of(folder).iterdir()}
    epochs: set[int] = set()
    result = run_demo(
        folder, quick=True, status=False, progress=lambda epoch, *_: epochs.add(epoch)
    )
    return Demo(folder, result, epochs, left_behind)


def test_a_killed_demo_goes_on_where_it_ended(demo: Demo) -> None:
    assert demo.left_behind == {"checkpoint"}
    assert demo.epochs == {2}
    assert not beside(demo.folder).exists()
    history = MaskedTokenDetector.load(demo.folder / "masked_token").history_
    assert [row["epoch"] for row in history] == [1, 2]


def test_the_folder_is_what_the_docs_say(demo: Demo) -> None:
    tables = {f"{name}.{kind}" for name in ("performance", "selection") for kind in ("csv", "md")}
    expected = {
        "run.json",
        "accounting.json",
        "histograms.json",
        "variations.zip",
        "cutflow.json",
        "cuts.json",
        "n_minus_one.json",
        "replicas.zip",
        "columns.safetensors",
        "strangest.json",
        "report.html",
        "figures",
        "detector",
        "masked_token",
        "calibrated",
        "fit",
        *tables,
    }
    assert {
        path.name for path in demo.folder.iterdir()
    } == expected  # no checkpoint, nothing temporary
    assert demo.result.report == demo.folder / "report.html"
    info = read_info(demo.folder)
    figures = {path.name for path in (demo.folder / "figures").iterdir()}
    assert figures == {f"{one.name}.png" for one in info.figures}
    names = [one.name for one in info.figures]
    assert names[0] == "calibrated"
    assert info.figures[0].caption.startswith("masked token, calibrated: background is flat")
    assert {
        "score",
        "shape",
        "training_curve",
        "tokens_before_after",
        "occupancy_tokens",
        "occupancy_type",
    } <= set(names)
    assert {f"{kind}_{signal}" for kind in ("roc", "sic") for signal in SIGNALS} <= set(names)
    assert {f"strange-{i}" for i in range(1, 11)} <= set(names)
    assert {f"confusion_MET_{kind}" for kind in ("background", "signal")} <= set(names)
    assert not [path for path in demo.folder.rglob("*") if path.suffix in (".pkl", ".pickle")]


def test_the_page_stands_alone(demo: Demo) -> None:
    page = (demo.folder / "report.html").read_text(encoding="utf-8")
    sources = re.findall(r"""\bsrc\s*=\s*["']([^"']{1,40})""", page)
    fitted = json.loads((demo.folder / "fit" / "fit.json").read_text())
    assert len(fitted["figures"]) == 2 * 5 + 1  # of two signals, and the calibrated score
    assert len(fitted["sentences"]) == 2 * 2  # with the score and without
    # the calibrated score is shown after the fit, not before
    assert len(sources) == len(read_info(demo.folder).figures) + len(fitted["figures"]) - 1
    assert all(one.startswith("data:image/png;base64,") for one in sources)
    for loads in (
        r"<link\b",
        r"<script\b",
        r"<iframe\b",
        r"@import",
        r"url\(\s*['\"]?(?!data:)",
        r"srcset",
    ):
        assert not re.search(loads, page), loads


def test_the_page_says_whose_events_these_are(demo: Demo) -> None:
    page = (demo.folder / "report.html").read_text(encoding="utf-8")
    text = re.sub(r"\s+", " ", re.sub(r"<style.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL))
    assert "hepmtp's own simulation" in text.replace("&#39;", "'")
    assert "its numbers mean nothing" in text
    assert "ATLAS data" not in text
    for sentence in re.findall(r"[^.]*ATLAS[^.]*", text):
        assert "not ATLAS" in sentence, sentence
    for name in (*DATASETS, *DETECTORS):
        assert name in text


def test_histograms_load_and_agree_with_the_cutflow(demo: Demo) -> None:
    histograms = load(demo.folder / "histograms.json")
    cutflow = json.loads((demo.folder / "cutflow.json").read_text())
    assert set(histograms) == DETECTORS
    assert set(cutflow) == DATASETS
    for h in histograms.values():
        assert set(h.axes["dataset"]) == DATASETS
        for dataset in DATASETS:
            for region in REGIONS:
                count = cutflow[dataset][region.name]
                found = yields(h, dataset, region.name)
                assert found.value == pytest.approx(count["sumw"], rel=1e-9)
                assert found.error == pytest.approx(count["sumw2"] ** 0.5, rel=1e-9)


def test_yields_stand_for_the_whole_sample(demo: Demo) -> None:
    """Of background the analysis part, scaled up, is all events within four standard deviations.

    Signals train nothing, so all their events are there.
    """
    cutflow = json.loads((demo.folder / "cutflow.json").read_text())
    for dataset in embedded():
        count, n = cutflow[dataset.name]["all"], dataset.events
        assert n is not None
        share = 0.3 if dataset.role == "background" else 1.0
        assert count["raw"] == pytest.approx(share * n, abs=4 * (0.21 * n) ** 0.5 * (share < 1))
        weight = float(read([dataset], stop=1).weight[0])
        assert count["sumw"] == pytest.approx(count["raw"] * weight / share)


def test_every_detector_signal_and_region_has_a_row_with_errors_and_counts(demo: Demo) -> None:
    rows = read_csv(demo.folder / "performance.csv")
    keys = [(row["detector"], row["signal"], row["region"]) for row in rows]
    assert len(keys) == len(set(keys))
    assert set(keys) == {
        (d, s, r) for d in DETECTORS for s in SIGNALS for r in ("preselection", "SR")
    }
    cutflow = json.loads((demo.folder / "cutflow.json").read_text())
    for row in rows:
        for name in ("auc", "auc_balanced"):
            assert 0 < float(row[name]) < 1
            assert 0 < float(row[f"{name}_error"]) < 0.1
        assert int(row["n_signal"]) == cutflow[row["signal"]][row["region"]]["raw"]
        backgrounds = DATASETS - SIGNALS
        assert int(row["n_background"]) == sum(
            cutflow[name][row["region"]]["raw"] for name in backgrounds
        )
        assert (row["gain"] in ("", None)) == (row["detector"] == "multiplicity")
    assert len(demo.result.performance) == len(rows)


def test_the_selection_says_what_passes(demo: Demo) -> None:
    rows = read_csv(demo.folder / "selection.csv")
    assert {row["detector"] for row in rows} == DETECTORS
    assert {row["signal"] for row in rows} == SIGNALS
    for row in rows:
        assert float(row["s_error"]) >= 0
        assert int(row["n_background"]) >= 0


def test_the_trained_detector_loads_and_scores(demo: Demo) -> None:
    events = read([one for one in embedded() if one.name == "4top"], stop=20)
    for name in ("detector", "masked_token", *(f"masked_token#{form}" for form in FORMS)):
        detector = load_detector(demo.folder / name)
        assert np.isfinite(detector.score(events)).all()
        assert detector.name in DETECTORS


def test_a_training_that_was_not_killed_gives_the_same_scores(demo: Demo) -> None:
    with make_executor("iterative", status=False) as executor:
        detectors, masked_token = trained(executor, quick=True)
    events = read(embedded(), stop=200)
    for name, one in (("detector", detectors[0]), ("masked_token", masked_token)):
        again = load_detector(demo.folder / name)
        assert np.array_equal(again.score(events), one.score(events)), name


def test_a_demo_from_the_command_line_replaces_the_other(
    demo: Demo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a user is told at its end; the command itself is run where packages are tried."""
    asked: dict[str, Any] = {}

    def finished(folder: Path, **options: Any) -> RunResult:
        asked.update(options, folder=folder)
        return demo.result

    monkeypatch.setattr("hepmtp.cli.demo.run_demo", finished)
    assert is_demo(demo.folder)
    assert hepmtp("demo", "--quick", "--output", demo.folder) == 0
    assert (asked["folder"], asked["quick"]) == (demo.folder, True)
    out = capsys.readouterr().out
    assert "4top in SR: anomaly sees" in out
    assert out.endswith(f"The report: {demo.folder / 'report.html'}\n")

"""The page: made from a run's folder alone, complete, self-contained, with the right numbers."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from hist.axis import Regular

from hepmtp import plotting
from hepmtp.errors import StorageError
from hepmtp.report.info import FigureText, RunInfo, read_info, versions
from hepmtp.report.page import MOST_LOSSES, conclusions, write_page
from hepmtp.report.plain import plain
from hepmtp.report.rows import write_numbers
from hepmtp.report.tables import records
from hepmtp.statistics.accounting import Account, Loss
from hepmtp.statistics.comparison import compare
from hepmtp.statistics.histograms import book, fill
from hepmtp.statistics.performance import performance
from hepmtp.statistics.thresholds import apply, threshold

BACKGROUND, SIGNALS = ["ttbarW", "ttbarZ"], ["4top"]


def small_run(folder):
    """Two detectors, three data sets, two regions: numbers of a real fill."""
    rng = np.random.default_rng(1)
    axes = {
        "surprise": Regular(20, -4, 6, name="score", label="Surprise"),
        "multiplicity": Regular(25, -0.5, 24.5, name="score", label="Multiplicity"),
    }
    histograms = {name: book(axis, name=name) for name, axis in axes.items()}
    columns, cutflow = {}, {}
    for name, shift, n, weight in (
        ("ttbarW", 0, 900, 0.4),
        ("ttbarZ", 0.3, 1200, 0.25),
        ("4top", 1.5, 800, 0.02),
    ):
        region = rng.choice(["CR", "SR"], n)
        particles = rng.poisson(7 + shift, n).astype(float)
        score = {
            "multiplicity": particles,
            "surprise": (particles - 7) / 3 + shift / 2 + rng.normal(0, 0.7, n),
        }
        columns[name] = {f"score:{key}": values for key, values in score.items()} | {
            "weight": np.full(n, weight)
        }
        cutflow[name] = {"all": {"raw": n, "sumw": n * weight, "sumw2": n * weight**2}}
        for one in ("CR", "SR"):
            inside = region == one
            columns[name][f"region:{one}"] = inside
            k = int(inside.sum())
            cutflow[name][one] = {"raw": k, "sumw": k * weight, "sumw2": k * weight**2}
            for key, values in score.items():
                fill(histograms[key], dataset=name, region=one, score=values[inside], weight=weight)
    h = histograms["surprise"]
    cut = threshold(h, background=BACKGROUND, region="CR", quantile=0.95)
    figure = plotting.score_regions(
        h, compare(h, "SR", "CR", datasets=BACKGROUND), background=BACKGROUND, signals=SIGNALS
    )
    plotting.save(figure, folder / "figures", "scores")
    plotting.save(
        plotting.shape_comparison(compare(h, "SR", "CR", datasets=BACKGROUND)),
        folder / "figures",
        "shape",
    )
    info = RunInfo(
        title="Masked-token prediction on <four tops>",
        summary=[
            "A masked-token transformer was trained on background events and scored the others."
        ],
        command="hepmtp demo --output run",
        background=BACKGROUND,
        signals=SIGNALS,
        detector="surprise",
        datasets=[
            {"Data set": "ttbarW", "Cross-section [pb]": 0.722},
            {"Data set": "4top", "Cross-section [pb]": 0.012},
        ],
        scores={
            "surprise": "How badly the model predicts hidden particles.",
            "multiplicity": "Number of particles.",
        },
        figures=[
            FigureText(
                "scores",
                "Scores in the control and signal region.",
                "Two histograms and their ratio.",
            ),
            FigureText("shape", "Shapes of the two regions.", "Two lines, their ratio and pulls."),
        ],
        seconds=168.0,
        versions=versions(),
    )
    write_numbers(
        folder,
        info=info,
        histograms=histograms,
        cutflow=cutflow,
        performance=performance(columns, background=BACKGROUND, signals=SIGNALS, regions=["SR"]),
        selection=[
            apply(
                one,
                threshold(one, background=BACKGROUND, region="CR", quantile=0.95),
                background=BACKGROUND,
                signal="4top",
                region="SR",
                columns=columns,
            )
            for one in histograms.values()
        ],
    )
    assert cut.region == "CR"
    return info


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("run")
    small_run(path)
    return path


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_the_page_is_complete_and_self_contained(folder):
    text = write_page(folder).read_text(encoding="utf-8")
    page = Page(text)
    tags = [tag for tag, _ in page.tags]
    assert "script" not in tags
    assert "link" not in tags
    assert not re.search(r'(src|href)="(?!data:image/png;base64,|#)', text)
    assert "url(" not in text
    images = [attrs for tag, attrs in page.tags if tag == "img"]
    assert [image["alt"] for image in images] == [
        "Two histograms and their ratio.",
        "Two lines, their ratio and pulls.",
    ]
    anchors = {attrs["href"][1:] for tag, attrs in page.tags if tag == "a"}
    assert anchors == {attrs["id"] for tag, attrs in page.tags if "id" in attrs}
    for expected in (
        "Masked-token prediction on <four tops>",  # escaped: it is text, not a tag
        "not ATLAS and not Dark Machines data",
        "≥ 6 jets, ≥ 2 b, HT > 500 GeV",
        "How badly the model predicts hidden particles.",
        "95 % of CR background below",
        "hepmtp demo --output run",
        "2.8 minutes",
        "0.722",
    ):
        assert expected in page.text
    assert "<four tops>" not in text


def test_the_numbers_of_the_page_are_those_of_the_files(folder):
    page = Page(write_page(folder).read_text(encoding="utf-8"))
    cutflow = json.loads((folder / "cutflow.json").read_text())
    raw = cutflow["4top"]["SR"]["raw"]
    assert f"4top{cutflow['4top']['all']['raw']}" in page.text
    assert f"{raw} signal" in page.text


@pytest.mark.parametrize(
    ("label", "text"),
    [
        (r"$\geq 6$ jets, $H_T > 500$ GeV", "≥ 6 jets, HT > 500 GeV"),
        (r"$p_T^{miss} \leq 20$ GeV of masked_token", "pT miss ≤ 20 GeV of masked_token"),
        ("4 or 5 jets", "4 or 5 jets"),
        (r"$-\log\,p$ of the jet", "-log p of the jet"),
        (r"$t\bar{t}W^{+}$ and $\tilde{g}\tilde{g}$", "tt\u0304W+ and g\u0303g\u0303"),
    ],
)
def test_tex_is_text_on_the_page(label, text):
    assert plain(label) == text


def test_files_of_the_folder(folder):
    names = {path.name for path in folder.iterdir()}
    tables = {f"{name}.{kind}" for name in ("performance", "selection") for kind in ("csv", "md")}
    assert names >= {"run.json", "histograms.json", "cutflow.json", "figures", *tables}
    assert read_info(folder).figures[1].name == "shape"
    assert read_info(folder).seconds == 168.0


def row(detector, auc, gain, gain_error):
    return {
        "detector": detector,
        "signal": "4top",
        "region": "SR",
        "auc_balanced": str(auc),
        "auc_balanced_error": "0.01",
        "gain": str(gain),
        "gain_error": str(gain_error),
        "n_signal": "100",
        "n_background": "200",
    }


INFO = RunInfo(
    title="", summary=[], command="", background=[], signals=["4top"], detector="surprise"
)


@pytest.mark.parametrize(
    ("gain", "verdict"),
    [
        (0.05, "surprise sees more than multiplicity. Its balanced AUC is 0.720 ± 0.010"),
        (0.019, "sees no more than multiplicity, within the errors"),
        (-0.03, "sees less than multiplicity"),
    ],
)
def test_the_verdict_follows_from_the_numbers(gain, verdict):
    table = [
        row("surprise", 0.72, gain, 0.01),
        row("multiplicity", 0.7, 0, 0),
        row("n_b", 0.74, 0.04, 0.01),
    ]
    (sentence,) = conclusions(table, INFO)
    assert verdict in sentence
    assert "The best score without this model is n_b with 0.740 ± 0.010" in sentence
    assert "Raw events: 100 signal, 200 background" in sentence


def test_what_has_learned_from_signal_is_set_apart():
    table = [
        row("surprise", 0.72, 0.05, 0.01),
        row("multiplicity", 0.7, 0, 0),
        row("ratio", 0.9, 0.2, 0.01),
        row("labels", 0.8, 0.1, 0.01),
    ]
    (sentence,) = conclusions(table, replace(INFO, supervised=["ratio", "labels"]))
    assert "The best score without this model is multiplicity with 0.700 ± 0.010" in sentence
    assert "With labels, ratio with 0.900 ± 0.010." in sentence
    assert "With labels" not in conclusions(table, INFO)[0]


def test_no_verdict_without_a_reference():
    assert conclusions([], INFO) == []
    assert conclusions(records([]), INFO) == []
    assert conclusions([row("surprise", 0.72, "", "")], INFO) == []


def test_a_run_without_signal_has_a_page(folder, tmp_path):
    info = RunInfo(
        title="Data",
        summary=[],
        command="hepmtp run",
        background=["data"],
        signals=[],
        detector="surprise",
    )
    write_numbers(
        tmp_path,
        info=info,
        histograms={},
        cutflow={"data": {"all": {"raw": 1, "sumw": 1.0, "sumw2": 1.0}}},
    )
    assert "makes no statement on separation" in write_page(tmp_path).read_text(encoding="utf-8")


def test_losses_are_listed_as_far_as_a_page_allows(tmp_path):
    small_run(tmp_path)
    losses = [Loss("lost", f"{i}.csv", 1, None, None, "is empty") for i in range(MOST_LOSSES + 3)]
    accounting = {"ttbarW": Account(files=30, files_read=7, losses=losses).as_dict()}
    (tmp_path / "accounting.json").write_text(json.dumps(accounting))
    page = Page(write_page(tmp_path).read_text(encoding="utf-8"))
    assert "ttbarW: 19.csv, lost: is empty" in page.text
    assert "20.csv" not in page.text
    assert "and 3 more, in accounting.json" in page.text
    assert "7 of 30" in page.text
    assert "0 or more" in page.text
    (tmp_path / "accounting.json").write_text('{"ttbarW": {"files": 1}}')
    with pytest.raises(StorageError, match=r"accounting\.json is no accounting of this hepmtp"):
        write_page(tmp_path)


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(StorageError, match=r"is not a finished run: run\.json cannot be read"):
        write_page(tmp_path)
    (tmp_path / "run.json").write_text('{"title": "x"}')
    with pytest.raises(StorageError, match="does not describe a run"):
        write_page(tmp_path)
    small_run(tmp_path)
    (tmp_path / "figures" / "shape.png").unlink()
    with pytest.raises(StorageError, match=r"shape\.png of this run cannot be read"):
        write_page(tmp_path)
    (tmp_path / "cutflow.json").unlink()
    with pytest.raises(StorageError, match=r"cutflow\.json cannot be read"):
        write_page(tmp_path)
    assert not (tmp_path / "report.html").exists()

"""The demo of jets, once, in its quick form."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from contracts import hepmtp

import hepmtp as hm
from hepmtp.cli.demo_jets import SHOWN, is_demo_jets
from hepmtp.folders import beside
from hepmtp.readers.jetclass import JET_LABELS, JetClass
from hepmtp.report.columns import load_columns
from hepmtp.report.info import read_info
from hepmtp.report.tables import read_csv

QCD, TOP = "QCD_jets", "top_jets"
RATIO = f"jet_ratio_{TOP}_{QCD}"
PLAIN = {"jet_mass", "multiplicity", "jet_width", "observables"}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo whose figures are made, but stay empty."""
    folder = tmp_path_factory.mktemp("demo") / "jets"

    def leave_empty(_: object, path: str | Path, **options: object) -> None:
        Path(path).touch()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("matplotlib.figure.Figure.savefig", leave_empty)
        assert hepmtp("jets", "demo", "--quick", "--output", folder) == 0
    return folder


@pytest.fixture(scope="module")
def page(demo: Path) -> str:
    """Words of the report."""
    text = (demo / "report.html").read_text(encoding="utf-8")
    text = re.sub(r"<style.*?</style>|<[^>]+>", " ", text, flags=re.DOTALL)
    return re.sub(r"\s+", " ", text.replace("&#39;", "'"))


def test_the_folder_has_what_every_step_made(demo: Path) -> None:
    assert is_demo_jets(demo)
    assert not beside(demo).exists()  # no checkpoint is left
    assert {one.name for one in (demo / "lm").iterdir()} == {QCD, TOP}
    assert {one.name for one in (demo / "compare").iterdir()} == {QCD, TOP}
    for name in (QCD, TOP):
        distances = json.loads((demo / "compare" / name / "comparison.json").read_text())
        assert {row["quantity"] for row in distances["distances"]} >= {"mass", "multiplicity"}
        assert all(row["floor"] > 0 for row in distances["distances"])
    table = (demo / "density" / "density.md").read_text()
    assert f"| {TOP} | 1500 |" in table  # no top has trained the model of QCD
    info = read_info(demo)
    assert {f"{one.name}.png" for one in info.figures} == {
        one.name for one in (demo / "figures").iterdir()
    }
    names = {one.name for one in info.figures}
    for data in (QCD, TOP):
        assert names >= {f"training_curve_{data}", *(f"made_{data}_{one}" for one in SHOWN)}


def test_generated_jets_are_those_of_the_model(demo: Path) -> None:
    for name, label in ((QCD, "QCD"), (TOP, "Tbqq")):
        jets = JetClass(untyped=True).read(str(demo / "generated" / f"{name}.root"))
        model = hm.JetLanguageModel.load(demo / "lm" / name)
        assert set(jets.label.to_list()) == {JET_LABELS.index(label)}
        assert model.sample(5, seed=0).counts.tolist() == [
            len(one) for one in jets.Particle[:5].pt.to_list()
        ]
    assert model.supervised_  # that of top


def test_every_score_has_a_row_and_saved_detectors_give_it_again(demo: Path) -> None:
    rows = read_csv(demo / "performance.csv")
    scores = {"jet_density", "jet_density_sum", "jet_density_excess", RATIO, *PLAIN}
    assert {(row["detector"], row["region"]) for row in rows} == {
        (one, region) for one in scores for region in ("inclusive", "SR")
    }
    cutflow = json.loads((demo / "cutflow.json").read_text())
    for row in rows:
        assert 0 < float(row["auc"]) < 1
        assert int(row["n_signal"]) == cutflow[TOP][row["region"]]["raw"]
    for name in (QCD, TOP):  # both have trained a model: the rest stands for all
        count = cutflow[name]["all"]
        assert count["sumw"] == pytest.approx(count["raw"] / 0.3)
        assert count["raw"] == pytest.approx(450, abs=75)
    columns = load_columns(demo)[QCD]
    entries, score = (np.asarray(columns[one]) for one in ("event", "score:jet_density"))
    saved = hm.load_detector(demo / "detectors" / "jet_density")
    jets = hm.read([one for one in hm.embedded_jets() if one.name == QCD])
    np.testing.assert_allclose(saved.score(jets[entries]), score, rtol=1e-4)


def test_the_page_says_whose_jets_these_are_and_answers(demo: Path, page: str) -> None:
    assert "hepmtp's own simulation" in page
    assert "its numbers mean nothing" in page
    (verdict,) = re.findall(
        r"Does the density see more than mass, multiplicity and width\? It sees .*? jets\)", page
    )
    (row,) = (
        one
        for one in read_csv(demo / "performance.csv")
        if (one["detector"], one["region"]) == ("jet_density", "inclusive")
    )
    said = re.search(r"over all jets, is ([0-9.]+) ±", verdict)
    assert said is not None
    assert float(said[1]) == pytest.approx(float(row["auc_balanced"]), abs=0.001)
    assert f"{row['n_signal']} top and {row['n_background']} QCD jets" in verdict
    for sentence in re.findall(r"[^.]*ATLAS[^.]*", page):
        assert "not ATLAS" in sentence, sentence


def test_only_a_demo_is_replaced(tmp_path: Path) -> None:
    assert not is_demo_jets(tmp_path)
    (tmp_path / "mine.txt").touch()
    assert hepmtp("jets", "demo", "--quick", "--output", tmp_path / "mine.txt") == 2

"""The commands for jets, from files to tables, and what they refuse in one line."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot
from contracts import hepmtp
from toy_jets import toy_jets

import hepmtp as hm
from hepmtp.readers.jetclass import JetClass, write_jetclass

TINY = ("--width", "16", "--layers", "1", "--heads", "2", "--epochs", "1", "--batch-jets", "32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of QCD and top, and a model of each."""
    place = tmp_path_factory.mktemp("jets")
    write_jetclass(place / "qcd.root", [toy_jets(500)], label="QCD")
    write_jetclass(place / "top.root", [toy_jets(300, prongs=3, seed=1)], label="Tbqq")
    assert hepmtp("jets", "train", f"QCD={place / 'qcd.root'}", "-o", place / "lm", *TINY) == 0
    return place


def test_train_says_what_it_has_learned(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("jets", "train", f"top:signal={folder / 'top.root'}", "--start-from", folder / "lm")
    assert hepmtp(*words, "-o", folder / "top", "--epochs", "1", "--max-constituents", "6") == 0
    said = capsys.readouterr().out
    assert "bin of pt - expected" in said
    assert "a model of top with" in said
    one = hm.JetLanguageModel.load(folder / "top")
    assert (one.dataset_, one.role_, one.label_, one.max_constituents) == ("top", "signal", 8, 6)
    assert one.model.width == 16
    ratio = hm.load_detector(folder / "top" / "ratio")
    assert (ratio.name, ratio.supervised) == ("jet_ratio_top_QCD", True)
    names = {one.name for one in (folder / "lm" / "observables").iterdir() if one.is_dir()}
    assert names == {"jet_mass", "jet_width", "multiplicity", "observables"}
    words = ("jets", "train", f"QCD={folder / 'qcd.root'}", "--start-from", folder / "top")
    assert hepmtp(*words, "-o", folder / "back", "--epochs", "1") == 0
    assert not (folder / "back" / "detector").exists()  # its start has seen signal


def test_generate_writes_jets_that_are_read_as_the_same_tokens(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("jets", "generate", folder / "lm", "--jets", "300", "--seed", "3")
    made = tmp_path / "made.root"
    assert hepmtp(*words, "-o", made) == 0
    assert "300 jets made by a language model of QCD, seed 3" in capsys.readouterr().out
    one = hm.JetLanguageModel.load(folder / "lm")
    events = JetClass(untyped=True).read(str(made))
    tokens = one.sample(300, seed=3)
    assert ak.num(events.Particle).to_list() == tokens.counts.tolist()
    # float32 may move a constituent over the edge of its bin
    again = one.tokenizer.encode(events)
    assert np.mean(again.values == tokens.values) > 0.999
    assert set(events.label.to_list()) == {0}
    assert hepmtp(*words, "-o", made) == 2
    assert "exists already: choose another name" in capsys.readouterr().err
    assert hepmtp(*words, "-o", tmp_path / "hot.root", "--temperature", "2") == 0
    with uproot.open(tmp_path / "hot.root") as file:
        assert file["about"] == (
            "made by a language model of QCD, seed 3, biased by a temperature of 2"
        )


@pytest.mark.usefixtures("undrawn")
def test_compare_writes_distances_and_figures(folder: Path, tmp_path: Path) -> None:
    words = ("jets", "compare", folder / "lm", f"QCD={folder / 'qcd.root'}", "-o", tmp_path / "c")
    assert hepmtp(*words) == 0
    found = json.loads((tmp_path / "c" / "comparison.json").read_text())
    one = hm.JetLanguageModel.load(folder / "lm")
    left = int((hm.split_of(JetClass().read(str(folder / "qcd.root"))) == "analysis").sum())
    assert f"{left} true jets that did not train it" in found["about"]
    assert {row["n_jets"] for row in found["distances"]} == {left // 2}
    assert [row["sides"] for row in found["trees"]] == ["made, true", "true, true"]
    assert one.dataset_ in found["about"]
    figures = {path.name for path in (tmp_path / "c" / "figures").glob("*.png")}
    assert {"mass.png", "log_pt.png", "jets.png", "multiplicity.png", "d2.png"} <= figures


def test_density_sets_scores_beside_observables(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (f"QCD={folder / 'qcd.root'}", f"top:signal={folder / 'top.root'}")
    columns = tmp_path / "jets.parquet"
    assert (
        hepmtp(
            *("jets", "density", folder / "lm", *words),
            *("-o", tmp_path / "d", "--columns", columns),
        )
        == 0
    )
    said = capsys.readouterr().out
    assert "| against QCD | top |" in said
    assert "| -log p per term |" in said
    assert "| excess |" in said
    rows = ak.from_parquet(columns)
    names = rows.dataset.to_list()
    assert names.count("top") == 300  # signals trained nothing
    assert names.count("QCD") < 200
    assert np.isfinite(ak.to_numpy(rows.log_p_physical)).all()
    assert {"log_p", "n_terms", "outside", "mass", "multiplicity"} <= set(rows.fields)
    assert (tmp_path / "d" / "figures" / "log_p.png").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "a=QCD", "b=QCD"), "one of one data set, found a, b"),
        (("train", "top:signal=TOP"), "bins are fitted on background only"),
        (("train", "a=QCD", "--max-constituents", "0"), "--max-constituents"),
        (("train", "a=CSV"), "has events, not jets"),
        (("train",), "no data set is named"),
        (("train", "a=QCD", "--start-from", "CSV"), "cannot be read as a"),
        (("train", "a=QCD", "--device", "nonsense"), "device 'nonsense' cannot be used here"),
        (("generate", "nothing"), "nothing cannot be read as a"),
        (("generate", "LM", "--label", "b"), "the label is b, expected one of QCD"),
        (("generate", "LM", "-o", "x.txt"), "choose a name that ends in .root"),
        (("generate", "LM", "--temperature", "0"), "the temperature above 0"),
        (("compare", "LM", "a=QCD", "b=TOP"), "true jets are of one data set, found a, b"),
        (("density", "LM", "a=CSV"), "has events, not jets"),
    ],
)
def test_mistakes_end_with_one_line(
    folder: Path,
    sample: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    places = {"QCD": "qcd.root", "TOP": "top.root", "LM": "lm"}
    spelled = [
        str(folder / places[one])
        if one in places
        else one.replace("CSV", str(sample / "ttbarWW.csv.gz"))
        for one in words
    ]
    for name in ("QCD", "TOP"):
        spelled = [one.replace(f"={name}", f"={folder / places[name]}") for one in spelled]
    assert hepmtp("jets", *spelled) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


def test_a_model_of_another_kind_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hm.Observable("multiplicity").fit(toy_jets(100)).save(tmp_path / "ht")
    assert hepmtp("jets", "generate", tmp_path / "ht") == 2
    assert "holds a 'hepmtp:Observable', expected a 'hepmtp:Jet" in capsys.readouterr().err
    qcd = f"QCD={folder / 'qcd.root'}"
    assert hepmtp("run", qcd, "-d", folder / "lm", "-o", tmp_path / "r") == 2
    assert "holds a 'hepmtp:JetLanguageModel', expected a detector" in capsys.readouterr().err


@pytest.mark.usefixtures("undrawn")
def test_run_takes_the_anomaly_score_and_the_regions_of_jets(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heavy = toy_jets(150, prongs=3, seed=4)
    write_jetclass(tmp_path / "more.root", [heavy], label="QCD")
    words = (f"QCD={folder / 'qcd.root'},{tmp_path / 'more.root'}",)
    words += (f"top:signal={folder / 'top.root'}",)
    more = ("-d", folder / "lm" / "detector", "-d", folder / "lm" / "observables")
    more += ("--regions", "jets", "--variables", "jet_width", "-o", tmp_path / "r")
    assert hepmtp("run", *words, *more) == 0, capsys.readouterr().err
    run = hm.open_run(tmp_path / "r")
    assert set(run.info.scores) == {
        *("jet_density", "jet_mass", "jet_width", "multiplicity", "observables")
    }
    scores = run.histograms["jet_density"]
    report = (tmp_path / "r" / "report.html").read_text()
    assert "jet_density sees" in report
    assert "than observables" in report
    qcd, top = (JetClass().read(str(folder / name)) for name in ("qcd.root", "top.root"))
    trained = hm.split_of(qcd) != "analysis"
    for region in hm.JET_REGIONS:
        # what trained the model is left out, and what is left of its file stands for all
        left = (region.select(qcd) & ~trained).sum() / 0.3 + region.select(heavy).sum()
        filled = scores["QCD", region.name, "nominal", :].sum(flow=True).value
        assert filled == pytest.approx(left)
        filled = scores["top", region.name, "nominal", :].sum(flow=True).value
        assert filled == pytest.approx(region.select(top).sum())


def test_columns_of_jets_are_written_by_workers(folder: Path, tmp_path: Path) -> None:
    words = (f"top:signal={folder / 'top.root'}", "-d", folder / "lm" / "detector")
    place = tmp_path / "r" / "jets.parquet"
    more = ("--regions", "jets", "--columns", place, "-o", tmp_path / "r")
    assert hepmtp("run", *words, *more) == 0
    rows = ak.from_parquet(place)
    assert len(rows) == 300
    assert {"label", "mass", "multiplicity", "score:jet_density", "weight"} <= set(rows.fields)
    assert set(rows.label.to_list()) == {8}


def test_events_are_no_jets(
    folder: Path, sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (f"a={sample / 'ttbarWW.csv.gz'}", "-d", folder / "lm" / "detector")
    assert hepmtp("run", *words, "--regions", "jets", "-o", tmp_path / "r") == 2
    assert "data set 'a' has events, not jets" in " ".join(capsys.readouterr().err.split())


def test_the_scores_of_jets_of_events_are_a_column(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(__file__).parents[1] / "examples" / "jets_of_events.py"
    files = [str(folder / name) for name in ("qcd.root", "top.root")]
    out = runpy.run_path(str(path))["main"](str(folder / "lm" / "detector"), *files)
    assert out["events"] == 300
    assert out["stranger"].sum(flow=True) == 300
    assert "300 events; the stranger jet of each" in capsys.readouterr().out


@pytest.mark.usefixtures("undrawn")
def test_the_example_runs(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(__file__).parents[1] / "examples" / "02_jets.py"
    example = runpy.run_path(str(path))
    files = (str(folder / name) for name in ("qcd.root", "top.root"))
    example["main"](*files, epochs=1, output=str(tmp_path / "study"))
    assert "| -log p per term |" in capsys.readouterr().out
    assert {one.name for one in (tmp_path / "study").glob("*.md")} == {
        "comparison.md",
        "density.md",
    }

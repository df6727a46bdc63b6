"""Commands that judge models of jets: classify, study, and compare of two data sets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from contracts import hepmtp
from toy_jets import toy_jets

from hepmtp.errors import OptionError
from hepmtp.jets.tagger import JetTagger
from hepmtp.readers.jetclass import write_jetclass
from hepmtp.studies.jets import scale, trees

TINY = ("--width", "16", "--layers", "1", "--heads", "2", "--epochs", "1", "--batch-jets", "32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of QCD and top, a model of each, and jets of the first one."""
    place = tmp_path_factory.mktemp("jets")
    write_jetclass(place / "qcd.root", [toy_jets(400)], label="QCD")
    write_jetclass(place / "top.root", [toy_jets(300, prongs=3, seed=1)], label="Tbqq")
    write_jetclass(place / "again.root", [toy_jets(400)[250:]], label="QCD")
    qcd, top = f"QCD={place / 'qcd.root'}", f"top:signal={place / 'top.root'}"
    assert hepmtp("jets", "train", qcd, "-o", place / "lm", *TINY) == 0
    start = ("--start-from", place / "lm", "--epochs", "1")
    assert hepmtp("jets", "train", top, *start, "-o", place / "lm_top") == 0
    made = ("--jets", "150", "-o", place / "made.root")
    assert hepmtp("jets", "generate", place / "lm", *made) == 0
    return place


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, undrawn: None) -> None:
    monkeypatch.setattr(trees, "ITERATIONS", 20)


def words(folder: Path) -> tuple[str, str]:
    return f"QCD={folder / 'qcd.root'}", f"top:signal={folder / 'top.root'}"


def test_classify_sets_trees_and_ratio_beside(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--start-from", folder / "lm", "--signal-model", folder / "lm_top")
    few = ("--labels", "40", "--frozen", "--steps", "20")
    assert hepmtp("jets", "classify", *words(folder), *options, *few, "-o", tmp_path / "c") == 0
    said = capsys.readouterr().out
    assert "## top against QCD" in said
    rows = json.loads((tmp_path / "c" / "classification.json").read_text())["tables"]["Classifiers"]
    assert [(row["method"], row["labels"]) for row in rows] == [
        ("transformer, language model of QCD, frozen backbone", "40"),
        ("trees on observables", "40"),
        ("likelihood ratio, language model of top to language model of QCD", "none"),
    ]
    assert all(0.5 < row["auc"] <= 1 for row in rows[1:])
    assert len({(row["n_background"], row["n_signal"]) for row in rows}) == 1
    tagger = JetTagger.load(tmp_path / "c" / "tagger")
    assert (tagger.classes_, tagger.training.frozen) == (("QCD", "top"), True)
    assert (tmp_path / "c" / "figures" / "roc.pdf").is_file()
    # a tagger is a start, too
    on = (
        "--start-from",
        tmp_path / "c" / "tagger",
        "--epochs",
        "1",
        "--steps",
        "4",
        "--labels",
        "20",
    )
    assert hepmtp("jets", "classify", *words(folder), *on, "-o", tmp_path / "d") == 0
    assert "transformer, classifier of QCD and top, whole" in capsys.readouterr().out


def test_study_takes_trained_models(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    classifier = scale.JetClassifierTraining(epochs=1, steps=4)
    monkeypatch.setattr(scale, "QUICK", scale.Scale(classifier=classifier, made=100))
    models = ("--background-model", folder / "lm", "--signal-model", folder / "lm_top")
    study = ("jets", "study", "ratio", *words(folder), *models, "--quick", "-o", tmp_path / "s")
    assert hepmtp(*study) == 0
    said = capsys.readouterr().out
    assert "## Likelihood ratio, top against QCD" in said
    assert str(tmp_path / "s" / "ratio.md") in said.replace("\n", "")
    assert not (tmp_path / "s" / "models").exists()  # none was trained
    assert hepmtp(*study) == 0
    assert capsys.readouterr().out == said


def test_study_takes_sizes(folder: Path, tmp_path: Path) -> None:
    models = ("--background-model", folder / "lm", "--signal-model", folder / "lm_top")
    sizes = ("judged=40", "made=100", "jets=250", "classifier.epochs=1", "classifier.steps=2")
    study = ("jets", "study", "ratio", *words(folder), *models, "-o", tmp_path / "s")
    assert hepmtp(*study, *(part for one in sizes for part in ("--size", one))) == 0
    found = json.loads((tmp_path / "s" / "ratio.json").read_text())
    assert {row["n_background"] for row in found["tables"]["Tests"]} == {30, 40}
    # given models cost nothing here, and are no training of 0 steps
    assert "The model of QCD: given, 1 epochs. That of top: given, 1 epochs." in found["remarks"]
    assert not list((tmp_path / "s" / "checkpoints").iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("judged",), r"'judged' is no size: expected NAME=VALUE"),
        (("jugded=4",), r"a study has no size 'jugded'; there are .*judged"),
        (("judged=0",), r"judged of a study must be 1 or more, found 0"),
        (("judged=1.5",), r"judged=1.5: '1.5' was found where a whole number or all is expected"),
        (("made=all",), r"'all' was found where a whole number is expected"),
        (("jets=3,4",), r"jets=3,4: jets is one number"),
        (("jets=3", "jets=4"), r"the size jets is given twice: keep one"),
        (("training.epochs=0",), r"epochs, patience, .* must be 1 or more"),
    ],
)
def test_sizes_that_do_not_fit(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        scale.Scale().resized(words)


def test_sizes_replace_what_they_name() -> None:
    found = scale.QUICK.resized(["lengths=5", "labels=50,70", "grid.dropout=0", "shape.width=8"])
    assert (found.lengths, found.labels, found.shape.width) == ((5,), (50, 70), 8)
    assert found.grid == {**scale.QUICK.grid, "dropout": (0.0,)}
    assert scale.QUICK.resized([]) == scale.QUICK


def test_models_of_other_data_sets_are_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    swapped = ("--background-model", folder / "lm_top", "--signal-model", folder / "lm")
    assert hepmtp("jets", "study", "ratio", *words(folder), *swapped, "-o", tmp_path / "s") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "a model of top was given for the data set QCD: give that of QCD, or name" in said


def test_two_data_sets_are_compared_as_they_are_or_through_bins(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ("jets", "compare", folder / "qcd.root", folder / "made.root")
    assert hepmtp(*made, "-o", tmp_path / "a") == 0
    found = json.loads((tmp_path / "a" / "comparison.json").read_text())
    assert found["about"] == (
        "Jets of made (made) against qcd (true): 150 and 400 jets, as they are, seed 0."
    )
    assert {row["n_jets"] for row in found["distances"]} == {150}
    assert (tmp_path / "a" / "figures" / "mass.png").is_file()
    assert hepmtp(*made, "--bins", folder / "lm", "-o", tmp_path / "b") == 0
    binned = json.loads((tmp_path / "b" / "comparison.json").read_text())
    assert "both through the bins of a model" in binned["about"]
    assert binned["distances"] != found["distances"]
    capsys.readouterr()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("compare QCD AGAIN", "150 of 400 jets of qcd are in again, too, by their content"),
        ("compare QCD", "two data sets are compared, found qcd: give each a name of its own"),
        ("compare QCD MADE --jets 5", "--jets is for a model"),
        ("compare LM x=QCD --bins LM", "--bins is for two data sets"),
        ("classify a=QCD", "two data sets are told apart, found a"),
        ("classify a=QCD b:signal=TOP --labels 5000", "5000 labels of a were asked for: there are"),
        ("classify a=QCD b:signal=TOP --signal-model LM", "needs the language model of the"),
        ("classify a=QCD b:signal=TOP --start-from LM/detector", "expected a language model"),
        ("study ratio a=QCD", "this study needs 2 data sets, found a: give a signal, too"),
        ("study ratio a:signal=QCD b=TOP", "the first data set of a study is background, 'a'"),
        ("study nothing a=QCD", "'nothing' is not one of"),
    ],
)
def test_mistakes_end_with_one_line(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    given: str,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    places = {"QCD": "qcd.root", "TOP": "top.root", "LM": "lm", "MADE": "made.root"}
    for name, place in (places | {"AGAIN": "again.root"}).items():
        given = given.replace(name, str(folder / place))
    assert hepmtp("jets", *given.split()) == 2
    assert message in " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert [one.name for one in tmp_path.rglob("*") if one.suffix == ".md"] == []

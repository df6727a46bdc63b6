"""Studies of language models of jets: what their tables say, and that they go on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import pytest
from toy_jets import toy_jets

from hepmtp.errors import OptionError, TokenError
from hepmtp.events.record import with_metadata
from hepmtp.events.tokens import TokenBatch
from hepmtp.jets.language_model import JetLanguageModel
from hepmtp.models.autoregressive_options import AutoregressiveOptions
from hepmtp.statistics.metrics import auc
from hepmtp.studies.jets import binning, ratio, trees
from hepmtp.studies.jets.bench import Bench
from hepmtp.studies.jets.comparison import in_common
from hepmtp.studies.jets.found import Found, write_found
from hepmtp.studies.jets.loss import loss_of
from hepmtp.studies.jets.pieces import Pieces
from hepmtp.studies.jets.run import STUDIES, run_studies
from hepmtp.studies.jets.scale import Scale
from hepmtp.training.classify_jets import JetClassifierTraining
from hepmtp.training.next_token import Jets, NextTokenOptions, batch_loss

SCALE = Scale(
    shape=AutoregressiveOptions(width=16, heads=2, layers=1, feedforward=32),
    training=NextTokenOptions(epochs=1, batch_events=32, neighbours=8, learning_rate=5e-3),
    classifier=JetClassifierTraining(epochs=1, steps=8, batch_events=32),
    bins={"pt_edges": 12, "eta_edges": 8, "phi_edges": 8},
    made=120,
    lengths=(4,),
    labels=(20, None),
    draws=2,
    top_jets=(60, None),
    steps=5,
    grid={"dropout": (0.0, 0.1)},
)


@pytest.fixture(scope="module")
def samples() -> dict[str, ak.Array]:
    return {
        "toy1": toy_jets(400),
        "toy3": toy_jets(360, prongs=3, seed=1, role="signal", source=8),
        "toy2": toy_jets(360, prongs=2, seed=2, role="signal", source=9),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All studies share its models."""
    return tmp_path_factory.mktemp("study")


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "ITERATIONS", 20)


@pytest.fixture
def bench(folder: Path, samples: dict[str, ak.Array], undrawn: None) -> Bench:
    said: list[str] = []
    one = Bench(folder, samples, SCALE, said=said.append)
    one.heard = said  # type: ignore[attr-defined]
    return one


def tables(folder: Path, name: str) -> dict[str, list[dict[str, Any]]]:
    found = json.loads((folder / f"{name}.json").read_text())
    assert (folder / f"{name}.md").read_text().startswith(f"## {found['title']}")
    return dict(found["tables"])


def test_ratio_stands_beside_classifiers_of_the_same_jets(bench: Bench) -> None:
    run_studies("ratio", bench, command="hepmtp jets study")
    rows = tables(bench.folder, "ratio")["Tests"]
    assert [(row["jets"], row["test"]) for row in rows] == [
        (jets, test)
        for jets in ("true", "made by the models")
        for test in ("likelihood ratio", "transformer", "trees on observables")
    ]
    for row in rows:
        paired = row["difference"] is not None
        assert paired == (row["test"] != "likelihood ratio")
    for jets in (rows[:3], rows[3:]):
        assert jets[1]["difference"] == pytest.approx(jets[1]["auc"] - jets[0]["auc"])
    # of made jets, classifiers do not beat the exact ratio
    assert all(row["difference"] < 3 * row["difference_error"] for row in rows[4:])
    assert "It does not beat it" in (bench.folder / "ratio.md").read_text()
    assert "Made by `hepmtp jets study`" in (bench.folder / "ratio.md").read_text()
    assert {"ratio.png", "ratio.pdf"} <= {one.name for one in (bench.folder / "figures").iterdir()}


def test_a_ratio_of_known_models_is_the_best_test(bench: Bench) -> None:
    """On jets of the two models, any other score of the same jets separates less."""
    background, signal = (one.model for one in bench.pair())
    made = [one.sample(300, seed=i) for i, one in enumerate((background, signal))]
    exact = [ratio.ratio_of((background, signal), one) for one in made]
    of_signal = [signal.log_prob(one).sum(axis=1) for one in made]
    assert auc(exact[1], exact[0]).value > auc(of_signal[1], of_signal[0]).value
    # E[exp(ratio)] over jets of the background model is 1
    shares = np.exp(exact[0])
    assert shares.mean() == pytest.approx(1, abs=5 * shares.std() / np.sqrt(300) + 0.05)


def test_what_is_finished_is_not_done_again(bench: Bench) -> None:
    heard: list[str] = bench.heard  # type: ignore[attr-defined]
    first = run_studies("ratio", bench)
    heard.clear()
    again = Bench(bench.folder, bench.samples, SCALE, said=heard.append)
    assert run_studies("ratio", again) == first
    assert heard == []
    # a piece that was damaged is made again, and so is a model that has changed
    piece = bench.folder / "pieces" / "ratio made.json"
    piece.write_text(piece.read_text().replace("0", "1", 1))
    (bench.folder / "models" / "toy3" / "arrays.safetensors").write_bytes(b"")
    repaired = Bench(bench.folder, bench.samples, SCALE, said=heard.append)
    text = run_studies("ratio", repaired)["ratio"]
    assert heard == [
        "training a language model of toy3 (toy3)",
        "drawing 120 jets of each of two models",
        "classifiers of made jets",
    ]
    assert text.split("- CPU")[0] == first["ratio"].split("- CPU")[0]
    # other options, other models
    heard.clear()
    more = replace(SCALE, training=replace(SCALE.training, seed=5))
    Bench(bench.folder, bench.samples, more, said=heard.append).language_model("toy1")
    assert heard == ["training a language model of toy1 (toy1)"]
    heard.clear()
    Bench(bench.folder, bench.samples, SCALE, said=heard.append).language_model("toy1")
    assert heard == ["training a language model of toy1 (toy1)"]


@pytest.mark.usefixtures("undrawn")
def test_binning_loses_what_the_bins_lose(
    samples: dict[str, ak.Array], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = toy_jets(400, seed=3, role="signal", source=10)
    eta = wide.Jet.eta + 2.5 * (wide.Particle.eta - wide.Jet.eta)
    wide = ak.with_field(wide, eta, ("Particle", "eta"))  # angles alone tell it from the first
    wide = with_metadata(wide, dataset="wide", role="signal")
    bench = Bench(tmp_path, {"toy1": samples["toy1"], "wide": wide}, SCALE)
    few: dict[str, dict[str, Any]] = {
        "coarse": {"pt_edges": 2, "eta_edges": 2, "phi_edges": 2, "reach": 3.0},
        "fine": {"pt_edges": 60, "eta_edges": 60, "phi_edges": 60, "angle": "rapidity"},
    }
    monkeypatch.setattr(binning, "BINS", few)
    run_studies("binning", bench)
    coarse, fine = tables(bench.folder, "binning")["Trees on observables"]
    for row in (coarse, fine):
        assert row["lost"] == pytest.approx(row["continuous"] - row["tokens"])
        assert 0 < row["lost_error"] < 0.1
        assert row["cpu_seconds"] > 0
    assert (coarse["ids"], fine["ids"]) == (27, 61**3)
    assert coarse["lost"] > 3 * coarse["lost_error"]
    assert abs(fine["lost"]) < 4 * fine["lost_error"]
    assert fine["tokens"] > coarse["tokens"]


def test_extrapolation_knows_no_stop_of_cut_jets(bench: Bench) -> None:
    run_studies("extrapolation", bench)
    cut, whole = tables(bench.folder, "extrapolation")["Models"]
    assert (cut["constituents"], whole["constituents"]) == ("4", "all")
    assert cut["mean_difference"] > 0
    assert (whole["mean_difference"], whole["mean_difference_error"]) == (0, 0)
    assert cut["floor_multiplicity"] > 0
    model = JetLanguageModel.load(bench.folder / "models" / "toy1, leading 4")
    assert model.max_constituents == 4
    # terms of a jet that was cut: its tokens alone; a whole one has its stop, too
    jets = Jets.leading(TokenBatch.from_counts([0, 0, 0, 0, 0, 0], [5, 1]), 4)
    loss, n = batch_loss(model.fitted_model, jets)
    terms = model.terms(jets.tokens).sum(axis=1)
    assert n == 6
    assert float(loss.detach()) == pytest.approx(-terms[[0, 1, 2, 3, 5, 6]].sum(), rel=1e-5)


def test_jets_that_do_not_stop_are_kept_only_if_asked_for(bench: Bench) -> None:
    model = bench.language_model("toy1").model
    with pytest.raises(TokenError, match=r"have not stopped after 2 constituents"):
        model.sample(30, max_constituents=2)
    kept = model.sample(30, max_constituents=2, keep_unstopped=True)
    whole = model.sample(30)
    assert kept.counts.tolist() == np.minimum(whole.counts, 2).tolist()
    assert kept == Jets.leading(whole, 2).tokens


def test_transfer_has_the_same_labels_for_all_starts(bench: Bench) -> None:
    run_studies("transfer", bench)
    rows = tables(bench.folder, "transfer")["AUC"]
    assert len(rows) == 2 * 7
    for row in rows:
        assert row["draws"] == 2
        of_models = row["start"] in ("language model", "classifier")
        assert (row["gain"] is not None) == of_models
        if of_models:
            (scratch,) = (
                one["auc"] for one in rows
                if (one["labels"], one["training"]) == (row["labels"], row["training"])
                and one["start"] == "scratch"
            )  # fmt: skip
            assert row["gain"] == pytest.approx(row["auc"] - scratch)
    assert rows[0]["labels"] == 20
    few, all_ = (row["auc"] for row in rows if row["start"] == "trees")
    assert all_ > max(few, 0.9)
    more = replace(SCALE, labels=(5000,))
    with pytest.raises(OptionError, match=r"5000 labels of each class were asked for"):
        run_studies("transfer", Bench(bench.folder, bench.samples, more))


def test_transfer_of_generation_gives_both_starts_the_same_jets(bench: Bench) -> None:
    run_studies("transfer-generation", bench)
    rows = tables(bench.folder, "transfer-generation")["Models"]
    assert [row["start"] for row in rows] == ["scratch", "model of toy1"] * 2
    assert rows[0]["jets"] == rows[1]["jets"] == 60
    assert all(row["loss_error"] > 0 and row["floor_mass"] > 0 for row in rows)
    models = [
        JetLanguageModel.load(bench.folder / "models" / f"toy3, 60 jets, {start}")
        for start in ("scratch", "model of toy1")
    ]
    assert set(models[0].trained_) < set(models[1].trained_)  # the start has trained, too
    assert models[0].tokenizer.identity == models[1].tokenizer.identity


def test_grid_has_a_row_for_each_combination(bench: Bench) -> None:
    run_studies("hyperparameters", bench)
    rows = tables(bench.folder, "hyperparameters")["Grid"]
    assert [row["model"] for row in rows] == ["dropout 0", "dropout 0.1"]
    model = JetLanguageModel.load(bench.folder / "models" / "toy1, dropout 0.1")
    assert model.model.dropout == 0.1
    loss = loss_of(model, bench.tokens("toy1"))
    assert (rows[1]["loss"], rows[1]["loss_error"]) == pytest.approx(loss)
    wrong = replace(SCALE, grid={"depth": (1,)})
    with pytest.raises(OptionError, match=r"depth: no such hyper-parameter; there are form, width"):
        run_studies("hyperparameters", Bench(bench.folder, bench.samples, wrong))


def test_generation_stands_beside_its_floors(bench: Bench) -> None:
    run_studies("generation", bench)
    found = tables(bench.folder, "generation")
    assert {row["jets"] for row in found["Distances"]} == {"toy1", "toy3"}
    assert [row["classifier"] for row in found["True against made"]][:3] == [
        "trees on observables", "trees on observables", "transformer",
    ]  # fmt: skip
    assert all(row["floor"] > 0 for row in found["Distances"])


def test_a_loss_has_the_error_of_its_jets(bench: Bench) -> None:
    model, tokens = bench.language_model("toy1").model, bench.tokens("toy1")
    loss, error = loss_of(model, tokens)
    total = model.log_prob(tokens).sum(axis=1)
    assert loss == pytest.approx(-total.sum() / (len(tokens.values) + len(tokens)))
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, len(tokens), len(tokens)) for _ in range(400)]
    spread = np.std([-total[some].sum() / (tokens.counts[some] + 1).sum() for some in draws])
    assert error == pytest.approx(spread, rel=0.2)


def test_a_given_model_takes_the_place_of_a_new_one(bench: Bench, tmp_path: Path) -> None:
    trained = bench.language_model("toy1").model
    heard: list[str] = []
    other = Bench(tmp_path, bench.samples, SCALE, {"toy1": trained}, said=heard.append)
    assert other.language_model("toy1").model is trained
    assert other.tokenizer.identity == trained.tokenizer.identity
    assert heard == []


def test_data_sets_that_are_missing_are_named(bench: Bench, tmp_path: Path) -> None:
    one = Bench(tmp_path, {"toy1": bench.samples["toy1"]}, SCALE)
    with pytest.raises(OptionError, match=r"needs 3 data sets, found toy1: give a second signal"):
        run_studies("transfer", one)
    with pytest.raises(OptionError, match=r"there is no study 'x'; there are binning, generation"):
        run_studies("x", one)
    with pytest.raises(OptionError, match=r"the first data set of a study is background, 'toy3'"):
        Bench(tmp_path, {"toy3": bench.samples["toy3"]}, SCALE)
    assert {name for name, one in STUDIES.items() if one.needs == 3} == {"transfer"}


def test_pieces_are_of_one_key(tmp_path: Path) -> None:
    pieces = Pieces(tmp_path, "these jets")
    assert pieces.get("a/b", (1,), lambda: {"x": (1, 2.5)})["x"] == [1, 2.5]
    assert pieces.get("a/b", (1,), lambda: {"x": 0})["x"] == [1, 2.5]
    assert pieces.get("a/b", (2,), lambda: {"x": 0})["x"] == 0
    assert Pieces(tmp_path, "other jets").get("a/b", (2,), lambda: {"x": 5})["x"] == 5
    pieces.path("a/b").write_text("{}")
    assert pieces.get("a/b", (2,), lambda: {"x": 7})["x"] == 7


class Line(NamedTuple):
    """A row."""

    name: str
    auc: float
    auc_error: float
    gain: float | None


def test_tables_have_errors_beside_their_numbers(tmp_path: Path) -> None:
    found = Found("A study", {"Rows": [Line("a", 0.912, 0.0041, None)]}, ["so it is"])
    text = write_found(tmp_path, "a", found, command="hepmtp x")
    assert "| name | AUC | gain over scratch |" in text
    assert "| a | 0.9120 ± 0.0041 | - |" in text
    assert text.endswith("- so it is\n\nMade by `hepmtp x`.\n")
    plain = json.loads((tmp_path / "a.json").read_text())
    assert plain["tables"]["Rows"] == [
        {"name": "a", "auc": 0.912, "auc_error": 0.0041, "gain": None}
    ]


def test_jets_in_common_are_known_by_place_and_by_content() -> None:
    jets = toy_jets(30)
    other = toy_jets(30, seed=5, source=9)
    assert not in_common(jets, other).any()
    assert in_common(jets, jets[10:12]).tolist() == [10 <= i < 12 for i in range(30)]
    # written anew, with other names and in single precision
    copied = ak.with_field(jets[:3], np.full(3, 99), "source")
    single = ak.with_field(
        copied, ak.values_astype(copied.Particle, np.float32).pt, ("Particle", "pt")
    )
    named = with_metadata(single, dataset="other", role="background")
    assert in_common(jets, named).sum() == 3

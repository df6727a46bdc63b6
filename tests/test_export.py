from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import torch

from hepmtp.cli import main
from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.detectors import Detector
from hepmtp.detectors.calibrated.detector import Calibrated
from hepmtp.detectors.combination import Combination
from hepmtp.detectors.cross_fitted import CrossFitted
from hepmtp.detectors.distortion import DistortionDetector
from hepmtp.detectors.export import folder as exporting
from hepmtp.detectors.export.folder import columns_of, export_detector
from hepmtp.detectors.export.graphs import graph_of
from hepmtp.detectors.export.parts import Graph
from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.detectors.observables import OBSERVABLES, Observable
from hepmtp.detectors.stranger import StrangerDetector, StrangerTraining
from hepmtp.detectors.supervised import SupervisedDetector
from hepmtp.detectors.token_rarity import TokenRarity
from hepmtp.errors import OptionError, ScoreError, StorageError
from hepmtp.models.classifier import ClassifierOptions
from hepmtp.models.masked import ModelOptions
from hepmtp.tokenizers.fsq import FSQTokenizer
from hepmtp.tokenizers.lookup import LookupTokenizer
from hepmtp.training.classify import ClassifierTraining
from hepmtp.training.masking import TrainingOptions

SMALL = {"width": 8, "heads": 2, "layers": 2, "feedforward": 8}


def masked(form: str = "joined", tokens: str = "no_azimuth", **options: Any) -> MaskedTokenDetector:
    model = ModelOptions(**SMALL, **options)
    training = TrainingOptions(epochs=1)
    return MaskedTokenDetector(LookupTokenizer.preset(tokens), model, training, form)


def distortion() -> DistortionDetector:
    return DistortionDetector(
        model=ClassifierOptions(**{**SMALL, "layers": 1}), training=ClassifierTraining(epochs=1)
    )


@pytest.fixture(scope="module")
def everything(few: ak.Array) -> Combination:
    """One of each kind that can be exported, fitted."""
    rivals = [TokenRarity(), distortion(), *(Observable(name) for name in OBSERVABLES)]
    training = StrangerTraining(epochs=1)
    networks = StrangerDetector(hidden=(8,), members=2, training=training)
    model = masked().fit(few)
    members = [networks, model, model.with_score("jets"), *rivals]
    return Combination(members, "fisher", "everything").fit(few)


@pytest.fixture(scope="module")
def exported(everything: Combination, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the command writes of it, once for all tests."""
    saved, path = (tmp_path_factory.mktemp("export") / name for name in ("saved", "exported"))
    everything.save(saved)
    with pytest.raises(SystemExit, match="0"):
        main(["export", str(saved), "--output", str(path)])
    return path


def by_graph(detector: Detector, events: ak.Array) -> Any:
    """Scores of its graph, of events of one multiplicity at a time."""
    graph, counts = graph_of(detector), ak.to_numpy(ak.num(events.Particle))
    found = np.zeros(len(events))
    for n in np.unique(counts):
        columns = columns_of(events[counts == n])
        particles, met = (torch.as_tensor(columns[name]) for name in ("particles", "met"))
        with torch.no_grad():
            found[counts == n] = graph(particles.reshape(len(met), n, 5), met).numpy()
    return found


@pytest.mark.parametrize(
    ("form", "tokens", "options"),
    [
        ("joined", "visive2025", {}),
        ("jets", "no_azimuth", {}),
        ("jet_pt", "no_azimuth", {}),
        ("excess", "tails", {"output": "joint", "attention": "full"}),
        ("pt", "particles", {"position": "learned"}),
        ("mean", "met3", {"position": "rope", "attention": "full"}),
    ],
)
def test_graph_of_every_form_table_and_model_gives_the_score(
    few: ak.Array, events: ak.Array, form: str, tokens: str, options: dict[str, Any]
) -> None:
    detector = masked(form, tokens, **options).fit(few)
    some = events[-300:]
    np.testing.assert_allclose(by_graph(detector, some), detector.score(some), atol=3e-5)


@pytest.mark.parametrize("rule", ["and", "or", "prod", "avg"])
def test_graph_of_every_rule_gives_the_score(few: ak.Array, events: ak.Array, rule: Any) -> None:
    detector = Combination([Observable("ht"), Observable("n_b"), TokenRarity()], rule).fit(few)
    np.testing.assert_allclose(by_graph(detector, events), detector.score(events), atol=1e-12)


def test_scores_are_the_same_where_only_numpy_and_onnxruntime_are_installed(
    everything: Combination, exported: Path, tmp_path: Path
) -> None:
    libraries = tmp_path / "libraries"
    libraries.mkdir()
    for name in ("numpy", "onnxruntime", "google.protobuf", "flatbuffers", "packaging"):
        top = name.partition(".")[0]
        found = find_spec(name)
        assert found is not None
        assert found.origin is not None
        place = Path(found.origin).parents[name.count(".")]
        libraries.joinpath(top).symlink_to(place)
        if (shared := place.with_name(f"{top}.libs")).exists():
            libraries.joinpath(shared.name).symlink_to(shared)
    events = read(embedded())[:10_000]
    np.savez(tmp_path / "events.npz", **columns_of(events))
    code = f"""
import sys
sys.path[:0] = [{str(exported)!r}, {str(libraries)!r}]
import numpy as np
from scorer import Scorer
events = np.load({str(tmp_path / "events.npz")!r})
scores = Scorer({str(exported)!r}).score(events["counts"], events["particles"], events["met"])
np.save({str(tmp_path / "scores.npy")!r}, scores)
try:
    import hepmtp
except ModuleNotFoundError:
    print("alone")
"""
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False
    )
    assert run.stdout.strip() == "alone", run.stderr
    expected = everything.score(events)
    assert len(expected) == 10_000
    worst = np.abs(np.load(tmp_path / "scores.npy") - expected).max()
    assert worst < 1e-5 * expected.std()


def test_folder_checks_itself(exported: Path) -> None:
    run = subprocess.run(
        [sys.executable, str(exported / "scorer.py")], capture_output=True, text=True, check=False
    )
    assert run.stdout.startswith("100 events: scores differ by ")
    assert run.returncode == 0
    assert len((exported / "scorer.py").read_text().splitlines()) <= 60


def test_contract_says_what_goes_in_and_out(everything: Combination, exported: Path) -> None:
    contract = json.loads((exported / "contract.json").read_text())
    assert contract["name"] == "everything"
    assert contract["inputs"]["types"] == {
        "0": "j", "1": "b", "2": "e+", "3": "e-", "4": "m+", "5": "m-", "6": "g",
    }  # fmt: skip
    tokens = everything.members[1].tokenizer  # type: ignore[attr-defined]
    plain = contract["graph"]["members"][1]["tokenizer"]
    assert plain["pt_edges"] == tokens.bins_["pt"].edges.tolist()
    assert contract["axis"]["start"] == everything.axis.edges[0]
    assert len(contract["sha256"]["detector"]) == 64


def test_graph_names_no_file_of_this_machine(exported: Path) -> None:
    data = (exported / "model.onnx").read_bytes()
    assert b"hepmtp/" not in data
    assert b"site-packages" not in data


@pytest.mark.parametrize(
    ("change", "value"), [("particles", np.nan), ("met", -1.0), ("counts", 3), ("phi", 4.0)]
)
def test_scorer_refuses_what_is_no_event(exported: Path, change: str, value: float) -> None:
    from hepmtp.detectors.export.scorer import Scorer  # noqa: PLC0415 - needs onnxruntime

    given = {
        "counts": np.array([1]),
        "particles": np.array([[50.0, 0.1, 1.0, 60.0, 1.0]]),
        "met": np.array([[20.0, 0.0]]),
    }
    assert Scorer(exported).score(**given).shape == (1,)
    if change == "phi":
        given["particles"][0, 2] = value
    else:
        given[change].flat[0] = value
    with pytest.raises(ValueError, match=r"counts do not fit|a particle or MET is none"):
        Scorer(exported).score(**given)


def test_no_events_have_no_scores(exported: Path) -> None:
    from hepmtp.detectors.export.scorer import Scorer  # noqa: PLC0415 - needs onnxruntime

    assert Scorer(exported).score(np.zeros(0), np.zeros((0, 5)), np.zeros((0, 2))).shape == (0,)


@pytest.mark.parametrize(
    ("detector", "reason"),
    [
        (CrossFitted(Observable("ht")), "is cross-fitted: .* member0"),
        (Calibrated(Observable("ht")), "is calibrated by .* export ht, whose score"),
        (SupervisedDetector(), "trained with labels of a signal"),
        (TokenRarity(FSQTokenizer()), "FSQTokenizer cannot be exported: only look-up tables"),
    ],
)
def test_what_cannot_be_exported_is_refused_with_the_reason(
    detector: Detector, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match=reason):
        export_detector(detector, tmp_path / "exported")
    assert list(tmp_path.iterdir()) == []


class _Wrong(Graph):
    def __init__(self) -> None:
        super().__init__()
        self.plain = {"kind": "wrong"}

    def forward(self, particles: Any, met: Any) -> Any:
        return particles[:, :, 0].sum(dim=1) + met[:, 0] * 1e-3


class _OwnDetector(Observable):
    def graph(self) -> Graph:
        return _Wrong()


def test_graph_with_other_scores_is_not_written(few: ak.Array, tmp_path: Path) -> None:
    graph_of.register(_OwnDetector, lambda one: one.graph())
    with pytest.raises(ScoreError, match=r"exported scores of ht differ by .* nothing was written"):
        export_detector(_OwnDetector("ht").fit(few), tmp_path / "exported")
    assert list(tmp_path.iterdir()) == []


def test_only_an_exported_folder_is_replaced(few: ak.Array, tmp_path: Path) -> None:
    tmp_path.joinpath("mine.txt").write_text("mine")
    with pytest.raises(StorageError, match="is not a folder that hepmtp wrote"):
        export_detector(Observable("ht").fit(few), tmp_path)


def test_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(exporting, "find_spec", lambda _: None)
    with pytest.raises(OptionError, match=r"onnx is not installed: run .*hepmtp\[export"):
        export_detector(Observable("ht"), tmp_path / "exported")

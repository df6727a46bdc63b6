"""The density of jets as a detector: the contract, its forms, and workers of three executors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
from coffea.processor import IterativeExecutor
from contracts import check_detector
from toy_jets import toy_jets

import hepmtp as hm
from hepmtp.detectors.density import FACTORS, FORMS, JetDensityDetector
from hepmtp.errors import OptionError, TrainingError
from hepmtp.models.autoregressive_options import AutoregressiveOptions
from hepmtp.readers.jetclass import write_jetclass
from hepmtp.tokenizers.constituents import ConstituentTokenizer
from hepmtp.training.next_token import NextTokenOptions
from processors.anomaly import AnomalyProcessor


def make(**changed: Any) -> JetDensityDetector:
    shape = {"width": 16, "heads": 2, "layers": 1, "feedforward": 32}
    options = NextTokenOptions(epochs=1, batch_events=32, neighbours=8, learning_rate=5e-3)
    model = hm.JetLanguageModel(
        ConstituentTokenizer(pt_edges=12, eta_edges=8, phi_edges=8),
        AutoregressiveOptions(**shape | changed),
        options,
    )
    return JetDensityDetector(model)


@pytest.fixture(scope="module")
def qcd() -> ak.Array:
    return toy_jets(300)


def test_contract(qcd: ak.Array, tmp_path: Path) -> None:
    check_detector(make, qcd, tmp_path, rtol=1e-4)


def test_forms_are_parts_of_the_sum(qcd: ak.Array) -> None:
    detector = make().fit(qcd)
    assert detector.forms == tuple(FORMS)
    scores = {form: detector.with_score(form).score(qcd) for form in FORMS}
    density = detector.model.density(qcd)
    np.testing.assert_allclose(scores["sum"], -density.log_p)
    np.testing.assert_allclose(scores["mean"], -density.per_term)
    np.testing.assert_allclose(scores["pt"] + scores["eta"] + scores["phi"], scores["mean"])
    np.testing.assert_allclose(scores["excess"], density.excess)
    assert make(form="joint").forms == ("mean", "sum", "excess")
    with pytest.raises(OptionError, match=r"'eta' is unknown; there are mean, sum, excess"):
        make(form="joint").with_score("eta")


def test_a_trained_model_of_background_is_taken_and_one_of_signal_refused(qcd: ak.Array) -> None:
    model = make().fit(qcd).model
    again = JetDensityDetector(model).fit(qcd)
    assert again.model is model
    assert again.trained_ == model.trained_
    top = hm.JetLanguageModel(model.tokenizer, model.model, model.training)
    top.fit(toy_jets(200, prongs=3, role="signal", source=9), start_from=model)
    with pytest.raises(TrainingError, match=r"is one of 'toy3', which is signal"):
        JetDensityDetector(top).fit(qcd)
    back = hm.JetLanguageModel(training=model.training).fit(qcd, start_from=top)
    assert (back.role_, back.supervised_) == ("background", True)
    assert {one.source for one in back.trained_} == {7, 9}
    with pytest.raises(TrainingError, match=r"is one of 'toy1', which is trained on signal before"):
        JetDensityDetector(back).fit(qcd)


def test_factors_combine_by_their_tails(qcd: ak.Array, tmp_path: Path) -> None:
    """Fisher's combination of the surprises of pt, eta and phi, which share one model."""
    detector = make().fit(qcd)
    together = hm.Combination([detector.with_score(one) for one in FACTORS], "fisher", "factors")
    scores = together.fit(qcd).score(qcd)
    assert together.trained_ == detector.trained_
    ranks = [np.argsort(np.argsort(one)) for one in (scores, detector.score(qcd))]
    assert np.corrcoef(*ranks)[0, 1] > 0.5
    together.save(tmp_path / "factors")
    np.testing.assert_allclose(hm.load_detector(tmp_path / "factors").score(qcd), scores)


def test_the_processor_of_events_takes_it_and_the_regions_of_jets(
    qcd: ak.Array, tmp_path: Path
) -> None:
    write_jetclass(tmp_path / "top.root", [toy_jets(24, prongs=3)], label="Tbqq")
    fileset = {"top": {"files": [str(tmp_path / "top.root")], "metadata": {"role": "signal"}}}
    processor = AnomalyProcessor([make().fit(qcd)], regions=hm.JET_REGIONS)
    out = hm.HepRunner(IterativeExecutor(status=False), chunksize=9)(fileset, processor)
    jets = hm.JetClass().read(str(tmp_path / "top.root"))
    for region in hm.JET_REGIONS:
        inside = region.select(jets)
        assert out["cutflow"]["top"][region.name]["raw"] == inside.sum()
        filled = out["scores"]["jet_density"]["top", region.name, "nominal", :]
        assert filled.sum(flow=True).value == pytest.approx(inside.sum())
    assert hm.JET_REGIONS[3].select(jets).any()

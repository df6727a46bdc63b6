"""Continuous inputs: the ids of another tokenizer, and features of each token by itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import torch
from contracts import check_tokenizer

from hepmtp.detectors import training_events
from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.detectors.masked_token.surprise import surprises, surprises_slowly
from hepmtp.errors import NotFittedError, TokenError
from hepmtp.events.particles import PARTICLE_NAMES
from hepmtp.events.record import make_events, with_metadata
from hepmtp.events.tokens import TokenBatch
from hepmtp.models.masked import MaskedTokenModel, ModelOptions
from hepmtp.tokenizers.continuous import COLUMNS, ContinuousInputs
from hepmtp.tokenizers.lookup import LookupTokenizer
from hepmtp.training.masking import TrainingOptions

ATTENTIONS = ("full", "leave_one_out")


def with_empty_events(events: ak.Array) -> ak.Array:
    keep = np.arange(len(events)) % 7 != 3
    particles = events.Particle[ak.broadcast_arrays(keep, events.Particle.pt)[0]]
    return ak.with_field(events, particles, "Particle")


@pytest.mark.parametrize("options", [{}, {"met_bins": 0, "met_phi_bins": 0}, {"met_bins": 0}])
def test_contract(background: ak.Array, tmp_path: Path, options: dict[str, Any]) -> None:
    check_tokenizer(
        ContinuousInputs(LookupTokenizer(**options)), with_empty_events(background), tmp_path
    )


@pytest.fixture(scope="module")
def fitted(background: ak.Array) -> ContinuousInputs:
    return ContinuousInputs(LookupTokenizer()).fit(training_events(background))


@pytest.fixture(scope="module")
def two_events() -> ak.Array:
    return make_events(
        counts=[2, 0], pt=[50.0, 20.0], eta=[0.5, -1.0], phi=[1.0, -2.0], energy=[60.0, 40.0],
        type=[1, 5], met=[30.0, 90.0], met_phi=[2.0, 0.5],
    )  # fmt: skip


def test_ids_are_those_of_the_tokenizer(fitted: ContinuousInputs, background: ak.Array) -> None:
    tokens = fitted.encode(background)
    assert TokenBatch(tokens.values, tokens.offsets) == fitted.tokenizer.encode(background)


def test_features_written_out(fitted: ContinuousInputs, two_events: ak.Array) -> None:
    found = fitted.encode(two_events).features
    assert found is not None
    assert found.dtype == np.float32
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in found.astype(float)]
    assert len(rows) == 4 + 2
    zero = dict.fromkeys(COLUMNS, 0.0)
    assert fitted.mean_ is not None
    assert fitted.scale_ is not None
    mean, scale = (dict(zip(COLUMNS, one, strict=True)) for one in (fitted.mean_, fitted.scale_))

    def standard(**values: float) -> dict[str, float]:
        return {name: (value - mean[name]) / scale[name] for name, value in values.items()}

    first = zero | {"sin phi": np.sin(1.0), "cos phi": np.cos(1.0), f"is {PARTICLE_NAMES[1]}": 1.0}
    first |= standard(**{"log pt": np.log(50.0), "eta": 0.5, "log energy": np.log(60.0)})
    assert rows[0] == pytest.approx(first, abs=1e-5)
    assert rows[1]["eta"] == pytest.approx((-1.0 - mean["eta"]) / scale["eta"], abs=1e-5)
    for row, met, phi in ((2, 30.0, 2.0), (4, 90.0, 0.5)):
        assert rows[row] == pytest.approx(zero | standard(**{"log1p MET": np.log1p(met)}), abs=1e-5)
        assert rows[row + 1] == pytest.approx(
            zero | {"sin METphi": np.sin(phi), "cos METphi": np.cos(phi)}, abs=1e-5
        )


def test_training_events_are_standard(fitted: ContinuousInputs, background: ak.Array) -> None:
    training = training_events(background)
    tokens = fitted.encode(training)
    assert tokens.features is not None
    particle = tokens.values < 875
    met = (tokens.values >= 875) & (tokens.values < 880)
    for rows, names in ((particle, ("log pt", "eta", "log energy")), (met, ("log1p MET",))):
        for name in names:
            values = tokens.features[rows, COLUMNS.index(name)].astype(float)
            assert values.mean() == pytest.approx(0, abs=1e-4)
            assert values.std() == pytest.approx(1, abs=1e-4)


def test_without_met_tokens_nothing_tells_of_it(background: ak.Array) -> None:
    tokenizer = ContinuousInputs(LookupTokenizer(met_bins=0, met_phi_bins=0)).fit(background)
    features = tokenizer.encode(background).features
    assert features is not None
    assert not features[:, -3:].any()


def test_a_tokenizer_that_drops_particles(background: ak.Array) -> None:
    class Leading(LookupTokenizer):
        def encode(self, events: ak.Array) -> TokenBatch:
            return super().encode(ak.with_field(events, events.Particle[:, :2], "Particle"))

    with pytest.raises(
        TokenError,
        match=r"Leading gives \d+ tokens for \d+ particles: .* need one for each particle",
    ):
        ContinuousInputs(Leading()).fit(background).encode(background)


def test_save_needs_fit(tmp_path: Path) -> None:
    with pytest.raises(NotFittedError, match=r"call fit"):
        ContinuousInputs(LookupTokenizer()).save(tmp_path / "tokenizer")


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_what_a_particle_is_does_not_help_to_predict_it(
    fitted: ContinuousInputs, background: ak.Array, attention: Any
) -> None:
    options = ModelOptions(
        width=16, feedforward=32, heads=2, inputs="continuous", attention=attention
    )
    torch.manual_seed(1)
    model = MaskedTokenModel(fitted.factors, fitted.digits, options).eval()
    tokens = fitted.encode(background[:20])
    assert tokens.features is not None
    before = surprises(model, tokens)
    np.testing.assert_allclose(
        before.surprise, surprises_slowly(model, tokens), rtol=1e-4, atol=1e-5
    )
    changed = tokens.features.copy()
    changed[1] += 3
    after = surprises(model, TokenBatch(tokens.values, tokens.offsets, changed))
    np.testing.assert_allclose(after.surprise[1], before.surprise[1], rtol=1e-6)
    assert np.abs(after.surprise[0] - before.surprise[0]).max() > 1e-4


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_a_detector_of_continuous_inputs(
    background: ak.Array, tmp_path: Path, attention: Any
) -> None:
    model = ModelOptions(
        width=16, feedforward=32, heads=2, layers=1, inputs="continuous", attention=attention
    )
    training = TrainingOptions(epochs=1, batch_events=256)
    detector = MaskedTokenDetector(
        ContinuousInputs(LookupTokenizer()), model, training, tail_events=300
    )
    scores = detector.fit(background).score(background[:50])
    detector.save(tmp_path / "detector")
    loaded = MaskedTokenDetector.load(tmp_path / "detector")
    np.testing.assert_array_equal(loaded.score(background[:50]), scores)
    assert loaded.model == model
    plain = MaskedTokenDetector(LookupTokenizer(), model, replace(training))
    with pytest.raises(
        TokenError, match=r"needs 15 features a token, found none .* encode with .*ContinuousInputs"
    ):
        plain.fit(with_metadata(background, dataset="background", role="background"))

"""The variational autoencoder, and what networks on event features share: scaling, training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from contracts import check_detector, one_each
from torch import Tensor, nn

from hepmtp.detectors.event_features_input import chosen_features
from hepmtp.detectors.event_network import (
    FARTHEST,
    EventNetwork,
    NetworkTask,
    NetworkTraining,
    Standardised,
)
from hepmtp.detectors.vae import SMALLEST_SIGMA, VAE, VariationalAutoencoder
from hepmtp.errors import OptionError, TrainingError
from hepmtp.training.loop import train

FEW = ("n_jets", "ht", "met", "lepton_pt_3", "jet_pt_1", "jet_pt_2")


def tiny(*, epochs: int = 2, seed: int = 0) -> VAE:
    return VAE(FEW, hidden=(8,), latent=3, training=NetworkTraining(epochs=epochs, seed=seed))


def test_contract(few: Any, tmp_path: Path) -> None:
    check_detector(tiny, few, tmp_path, rtol=1e-9)


@pytest.fixture(scope="module")
def fitted(few: Any) -> VAE:
    return tiny().fit(few)


def test_the_score_is_the_bound_at_the_mean(fitted: VAE, few: Any) -> None:
    network, scaling = fitted.network_, fitted.scaling_
    assert isinstance(network, VariationalAutoencoder)
    assert scaling is not None
    x = torch.as_tensor(scaling(chosen_features(few[:6], fitted.features)))
    with torch.no_grad():
        mean, log_sigma = network.encoder(x).split(3, dim=1)
        posterior = torch.distributions.Normal(mean, log_sigma.exp())
        divergence = torch.distributions.kl_divergence(
            posterior, torch.distributions.Normal(0.0, 1.0)
        ).sum(dim=1)
        seen = torch.distributions.Normal(
            network.decoder(mean), network.log_sigma.exp() + SMALLEST_SIGMA
        )
        expected = divergence - seen.log_prob(x).sum(dim=1)
    np.testing.assert_allclose(fitted.score(few[:6]), expected.numpy(), rtol=1e-12)
    np.testing.assert_array_equal(fitted.score(few[:6]), fitted.score(few[:6]))


def test_training_lowers_the_bound(few: Any) -> None:
    training = NetworkTraining(epochs=10, batch_events=32, learning_rate=1e-2)
    losses = [
        row["validation_loss"] for row in VAE(FEW, hidden=(8,), training=training).fit(few).history_
    ]
    independent = (
        6 * 0.5 * (np.log(2 * np.pi) + 1)
    )  # of standardised features, were they normal and not correlated
    assert min(losses) < independent - 0.4


def test_absurd_numbers_score(fitted: VAE) -> None:
    event = one_each(pt=[1e300], energy=[1e300], met=[1e300])
    assert np.isfinite(fitted.score(event)).all()


def test_standardised_features_of_numbers_written_out() -> None:
    x = np.array([[0.0, 1.5], [0.0, 3.5], [4.0, 5.5], [4.0, 7.5]])
    scaling = Standardised.fit(x)
    np.testing.assert_allclose(scaling(x)[:, 0], [-1, -1, 1, 1])
    np.testing.assert_allclose(
        scaling(np.array([[6.0, 4.5], [1e300, -1e300]])), [[2, 0], [FARTHEST, -FARTHEST]]
    )


def test_shared_values_are_spread_in_training_only() -> None:
    """Counts by half a unit, zeros by half the gap to the next value, other values not at all."""
    n = 400
    counts = np.arange(n) % 3.0
    pt = np.where(np.arange(n) < 100, 0.0, np.linspace(10.5, 60.0, n))
    met = np.linspace(0.5, 90.0, n)
    x = np.stack([counts, pt, met], axis=1)
    scaling = Standardised.fit(x)
    gap = pt[100]
    np.testing.assert_array_equal(np.isnan(scaling.shared), [True, False, False])
    assert scaling.shared[1] == 0.0
    np.testing.assert_allclose(scaling.reach, [0.5, gap / 2, 0.0])
    found = scaling(x, np.random.default_rng(1)) * scaling.scale + scaling.mean
    np.testing.assert_array_equal(np.round(found[:, 0]), counts)
    assert len(np.unique(found[:, 0])) == n
    assert (np.abs(found[:100, 1]) < gap / 2).all()
    assert found[:100, 1].std() == pytest.approx(gap / 12**0.5, rel=0.1)
    np.testing.assert_allclose(found[100:, 1], pt[100:])
    np.testing.assert_allclose(found[:, 2], met)
    np.testing.assert_allclose(scaling(x) * scaling.scale + scaling.mean, x, atol=1e-9)


def test_a_feature_that_never_varies_is_0_in_background() -> None:
    for constant in (0.0, 2.5):
        x = np.stack([np.full(40, constant), np.arange(40.0)], axis=1)
        scaling = Standardised.fit(x)
        assert np.abs(scaling(x)[:, 0]).max() == 0.0
        assert scaling(np.array([[constant + 2, 5.0]]))[0, 0] == 2.0
        assert np.isfinite(scaling(x, np.random.default_rng(1))).all()


class Line(EventNetwork):
    """y = a x; the loss has its minimum at a = 1 in training and at `best` in validation."""

    def __init__(self, best: float) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.zeros((), dtype=torch.float64))
        self.best = best

    def loss(self, x: Tensor) -> Tensor:
        return (self.a - (1.0 if self.training else self.best)).abs() * x[:, 0]

    def score(self, x: Tensor) -> Tensor:
        return self.loss(x)


def test_training_stops_early_and_keeps_the_best_epoch() -> None:
    ones = np.ones((10, 1))
    network = Line(best=0.3)
    options = NetworkTraining(epochs=50, patience=4, batch_events=10, learning_rate=0.05)
    history = train(NetworkTask(network, lambda _: ones, ones), options)
    losses = [row["validation_loss"] for row in history]
    best = int(np.argmin(losses))
    assert len(losses) == best + 5 < 50
    assert abs(float(network.a.detach()) - 0.3) == pytest.approx(losses[best])
    assert losses[best] < 0.05
    assert not network.training


def test_a_loss_that_is_not_finite_is_refused() -> None:
    ones = np.ones((10, 1))
    with pytest.raises(
        TrainingError, match=r"the validation loss became nan in epoch 1: lower learning_rate"
    ):
        train(NetworkTask(Line(best=np.nan), lambda _: ones, ones), NetworkTraining())


def test_options(fitted: VAE, tmp_path: Path) -> None:
    fitted.save(tmp_path / "detector")
    loaded = VAE.load(tmp_path / "detector")
    assert (loaded.hidden, loaded.latent, loaded.training) == ((8,), 3, fitted.training)
    assert (
        loaded.n_parameters
        == fitted.n_parameters
        == (6 * 8 + 8) + (8 * 6 + 6) + (3 * 8 + 8) + (8 * 6 + 6) + 6
    )
    with pytest.raises(
        OptionError, match=r"hidden and latent must be 1 or more, found \(128, 128\) and 0"
    ):
        VAE(latent=0)

"""The normalising flow: a density that is one, and finite far out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from contracts import check_detector

from hepmtp.detectors.event_network import NetworkTraining
from hepmtp.detectors.flow import Flow
from hepmtp.errors import OptionError
from hepmtp.events.record import make_events

KINDS = pytest.mark.parametrize("kind", ["affine", "spline"])


def tiny(
    kind: Any = "affine",
    *,
    seed: int = 0,
    features: tuple[str, ...] = ("n_jets", "ht", "met", "lepton_pt_3"),
) -> Flow:
    return Flow(
        features,
        kind=kind,
        hidden=(8,),
        transforms=2,
        bins=4,
        training=NetworkTraining(epochs=2, batch_events=64, seed=seed),
    )


@pytest.fixture(scope="module")
def events(background: Any) -> Any:
    return background[::3]


@KINDS
def test_contract(events: Any, tmp_path: Path, kind: str) -> None:
    check_detector(lambda: tiny(kind), events, tmp_path, rtol=1e-9)


@KINDS
def test_the_density_integrates_to_1(events: Any, kind: str) -> None:
    detector = tiny(kind, features=("ht", "met")).fit(events)
    network = detector.network_
    assert network is not None
    side = torch.linspace(-8, 8, 321, dtype=torch.float64)
    with torch.no_grad():
        p = (-network.score(torch.cartesian_prod(side, side))).exp()
    assert float(p.sum()) * 0.05**2 == pytest.approx(1.0, abs=5e-3)


@KINDS
def test_it_learns_a_correlation(events: Any, kind: Any) -> None:
    """-log p of held-out background falls below that of independent normal variables."""
    options = NetworkTraining(epochs=15, batch_events=64, learning_rate=5e-3)
    detector = Flow(
        ("jet_pt_1", "ht"), kind=kind, hidden=(16,), transforms=1, training=options
    ).fit(events)
    independent = 2 * 0.5 * (np.log(2 * np.pi) + 1)
    assert min(row["validation_loss"] for row in detector.history_) < independent - 0.1


@KINDS
def test_all_features_and_absurd_events_score(events: Any, kind: Any) -> None:
    detector = Flow(kind=kind, hidden=(8,), transforms=1, training=NetworkTraining(epochs=1)).fit(
        events
    )
    event = make_events(
        counts=[0, 1, 1],
        pt=[1e4, 1e300],
        eta=[0.0, 9.0],
        phi=[0.0, 1.0],
        energy=[1e4, 1e300],
        type=[0, 6],
        met=[0.0, 1e4, 1e300],
        met_phi=[0.0] * 3,
    )
    scores = detector.score(event)
    assert np.isfinite(scores).all()
    assert scores[2] > scores[1] > scores[0]


def test_scoring_is_not_random_though_training_is(events: Any) -> None:
    detector = tiny().fit(events)
    np.testing.assert_array_equal(detector.score(events), detector.score(events))
    assert not np.array_equal(tiny(seed=1).fit(events).score(events), detector.score(events))


def test_options(events: Any, tmp_path: Path) -> None:
    detector = tiny().fit(events)
    detector.save(tmp_path / "detector")
    loaded = Flow.load(tmp_path / "detector")
    assert (loaded.hidden, loaded.transforms, loaded.bins, loaded.features) == (
        (8,),
        2,
        4,
        detector.features,
    )
    assert loaded.n_parameters == detector.n_parameters > 100
    with pytest.raises(OptionError, match=r"kind must be one of affine, spline, found 'nice'"):
        tiny("nice")
    with pytest.raises(
        OptionError, match=r"hidden and transforms must be 1 or more and bins 2 or more"
    ):
        Flow(bins=1)

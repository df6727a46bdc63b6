"""The one training loop: what each training gets from it, and saved options of any version."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import torch

import hepmtp as hm
from hepmtp.detectors import training_events
from hepmtp.errors import OptionError, TrainingError
from hepmtp.training.loop import LoopOptions
from hepmtp.training.schedules import (
    Schedule,
    cosine,
    cosine_by_epoch,
    warm_up_cosine,
    warm_up_from_2_percent,
)

FEW = ("n_jets", "ht", "met")
SHAPE: dict[str, Any] = {"width": 16, "heads": 2, "layers": 1}
THREE: dict[str, Any] = {"epochs": 3, "batch_events": 128}


def masked(**changed: Any) -> Any:
    tokenizer = hm.LookupTokenizer.preset("no_azimuth")
    model = hm.ModelOptions(**SHAPE, feedforward=32, dropout=0.1)
    return hm.MaskedTokenDetector(
        tokenizer, model, hm.TrainingOptions(**THREE | changed), tail_events=200
    )


def classifier(**changed: Any) -> Any:
    model = hm.ClassifierOptions(**SHAPE, feedforward=32, dropout=0.1)
    return hm.DistortionDetector(model=model, training=hm.ClassifierTraining(**THREE | changed))


def vae(**changed: Any) -> Any:
    return hm.VAE(FEW, hidden=(8,), latent=2, training=hm.NetworkTraining(**THREE | changed))


def deep_svdd(**changed: Any) -> Any:
    training = hm.NetworkTraining(**THREE | changed)
    return hm.DeepSVDD(FEW, hidden=(8,), outputs=4, members=2, training=training)


def flow(**changed: Any) -> Any:
    training = hm.NetworkTraining(**THREE | changed)
    return hm.Flow(FEW, hidden=(8,), transforms=1, training=training)


def vqvae(**changed: Any) -> Any:
    options = hm.AutoencoderOptions(**SHAPE | THREE | changed)
    return hm.VQVAETokenizer(codebook_size=128, codebook_dim=4, options=options)


def fsq(**changed: Any) -> Any:
    options = hm.AutoencoderOptions(**SHAPE | THREE | changed)
    return hm.FSQTokenizer(levels=(4, 4, 3), options=options)


def graph(**changed: Any) -> Any:
    return hm.GraphVQTokenizer(codes=64, **SHAPE | THREE | changed)


TRAININGS = pytest.mark.parametrize(
    "make", [masked, classifier, vae, deep_svdd, flow, vqvae, fsq, graph]
)
Make = Callable[..., Any]


@pytest.fixture(scope="module")
def events(background: ak.Array) -> ak.Array:
    """Background of which every event is in the train or the validation part."""
    parts = [training_events(background[::4], part) for part in ("train", "validation")]
    return hm.concatenate(parts)


def weights(fitted: Any) -> dict[str, torch.Tensor]:
    """Of the network of a detector or tokenizer."""
    model = fitted.network_ if hasattr(fitted, "network_") else fitted.model_
    return dict(model.state_dict())


class Killed(Exception):
    """What ends a training in the middle of its second epoch."""


def kill(epoch: int, step: int, steps: int, loss: float) -> None:
    assert steps >= 2
    assert np.isfinite(loss)
    if (epoch, step) == (2, 2):
        raise Killed("in the second epoch")


@TRAININGS
def test_resumed_equals_uninterrupted(make: Make, events: ak.Array, tmp_path: Path) -> None:
    whole = make().fit(events)
    folder = tmp_path / "checkpoint"
    with pytest.raises(Killed, match=r"in the second epoch"):
        make().fit(events, checkpoint=folder, progress=kill)
    torch.rand(7)  # of no account, as a new process would start from another state
    seen: list[tuple[int, int]] = []
    resumed = make().fit(events, checkpoint=folder, progress=lambda *row: seen.append(row[:2]))
    assert {epoch for epoch, _ in seen} == {2, 3}
    assert weights(whole).keys() == weights(resumed).keys()
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(resumed)[name]), name
    if hasattr(whole, "history_"):
        assert resumed.history_ == whole.history_
        assert len(whole.history_) == 3
    with pytest.raises(TrainingError, match=r"is of other events, options or model"):
        make(seed=1).fit(events, checkpoint=folder)
    with pytest.raises(TrainingError, match=r"is of other events, options or model"):
        make().fit(events[5:], checkpoint=folder)


@TRAININGS
def test_a_device_that_is_not_there_is_refused(make: Make, events: ak.Array) -> None:
    unusable = ["nonsense"] if torch.cuda.is_available() else ["nonsense", "cuda"]
    for device in unusable:
        with pytest.raises(OptionError, match=rf"device '{device}' cannot be used here .*'cpu'"):
            make(device=device).fit(events)


@TRAININGS
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_training_elsewhere_comes_back_to_the_cpu(make: Make, events: ak.Array) -> None:
    fitted = make(device="cuda").fit(events)
    assert {value.device.type for value in weights(fitted).values()} == {"cpu"}
    used = fitted.score(events) if hasattr(fitted, "score") else fitted.encode(events).values
    assert len(used) >= len(events)


@pytest.mark.parametrize(
    "schedule", [cosine, cosine_by_epoch, warm_up_cosine, warm_up_from_2_percent]
)
def test_schedules_fall_from_1_to_0(schedule: Schedule) -> None:
    steps, epochs = 50, 4
    shares = [schedule(step, steps, epochs) for step in range(steps * epochs + 1)]
    assert 0.97 < max(shares) <= 1
    assert shares[-1] == 0
    assert (np.diff(shares[10:]) <= 0).all()
    assert (len(set(shares)) == epochs + 1) == (schedule is cosine_by_epoch)


def test_schedules_that_warm_up() -> None:
    assert [warm_up_cosine(i, 100, 2) for i in (0, 4)] == pytest.approx([0.1, 0.5], rel=2e-3)
    assert [warm_up_from_2_percent(i, 100, 2) for i in (0, 4)] == pytest.approx(
        [0.02, 0.42], rel=2e-3
    )


@pytest.mark.parametrize(
    "options",
    [hm.TrainingOptions, hm.ClassifierTraining, hm.NetworkTraining, hm.AutoencoderOptions],
)
def test_saved_records_of_any_version(options: type[LoopOptions]) -> None:
    saved = asdict(options(epochs=7))
    del saved["device"]
    assert options.from_saved(saved | {"of a later version": 1}) == options(epochs=7)
    assert options.from_saved(asdict(options(device="cuda"))).device == "cuda"

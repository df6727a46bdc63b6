"""Trained numbers stay: losses that were written down.

When five loops became one they came out equal to the last bit. They were written anew once, when
dropout took other random numbers. Other processors round otherwise, hence the tolerance.
"""

from __future__ import annotations

from typing import Any

import pytest

import hepmtp as hm

SMALL: dict[str, Any] = {"width": 16, "heads": 2, "layers": 1, "feedforward": 32}


@pytest.mark.parametrize(
    ("tokens", "options", "expected"),
    [
        (
            "no_azimuth",
            {},
            [(5.264438511209928, 4.983765394284624), (4.9610257272000124, 4.920540762368466)],
        ),
        (
            "visive2025",
            {"output": "joint", "attention": "full"},
            [(5.712579885951083, 5.570196162758535), (5.716348244091231, 5.552537510160766)],
        ),
    ],
)
def test_masked_token_losses(
    background: Any, tokens: str, options: dict[str, Any], expected: list[tuple[float, float]]
) -> None:
    training = hm.TrainingOptions(epochs=2, batch_events=128)
    tokenizer = hm.LookupTokenizer.preset(tokens)
    detector = hm.MaskedTokenDetector(
        tokenizer, hm.ModelOptions(**SMALL, **options), training, tail_events=500
    )
    assert losses(detector.fit(background)) == pytest.approx(flat(expected), rel=1e-5)


def test_classifier_losses(background: Any) -> None:
    signal = hm.read([one for one in hm.embedded() if one.name == "4top"], stop=300)
    options: dict[str, Any] = {
        "model": hm.ClassifierOptions(**SMALL, dropout=0.1),
        "training": hm.ClassifierTraining(epochs=2, batch_events=128),
    }
    expected = [(0.6993527873424132, 0.6758750263964778), (0.6772620069339982, 0.6695404497151148)]
    assert losses(hm.DistortionDetector(**options).fit(background)) == pytest.approx(
        flat(expected), rel=1e-5
    )
    expected = [(0.7177127657905418, 0.664542854145732), (0.660777097327099, 0.6481453826495313)]
    assert losses(hm.SupervisedDetector(signal, **options).fit(background)) == pytest.approx(
        flat(expected), rel=1e-5
    )


def losses(detector: Any) -> list[float]:
    """Training and validation loss of each epoch, one after the other."""
    return [row[name] for row in detector.history_ for name in ("train_loss", "validation_loss")]


def flat(pairs: list[tuple[float, float]]) -> list[float]:
    """The numbers of all pairs."""
    return [number for pair in pairs for number in pair]

"""Trained numbers stay: losses that were written down when there were still five loops.

The masked-token model and the classifier came out equal to the last bit on the machine that wrote
them; other processors round otherwise, hence the tolerance.
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
            [(5.26476812580184, 4.984624195811057), (4.960863224576707, 4.9206213967296755)],
        ),
        (
            "visive2025",
            {"output": "joint", "attention": "full"},
            [(5.7109996928304465, 5.571826824563087), (5.7132344220787505, 5.554129275283373)],
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
    expected = [(0.7007775407194212, 0.6756193834746619), (0.6775712282313436, 0.6692870138590129)]
    assert losses(hm.DistortionDetector(**options).fit(background)) == pytest.approx(
        flat(expected), rel=1e-5
    )
    expected = [(0.71838073355122, 0.6660371389330142), (0.665487704983697, 0.6497989301526181)]
    assert losses(hm.SupervisedDetector(signal, **options).fit(background)) == pytest.approx(
        flat(expected), rel=1e-5
    )


def losses(detector: Any) -> list[float]:
    """Training and validation loss of each epoch, one after the other."""
    return [row[name] for row in detector.history_ for name in ("train_loss", "validation_loss")]


def flat(pairs: list[tuple[float, float]]) -> list[float]:
    """The numbers of all pairs."""
    return [number for pair in pairs for number in pair]

"""The static control learns frequencies, and nothing of the rest of an event."""

from __future__ import annotations

from typing import Any

import numpy as np

import hepmtp as hm
from hepmtp.models.marginal import MarginalOptions


def test_it_learns_the_frequencies_of_background_and_reads_nothing(background: Any) -> None:
    training = hm.TrainingOptions(epochs=40, learning_rate=0.1, weight_decay=0.0)
    tokenizer = hm.LookupTokenizer.preset("no_azimuth")
    detector = hm.MaskedTokenDetector(tokenizer, MarginalOptions(), training).fit(background)
    model = detector.fitted_model
    tokens = tokenizer.encode(background)
    log_p = model.predict(tokens, np.arange(len(tokens.values)))
    for column, (found, target) in enumerate(
        zip(log_p, model.targets[tokens.values].T, strict=True)
    ):
        assert (found == found[0]).all(), model.heads[column]
        expected = np.bincount(target[target >= 0], minlength=found.shape[1])
        np.testing.assert_allclose(found[0].exp().detach(), expected / expected.sum(), atol=0.03)

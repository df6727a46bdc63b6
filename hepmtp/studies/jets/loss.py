"""The loss of a language model on given jets, with its error."""

from __future__ import annotations

import numpy as np

from hepmtp.events.tokens import TokenBatch
from hepmtp.jets.language_model import JetLanguageModel


def loss_of(model: JetLanguageModel, tokens: TokenBatch) -> tuple[float, float]:
    """Minus the mean log-probability of a term [nat], and its error from jet to jet."""
    surprise, terms = -model.log_prob(tokens).sum(axis=1), tokens.counts + 1
    loss = float(surprise.sum() / terms.sum())
    spread = (surprise - loss * terms).std(ddof=1) / terms.mean()
    return loss, float(spread / np.sqrt(len(terms)))

"""How well signal is told from background before and after tokenising, by two classifiers.

The rule: the classifiers read decoded events and are judged on analysis events, which they have not
seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import awkward as ak
import numpy as np

from hepmtp.events.observables import event_features
from hepmtp.events.ragged import Floats
from hepmtp.events.split import FRACTIONS, Part, part_of
from hepmtp.models.classifier import ClassifierOptions, inputs_of, labelled, new_classifier
from hepmtp.statistics.metrics import auc, auc_difference
from hepmtp.studies.trees import Trees
from hepmtp.tokenizers import Tokenizer
from hepmtp.training.classify import ClassifierTraining, train_classifier
from hepmtp.training.threads import torch_threads

#: Scores of the analysis part of background and signal, from a classifier trained on their other
#: parts.
Scores = tuple[Floats, Floats]


class Separation(NamedTuple):
    """AUC of a classifier with labels on continuous inputs and on tokens.

    The difference is that on the same events.
    """

    signal: str
    classifier: str
    continuous: float
    continuous_error: float
    tokens: float
    tokens_error: float
    lost: float  #: continuous - tokens
    lost_error: float
    n_signal: int
    n_background: int


class Parts:
    """The parts of some events, and their observables, computed once."""

    def __init__(self, parts: dict[Part, ak.Array]) -> None:
        self.parts = parts
        self.known: dict[Part, Floats] = {}

    @classmethod
    def of(cls, events: ak.Array, max_events: int | None, seed: int) -> Parts:
        """Each part cut to a number of events at random."""
        parts: dict[Part, ak.Array] = {}
        for part in FRACTIONS:
            chosen = part_of(events, part)
            if max_events is not None and len(chosen) > max_events:
                chosen = chosen[
                    np.sort(np.random.default_rng(seed).permutation(len(chosen))[:max_events])
                ]
            parts[part] = chosen
        return cls(parts)

    def through(self, tokenizer: Tokenizer) -> Parts:
        """The same events after encoding and decoding."""
        return Parts(
            {
                part: tokenizer.decode(tokenizer.encode(events))
                for part, events in self.parts.items()
            }
        )

    def __getitem__(self, part: Part) -> ak.Array:
        return self.parts[part]

    def observables(self, part: Part) -> Floats:
        """Those of `hepmtp.events.observables`, shape (n_events, n_features)."""
        if part not in self.known:
            self.known[part] = event_features(self.parts[part])
        return self.known[part]


Pair = tuple[Parts, Parts]


def separation(signal: str, classifier: str, before: Pair, after: Pair, seed: int) -> Separation:
    """How well a classifier of `CLASSIFIERS` tells this signal, before and after tokenising."""
    score = CLASSIFIERS[classifier]
    (b_before, s_before), (b_after, s_after) = score(before, seed), score(after, seed)
    continuous, tokens = auc(s_before, b_before), auc(s_after, b_after)
    lost = auc_difference((s_before, s_after), (b_before, b_after))
    return Separation(
        signal, classifier, *continuous[:2], *tokens[:2], lost.value, lost.error, *tokens[2:]
    )


def _trees(pair: Pair, seed: int) -> Scores:
    x = [events.observables("train") for events in pair]
    label = np.repeat([0, 1], [len(one) for one in x])
    model = Trees(
        max_iter=200,
        max_leaf_nodes=15,
        class_weight="balanced",
        early_stopping=False,
        random_state=seed,
    )
    model.fit(np.concatenate(x), label)
    background, signal = (
        model.decision_function(events.observables("analysis")) for events in pair
    )
    return background, signal


def _transformer(pair: Pair, seed: int) -> Scores:
    training, validation = (
        labelled(*(inputs_of(one[part]) for one in pair)) for part in ("train", "validation")
    )
    model = new_classifier(ClassifierOptions(), seed)
    train_classifier(model, training, validation, options=ClassifierTraining(seed=seed))
    with torch_threads(1):
        background, signal = (model.logits(inputs_of(one["analysis"])) for one in pair)
    return background, signal


#: The classifiers by name.
CLASSIFIERS: dict[str, Callable[[Pair, int], Scores]] = {
    "trees": _trees,
    "transformer": _transformer,
}

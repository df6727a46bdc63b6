"""The published models that predict MET, METphi or a particle from the rest of the event.

The rule: a preset hides one kind of token, in training as in the report; the report looks at
analysis events only. The published AUCs (EPS-HEP 2025, of four tops) are of other events and stand
beside ours for comparison alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import awkward as ak
import numpy as np

from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.errors import OptionError, ScoreError
from hepmtp.events.ragged import Floats, Ints
from hepmtp.events.regions import Region
from hepmtp.events.split import part_of
from hepmtp.events.tokens import TokenBatch
from hepmtp.models import ModelConfig
from hepmtp.models.masked import ModelOptions
from hepmtp.statistics.metrics import Auc, auc, balanced_weights
from hepmtp.tokenizers.lookup import LookupTokenizer
from hepmtp.training.masking import TrainingOptions


@dataclass(frozen=True)
class Prediction:
    """A published model: the tokens of an event, which of them are predicted, and its AUC.

    Parameters
    ----------
    tokenizer
        options of `LookupTokenizer`.
    hide
        the kind of token that is hidden and predicted.
    form
        of the detector's score.
    published
        lowest and highest published AUC, or None.
    """

    tokenizer: Mapping[str, Any]
    hide: str
    form: str
    published: tuple[float, float] | None


#: The three published models, by name.
PREDICTIONS: dict[str, Prediction] = {
    # name: tokens beside the particles, hidden kind, form of the score, published AUC
    "MET-model": Prediction({"met_phi_bins": 0}, "MET", "MET", (0.544, 0.548)),
    "METphi-model": Prediction({"met_bins": 0}, "METphi", "METphi", (0.519, 0.521)),
    "4VECT-model": Prediction({"met_bins": 0, "met_phi_bins": 0}, "particle", "sum", None),
}


class PredictionReport(NamedTuple):
    """How well the hidden tokens are predicted.

    Matrices are counts with rows of true and columns of predicted classes, (size, size), by the
    name of the head.
    """

    background: dict[str, Ints]
    signal: dict[str, Ints]
    #: Of the mean surprise of an event's hidden tokens; all background processes weigh the same.
    auc: Auc


def prediction_detector(
    name: str, *, model: ModelConfig | None = None, training: TrainingOptions | None = None
) -> MaskedTokenDetector:
    """The detector of this preset, not fitted yet; `hide` of the training options is the preset's.

    Raises
    ------
    OptionError
        if there is no such preset.

    Examples
    --------
    >>> prediction_detector("MET-model").training.hide
    ('MET',)
    >>> prediction_detector("4VECT-model").tokenizer.vocab_size
    875
    """
    if name not in PREDICTIONS:
        raise OptionError(f"prediction {name!r} is unknown; there are {', '.join(PREDICTIONS)}")
    preset = PREDICTIONS[name]
    return MaskedTokenDetector(
        LookupTokenizer(**preset.tokenizer),
        model or ModelOptions(),
        replace(training or TrainingOptions(), hide=(preset.hide,)),
        preset.form,
        # for the ranges of the axes; the joined form asks for tokens that are never hidden here
        tail_events=1000,
    )


def prediction_report(
    detector: MaskedTokenDetector,
    background: Mapping[str, ak.Array],
    signal: ak.Array,
    *,
    region: Region | None = None,
) -> PredictionReport:
    """Confusion matrices and AUC of the tokens that a fitted detector was trained to predict.

    Parameters
    ----------
    background
        events of each process by name; the analysis part is taken.
    signal
        events, shape (n_events,); the analysis part is taken.
    region
        only events of this region.

    Raises
    ------
    ScoreError
        if no event is left.
    """
    tokens = {name: _tokens(detector, events, region) for name, events in background.items()}
    process = np.repeat(list(tokens), [len(batch) for batch in tokens.values()])
    both = TokenBatch.concatenate(tokens.values()), _tokens(detector, signal, region)
    if not all(len(batch) for batch in both):
        raise ScoreError(
            f"found {len(both[0])} background and {len(both[1])} signal events to predict in: "
            "give more"
        )
    (confusion_b, score_b), (confusion_s, score_s) = (_predict(detector, batch) for batch in both)
    return PredictionReport(
        confusion_b, confusion_s, auc(score_s, score_b, background_weight=balanced_weights(process))
    )


def row_shares(counts: Ints) -> Floats:
    """A confusion matrix with each row divided by its sum; an empty row stays 0.

    Examples
    --------
    >>> row_shares(np.array([[3, 1], [0, 0]])).tolist()
    [[0.75, 0.25], [0.0, 0.0]]
    """
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))


def _tokens(detector: MaskedTokenDetector, events: ak.Array, region: Region | None) -> TokenBatch:
    events = part_of(events, "analysis")
    return detector.tokenizer.encode(events if region is None else events[region.select(events)])


def _predict(detector: MaskedTokenDetector, tokens: TokenBatch) -> tuple[dict[str, Ints], Floats]:
    """Confusion counts of each head, and the mean surprise of the hidden tokens, (n_events,)."""
    model, found = detector.fitted_model, detector.surprises(tokens)
    hidden = model.is_kind(detector.training.hide or model.kinds, tokens.values)
    true = model.targets[tokens.values]
    confusion = {}
    for column, (name, size) in enumerate(model.heads):
        rows = hidden & (true[:, column] >= 0)
        if rows.any():
            pairs = true[rows, column] * size + found.predicted[rows, column]
            confusion[name] = np.bincount(pairs, minlength=size**2).reshape(size, size)
    owner, n = tokens.owner[hidden], len(tokens)
    total = np.bincount(owner, found.surprise[hidden].sum(axis=1), minlength=n)
    return confusion, total / np.maximum(np.bincount(owner, minlength=n), 1)

"""What a masked-token model has learned: attention, embeddings, and what it takes for what.

The rule: all of it is read from the model, or from the very pass that scores.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import awkward as ak
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hepmtp.detectors import Detector
from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.detectors.masked_token.forms import heads_of
from hepmtp.detectors.masked_token.why import masked_token_detector
from hepmtp.errors import OptionError
from hepmtp.events.entering import as_events
from hepmtp.events.ragged import Floats, Ints
from hepmtp.events.tokens import TokenBatch
from hepmtp.models.attention import Block
from hepmtp.models.attention_weights import Watched
from hepmtp.models.masked import MaskedTokenModel
from hepmtp.training.threads import torch_threads


class Attention(NamedTuple):
    """What the prediction of each token of one event looks at.

    The weights of a row and its null weight add up to one.
    """

    #: Row i predicts token i and column j is looked at, (n_layers, n_heads, n_tokens, n_tokens).
    weights: Floats
    #: Weight of the null token, "nothing in particular", (n_layers, n_heads, n_tokens). A model of
    #: the attention "full" has none, and 0 here.
    null: Floats


class Confusion(NamedTuple):
    """How often each true class of a head is predicted as each class."""

    head: str
    #: Raw counts, true classes in rows and predicted ones in columns, shape (n_classes, n_classes).
    counts: Ints
    #: What each class is, such as a type or a range in GeV.
    labels: list[str]


def attention_of(detector: Detector, events: ak.Array) -> list[Attention]:
    """Attention weights of the pass that scores, one record for each event.

    Tokens are in the order of the tokenizer: the particles, then MET. In the attention
    "leave_one_out" no token looks at itself; in "full" it looks at its own mask.

    Parameters
    ----------
    detector
        a fitted :class:`~hepmtp.detectors.masked_token.detector.MaskedTokenDetector` of a
        :class:`~hepmtp.models.masked.MaskedTokenModel`.
    events
        shape (n_events,); a few, since each goes through the model by itself.

    Raises
    ------
    OptionError
        if the detector is of another class, or its model of another.
    NotFittedError
        before `fit`.

    Notes
    -----
    Attention says where a model looks, not why it answers so: a token that is not looked at in the
    last layer may have been heard in an earlier one.
    """
    detector = masked_token_detector(detector)
    model = _transformer(detector)
    tokens = detector.tokenizer.encode(as_events(events))
    with torch_threads(1):
        return [_attention(model, tokens.select([i])) for i in range(len(tokens))]


def embeddings_of(detector: Detector, *, heard: bool = False) -> dict[str, NDArray[np.float32]]:
    """The learned vector of each class of each head: name of the head -> (size, width).

    What the model reads of a token is the sum of the vectors of its digits.

    Parameters
    ----------
    heard
        what the first layer makes of them instead: what a token tells those that look at it, the
        mean over all ids of a class. Vectors that are read keep most of the random numbers that
        they began with; what is heard shows what was learned.

    Raises
    ------
    OptionError
        if the detector is of another class, or its model of another or without such vectors.
    NotFittedError
        before `fit`.
    """
    model = _transformer(masked_token_detector(detector))
    if model.options.inputs != "tokens":
        raise OptionError("a model of continuous inputs reads numbers: it has no embedding of ids")
    sizes, names = [size for _, size in model.heads], heads_of(model)
    if heard:
        told = told_by(model).numpy(force=True)
        of_class = (
            (model.targets[:, i] == np.arange(size)[:, None]) for i, size in enumerate(sizes)
        )
        tables = [np.stack([told[ids].mean(axis=0) for ids in rows]) for rows in of_class]
    else:
        tables = np.split(model.embedding.numpy(force=True)[: sum(sizes)], np.cumsum(sizes)[:-1])
    return dict(zip(names, tables, strict=True))


def confusion_of(detector: Detector, events: ak.Array, head: str) -> Confusion:
    """True classes against the most probable ones, each token predicted from all others.

    Parameters
    ----------
    detector
        a fitted :class:`~hepmtp.detectors.masked_token.detector.MaskedTokenDetector`.
    events
        shape (n_events,); such that trained nothing.
    head
        what is predicted: "type", "pt", "MET" and whatever else the tokenizer has.

    Raises
    ------
    OptionError
        if the detector is of another class, or nothing of this name is predicted.
    NotFittedError
        before `fit`.
    """
    detector = masked_token_detector(detector)
    model = detector.fitted_model
    sizes = dict(model.heads)
    if head not in sizes:
        raise OptionError(f"the model predicts {', '.join(sizes)}, not {head!r}")
    tokens = detector.tokenizer.encode(as_events(events))
    column, size = list(sizes).index(head), sizes[head]
    true = model.targets[tokens.values, column]
    has = true >= 0
    pairs = true[has] * size + detector.surprises(tokens).predicted[has, column]
    counts = np.bincount(pairs, minlength=size**2).reshape(size, size)
    named = getattr(detector.tokenizer, "labels", None)
    labels = named(head) if named and head in dict(detector.tokenizer.factors) else None
    return Confusion(head, counts, labels or [str(i) for i in range(size)])


@torch.no_grad()
def told_by(model: MaskedTokenModel) -> Tensor:
    """What the first layer hears of each id where it looks at it alone, (vocab_size, width)."""
    x, width = (model.design @ model.embedding)[: model.vocab_size], model.options.width
    first = cast("Block", model.blocks[0])
    x = first.norm1(first._each_alone(x) if model.one_pass else x)
    qkv = first.attention.qkv
    values = functional.linear(x, qkv.weight[2 * width :], qkv.bias[2 * width :])
    told: Tensor = first.attention.out(values)
    return told


def _transformer(detector: MaskedTokenDetector) -> MaskedTokenModel:
    model = detector.fitted_model
    if not isinstance(model, MaskedTokenModel):
        raise OptionError(
            f"{type(model).__name__} is no MaskedTokenModel: it has no attention to look at"
        )
    return model


@torch.no_grad()
def _attention(model: MaskedTokenModel, event: TokenBatch) -> Attention:
    """That of one event of n tokens; where tokens must be hidden, of n copies of it."""
    n, rows = len(event.values), np.arange(len(event.values))
    batch, at = event, rows
    if not model.one_pass:
        batch, at = event.select(np.zeros(n, dtype=np.int64)), rows * (n + 1)
        batch.values[at] = model.mask_ids(event.values)
    with Watched() as watched:
        model.predict(batch, at)
    weights = np.zeros((model.options.layers, model.options.heads, n, n))
    null = np.zeros(weights.shape[:3])
    for layer, seen in enumerate(one.numpy(force=True) for one in watched.seen):
        if model.one_pass:  # (1, heads, n, 1 + n), the null token first
            null[layer], weights[layer] = seen[0, :, :, 0], seen[0, :, :, 1:]
        else:  # (n, heads, n, n), or 1 query where only one is asked for
            asked = rows if seen.shape[2] == n else np.zeros(n, dtype=np.int64)
            weights[layer] = seen[rows, :, asked].transpose(1, 0, 2)
    return Attention(weights, null)

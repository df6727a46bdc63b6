"""Leave-one-out surprises: how badly a model predicts each token from all others of its event.

The rule: for a hidden token with true digit d of a factor and predicted probabilities p,

- surprise: -log p(d);
- expected: the mean surprise if the model were right, the entropy H = -sum p log p;
- variance: that of the surprise if the model were right, V = sum p (log p)^2 - H^2;
- tail: -log of the probability of a digit of d or more, of d itself only half: small where d is
  low, however rare that is. It has a meaning where digits are in order, such as bins of pt.

Subtracting H and dividing by sqrt(V) takes away what is merely hard to predict, and with it most of
the plain particle count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from hepmtp.errors import OptionError
from hepmtp.events.ragged import Floats, Ints, starts
from hepmtp.events.tokens import TokenBatch
from hepmtp.models import Predict, TokenModel
from hepmtp.models.groups import buckets, packs
from hepmtp.models.masked import MaskedTokenModel
from hepmtp.models.one_pass import OnePass, Precision, can_be_prepared


class Surprises(NamedTuple):
    """A row per token, a column per head of the model, each (n_tokens, n_heads).

    0 where a head does not predict a token.
    """

    surprise: Floats
    expected: Floats
    variance: Floats
    tail: Floats
    predicted: Ints  # most probable digit; -1 where the head does not predict the token


@torch.no_grad()
def surprises(
    model: TokenModel,
    tokens: TokenBatch,
    *,
    max_tokens: int = 4096,
    predict: Predict | None = None,
) -> Surprises:
    """Surprise of each token given all others of its event.

    That takes n passes for an event of n tokens, or one if the model says so.

    Parameters
    ----------
    model
        in evaluation mode.
    tokens
        any multiplicity, shape (n_events, ragged).
    max_tokens
        about so many tokens go through the model at once.
    predict
        what the model has prepared for more events than these; by default it is asked.

    Raises
    ------
    TokenError
        if an id is not in the vocabulary of the model.
    """
    masks, targets = model.mask_ids(tokens.values), model.targets.T
    shape = (len(model.heads), len(tokens.values))
    found = Surprises._make([*(np.zeros(shape) for _ in range(4)), np.full(shape, -1)])
    predict, passes = predict or model.predictor(tokens), _together if model.one_pass else _in_turn
    for rows, batch, at in passes(tokens, masks, _batches(model, tokens, max_tokens)):
        true = targets[:, tokens.values[rows]]
        for column, log_p in enumerate(predict(batch, at)):
            if isinstance(predict, OnePass):
                of_head = [part[column] for part in found]
                predict.loops.moments(log_p.T.numpy(), true[column], rows, *of_head)
            elif len(has := np.flatnonzero(true[column] >= 0)):
                asked = log_p.T.index_select(1, torch.as_tensor(has, device=log_p.device))
                moments = _moments(asked, true[column, has])
                for part, values in zip(found, moments, strict=True):
                    part[column, rows[has]] = values.numpy(force=True)
    return Surprises._make(part.T for part in found)


def check_precision(precision: str, model: TokenModel | None = None) -> None:
    """Raise OptionError for an unknown precision, or one that this model does not score in."""
    if precision not in get_args(Precision):
        known = ", ".join(get_args(Precision))
        raise OptionError(f"precision {precision!r} is unknown; there are {known}")
    if precision == "float32" or model is None:
        return
    if not (type(model) is MaskedTokenModel and can_be_prepared(model)):
        raise OptionError(
            f"{type(model).__name__} scores in float32 only: another precision is for models of "
            "one pass without positions and features, on a CPU"
        )


def predictor_of(model: TokenModel, tokens: TokenBatch, precision: Precision) -> Predict:
    """What predicts tokens of these events in this precision; in float32, what the model says.

    OptionError if the model does not score in it.
    """
    check_precision(precision, model)
    if isinstance(model, MaskedTokenModel) and precision != "float32":
        return OnePass(model, tokens.values, precision)
    return model.predictor(tokens)


def in_blocks(
    model: TokenModel, tokens: TokenBatch, n_events: int, *, max_tokens: int = 4096
) -> Iterator[Ints]:
    """All events, about so many at a time, in blocks whose surprises are those of all at once.

    To the last bit: a block is made of whole batches, and numbers depend on the batch.
    """
    block = [np.flatnonzero(tokens.counts == 0)]  # which no batch has
    for batch in _batches(model, tokens, max_tokens):
        block.append(batch)
        if sum(map(len, block)) >= n_events:
            yield np.concatenate(block)
            block = []
    if block:
        yield np.concatenate(block)


def _batches(model: TokenModel, tokens: TokenBatch, max_tokens: int) -> Iterator[Ints]:
    """Events that go through the model together; n tokens are n copies of n where one is hidden."""
    if model.one_pass:
        return packs(tokens.counts, max_tokens)
    return buckets(tokens.counts**2, max_tokens)


def _moments(log_p: Tensor, true: Ints) -> tuple[Tensor, ...]:
    """What `Surprises` lists, each (n,), of log-probabilities (size, n) and true classes (n,)."""
    most, truth = log_p.max(dim=0).indices, torch.as_tensor(true, device=log_p.device)
    # float32 knows no probability below exp(-87), and sums of many are 1e-6 off
    log_p = torch.log_softmax(log_p.double(), dim=0)
    p = log_p.exp()
    entropy = -(p * log_p).sum(dim=0)
    variance = (p * (log_p + entropy) ** 2).sum(dim=0)
    own = log_p.gather(0, truth[None])[0]
    above = torch.arange(len(p), device=p.device)[:, None] > truth
    tail = (p * above).sum(dim=0) + own.exp() / 2
    return -own, entropy, variance, (-tail.log()).clamp(min=0), most


def _together(
    tokens: TokenBatch, _: Ints, batches: Iterable[Ints]
) -> Iterator[tuple[Ints, TokenBatch, Ints]]:
    """Rows of tokens, the batch to pass once, and where it has them: all tokens, as they are."""
    places = TokenBatch(np.arange(len(tokens.values)), tokens.offsets)
    for events in batches:
        batch = tokens.select(events)
        yield places.select(events).values, batch, np.arange(len(batch.values))


def _in_turn(
    tokens: TokenBatch, masks: Ints, batches: Iterable[Ints]
) -> Iterator[tuple[Ints, TokenBatch, Ints]]:
    """As `_together`, of n copies of each event of n tokens: each has another token hidden."""
    places = TokenBatch(np.arange(len(tokens.values)), tokens.offsets)
    for events in batches:
        rows = places.select(events).values
        counts = np.repeat(tokens.counts[events], tokens.counts[events])
        batch = tokens.select(np.repeat(events, tokens.counts[events]))
        at = starts(counts) + rows - np.repeat(tokens.offsets[events], tokens.counts[events])
        batch.values[at] = masks[rows]
        yield rows, batch, at


def surprises_slowly(model: TokenModel, tokens: TokenBatch) -> Floats:
    """The reference for `surprises`: hide one token of one event at a time, (n_tokens, n_heads)."""
    out = np.zeros((len(tokens.values), len(model.heads)))
    for event in range(len(tokens)):
        for hidden in range(tokens.counts[event]):
            alone = tokens.select([event])
            true = alone.values[[hidden]]
            alone.values[hidden] = model.mask_ids(true)[0]
            with torch.no_grad():
                log_p = model.predict(alone, np.array([hidden]))
            for column, digit in enumerate(model.targets[true[0]]):
                if digit >= 0:
                    row = tokens.offsets[event] + hidden
                    out[row, column] = -float(log_p[column][0, digit])
    return out

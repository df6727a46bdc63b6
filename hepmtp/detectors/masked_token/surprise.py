"""Leave-one-out surprises: hide each token of an event in turn and ask how badly the model predicts it.

The rule: for a hidden token with true digit d of a factor and predicted probabilities p,

- surprise: -log p(d);
- expected: the mean surprise if the model were right, the entropy H = -sum p log p;
- variance: the spread of the surprise if the model were right, V = sum p (log p)^2 - H^2;
- tail: -log of the probability of a digit of d or more, of d itself only half: small where d is low, however rare that is. It has
  a meaning where digits are in order, such as bins of pt.

Centring by H and scaling by sqrt(V) takes away what is merely hard to predict, and with it most of the plain particle count.
A model of the attention "leave_one_out" needs no hiding: it answers for all tokens of an event at once.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hepmtp.events.tokens import TokenBatch
from hepmtp.models import TokenModel, check_ids, tensors
from hepmtp.models.attention import buckets, packs


class Surprises(NamedTuple):
    """One row per token, one column per head of the model, each shape (n_tokens, n_heads); 0 where none applies."""

    surprise: NDArray[np.float64]
    expected: NDArray[np.float64]
    variance: NDArray[np.float64]
    tail: NDArray[np.float64]
    predicted: NDArray[np.int64]  # most probable digit; -1 where none applies


@torch.no_grad()
def surprises(model: TokenModel, tokens: TokenBatch, *, max_tokens: int = 4096) -> Surprises:
    """Surprise of each token given all others of its event: n passes for an event of n tokens, or one (`ModelOptions`).

    Parameters
    ----------
    model
        in evaluation mode.
    tokens
        any multiplicity, shape (n_events, ragged).
    max_tokens
        about so many tokens go through the model at once.
    """
    shape = (len(tokens.values), len(model.heads))
    surprise, expected, variance, tail = (np.zeros(shape) for _ in range(4))
    out = Surprises(surprise, expected, variance, tail, np.full(shape, -1, dtype=np.int64))
    places = TokenBatch(np.arange(len(tokens.values)), tokens.offsets)
    # where each token is hidden in turn, an event of n tokens is n copies of itself: n * n tokens
    for events in (
        packs(tokens.counts, max_tokens)
        if model.one_pass
        else buckets(tokens.counts**2, max_tokens)
    ):
        position = places.select(events).values  # (n_tokens of these events,)
        truth, offsets, features = tensors(tokens.select(events), model.device)
        check_ids(truth, len(model.targets))
        digits = model.targets[truth]
        predict = model.predict if model.one_pass else functools.partial(_in_turn, model)
        for column, log_p in enumerate(predict(truth, offsets, features=features)):
            has = (digits[:, column] >= 0).cpu().numpy()
            rows = position[has]
            log_p = log_p[torch.as_tensor(has, device=model.device)].double()  # noqa: PLW2901
            p = log_p.exp()
            entropy = -(p * log_p).sum(dim=1)
            true = digits[:, column][torch.as_tensor(has, device=model.device)]
            own = log_p.gather(1, true[:, None])[:, 0]
            above = p.flip(1).cumsum(1).flip(1).gather(1, true[:, None])[:, 0] - own.exp() / 2
            out.surprise[rows, column] = -own.cpu().numpy()
            out.tail[rows, column] = -above.log().cpu().numpy()
            out.expected[rows, column] = entropy.cpu().numpy()
            out.variance[rows, column] = (
                ((p * log_p**2).sum(dim=1) - entropy**2).clamp(min=0).cpu().numpy()
            )
            out.predicted[rows, column] = log_p.argmax(dim=1).cpu().numpy()
    return out


def _in_turn(
    model: TokenModel, truth: Tensor, offsets: Tensor, features: Tensor | None
) -> list[Tensor]:
    """As `predict` of a model, each token hidden where it is asked for; events of one multiplicity."""
    n_events, n = len(offsets) - 1, int(offsets[1])
    copies = truth.reshape(n_events, 1, n).repeat(1, n, 1)  # (n_events, n copies, n tokens)
    diagonal = torch.arange(n, device=truth.device)
    copies[:, diagonal, diagonal] = model.mask_ids()[truth].reshape(n_events, n)
    at = torch.arange(n_events * n, device=truth.device) * n + diagonal.repeat(n_events)
    if features is not None:
        features = features.reshape(n_events, 1, n, -1).expand(-1, n, -1, -1)
        features = features.reshape(n_events * n * n, -1)
    all_offsets = torch.arange(n_events * n + 1, device=truth.device) * n
    return model.predict(copies.reshape(-1), all_offsets, at, features)


def surprises_slowly(model: TokenModel, tokens: TokenBatch) -> NDArray[np.float64]:
    """The reference for `surprises`: one event, one hidden token, one pass at a time, shape (n_tokens, n_heads)."""
    out = np.zeros((len(tokens.values), len(model.heads)))
    for start, stop in zip(tokens.offsets[:-1], tokens.offsets[1:], strict=True):
        for hidden in range(start, stop):
            values = torch.as_tensor(tokens.values[start:stop])
            true = values[hidden - start]
            values = values.clone()
            values[hidden - start] = model.mask_ids()[true]
            one = tokens.features
            features = None if one is None else torch.as_tensor(one[start:stop])
            with torch.no_grad():
                log_p = model.predict(
                    values,
                    torch.tensor([0, stop - start]),
                    torch.tensor([hidden - start]),
                    features,
                )
            for column, digit in enumerate(model.targets[true].tolist()):
                if digit >= 0:
                    out[hidden, column] = -float(log_p[column][0, digit])
    return out

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

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hepmtp.events.tokens import TokenBatch
from hepmtp.models.attention import Group, buckets, packs, sort_by_multiplicity
from hepmtp.models.masked import MaskedTokenModel


class Surprises(NamedTuple):
    """One row per token, one column per head of the model, each shape (n_tokens, n_heads); 0 where none applies."""

    surprise: NDArray[np.float64]
    expected: NDArray[np.float64]
    variance: NDArray[np.float64]
    tail: NDArray[np.float64]
    predicted: NDArray[np.int64]  # most probable digit; -1 where none applies


@torch.no_grad()
def surprises(model: MaskedTokenModel, tokens: TokenBatch, *, max_tokens: int = 4096) -> Surprises:
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
    device = model.embedding.device
    places = TokenBatch(np.arange(len(tokens.values)), tokens.offsets)
    # where each token is hidden in turn, an event of n tokens is n copies of itself: its cost is n * n tokens
    for events in (
        packs(tokens.counts, max_tokens)
        if model.one_pass
        else buckets(tokens.counts**2, max_tokens)
    ):
        position = places.select(events).values  # (n_tokens of these events,)
        truth = torch.as_tensor(tokens.values[position], device=device)
        told = (
            None
            if tokens.features is None
            else torch.as_tensor(tokens.features[position], device=device)
        )
        groups = sort_by_multiplicity(tokens.counts[events])[1]
        features = (_in_one_pass if model.one_pass else _in_turn)(model, truth, told, groups)
        digits = model.targets[truth]
        for column, log_p in enumerate(model.log_probabilities(features)):
            has = (digits[:, column] >= 0).cpu().numpy()
            rows = position[has]
            log_p = log_p[torch.as_tensor(has, device=device)].double()  # noqa: PLW2901
            p = log_p.exp()
            entropy = -(p * log_p).sum(dim=1)
            true = digits[:, column][torch.as_tensor(has, device=device)]
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
    model: MaskedTokenModel, truth: Tensor, told: Tensor | None, groups: list[Group]
) -> Tensor:
    """Features of each token where it is hidden, (n_tokens, width), from the ids of events of one multiplicity."""
    ((n_events, n),) = groups
    truth = truth.reshape(n_events, n)
    copies = truth[:, None, :].repeat(1, n, 1)  # (n_events, n copies, n tokens)
    diagonal = torch.arange(n, device=truth.device)
    copies[:, diagonal, diagonal] = model.mask_id(truth)
    at = (torch.arange(n_events * n, device=truth.device) * n) + diagonal.repeat(n_events)
    if told is not None:
        told = told.reshape(n_events, 1, n, -1).expand(-1, n, -1, -1).reshape(n_events * n * n, -1)
    return model.encode_sorted(copies.reshape(-1), [Group(n_events * n, n)], at, told)


def _in_one_pass(
    model: MaskedTokenModel, truth: Tensor, told: Tensor | None, groups: list[Group]
) -> Tensor:
    """As `_in_turn`, for a model whose positions do not see themselves, from events of any multiplicity."""
    model.mask_id(truth)  # mask ids are no tokens
    return model.encode_sorted(truth, groups, None, told)


def surprises_slowly(model: MaskedTokenModel, tokens: TokenBatch) -> NDArray[np.float64]:
    """The reference for `surprises`: one event, one hidden token, one pass at a time, shape (n_tokens, n_heads)."""
    out = np.zeros((len(tokens.values), len(model.heads)))
    for start, stop in zip(tokens.offsets[:-1], tokens.offsets[1:], strict=True):
        for hidden in range(start, stop):
            values = torch.as_tensor(tokens.values[start:stop])
            true = values[hidden - start]
            values = values.clone()
            values[hidden - start] = model.mask_id(true)
            told = None if tokens.features is None else torch.as_tensor(tokens.features[start:stop])
            with torch.no_grad():
                features = model.encode(values, torch.tensor([0, stop - start]), told)[
                    hidden - start
                ]
                log_p = model.log_probabilities(features[None])
            for column, digit in enumerate(model.targets[true].tolist()):
                if digit >= 0:
                    out[hidden, column] = -float(log_p[column][0, digit])
    return out

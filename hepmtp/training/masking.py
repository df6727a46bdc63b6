"""Training: hide tokens at random, let the model predict them, stop when the validation loss no longer falls.

The rule: the same seed gives the same model, also when training was interrupted: every epoch draws from a generator of its
own (seed, epoch), and a checkpoint is written, under a temporary name and renamed, after each.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hepmtp.errors import TrainingError
from hepmtp.events.tokens import TokenBatch
from hepmtp.models.attention import sort_by_multiplicity
from hepmtp.models.masked import MaskedTokenModel

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingOptions:
    """How a model is trained.

    Parameters
    ----------
    epochs, patience
        at most so many epochs; stop after `patience` epochs without a lower validation loss.
    batch_events
        events of mixed multiplicity in one optimiser step.
    learning_rate, weight_decay
        of AdamW (Loshchilov and Hutter, arXiv:1711.05101); the rate rises over the first 5 % of the steps and falls to
        zero along a cosine.
    mask_fraction
        share of an event's tokens that is hidden, at random; at least one is. The default, one token an event as in
        scoring, comes from a scan on background (benchmarks/mask_fraction.py). Models of the attention "leave_one_out" do not
        use it: they predict every token of every event in each pass.
    hide
        kinds of tokens to predict, of "particle", "MET" and "METphi"; none named: all.
    seed
        of everything that is random.
    threads
        torch threads; more than one is many times slower on a busy machine.
    device
        where to train, e.g. "cpu" or "cuda".
    """

    epochs: int = 8
    patience: int = 3
    batch_events: int = 512
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    mask_fraction: float = 0.0
    hide: tuple[str, ...] = ()
    seed: int = 0
    threads: int = 1
    device: str = "cpu"

    def __post_init__(self) -> None:
        object.__setattr__(self, "hide", tuple(self.hide))
        if (
            min(self.epochs, self.patience, self.batch_events, self.threads) < 1
            or not 0 <= self.mask_fraction <= 1
        ):
            raise TrainingError(
                f"epochs, patience, batch_events and threads must be 1 or more and mask_fraction in 0..1, found {self}"
            )


def mask_tokens(
    tokens: TokenBatch,
    fraction: float,
    rng: np.random.Generator,
    among: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """Which tokens to hide, bool, shape (n_tokens,): each with this probability, and one at random where none fell.

    Parameters
    ----------
    among
        the tokens that may be hidden, bool, shape (n_tokens,); all of them if not given.

    Examples
    --------
    >>> batch = TokenBatch.from_counts([1, 2, 3, 4, 5, 6], [2, 0, 4])
    >>> np.add.reduceat(mask_tokens(batch, 0.0, np.random.default_rng(1)), [0, 2]).tolist()
    [1, 1]
    """
    if among is not None:
        hidden = np.zeros(len(tokens.values), dtype=bool)
        counts = np.bincount(tokens.owner[among], minlength=len(tokens))
        hidden[among] = mask_tokens(
            TokenBatch.from_counts(tokens.values[among], counts), fraction, rng
        )
        return hidden
    hidden = rng.random(len(tokens.values)) < fraction
    some = np.bincount(tokens.owner[hidden], minlength=len(tokens)) > 0
    bare = np.flatnonzero(~some & (tokens.counts > 0))
    hidden[tokens.offsets[bare] + rng.integers(0, tokens.counts[bare])] = True
    return hidden


def tokens_to_predict(
    model: MaskedTokenModel, tokens: TokenBatch, options: TrainingOptions, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """The targets of one pass, bool, shape (n_tokens,): all that `options` allow, or some at random if they must be hidden."""
    among = None
    if options.hide:
        unknown = set(options.hide) - set(model.kinds)
        if unknown:
            raise TrainingError(
                f"there are no tokens of kind {', '.join(sorted(unknown))} to hide, only {model.kinds}"
            )
        kind = (
            model.mask_id(torch.as_tensor(tokens.values, device=model.embedding.device))
            - model.vocab_size
        )
        among = np.isin(model.kinds, options.hide)[kind.numpy(force=True)]
    if model.one_pass:
        return np.ones(len(tokens.values), dtype=bool) if among is None else among
    return mask_tokens(tokens, options.mask_fraction, rng, among)


def batch_loss(
    model: MaskedTokenModel, tokens: TokenBatch, hidden: NDArray[np.bool_]
) -> tuple[Tensor, int]:
    """Summed cross-entropy of all digits of the tokens to predict, and their number; they are hidden unless one pass does it."""
    order, groups = sort_by_multiplicity(tokens.counts)
    device = model.embedding.device
    flat = TokenBatch(np.arange(len(tokens.values)), tokens.offsets).select(order).values
    truth = torch.as_tensor(tokens.values[flat], device=device)
    mask = torch.as_tensor(hidden[flat], device=device)
    masked = model.mask_id(truth)
    values = truth if model.one_pass else torch.where(mask, masked, truth)
    told = (
        None if tokens.features is None else torch.as_tensor(tokens.features[flat], device=device)
    )
    at = mask.nonzero()[:, 0]
    if np.array_equal(np.bincount(tokens.owner[hidden], minlength=len(tokens)), tokens.counts > 0):
        features = model.encode_sorted(
            values, groups, at, told
        )  # one an event: the last block looks at these alone
    else:
        features = model.encode_sorted(values, groups, None, told)[at]
    targets = model.targets[truth[mask]]
    loss = torch.zeros((), device=device)
    for log_p, target in zip(model.log_probabilities(features), targets.T, strict=True):
        loss = loss + torch.nn.functional.nll_loss(log_p, target, ignore_index=-1, reduction="sum")
    return loss, int(mask.sum())

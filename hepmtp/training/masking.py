"""Training of the masked-token model: hide tokens at random, and let the model predict them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Unpack

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import nll_loss

from hepmtp.errors import OptionError, TrainingError
from hepmtp.events.ragged import Bools, Ints, starts
from hepmtp.events.stored_tokens import Tokens, blocks
from hepmtp.events.tokens import TokenBatch
from hepmtp.models import TokenModel, check_model
from hepmtp.models.groups import sort_by_multiplicity
from hepmtp.training import loop
from hepmtp.training.loop import History, LoopOptions, Watch

#: Events that are looked at together where all are.
BLOCK = 20_000


@dataclass(frozen=True, kw_only=True)
class TrainingOptions(LoopOptions):
    """How a masked-token model is trained.

    Parameters
    ----------
    mask_fraction
        share of an event's tokens that is hidden, at random; at least one is. The default, one
        token an event as in scoring, comes from a scan on background
        (benchmarks/mask_fraction.py). Models of the attention "leave_one_out" do not use it: they
        predict every token of every event in each pass.
    hide
        kinds of tokens to predict, of "particle", "MET" and "METphi"; none named: all.
    epochs, patience, batch_events, learning_rate, weight_decay, seed, threads, device
        of :class:`hepmtp.training.loop.LoopOptions`.
    """

    mask_fraction: float = 0.0
    hide: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "hide", tuple(self.hide))
        if not 0 <= self.mask_fraction <= 1:
            raise OptionError(f"mask_fraction must be in 0..1, found {self}")


def train(
    model: TokenModel,
    training: Tokens,
    validation: Tokens,
    *,
    options: TrainingOptions | None = None,
    **watch: Unpack[Watch],
) -> History:
    """Train in place; the model ends with the weights of its best epoch.

    Parameters
    ----------
    training, validation
        background events, in memory or in files, which gives the same numbers; the second only
        decides when to stop.
    watch
        ``checkpoint`` and ``progress`` of :func:`hepmtp.training.loop.train`.

    Raises
    ------
    OptionError
        if `model` is no token model.
    TrainingError
        if there is nothing to train on, the loss is not finite, or the checkpoint belongs to
        another training.
    """
    options = options or TrainingOptions()
    task = _MaskedTokens(check_model(model), training, validation, options)
    return loop.train(task, options, **watch)


@dataclass(eq=False)
class _MaskedTokens:
    """The task: cross-entropy of what is hidden."""

    model: TokenModel
    training: Tokens
    validation: Tokens
    options: TrainingOptions

    def __post_init__(self) -> None:
        n, m = len(self.training), len(self.validation)
        if not len(self.training.values) or not len(self.validation.values):
            raise TrainingError(
                f"training needs events: found {n} training and {m} validation events with tokens"
            )
        # the same tokens in every epoch, so that losses can be compared
        rng = np.random.default_rng([self.options.seed, 0])
        self.hidden = all_to_predict(self.model, self.validation, self.options, rng)
        some = (
            self._targets(batch, np.random.default_rng(0)).any()
            for _, batch in blocks(self.training, BLOCK)
        )
        if not self.hidden.any() or not any(some):
            kinds = " or ".join(self.options.hide)
            raise TrainingError(f"there is no token of kind {kinds} to predict: give other events")

    def _targets(self, tokens: TokenBatch, rng: np.random.Generator) -> Bools:
        return tokens_to_predict(self.model, tokens, self.options, rng)

    def draw(self, _: int, __: np.random.Generator) -> int:
        """The same events in every epoch."""
        return len(self.training)

    def loss(self, events: Ints, rng: np.random.Generator) -> tuple[Tensor, int]:
        """Over all digits of the hidden tokens, and the number of these tokens."""
        batch = self.training.select(events)
        return batch_loss(self.model, batch, self._targets(batch, rng))

    def validation_loss(self) -> float:
        """Per hidden token."""
        total, tokens = 0.0, 0
        for span, batch in blocks(self.validation, self.options.batch_events):
            loss, n = batch_loss(self.model, batch, self.hidden[span])
            total, tokens = total + float(loss), tokens + n
        return total / tokens

    def identity(self) -> Iterator[object]:
        """The tokens and the shape of the model."""
        yield from (repr(self.model), self.model.heads, self.model.targets, self.model.one_pass)
        for batch in (self.training, self.validation):
            yield from (batch.values, batch.offsets, batch.features)


def mask_tokens(
    tokens: TokenBatch, fraction: float, rng: np.random.Generator, among: Bools | None = None
) -> Bools:
    """Which tokens to hide, bool, shape (n_tokens,): each with this probability.

    Where none fell in an event, it is one at random.

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
    if among is None:
        among = np.ones(len(tokens.values), dtype=bool)
    hidden = _with_probability(fraction, rng, among)
    _hide_one(hidden, tokens, rng, among)
    return hidden


def _with_probability(fraction: float, rng: np.random.Generator, among: Bools) -> Bools:
    hidden = np.zeros(len(among), dtype=bool)
    hidden[among] = rng.random(np.count_nonzero(among)) < fraction
    return hidden


def _hide_one(hidden: Bools, tokens: TokenBatch, rng: np.random.Generator, among: Bools) -> None:
    """Hide a token of each event of which none is hidden."""
    allowed, owner = np.flatnonzero(among), tokens.owner
    counts = np.bincount(owner[among], minlength=len(tokens))
    some = np.bincount(owner[hidden], minlength=len(tokens)) > 0
    bare = np.flatnonzero(~some & (counts > 0))
    hidden[allowed[starts(counts)[bare] + rng.integers(0, counts[bare])]] = True


def tokens_to_predict(
    model: TokenModel, tokens: TokenBatch, options: TrainingOptions, rng: np.random.Generator
) -> Bools:
    """The targets of one pass, bool, shape (n_tokens,), of the kinds that `options` allow.

    All of them for a model that needs one pass; otherwise some at random, which must be hidden.
    """
    among = _may_be_hidden(model, tokens, options)
    return among if model.one_pass else mask_tokens(tokens, options.mask_fraction, rng, among)


def all_to_predict(
    model: TokenModel, tokens: Tokens, options: TrainingOptions, rng: np.random.Generator
) -> Bools:
    """As `tokens_to_predict` of all events at once, of which but some are in memory at a time."""
    among = np.zeros(len(tokens.values), dtype=bool)
    for span, batch in blocks(tokens, BLOCK):
        among[span] = _may_be_hidden(model, batch, options)
    if model.one_pass:
        return among
    hidden = np.zeros_like(among)
    for span, _ in blocks(tokens, BLOCK):
        hidden[span] = _with_probability(options.mask_fraction, rng, among[span])
    for span, batch in blocks(tokens, BLOCK):
        _hide_one(hidden[span], batch, rng, among[span])
    return hidden


def _may_be_hidden(model: TokenModel, tokens: TokenBatch, options: TrainingOptions) -> Bools:
    if unknown := set(options.hide) - set(model.kinds):
        raise TrainingError(
            f"there are no tokens of kind {', '.join(sorted(unknown))} to hide, only {model.kinds}"
        )
    if options.hide:
        return model.is_kind(options.hide, tokens.values)
    return np.ones(len(tokens.values), dtype=bool)


def batch_loss(model: TokenModel, tokens: TokenBatch, hidden: Bools) -> tuple[Tensor, int]:
    """Summed cross-entropy of all digits of the tokens to predict, and the number of these tokens.

    They are hidden from a model that needs it.
    """
    order, _ = sort_by_multiplicity(tokens.counts)
    flat = TokenBatch(np.arange(len(tokens.values)), tokens.offsets).select(order).values
    batch, at = tokens.select(order), np.flatnonzero(hidden[flat])
    masks = model.mask_ids(batch.values)
    targets = torch.as_tensor(model.targets[batch.values[at]])
    if not model.one_pass:
        batch = replace(batch, values=np.where(hidden[flat], masks, batch.values))
    losses = [
        nll_loss(log_p, target.to(log_p.device), ignore_index=-1, reduction="sum")
        for log_p, target in zip(model.predict(batch, at), targets.T, strict=True)
    ]
    return sum(losses, torch.zeros(())), len(at)

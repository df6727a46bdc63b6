"""Training of the autoregressive model: each token, and the stop, from what came before.

The rule: a jet of n tokens has n + 1 terms; one that was cut short has no term for its stop, for
where it stops is not known. Batches are made of runs of jets of neighbouring multiplicity, so that
attention has few and large groups; which runs come together is drawn anew in each epoch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Self, Unpack

import numpy as np
import torch
from torch import Tensor

from hepmtp.errors import OptionError, TrainingError
from hepmtp.events.ragged import Bools, Floats, Ints, ragged_arange
from hepmtp.events.tokens import TokenBatch
from hepmtp.models.autoregressive import AutoregressiveModel
from hepmtp.models.groups import packs, sort_by_multiplicity
from hepmtp.training import loop
from hepmtp.training.loop import History, LoopOptions, Watch, device_of


class Jets(NamedTuple):
    """Tokens of jets, and which of the jets are whole: the others were cut short."""

    tokens: TokenBatch
    whole: Bools  #: (n_jets,)

    @classmethod
    def leading(cls, tokens: TokenBatch, most: int | None = None) -> Jets:
        """The leading tokens of each jet, `most` at most, or all of them.

        Examples
        --------
        >>> jets = Jets.leading(TokenBatch.from_counts([5, 6, 7, 8], [3, 1]), 2)
        >>> jets.tokens.values.tolist(), jets.whole.tolist()
        ([5, 6, 8], [False, True])
        """
        if most is None:
            return cls(tokens, np.ones(len(tokens), dtype=bool))
        counts = np.minimum(tokens.counts, most)
        values = tokens.values[ragged_arange(counts, tokens.offsets[:-1])]
        return cls(TokenBatch.from_counts(values, counts), tokens.counts <= most)

    def select(self, jets: Ints) -> Jets:
        """Jets at these indices, in their order."""
        return Jets(self.tokens.select(jets), self.whole[jets])

    @property
    def n_terms(self) -> int:
        """Number of terms of all jets."""
        return len(self.tokens.values) + int(self.whole.sum())


@dataclass(frozen=True, kw_only=True)
class RunOptions(LoopOptions):
    """How anything is trained in batches of runs of jets.

    Parameters
    ----------
    neighbours
        jets of neighbouring multiplicity that stay together; `batch_events` is a multiple of it.
        1: batches of jets at random.
    mirrored
        each epoch takes each jet as it is, or reflected in eta, in phi or in both, at random: none
        of these is more likely than another. Bins that are not symmetric are left as they are.
    epochs, patience, batch_events, learning_rate, weight_decay, seed, threads, device
        of :class:`hepmtp.training.loop.LoopOptions`.
    """

    batch_events: int = 64
    neighbours: int = 16
    mirrored: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.neighbours < 1 or self.batch_events % self.neighbours:
            raise OptionError(
                f"neighbours must be 1 or more, and batch_events a multiple of it, found {self}"
            )

    @classmethod
    def from_saved(cls, saved: Mapping[str, Any]) -> Self:
        """From a saved record of any version; the first did not know mirror images."""
        return super().from_saved({"mirrored": False, **saved})

    def in_runs(self) -> Self:
        """The same for the loop, whose events are runs."""
        return replace(self, batch_events=self.batch_events // self.neighbours, neighbours=1)


@dataclass(frozen=True, kw_only=True)
class NextTokenOptions(RunOptions):
    """How an autoregressive model is trained.

    Parameters
    ----------
    epochs, patience, batch_events, learning_rate, weight_decay, seed, threads, device
        of :class:`hepmtp.training.loop.LoopOptions`.
    neighbours, mirrored
        of `RunOptions`.
    """

    epochs: int = 20
    patience: int = 5
    learning_rate: float = 1e-3


def train(
    model: AutoregressiveModel,
    training: Jets,
    validation: Jets,
    *,
    options: NextTokenOptions | None = None,
    mirrors: Ints | None = None,
    **watch: Unpack[Watch],
) -> History:
    """Train in place; the model ends with the weights of its best epoch.

    Losses are means over terms [nat].

    Parameters
    ----------
    training, validation
        the second only decides when to stop.
    mirrors
        ids of each id's mirror images, (n_mirrors, vocab_size), for ``options.mirrored``.
    watch
        ``checkpoint`` and ``progress`` of :func:`hepmtp.training.loop.train`.

    Raises
    ------
    TrainingError
        if there is nothing to train on, the loss is not finite, a jet has probability 0, or the
        checkpoint belongs to another training.
    """
    options = options or NextTokenOptions()
    if not training.n_terms or not validation.n_terms:
        raise TrainingError(
            f"training needs jets: found {len(training.tokens)} training and "
            f"{len(validation.tokens)} validation jets"
        )
    for jets in (training, validation):
        _check_order(model, jets.tokens)
    task = _NextToken(model, training, validation, options, mirrors)
    return loop.train(task, options.in_runs(), **watch)


@dataclass(eq=False)
class _NextToken:
    """The task: minus the log-probability of each token and stop."""

    model: AutoregressiveModel
    training: Jets
    validation: Jets
    options: NextTokenOptions
    mirrors: Ints | None = None
    runs: list[Ints] = field(default_factory=list)
    drawn: TokenBatch = field(init=False)

    def draw(self, _: int, rng: np.random.Generator) -> int:
        """Runs of jets of neighbouring multiplicity, whose borders are others in each epoch."""
        tokens = self.training.tokens
        self.runs = neighbours(tokens.counts, self.options.neighbours, rng)
        self.drawn = mirrored(tokens, self.mirrors, rng) if self.options.mirrored else tokens
        return len(self.runs)

    def loss(self, events: Ints, _: np.random.Generator) -> tuple[Tensor, int]:
        """Over the jets of these runs, and how many terms so many jets have on average.

        Their own number would let jets of batches with few terms count for more, so that the model
        would stop too early.
        """
        jets = np.concatenate([self.runs[one] for one in events])
        loss, n = batch_loss(self.model, self.training._replace(tokens=self.drawn).select(jets))
        mean = self.training.n_terms / len(self.training.tokens)
        return loss, round(len(jets) * mean) if n else 0

    def validation_loss(self) -> float:
        """Per term."""
        return mean_loss(self.model, self.validation)

    def identity(self) -> Iterator[object]:
        """The jets and the shape of the model."""
        yield repr(self.model)
        yield self.options.neighbours
        if self.options.mirrored and self.mirrors is not None:
            yield self.mirrors
        for jets in (self.training, self.validation):
            yield from (jets.tokens.values, jets.tokens.offsets, jets.whole)


def neighbours(counts: Ints, size: int, rng: np.random.Generator) -> list[Ints]:
    """Indices of all jets, in runs of so many of neighbouring multiplicity, at random otherwise."""
    n = len(counts)
    order = rng.permutation(n)
    if size > 1:
        order = order[np.argsort(counts[order], kind="stable")]
    border = int(rng.integers(size)) if n > size else 0
    return [one for one in np.split(order, range(border, n, size)) if len(one)]


def mirrored(tokens: TokenBatch, mirrors: Ints | None, rng: np.random.Generator) -> TokenBatch:
    """Each jet in one of its mirror images, at random; `mirrors` is (n_mirrors, vocab_size).

    Examples
    --------
    >>> jets, mirrors = TokenBatch.from_counts([0, 1, 1], [2, 1]), np.array([[0, 1], [1, 0]])
    >>> [mirrored(jets, mirrors, np.random.default_rng(i)).values.tolist() for i in (0, 1)]
    [[1, 0, 0], [0, 1, 0]]
    """
    if mirrors is None or len(mirrors) == 1:
        return tokens
    which = rng.integers(len(mirrors), size=len(tokens))
    return TokenBatch(mirrors[which[tokens.owner], tokens.values], tokens.offsets)


def batch_loss(model: AutoregressiveModel, jets: Jets) -> tuple[Tensor, int]:
    """Minus the summed log-probability of all terms, and their number."""
    order, _ = sort_by_multiplicity(jets.tokens.counts)
    batch = jets.select(order)
    device = device_of(model)
    values, offsets = (
        torch.as_tensor(one, device=device) for one in (batch.tokens.values, batch.tokens.offsets)
    )
    rows = model.log_prob(values, offsets).sum(dim=1)
    stops = batch.tokens.offsets[1:] + np.arange(len(order))
    cut = torch.as_tensor(stops[~batch.whole], device=device)
    return -rows.sum() + rows[cut].sum(), batch.n_terms


def mean_loss(model: AutoregressiveModel, jets: Jets) -> float:
    """Minus the mean log-probability of a term [nat], without gradients."""
    total, terms = 0.0, 0
    with torch.no_grad():
        for some in batches(jets.tokens):
            loss, n = batch_loss(model, jets.select(some))
            total, terms = total + float(loss), terms + n
    return total / terms


def batches(tokens: TokenBatch, max_tokens: int = 8192) -> Iterator[Ints]:
    """Indices of jets of like multiplicity, empty jets first; all of them, each once."""
    if len(empty := np.flatnonzero(tokens.counts == 0)):
        yield empty
    yield from packs(tokens.counts, max_tokens)


def first_counts(model: AutoregressiveModel, jets: Jets) -> Floats:
    """Frequency of (last first digit or start, next one or stop), (n + 1, n + 1), rows sum to 1.

    Half a count is added to each (Krichevsky and Trofimov, IEEE Trans. Inf. Th. 27 (1981) 199).
    """
    n = model.n_first
    found = np.full((n + 1, n + 1), 0.5)
    tokens = jets.tokens
    digit = model.digits.numpy(force=True)[tokens.values, 0]
    last = np.concatenate([[n], digit[:-1]]) if len(digit) else digit
    some = tokens.counts > 0
    last[tokens.offsets[:-1][some]] = n
    np.add.at(found, (last, digit), 1)
    ends = np.full(len(tokens), n)
    ends[some] = digit[tokens.offsets[1:][some] - 1]
    found[:, n] += np.bincount(ends[jets.whole], minlength=n + 1)
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def _check_order(model: AutoregressiveModel, tokens: TokenBatch) -> None:
    """Refuse jets whose first digit rises, if the model gives these no probability."""
    if not model.options.ordered:
        return
    digit = model.digits.numpy(force=True)[tokens.values, 0]
    risen = np.flatnonzero((np.diff(digit) > 0) & (np.diff(tokens.owner) == 0))
    if len(risen):
        raise TrainingError(
            f"jet {tokens.owner[risen[0]]}: its first digit rises, but the model is ordered: sort "
            "the tokens, or choose the option ordered=False"
        )

"""What systematic variations do: tokens that move, yields and quantiles of a score that change.

The rule: each change has an error. Events with and without a variation are the same events, so that
their statistical errors cancel: they are drawn together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import awkward as ak
import numpy as np

from hepmtp.detectors import Detector
from hepmtp.errors import ScoreError
from hepmtp.events.ragged import Bools, Floats, Ints
from hepmtp.events.regions import Region
from hepmtp.events.variation import Direction, Variation
from hepmtp.tokenizers import Tokenizer

#: Quantiles of the score that are compared.
QUANTILES = (0.5, 0.9, 0.99)


class Estimate(NamedTuple):
    """A number and its statistical error."""

    value: float
    error: float


class Effect(NamedTuple):
    """What a variation does in a region."""

    category: str  #: such as ``jet_energy_scale_up``
    moved: Estimate | None  #: share of the tokens that move; None without a tokenizer
    sum_change: Estimate  #: relative change of the sum of weights
    quantile_changes: tuple[Estimate, ...]  #: of the score, in its own unit


def moved(
    tokenizer: Tokenizer, events: ak.Array, variation: Variation, direction: Direction = "up"
) -> Estimate:
    """Share of the tokens of these events that an object variation moves.

    Parameters
    ----------
    tokenizer
        fitted.
    events
        shape (n_events,), of one data set; all weigh the same.
    variation, direction
        a token moves if its id is not among those of the shifted event. A token that is lost with
        its particle counts. Features beside the ids do not.

    Returns
    -------
    The share and its error; tokens of one event move together, and the error knows it. NaN if there
    are no tokens.
    """
    return _share([_moved_and_all(tokenizer, events, variation.shifted(events, direction))])


def effects(
    detector: Detector,
    parts: Sequence[ak.Array],
    variations: Iterable[Variation],
    *,
    rng: np.random.Generator,
    region: Region | None = None,
    tokenizer: Tokenizer | None = None,
    quantiles: Sequence[float] = QUANTILES,
    samples: int = 200,
) -> list[Effect]:
    """What each of the variations does, in each of its directions.

    Parameters
    ----------
    detector
        fitted; give it events that trained nothing.
    parts
        events of one data set each, for a variation may act on some only. Weights count.
    rng
        for the bootstrap; the same state gives the same errors.
    region
        events of it are compared: a shift may bring them in or out. All events by default.
    tokenizer
        fitted; also give the share of moved tokens of the events of the region.
    quantiles, samples
        of the score; bootstrap samples (Poisson, each event with all its variations). The change of
        a quantile is the mean of those of the samples: that of the events themselves would jump
        where they happen to be far apart.

    Raises
    ------
    ScoreError
        if there is no event, or no positive sum of weights, with or without a variation.
    """
    inside = [_inside(part, region) for part in parts]
    nominal = [part[mask] for part, mask in zip(parts, inside, strict=True)]
    scores = [detector.score(part) for part in nominal]
    before = _Sample.of(scores, [_weight(part) for part in nominal], inside)
    n_events = sum(map(len, parts))
    drawn = rng.poisson(1.0, size=(samples, n_events)).astype(np.float64)
    first = before.summary(drawn, quantiles, "nominal")
    found = []
    for one in variations:
        for direction in one.directions:
            share = None
            if one.kind == "weight":
                weights = [_weight(part) * one.factors(part, direction) for part in nominal]
                after = _Sample.of(scores, weights, inside)
            else:
                shifted = [one.shifted(part, direction) for part in parts]
                masks = [_inside(part, region) for part in shifted]
                chosen = [part[mask] for part, mask in zip(shifted, masks, strict=True)]
                after = _Sample.of(
                    [detector.score(part) for part in chosen], list(map(_weight, chosen)), masks
                )
                if tokenizer is not None:
                    pairs = zip(parts, shifted, inside, strict=True)
                    share = _share(
                        [_moved_and_all(tokenizer, a[mask], b[mask]) for a, b, mask in pairs]
                    )
            second = after.summary(drawn, quantiles, one.category(direction))
            changes = np.column_stack([second[:, 0] / first[:, 0] - 1, (second - first)[:, 1:]])
            sums, *places = changes.T
            sum_change = Estimate(float(sums[0]), float(sums[1:].std()))
            of_quantiles = (Estimate(float(x[1:].mean()), float(x[1:].std())) for x in places)
            found.append(Effect(one.category(direction), share, sum_change, tuple(of_quantiles)))
    return found


def weighted_quantiles(ordered: Floats, weight: Floats, quantiles: Sequence[float]) -> Floats:
    """Scores below which these shares of the sum of weights lie.

    Each event has half of its weight on either side; between events it is interpolated, so that a
    small change of weights is a small change of the quantile.

    Parameters
    ----------
    ordered
        scores in rising order, shape (n_events,).
    weight
        of the same events, shape (n_events,), or of samples of them (n_samples, n_events). Where
        weights are negative, the running sum is held at its largest so far.

    Examples
    --------
    >>> scores, weight = np.array([1.0, 2.0, 4.0]), np.array([1.0, 1.0, 2.0])
    >>> weighted_quantiles(scores, weight, (0.125, 0.375, 0.5, 0.9)).round(3).tolist()
    [1.0, 2.0, 2.667, 4.0]
    """
    found = [
        _quantiles(ordered[row != 0], row[row != 0], np.asarray(quantiles))
        for row in np.atleast_2d(weight)
    ]
    return np.asarray(found).reshape(*weight.shape[:-1], len(quantiles))


def _quantiles(ordered: Floats, weight: Floats, quantiles: Floats) -> Floats:
    middle = np.maximum.accumulate(np.cumsum(weight) - weight / 2)
    return np.asarray(np.interp(quantiles * weight.sum(), middle, ordered))


class _Sample(NamedTuple):
    """Scores in rising order, weights, and the event of all parts that each is of."""

    score: Floats
    weight: Floats
    event: Ints

    @classmethod
    def of(cls, scores: list[Floats], weights: list[Floats], inside: list[Bools]) -> _Sample:
        score, weight = np.concatenate(scores), np.concatenate(weights)
        order = np.argsort(score, kind="stable")
        return cls(score[order], weight[order], np.flatnonzero(np.concatenate(inside))[order])

    def summary(self, drawn: Floats, quantiles: Sequence[float], what: str) -> Floats:
        """Sum of weights and quantiles, first as they are, then of each bootstrap sample."""
        weight = np.vstack([self.weight, self.weight * drawn[:, self.event]])
        sums = weight.sum(axis=1)
        if len(self.score) == 0 or (sums <= 0).any():
            raise ScoreError(
                f"{what}: the sum of weights of {len(self.score)} events, or of a bootstrap sample "
                "of them, is not positive: give more events, or a larger region"
            )
        return np.column_stack([sums, weighted_quantiles(self.score, weight, quantiles)])


def _inside(events: ak.Array, region: Region | None) -> Bools:
    return np.ones(len(events), dtype=bool) if region is None else region.select(events)


def _weight(events: ak.Array) -> Floats:
    return np.asarray(ak.to_numpy(events.weight), dtype=np.float64)


def _moved_and_all(tokenizer: Tokenizer, before: ak.Array, after: ak.Array) -> tuple[Ints, Ints]:
    """Number of tokens that are not among those of the shifted event, and of all, (n_events,)."""
    first, second = tokenizer.encode(before), tokenizer.encode(after)
    size = tokenizer.vocab_size
    (old, n_old), (new, n_new) = (
        np.unique(one.owner * size + one.values, return_counts=True) for one in (first, second)
    )
    both, at_old, at_new = np.intersect1d(old, new, assume_unique=True, return_indices=True)
    kept = np.bincount(
        both // size, np.minimum(n_old[at_old], n_new[at_new]), minlength=len(first)
    ).astype(np.int64)
    return first.counts - kept, first.counts


def _share(pairs: list[tuple[Ints, Ints]]) -> Estimate:
    """Share of all tokens that moved, with the error of a ratio of sums over events."""
    some, every = (np.concatenate(column) for column in zip(*pairs, strict=True))
    total = every.sum()
    if total == 0:
        return Estimate(float("nan"), float("nan"))
    share = some.sum() / total
    return Estimate(float(share), float(np.sqrt(((some - share * every) ** 2).sum()) / total))

"""Bins that tokenizers share: equal-population bins of a variable, equal-width bins of an angle, MET tokens behind particles.

The rule: outer bins are open and angles wrap around, so every value has a bin and nothing is clipped away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp.errors import TokenError, TrainingError
from hepmtp.events.tokens import TokenBatch


class Bins(NamedTuple):
    """Fitted bins: rising inner edges, shape (n_bins - 1,), and the median training value in each, shape (n_bins,)."""

    edges: NDArray[np.float64]
    centres: NDArray[np.float64]


def check_bins(name: str, bins: Any) -> int | tuple[float, ...]:
    """The bins as a number or a tuple of quantiles; raises TokenError for what is neither.

    MET and what ends in ``phi_bins`` may have 0 bins, which leaves it out; the latter are of equal width and so must be a number.
    """
    if isinstance(bins, int):
        least = 0 if name.startswith("met") or name.endswith("phi_bins") else 1
        if bins < least:
            raise TokenError(f"{name} must be {least} or more, found {bins}")
        return bins
    if name.endswith("phi_bins"):
        raise TokenError(f"{name} must be a number of bins, found {bins!r}")
    inner = tuple(float(quantile) for quantile in bins)
    if not all(low < high for low, high in pairwise((0.0, *inner, 1.0))):
        raise TokenError(
            f"{name} must be a number of bins or rising quantiles in (0, 1), found {bins!r}"
        )
    return inner


def n_bins(bins: int | Sequence[float]) -> int:
    """Number of bins that a number, or inner quantiles, stand for."""
    return bins if isinstance(bins, int) else len(bins) + 1


def fit_bins(name: str, values: NDArray[Any], bins: int | Sequence[float]) -> Bins:
    """Bins at quantiles of the values, shape (n,).

    Raises
    ------
    TrainingError
        if there are too few, or too many equal, values to fill the bins.
    """
    inner = (
        np.arange(1, bins) / max(bins, 1)
        if isinstance(bins, int)
        else np.asarray(bins, dtype=np.float64)
    )
    if len(values) <= len(inner):
        raise TrainingError(
            f"{len(values)} values of {name} cannot fill {len(inner) + 1} bins: give more events"
        )
    edges = np.quantile(values, inner)
    index = np.digitize(values, edges)
    if (np.bincount(index, minlength=len(inner) + 1) == 0).any():
        raise TrainingError(
            f"a bin of {name} is empty: too many equal values for {len(inner) + 1} bins"
        )
    return Bins(edges, np.array([np.median(values[index == i]) for i in range(len(inner) + 1)]))


def phi_bin(phi: NDArray[Any], n: int) -> NDArray[np.int64]:
    """Index of the bin of width 2 pi / n, counted from -pi.

    Examples
    --------
    >>> phi_bin(np.array([-3.0, 0.0, 3.0, np.pi, -np.pi]), 5).tolist()
    [0, 2, 4, 4, 4]
    """
    # phi rounded to just beyond +-pi wraps around; +pi itself belongs to the last bin
    index = np.ceil((phi + np.pi) * (n / (2 * np.pi))).astype(np.int64) - 1
    return np.asarray(index % n)


def phi_centre(index: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    """Centre of each of these bins of width 2 pi / n."""
    return np.asarray((index + 0.5) * (2 * np.pi / n) - np.pi)


def flat(events: ak.Array, name: str) -> NDArray[Any]:
    """One value per particle of all events, shape (n_particles,)."""
    return np.asarray(ak.to_numpy(ak.flatten(events.Particle[name])))


def behind_particles(
    ids: NDArray[np.int64], counts: NDArray[np.int64], extra: Sequence[NDArray[np.int64]]
) -> TokenBatch:
    """Tokens of each event: its particles' ids, then one of each `extra`, each shape (n_events,).

    Examples
    --------
    >>> tokens = behind_particles(np.array([1, 2, 3]), np.array([1, 0, 2]), [np.array([7, 8, 9])])
    >>> tokens.to_awkward().to_list()
    [[1, 7], [8], [2, 3, 9]]
    """
    places = np.repeat(np.cumsum(counts), len(extra))
    values = np.insert(ids, places, np.stack(extra, axis=1).ravel()) if extra else ids
    return TokenBatch.from_counts(values, counts + len(extra))


def one_each_event(tokens: TokenBatch, digit: NDArray[np.int64], name: str) -> NDArray[np.int64]:
    """The digit of the one token of each event that has it (is not -1), shape (n_events,); else raises TokenError."""
    is_it = digit >= 0
    if not np.array_equal(tokens.owner[is_it], np.arange(len(tokens))):
        raise TokenError(f"every event must hold exactly one {name} token to be decoded")
    return digit[is_it]


def met_ids(
    events: ak.Array, first: int, met: Bins | None, met_phi_bins: int
) -> list[NDArray[np.int64]]:
    """Ids of each event's MET, unless `met` is None, and METphi, unless it has 0 bins, from `first` on; shape (n_events,) each."""
    ids: list[NDArray[np.int64]] = []
    if met is not None:
        ids.append(first + np.digitize(ak.to_numpy(events.MET.pt), met.edges))
        first += len(met.centres)
    if met_phi_bins:
        ids.append(first + phi_bin(ak.to_numpy(events.MET.phi), met_phi_bins))
    return ids


def met_values(
    tokens: TokenBatch, digits: Mapping[str, NDArray[np.int64]], met: Bins | None, met_phi_bins: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """MET and METphi at the centres of their bins, shape (n_events,) each; 0 where there is no such token.

    Parameters
    ----------
    digits
        of each token, shape (n_tokens,), for the factors "MET" and "METphi" that there are.

    Raises
    ------
    TokenError
        if an event does not hold exactly one of each token that there is.
    """
    pt = phi = np.zeros(len(tokens))
    if met is not None:
        pt = met.centres[one_each_event(tokens, digits["MET"], "MET")]
    if met_phi_bins:
        phi = phi_centre(one_each_event(tokens, digits["METphi"], "METphi"), met_phi_bins)
    return pt, phi


def check_ids(tokens: TokenBatch, vocab_size: int) -> None:
    """Raise TokenError unless all ids lie in 0..vocab_size - 1."""
    if len(tokens.values) and not 0 <= tokens.values.min() <= tokens.values.max() < vocab_size:
        raise TokenError(
            f"ids must lie in 0..{vocab_size - 1}, found {tokens.values.min()}..{tokens.values.max()}"
        )


def digit_table(*blocks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Digits of ids of several kinds, each block (n_ids, n_digits), with -1 where an id has no such digit.

    Examples
    --------
    >>> digit_table(np.array([[0, 0], [0, 1]]), np.array([[0]])).tolist()
    [[0, 0, -1], [0, 1, -1], [-1, -1, 0]]
    """
    table = np.full(
        (sum(map(len, blocks)), sum(block.shape[1] for block in blocks)), -1, dtype=np.int64
    )
    row = column = 0
    for block in blocks:
        table[row : row + len(block), column : column + block.shape[1]] = block
        row, column = row + len(block), column + block.shape[1]
    return table

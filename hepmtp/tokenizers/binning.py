"""Bins that tokenizers share: of equal population for a variable, of equal width for an angle.

The rule: outer bins are open and angles wrap around, so that every value has a bin.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp.errors import OptionError, TrainingError
from hepmtp.events.ragged import Floats, Ints


class Bins(NamedTuple):
    """Fitted bins: rising inner edges, shape (n_bins - 1,), and the median training value in each.

    The medians are ``centres``, shape (n_bins,).
    """

    edges: Floats
    centres: Floats


def check_bins(name: str, bins: Any) -> int | tuple[float, ...]:
    """The bins as a number or a tuple of quantiles; raises OptionError for what is neither.

    MET and what ends in ``phi_bins`` may have 0 bins, which leaves it out. The latter are of equal
    width, so they must be a number.
    """
    if isinstance(bins, int):
        least = 0 if name.startswith("met") or name.endswith("phi_bins") else 1
        if bins < least:
            raise OptionError(f"{name} must be {least} or more, found {bins}")
        return bins
    if name.endswith("phi_bins"):
        raise OptionError(f"{name} must be a number of bins, found {bins!r}")
    inner = tuple(float(quantile) for quantile in bins)
    if not all(low < high for low, high in pairwise((0.0, *inner, 1.0))):
        raise OptionError(
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
    what = "events" if name == "MET" else "particles"
    few = (
        f"{len(values)} {what} are too few for {len(inner) + 1} bins of {name}: give more events, "
        "or fewer bins"
    )
    if len(values) <= len(inner):
        raise TrainingError(few)
    edges = np.quantile(values, inner)
    index = np.digitize(values, edges)
    if (np.bincount(index, minlength=len(inner) + 1) == 0).any():
        different = len(np.unique(values)) > 0.9 * len(values)
        if different and len(np.unique(edges)) == len(edges):
            raise TrainingError(few)
        raise TrainingError(
            f"a bin of {name} is empty: too many equal values for {len(inner) + 1} bins"
        )
    return Bins(edges, np.array([np.median(values[index == i]) for i in range(len(inner) + 1)]))


def phi_bin(phi: NDArray[Any], n: int) -> Ints:
    """Index of the bin of width 2 pi / n, counted from -pi.

    Examples
    --------
    >>> phi_bin(np.array([-3.0, 0.0, 3.0, np.pi, -np.pi]), 5).tolist()
    [0, 2, 4, 4, 4]
    """
    # phi rounded to just beyond +-pi wraps around; +pi itself belongs to the last bin
    index = np.ceil((phi + np.pi) * (n / (2 * np.pi))).astype(np.int64) - 1
    return np.asarray(index % n)


def phi_centre(index: Ints, n: int) -> Floats:
    """Centre of each of these bins of width 2 pi / n."""
    return np.asarray((index + 0.5) * (2 * np.pi / n) - np.pi)


def bin_labels(edges: Floats) -> list[str]:
    """Text of each bin between these inner edges, shape (n_bins - 1,); the outer bins are open.

    All with as many decimals as tell the edges apart and give each two digits.

    Examples
    --------
    >>> bin_labels(np.array([24.6, 40.2, 1234.0]))
    ['< 25', '25-40', '40-1234', '> 1234']
    >>> bin_labels(np.array([0.2151, 0.2153]))
    ['< 0.2151', '0.2151-0.2153', '> 0.2153']
    """
    if not len(edges):
        return ["all"]
    smallest = float(np.min(np.abs(edges)[edges != 0], initial=np.inf))
    least = 1 - int(np.floor(np.log10(smallest))) if smallest < 10 else 0
    for decimals in range(least, 17):
        texts = [f"{edge:.{decimals}f}" for edge in edges]
        if len(set(texts)) == len(texts):
            break
    inner = (f"{low}-{high}" for low, high in pairwise(texts))
    return [f"< {texts[0]}", *inner, f"> {texts[-1]}"]


def angle_labels(n: int) -> list[str]:
    """Text of each of n bins of an angle, in units of pi.

    Examples
    --------
    >>> angle_labels(4)
    ['-1 to -0.5 pi', '-0.5 to 0 pi', '0 to 0.5 pi', '0.5 to 1 pi']
    """
    edges = [f"{edge:.2g}" for edge in -1 + 2 * np.arange(n + 1) / max(n, 1)]
    return [f"{low} to {high} pi" for low, high in pairwise(edges)]


def flat(events: ak.Array, name: str) -> NDArray[Any]:
    """One value per particle of all events, shape (n_particles,)."""
    return np.asarray(ak.to_numpy(ak.flatten(events.Particle[name])))

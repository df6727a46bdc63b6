"""Histograms of scores: book, fill, add up, order. The only place that fills.

The rule: one histogram per detector with the axes (dataset, region, variation, score) and weighted
storage. Categories grow by themselves, so an unknown one shows up. What is asked without a
variation is "nominal". Events outside the score axis stay in its flow bins, which yields include.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import hist
import numpy as np
from hist.axis import Regular, StrCategory
from numpy.typing import ArrayLike, NDArray

from hepmtp.errors import OptionError, RegionError, ScoreError
from hepmtp.events.ragged import Floats
from hepmtp.events.variables import Variable

#: Weighted (dataset, region, variation, score) histogram of one detector.
Histogram = hist.Hist[hist.storage.Weight]
#: Axes of names; a histogram of before variations were kept lacks the last one.
CATEGORIES = ("dataset", "region", "variation")
#: The variation that is none.
NOMINAL = "nominal"
#: Data sets to add up; None stands for all.
Names = str | Iterable[str] | None


class Yield(NamedTuple):
    """A sum of weights and its statistical error, sqrt(sum w^2)."""

    value: float
    error: float


def book(axis: Regular, *, name: str = "") -> Histogram:
    """An empty histogram (dataset, region, variation, score) for one detector.

    Parameters
    ----------
    axis
        the detector's `axis`; it must be named "score".
    name
        the detector's name.

    Examples
    --------
    >>> h = book(Regular(20, 0, 20, name="score", label="particles"), name="multiplicity")
    >>> fill(h, dataset="ttbarZ", region="SR", score=[7.0, 25.0], weight=0.5)
    >>> yields(h, "ttbarZ", "SR").value
    1.0
    """
    if axis.name != "score":
        raise ScoreError(
            f"the axis of detector {name!r} is named {axis.name!r}; it must be named 'score'"
        )
    categories = (StrCategory([], growth=True, name=n, label=n) for n in CATEGORIES)
    return hist.Hist(*categories, axis, storage=hist.storage.Weight(), name=name)


def axis_of(variable: Variable) -> Regular:
    """Axis that a variable is filled on."""
    return Regular(variable.bins, variable.low, variable.high, name="score", label=variable.label)


def axis_with(
    axis: Regular, *, bins: int | None = None, range: tuple[float, float] | None = None
) -> Regular:
    """The same score axis with other bins or another range.

    An axis of whole numbers (steps of 1, edges between them) has no other number of bins.

    Examples
    --------
    >>> axis_with(Regular(200, 0, 20, name="score"), bins=50, range=(0, 40)).edges[[1, -1]].tolist()
    [0.8, 40.0]
    """
    start, stop = (float(axis.edges[0]), float(axis.edges[-1]))
    counts = start % 1 == 0.5 and (stop - start) == axis.size
    if bins is None and range is None:
        return axis
    if bins is not None and bins < 2:
        raise OptionError(f"{bins} bins of a score say nothing: give at least 2")
    if range is not None:
        start, stop = range
        if not (np.isfinite([start, stop]).all() and start < stop):
            raise OptionError(f"the range of a score is {start:g} to {stop:g}: expected low < high")
        if counts:
            start, stop = np.floor(start) - 0.5, np.ceil(stop) + 0.5
    n = round(stop - start) if counts else (bins or axis.size)
    return Regular(n, start, stop, name=axis.name, label=axis.label)


def scale(h: Histogram, dataset: str, factor: float) -> None:
    """Multiply the weights of one data set; changed in place."""
    row = h.axes["dataset"].index(dataset)
    view = h.view(flow=True)
    view["value"][row] *= factor
    view["variance"][row] *= factor**2


def fill(
    h: Histogram,
    *,
    dataset: str,
    region: str,
    score: ArrayLike,
    weight: ArrayLike | float,
    variation: str = NOMINAL,
) -> None:
    """Add events of one data set in one region.

    Parameters
    ----------
    h
        what `book` gave; changed in place.
    score, weight
        shape (n_events,); one weight for all is fine. No events still book the names.
    variation
        "nominal", or the name of a variation with _up or _down.

    Raises
    ------
    ScoreError
        for a score or weight that is not finite, naming detector and data set. Nothing is filled.
    """
    fill_all(h, dataset=dataset, region=region, score=score, weights={variation: weight})


def fill_all(
    h: Histogram,
    *,
    dataset: str,
    region: str,
    score: ArrayLike,
    weights: Mapping[str, ArrayLike | float],
) -> None:
    """`fill` for several variations of the weight at once: variation -> weight of each event.

    The bins are looked up once, so that a variation of the weight costs little.
    """
    values = np.atleast_1d(np.asarray(score, dtype=np.float64))
    found = {name: np.asarray(one, dtype=np.float64) for name, one in weights.items()}
    for what, array in (("score", values), *(("weight", one) for one in found.values())):
        bad = int(np.sum(~np.isfinite(array)))
        if bad:
            raise ScoreError(
                f"detector {h.name!r}, dataset {dataset!r}, region {region!r}: "
                f"{bad} of {array.size} {what}s are not finite; mend the detector or the reader"
            )
    names = list(found)
    booked: dict[str, Any] = {"dataset": dataset, "region": region, "variation": names}
    h.fill(**booked, score=np.zeros(len(names)), weight=np.zeros(len(names)))
    axis = h.axes["score"]
    bins, size = np.asarray(axis.index(values)) + 1, len(axis) + 2
    places = [h.axes[key].index(one) for key, one in (("dataset", dataset), ("region", region))]
    view = h.view(flow=True)
    for name, weight in found.items():
        row = view[places[0], places[1], h.axes["variation"].index(name)]
        full = np.broadcast_to(weight, values.shape)
        row["value"] += np.bincount(bins, weights=full, minlength=size)
        row["variance"] += np.bincount(bins, weights=full**2, minlength=size)


def categories(h: Histogram, axis: str) -> list[str]:
    """Names on an axis of names, sorted."""
    return sorted(h.axes[axis])


def variations_of(h: Histogram) -> list[str]:
    """Names of the variations of a histogram, without _up and _down, sorted.

    Examples
    --------
    >>> h = book(Regular(2, 0, 2, name="score"))
    >>> fill(h, dataset="ttbarZ", region="SR", score=1, weight=1, variation="b_step_up")
    >>> variations_of(h)
    ['b_step']
    """
    names = h.axes["variation"] if "variation" in h.axes.name else ()
    return sorted({one.rpartition("_")[0] for one in names if one != NOMINAL})


def dataset_names(h: Histogram, datasets: Names) -> list[str]:
    """The names of these data sets as a list."""
    if datasets is None:
        return categories(h, "dataset")
    return [datasets] if isinstance(datasets, str) else list(datasets)


def spectrum(h: Histogram, datasets: Names, region: str, variation: str = NOMINAL) -> Histogram:
    """The score histogram of one region, summed over data sets; one axis, flow bins kept.

    Raises
    ------
    RegionError
        if the histogram has no such region, data set or variation, with the names that it has.
    """
    h, names = with_variations(h), dataset_names(h, datasets)
    known_variation = [variation] if names else []
    for axis, wanted in (("region", [region]), ("dataset", names), ("variation", known_variation)):
        unknown = sorted(set(wanted) - set(h.axes[axis]))
        if unknown:
            known = ", ".join(categories(h, axis)) or "none"
            raise RegionError(
                f"histogram {h.name!r} has no {axis} {', '.join(unknown)}; it has {known}"
            )
    rows = h.axes["dataset"].index(names)
    out = hist.Hist(h.axes["score"], storage=hist.storage.Weight(), name=h.name)
    if names:
        place = h.axes["region"].index(region), h.axes["variation"].index(variation)
        for part in ("value", "variance"):
            columns = h.view(flow=True)[part][:, place[0], place[1]]
            out.view(flow=True)[part] = columns[np.asarray(rows, dtype=np.int64)].sum(axis=0)
    return out


def nominal(h: Histogram) -> Histogram:
    """The same histogram without its variations."""
    h = with_variations(h)
    names = [list(h.axes["dataset"]), list(h.axes["region"]), [NOMINAL]]
    if NOMINAL not in h.axes["variation"]:  # nothing was filled
        return assemble(book(h.axes["score"], name=str(h.name)), [[], [], []], None)
    place = h.axes["variation"].index(NOMINAL)
    return assemble(h, names, np.asarray(h.view(flow=True))[:, :, [place]])


def with_variations(h: Histogram) -> Histogram:
    """A histogram that has no axis of variations as one that has: all of it is nominal."""
    if "variation" in h.axes.name:
        return h
    names = [list(h.axes["dataset"]), list(h.axes["region"]), [NOMINAL]]
    like = book(h.axes["score"], name=str(h.name))
    return assemble(like, names, np.asarray(h.view(flow=True))[:, :, None])


def folded(spectrum: Histogram) -> tuple[Floats, Floats]:
    """Contents and variances of a spectrum with its flow bins in the outer ones, (n_bins,) each."""
    parts = []
    for part in ("value", "variance"):
        under, *inner, over = spectrum.view(flow=True)[part]
        inner[0] += under
        inner[-1] += over
        parts.append(np.array(inner))
    return parts[0], parts[1]


def yields(h: Histogram, datasets: Names, region: str) -> Yield:
    """Expected events of these data sets in a region, flow bins included."""
    bins = spectrum(h, datasets, region).view(flow=True)
    return Yield(float(bins["value"].sum()), float(np.sqrt(bins["variance"].sum())))


def canonical(h: Histogram) -> Histogram:
    """The same histogram with data sets, regions and variations in alphabetical order.

    Executors return any order. Of two of them, counts are equal and sums are to float tolerance.
    """
    h = with_variations(h)
    names = [categories(h, axis) for axis in CATEGORIES]
    order = [
        np.asarray(h.axes[axis].index(one), dtype=np.int64)
        for axis, one in zip(CATEGORIES, names, strict=True)
    ]
    return assemble(h, names, np.asarray(h.view(flow=True))[np.ix_(*order)])


def rebin(h: Histogram, n: int) -> Histogram:
    """The same histogram with `n` score bins joined to one; `n` must divide their number."""
    bins = len(h.axes["score"])
    if n < 1 or bins % n:
        raise OptionError(f"{bins} score bins cannot be joined by {n}: take a divisor of {bins}")
    sliced: Any = h  # boost-histogram's types know no slicing by axis name
    joined: Histogram = sliced[{"score": hist.rebin(n)}]
    return joined


def assemble(
    like: Histogram, names: Sequence[Sequence[str]], view: NDArray[Any] | None
) -> Histogram:
    """A histogram like this one with these names on its axes and this content, flow included."""
    axes = (
        StrCategory(list(one), growth=True, name=axis, label=axis)
        for axis, one in zip(CATEGORIES, names, strict=True)
    )
    out = hist.Hist(*axes, like.axes["score"], storage=hist.storage.Weight(), name=like.name)
    if view is not None:
        out.view(flow=True)[...] = view
    return out

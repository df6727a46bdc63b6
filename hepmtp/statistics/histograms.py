"""Histograms of scores: book, fill, add up, order, save and load. The only place that fills.

The rule: one histogram per detector with the axes (dataset, region, score) and weighted storage.
Data sets and regions grow by themselves, so an unknown one shows up. Events outside the
score axis stay in its flow bins, which yields include.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import hist
import numpy as np
import uproot
from hist.axis import Regular, StrCategory
from numpy.typing import ArrayLike, NDArray
from uhi.io.json import default, object_hook

from hepmtp.errors import OptionError, RegionError, ScoreError, StorageError
from hepmtp.events.ragged import Floats
from hepmtp.storage import new_file

#: Weighted (dataset, region, score) histogram of one detector.
Histogram = hist.Hist[hist.storage.Weight]
#: Data sets to add up; None stands for all.
Names = str | Iterable[str] | None

#: Key and version of the json files that `save` writes.
FORMAT = "hepmtp_histograms"
VERSION = 1


class Yield(NamedTuple):
    """A sum of weights and its statistical error, sqrt(sum w^2)."""

    value: float
    error: float


def book(axis: Regular, *, name: str = "") -> Histogram:
    """An empty histogram (dataset, region, score) for one detector.

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
    categories = (StrCategory([], growth=True, name=n, label=n) for n in ("dataset", "region"))
    return hist.Hist(*categories, axis, storage=hist.storage.Weight(), name=name)


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
    h: Histogram, *, dataset: str, region: str, score: ArrayLike, weight: ArrayLike | float
) -> None:
    """Add events of one data set in one region.

    Parameters
    ----------
    h
        what `book` gave; changed in place.
    score, weight
        shape (n_events,); one weight for all is fine. No events still book the data set and region.

    Raises
    ------
    ScoreError
        for a score or weight that is not finite, naming detector and data set. Nothing is filled.
    """
    columns = {
        "score": np.asarray(score, dtype=np.float64),
        "weight": np.asarray(weight, dtype=np.float64),
    }
    for what, values in columns.items():
        bad = int(np.sum(~np.isfinite(values)))
        if bad:
            raise ScoreError(
                f"detector {h.name!r}, dataset {dataset!r}, region {region!r}: "
                f"{bad} of {values.size} {what}s are not finite; mend the detector or the reader"
            )
    if columns["score"].size == 0:  # a zero is a fill that books the names and changes nothing
        columns = {"score": np.zeros(1), "weight": np.zeros(1)}
    h.fill(dataset=dataset, region=region, score=columns["score"], weight=columns["weight"])


def categories(h: Histogram, axis: str) -> list[str]:
    """Names on the "dataset" or "region" axis, sorted."""
    return sorted(h.axes[axis])


def dataset_names(h: Histogram, datasets: Names) -> list[str]:
    """The names of these data sets as a list."""
    if datasets is None:
        return categories(h, "dataset")
    return [datasets] if isinstance(datasets, str) else list(datasets)


def spectrum(h: Histogram, datasets: Names, region: str) -> Histogram:
    """The score histogram of one region, summed over data sets; one axis, flow bins kept.

    Raises
    ------
    RegionError
        if the histogram has no such region or data set, with the names that it has.
    """
    names = dataset_names(h, datasets)
    for axis, wanted in (("region", [region]), ("dataset", names)):
        unknown = sorted(set(wanted) - set(h.axes[axis]))
        if unknown:
            known = ", ".join(categories(h, axis)) or "none"
            raise RegionError(
                f"histogram {h.name!r} has no {axis} {', '.join(unknown)}; it has {known}"
            )
    rows = h.axes["dataset"].index(names)
    out = hist.Hist(h.axes["score"], storage=hist.storage.Weight(), name=h.name)
    for part in ("value", "variance"):
        columns = h.view(flow=True)[part][:, h.axes["region"].index(region)]
        out.view(flow=True)[part] = columns[np.asarray(rows, dtype=np.int64)].sum(axis=0)
    return out


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
    """The same histogram with data sets and regions in alphabetical order.

    Executors return any order. Of two of them, counts are equal and sums are to float tolerance.
    """
    axes = ("dataset", "region")
    names = [categories(h, axis) for axis in axes]
    order = [
        np.asarray(h.axes[axis].index(one), dtype=np.int64)
        for axis, one in zip(axes, names, strict=True)
    ]
    return _assemble(h, names, np.asarray(h.view(flow=True))[np.ix_(*order)])


def rebin(h: Histogram, n: int) -> Histogram:
    """The same histogram with `n` score bins joined to one; `n` must divide their number."""
    bins = len(h.axes["score"])
    if n < 1 or bins % n:
        raise OptionError(f"{bins} score bins cannot be joined by {n}: take a divisor of {bins}")
    sliced: Any = h  # boost-histogram's types know no slicing by axis name
    joined: Histogram = sliced[{"score": hist.rebin(n)}]
    return joined


def save(path: str | Path, histograms: Mapping[str, Histogram]) -> Path:
    """Write histograms, one per detector, in canonical order.

    ``.json`` is uhi's own json, exact and complete. ``.root``, for who reads ROOT, holds one TH1D
    per (detector, region, dataset) at ``detector/region/dataset``, with squared weights.

    Raises
    ------
    OptionError
        for any other file name: a pickle runs whatever code is in it.
    """
    path = Path(path)
    ordered = {name: canonical(histograms[name]) for name in sorted(histograms)}
    with new_file(path) as temporary:
        if _kind(path) == ".json":
            temporary.write_text(
                json.dumps({FORMAT: VERSION, "histograms": ordered}, default=default) + "\n"
            )
        else:
            _write_root(temporary, ordered)
    return path


def load(path: str | Path) -> dict[str, Histogram]:
    """What `save` wrote: detector name -> histogram.

    A damaged or foreign file raises StorageError.
    """
    path = Path(path)
    if _kind(path) == ".root":
        return _read_root(path)
    try:
        content = json.loads(path.read_text(), object_hook=object_hook)
    except (OSError, ValueError) as error:
        raise StorageError(
            f"{path} cannot be read as histograms ({error}); run again to write it"
        ) from None
    if not isinstance(content, dict) or content.get(FORMAT) != VERSION:
        raise StorageError(
            f"{path} is not a file of histograms of this version; "
            f"expected {FORMAT}: {VERSION}; run again"
        )
    return {name: hist.Hist(one) for name, one in content["histograms"].items()}


def _kind(path: Path) -> str:
    if path.suffix not in {".json", ".root"}:
        raise OptionError(
            f"{path}: histograms are kept as .json (exact) or .root, "
            f"not as {path.suffix or 'no suffix'!r}"
        )
    return path.suffix


def _assemble(like: Histogram, names: Sequence[Sequence[str]], view: NDArray[Any]) -> Histogram:
    """A histogram like this one with these data sets, regions and content, flow included."""
    datasets, regions = (
        StrCategory(list(one), growth=True, name=like.axes[i].name, label=like.axes[i].label)
        for i, one in enumerate(names)
    )
    out = hist.Hist(
        datasets, regions, like.axes["score"], storage=hist.storage.Weight(), name=like.name
    )
    out.view(flow=True)[...] = view
    return out


def _write_root(path: Path, histograms: Mapping[str, Histogram]) -> None:
    # uproot chooses the format by content, not by the temporary name
    with uproot.recreate(path) as file:
        for name, h in histograms.items():
            for region in h.axes["region"]:
                for dataset in h.axes["dataset"]:
                    if "/" in name + region + dataset:
                        raise OptionError(
                            f"{name}, {region}, {dataset}: a name with '/' cannot be kept in ROOT; "
                            "use .json"
                        )
                    file[f"{name}/{region}/{dataset}"] = spectrum(h, dataset, region)


def _read_root(path: Path) -> dict[str, Histogram]:
    found: dict[str, Histogram] = {}
    slices: dict[str, dict[tuple[str, str], Any]] = {}
    try:
        with uproot.open(path) as file:
            for key in file.keys(cycle=False, filter_classname="TH1D"):
                name, region, dataset = key.split("/")
                slices.setdefault(name, {})[dataset, region] = file[key].to_hist()
    except (OSError, ValueError, uproot.KeyInFileError) as error:
        raise StorageError(
            f"{path} cannot be read as histograms ({error}); run again to write it"
        ) from None
    for name, parts in slices.items():
        names = [sorted({pair[i] for pair in parts}) for i in (0, 1)]
        axis = next(iter(parts.values())).axes[0]
        score = Regular(len(axis), axis.edges[0], axis.edges[-1], name="score", label=axis.label)
        content = np.stack(
            [
                [parts[dataset, region].view(flow=True) for region in names[1]]
                for dataset in names[0]
            ]
        )
        found[name] = _assemble(book(score, name=name), names, content)
    return found

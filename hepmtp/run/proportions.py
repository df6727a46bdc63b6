"""First events of data sets in the proportions that the whole data sets have.

The rule: weights become those of one luminosity, where cross-sections are known, and of each data
set's first events they sum to what the whole of it sums to.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import awkward as ak
import numpy as np

from hepmtp.datasets.files import files_of, num_events, read
from hepmtp.datasets.manifest import Dataset
from hepmtp.errors import EventError
from hepmtp.events.ragged import Floats
from hepmtp.events.record import concatenate
from hepmtp.statistics.accounting import Accounting
from hepmtp.statistics.normalisation import normalisation, tally

#: In a sample of first events, unless one of each file is more.
MOST_EVENTS = 150_000


class FirstEvents(NamedTuple):
    """The first events of some data sets, one data set after the other."""

    events: ak.Array  #: shape (n_events,)
    weights: dict[str, Floats]  #: data set -> the weights of its events


def fair_stop(
    datasets: Sequence[Dataset], *, each: int | None = None, most: int, skip_bad: bool = False
) -> int:
    """How many first events of each file are at most `most` in all.

    No file gives more of them, so that what a small file lacks is shared by the large ones; the
    order of files has no effect. Files are counted only if there may be too many events.

    Parameters
    ----------
    each
        at most so many of a file; None for no such limit.
    skip_bad
        a file that cannot be read has no events.
    """
    limit = most if each is None else min(each, most)
    n_files = sum(len(files_of(one, digests=False, missing_ok=skip_bad)) for one in datasets)
    if n_files * limit <= most:
        return limit
    return _level([n for one in datasets for n in num_events(one, skip_bad=skip_bad)], limit, most)


def _level(counts: Sequence[int], limit: int, most: int) -> int:
    """The largest number up to `limit` with ``sum(min(n, level) for n in counts) <= most``, or 1.

    Examples
    --------
    >>> _level([10, 100, 90], 80, 100), _level([10, 20, 20], 80, 100), _level([5] * 9, 80, 4)
    (45, 80, 1)
    """
    left = most
    for place, n in enumerate(sorted(min(n, limit) for n in counts)):
        share = left // (len(counts) - place)
        if n > share:
            return max(1, share)
        left -= n
    return limit


def first_events(datasets: Iterable[Dataset], *, stop: int, skip_bad: bool = False) -> FirstEvents:
    """The first `stop` events of each file.

    With `skip_bad` a data set of which no file can be read is left out; the reader has said so.
    """
    found = {}
    for one in datasets:
        try:
            found[one.name] = read([one], stop=stop, skip_bad=skip_bad)
        except EventError:
            if not skip_bad:
                raise
    weights = {
        name: np.array(ak.to_numpy(one.weight), dtype=np.float64) for name, one in found.items()
    }
    return FirstEvents(concatenate(found.values()), weights)


def in_proportion(
    first: FirstEvents, datasets: Iterable[Dataset], accounting: Accounting
) -> ak.Array:
    """The first events of the data sets with their weights in proportion.

    Parameters
    ----------
    first
        of `first_events`.
    accounting
        of a run over the whole data sets, which says what their weights sum to. One that is not in
        it, or has no weights, counts with those of its first events.
    """
    known = {one.name: one for one in datasets}
    scaled = []
    for name, weight in first.weights.items():
        found = tally(known[name].known, weight, events=len(weight))
        here, account, ratio = found["weight"], accounting.get(name), 1.0
        if account is not None and account.weight_read is not None and here > 0:
            # 12 digits: the order in which an executor adds chunks up has no effect
            ratio = float(f"{account.weight_read / here:.12g}")
            found["weight"] = here * ratio
        factor = normalisation(found).factor * ratio
        scaled.append(weight * factor)
    return ak.with_field(first.events, np.concatenate(scaled), "weight")

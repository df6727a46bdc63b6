"""First events of data sets in the proportions that the whole data sets have.

The rule: weights become those of one luminosity, where cross-sections are known, and of each data
set's first events they sum to what the whole of it sums to.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import awkward as ak
import numpy as np

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import Dataset
from hepmtp.errors import EventError
from hepmtp.events.ragged import Floats
from hepmtp.events.record import concatenate
from hepmtp.statistics.accounting import Accounting
from hepmtp.statistics.normalisation import normalisation, tally


class FirstEvents(NamedTuple):
    """The first events of some data sets, one data set after the other."""

    events: ak.Array  #: shape (n_events,)
    weights: dict[str, Floats]  #: data set -> the weights of its events


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

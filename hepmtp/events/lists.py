"""Arrays with a list of numbers per event, as flat numpy arrays.

The rule: the values are those of the array itself, and copied only where a type allows missing
ones.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp.events.ragged import Ints


class Lists(NamedTuple):
    """A list per event: how many values each has, and all values in a row."""

    counts: Ints  # (n_events,)
    values: NDArray[Any]  # (n_values,)


def lists_of(array: ak.Array) -> Lists | None:
    """The values of an array of numbers, or of lists of them; None if it is neither.

    Examples
    --------
    >>> lists_of(ak.Array([[1, 2], [], [3]])).counts.tolist()
    [2, 0, 1]
    >>> lists_of(ak.Array([[1, None], []])) is None
    True
    """
    return _flat(array) or _flat(_present(array))


def _flat(array: ak.Array) -> Lists | None:
    """The values of an array of numbers, or of lists of them, where they lie; else None."""
    layout = array.layout
    if isinstance(layout, ak.contents.NumpyArray) and layout.data.ndim == 1:
        return Lists(np.ones(len(layout), dtype=np.int64), layout.data)
    if not isinstance(layout, ak.contents.ListOffsetArray):
        return None
    numbers, offsets = layout.content, layout.offsets.data.astype(np.int64, copy=False)
    if not isinstance(numbers, ak.contents.NumpyArray) or numbers.data.ndim > 1:
        return None
    return Lists(np.diff(offsets), numbers.data[offsets[0] : offsets[-1]])


def _present(array: ak.Array) -> ak.Array:
    """The same values of a type that allows no missing ones, if none is missing."""
    for axis in range(array.ndim):
        if not ak.any(ak.is_none(array, axis=axis), axis=None):
            array = ak.to_packed(ak.drop_none(array, axis=axis))
    return array

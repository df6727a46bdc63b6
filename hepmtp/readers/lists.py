"""Branches with a list of numbers per event, as flat numpy arrays.

The rule: the values are taken from the buffers of the array, and copied only where a type allows
missing ones.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp.events.ragged import Ints


class Lists(NamedTuple):
    """A branch with a list per event: how many values each has, and all values in a row."""

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
    """The values of an array of numbers, or of lists of them, from its buffers; else None."""
    form, length, buffers = ak.to_buffers(array)
    numbers = form if array.ndim == 1 else getattr(form, "content", None)
    if not isinstance(numbers, ak.forms.NumpyForm) or array.ndim > 2:
        return None
    if array.ndim == 1:
        return Lists(np.ones(length, dtype=np.int64), np.asarray(buffers["node0-data"])[:length])
    if not isinstance(form, ak.forms.ListOffsetForm):
        return None
    offsets = np.asarray(buffers["node0-offsets"], dtype=np.int64)[: length + 1]
    values = np.asarray(buffers["node1-data"])[offsets[0] : offsets[-1]]
    return Lists(np.diff(offsets), values)


def _present(array: ak.Array) -> ak.Array:
    """The same values of a type that allows no missing ones, if none is missing."""
    for axis in range(array.ndim):
        if not ak.any(ak.is_none(array, axis=axis), axis=None):
            array = ak.to_packed(ak.drop_none(array, axis=axis))
    return array

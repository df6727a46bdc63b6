"""Digests of events in files: one number an event, by which a reader sees that a bit has changed.

The rule: the digest of an event depends on every bit of its columns and on their order. It is no
proof against whoever means to change a file: for that there is the sha256 of a manifest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp.errors import ReadError
from hepmtp.events.ragged import Ints

#: Column of the digests, int64.
DIGEST = "digest"
_ODD = 0x9E3779B97F4A7C15  # the golden ratio, as in splitmix64
_MIX = np.uint64(0xBF58476D1CE4E5B9)


def digests(columns: Mapping[str, ak.Array], names: Sequence[str]) -> Ints:
    """The digest of each event, shape (n_events,), of the columns of these names.

    A column has a number an event, or a list of numbers; of them, so many as the others have.

    Examples
    --------
    >>> columns = {"weight": ak.Array([1.0, 2.0]), "pt": ak.Array([[5.0], []])}
    >>> one, other = digests(columns, ["weight", "pt"])
    >>> digests({**columns, "pt": ak.Array([[-5.0], []])}, ["weight", "pt"])[1] == other
    np.True_
    """
    total = np.zeros(len(columns[names[0]]), dtype=np.uint64)
    place: NDArray[np.uint64] | None = None  # of each value in its event, odd
    for i, name in enumerate(names):
        key = np.uint64(_ODD * (2 * i + 1) % 2**64)
        if columns[name].ndim == 1:
            total += _mixed(_bits(columns[name]) * key)
            continue
        counts = ak.to_numpy(ak.num(columns[name])).astype(np.int64)
        total += _mixed(counts.astype(np.uint64) * key)
        if place is None or len(place) != counts.sum():
            starts = np.cumsum(counts) - counts
            place = (2 * (np.arange(counts.sum()) - np.repeat(starts, counts)) + 1).astype(
                np.uint64
            )
        mixed = _mixed(_bits(ak.flatten(columns[name])) * (place * key))
        some = counts > 0
        if some.any():
            total[some] += np.add.reduceat(mixed, (np.cumsum(counts) - counts)[some])
    return total.view(np.int64)


def check_digests(
    path: str, first_entry: int, columns: Mapping[str, ak.Array], names: Sequence[str]
) -> None:
    """Raise ReadError for the first event whose `DIGEST` among the columns is not its own."""
    found = ak.to_numpy(columns[DIGEST]).astype(np.int64)
    wrong = np.flatnonzero(found != digests(columns, names))
    if len(wrong):
        raise ReadError(
            f"{path} entry {first_entry + int(wrong[0])}: a bit has changed since it was written "
            f"({len(wrong)} of {len(found)} events do not have their digest); copy or convert it "
            "again"
        )


def digest_of(numbers: Iterable[float]) -> int:
    """The digest of a few numbers that stand beside the events."""
    values = np.asarray(list(numbers), dtype=np.float64).view(np.uint64)
    places = np.arange(1, 2 * len(values), 2, dtype=np.uint64)
    return int(_mixed(values * (places * np.uint64(_ODD))).sum(dtype=np.uint64).view(np.int64))


def _bits(column: Any) -> NDArray[np.uint64]:
    """The bits of numbers; of whole ones as int64."""
    values = np.ascontiguousarray(ak.to_numpy(column))
    wide = values.astype(np.float64 if values.dtype.kind == "f" else np.int64, copy=False)
    return wide.view(np.uint64)


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Each bit of the values in many others (as splitmix64), in place."""
    values ^= values >> np.uint64(30)
    values *= _MIX
    values ^= values >> np.uint64(27)
    return values

"""Branches of plain numbers, or of lists of them, straight from their baskets and columns.

The rule: the numbers are those of uproot's own ``array``, to the last bit. That serves objects of
any kind, and takes about as long as to unpack such numbers. Whatever is not as it should be is
left to it, for it says what is wrong.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
import uproot
from numpy.typing import NDArray

from hepmtp.events.lists import Lists
from hepmtp.events.ragged import Ints
from hepmtp.readers.lines import is_remote


@dataclass(frozen=True)
class Baskets:
    """A branch of a TTree: numbers as they are stored and wanted, and where its baskets end."""

    branch: Any
    stored: np.dtype[Any]
    wanted: np.dtype[Any]
    ends: list[int]
    depth: int

    def read(self, start: int, stop: int) -> Lists | None:
        """Entries [start, stop); None if a basket is not as it should be."""
        counts: list[Ints] = [np.zeros(0, dtype=np.int64)]
        parts: list[NDArray[Any]] = [np.zeros(0, dtype=self.wanted)]
        # a long file has thousands of baskets, and a chunk a few of them
        for i in range(bisect_right(self.ends, start) - 1, bisect_left(self.ends, stop)):
            first, last = self.ends[i : i + 2]
            if max(first, start) >= min(last, stop):
                continue
            basket = self.branch.basket(i)
            data, places = basket.data, basket.byte_offsets
            if basket.num_entries != last - first or len(data) % self.stored.itemsize:
                return None
            if self.depth == 2 and places is not None:
                places = places // self.stored.itemsize
            found = _cut(
                places,
                data.view(self.stored),
                last - first,
                start - first,
                stop - first,
                self.depth,
            )
            if found is None:
                return None
            counts.append(found.counts)
            parts.append(found.values)
        size = sum(len(one) for one in parts)
        values = np.concatenate(parts, out=np.empty(size, dtype=self.wanted))
        return Lists(np.concatenate(counts), values)


@dataclass(frozen=True)
class FieldColumns:
    """A field of an RNTuple: its column of numbers, and that of the ends of its lists, if any."""

    ntuple: Any
    firsts: Ints  # (n_clusters + 1,) entries that clusters begin with, and the number of entries
    ends: int | None
    numbers: int
    wanted: np.dtype[Any]

    @property
    def depth(self) -> int:
        """2 for lists."""
        return 1 if self.ends is None else 2

    def read(self, start: int, stop: int) -> Lists | None:
        """Entries [start, stop); None if a column is not as it should be."""
        if start >= stop:
            return None
        begin = int(np.searchsorted(self.firsts, start, side="right")) - 1
        # uproot's own reads one more where a cluster ends with the range
        end = int(np.searchsorted(self.firsts, stop, side="left"))
        values = self.ntuple.read_cluster_range(self.numbers, begin, end)
        if values.dtype != self.wanted:
            return None
        places = (
            None if self.ends is None else self.ntuple.read_cluster_range(self.ends, begin, end)
        )
        first, last = int(self.firsts[begin]), int(self.firsts[end])
        return _cut(places, values, last - first, start - first, stop - first, self.depth)


def _cut(
    places: NDArray[Any] | None, values: NDArray[Any], n: int, start: int, stop: int, depth: int
) -> Lists | None:
    """Entries [start, stop) of n; `places` are where lists begin and the last one ends."""
    start, stop = max(start, 0), min(stop, n)
    if (places is not None) != (depth == 2):
        return None
    if places is None:
        if len(values) != n:
            return None
        return Lists(np.ones(stop - start, dtype=np.int64), values[start:stop])
    if len(places) != n + 1 or places[0] < 0 or places[-1] > len(values):
        return None
    edges: Ints = places[start : stop + 1].astype(np.int64)
    counts = edges[1:] - edges[:-1]
    if counts.min() < 0:
        return None
    return Lists(counts, values[edges[0] : edges[-1]])


def plain(branch: Any) -> Baskets | FieldColumns | None:
    """What reads a branch of plain numbers; None for one of any other kind.

    Vectors of C++ in a TTree are of another kind, and so are all branches of a TTree on a server,
    which is asked for all baskets at once.
    """
    if isinstance(branch, uproot.TBranch):
        return None if is_remote(branch.file.file_path) else _baskets(branch)
    return _columns(branch) if isinstance(branch, uproot.models.RNTuple.RField) else None


def _baskets(branch: Any) -> Baskets | None:
    kind, depth = branch.interpretation, 1
    if type(kind) is uproot.AsJagged and kind.header_bytes == 0:
        kind, depth = kind.content, 2
    if type(kind) is not uproot.AsDtype or kind.from_dtype.subdtype or kind.from_dtype.fields:
        return None
    return Baskets(branch, kind.from_dtype, kind.to_dtype, branch.entry_offsets, depth)


def _columns(field: Any) -> FieldColumns | None:
    form, path = field.to_akform()
    form = form.contents[0]
    if len(path or ()) > 1 or form.parameters:
        return None
    ends = None
    if isinstance(form, ak.forms.ListOffsetForm):
        ends, form = _column(form), form.content
        if ends is None:
            return None
    numbers = _column(form) if isinstance(form, ak.forms.NumpyForm) else None
    if numbers is None or form.inner_shape or form.parameters:
        return None
    ntuple = field.ntuple
    # columns that were added later have no numbers for what was written before
    if any(
        ntuple.column_records[one].first_element_index for one in (numbers, ends) if one is not None
    ):
        return None
    clusters = ntuple.cluster_summaries
    firsts = [0, *np.cumsum([one.num_entries for one in clusters])]
    if firsts[:-1] != [one.num_first_entry for one in clusters]:
        return None
    wanted = np.dtype(form.primitive)
    return FieldColumns(ntuple, np.array(firsts, dtype=np.int64), ends, numbers, wanted)


def _column(form: Any) -> int | None:
    """The column that a form is read from."""
    kind, _, number = form.form_key.partition("-")
    return int(number) if kind == "column" and number.isdigit() else None

"""The columns of a parquet file, read as the branches of a tree are.

The rule: a column ``Jet_pt`` of lists and the part ``pt`` of a column ``Jet`` of records are the
same branch. One column is read at a time, of the row groups that hold the entries.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hepmtp.readers.lines import check_file, damage


class _Place(NamedTuple):
    """Where a branch is: its column, the part of it, and the path of its values in the file."""

    column: str
    part: str | None
    path: str


class Table:
    """A parquet file with the face of a tree: names, number of entries, arrays of entries."""

    name = ""  # it has none

    def __init__(self, file: pq.ParquetFile) -> None:
        self._file = file
        sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        self._ends = np.cumsum([0, *sizes], dtype=np.int64)
        self.num_entries = int(self._ends[-1])
        self._places = _places(file)
        self._groups: tuple[int, int] = (0, 0)
        self._read: dict[str, ak.Array] = {}  # columns of these row groups

    def names(self) -> dict[str, str]:
        """Names of the branches, as they are asked for, to those that are known here."""
        plain = {name: name for name, place in self._places.items() if place.part is None}
        parts = {
            between.join((place.column, place.part)): name
            for name, place in self._places.items()
            if place.part is not None
            for between in "_."
        }
        return parts | plain

    def __getitem__(self, name: str) -> _Column:
        return _Column(self, name)

    def array(self, name: str, start: int, stop: int) -> ak.Array:
        """Entries [start, stop) of a branch."""
        first = int(np.searchsorted(self._ends, start, side="right")) - 1
        last = max(int(np.searchsorted(self._ends, stop, side="left")), first)
        if (first, last) != self._groups:
            self._groups, self._read = (first, last), {}
        if name not in self._read:
            place = self._places[name]
            groups = list(range(first, min(last, self._file.num_row_groups)))
            column = self._file.read_row_groups(groups, columns=[place.path]).column(place.column)
            array = ak.from_arrow(column, generate_bitmasks=False)
            self._read[name] = array if place.part is None else array[place.part]
        before = int(self._ends[first])
        return self._read[name][start - before : stop - before]


class _Column(NamedTuple):
    """A branch of a `Table`."""

    table: Table
    name: str

    def array(self, *, entry_start: int, entry_stop: int, library: str) -> ak.Array:  # noqa: ARG002
        """Entries of it, in the words of uproot."""
        return self.table.array(self.name, entry_start, entry_stop)


@contextlib.contextmanager
def open_table(path: str) -> Iterator[Table]:
    """A parquet file as one tree."""
    check_file(path)
    with damage(path, "a parquet file", (pa.ArrowException, OSError, UnicodeDecodeError)):
        file = pq.ParquetFile(path, page_checksum_verification=True)
    with file:
        yield Table(file)


def _places(file: pq.ParquetFile) -> dict[str, _Place]:
    """Every column of numbers, and every part of a column of records."""
    schema = file.schema
    leaves = [schema.column(i).path for i in range(len(schema))]
    found: dict[str, _Place] = {}
    at = 0
    for field in file.schema_arrow:  # the leaves are in the order of the fields
        kind = field.type
        while pa.types.is_list(kind) or pa.types.is_large_list(kind):
            kind = kind.value_type
        if pa.types.is_struct(kind):
            for part in kind:
                n = _leaves(part.type)
                if n == 1:
                    found[f"{field.name}.{part.name}"] = _Place(field.name, part.name, leaves[at])
                at += n
        else:
            found[field.name] = _Place(field.name, None, leaves[at])
            at += _leaves(field.type)
    return found


def _leaves(kind: Any) -> int:
    """How many columns of values a type has in the file."""
    if pa.types.is_struct(kind):
        return sum(_leaves(part.type) for part in kind)
    if pa.types.is_map(kind):
        return _leaves(kind.key_type) + _leaves(kind.item_type)
    nested = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    nested = nested or pa.types.is_fixed_size_list(kind)
    return _leaves(kind.value_type) if nested else 1

"""Parquet: events in the same flat columns as in ROOT, row group by row group.

The rule: the columns are those of `hepmtp.readers.columns.COLUMNS`, float64 in GeV; one row group
is one chunk that was written.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hepmtp.errors import ReadError
from hepmtp.readers import FileReader
from hepmtp.readers.columns import COLUMNS, check_columns, events_of, flat, more_of
from hepmtp.readers.digests import DIGEST, check_digests, digest_of, digests
from hepmtp.readers.lines import check_file, check_range, damage
from hepmtp.readers.opening import PARQUET

# key of the schema's metadata: the sum of the weights of all generated events
_GENERATED = b"hepmtp.generated_weight"
_ITS_DIGEST = b"hepmtp.generated_digest"


@dataclass(frozen=True)
class ParquetReader(FileReader):
    """Reader of what `write_parquet` wrote; reads only the row groups that it needs."""

    format = "parquet that hepmtp wrote"
    endings = (".parquet",)
    magic = PARQUET
    branches = COLUMNS

    def num_events(self, path: str) -> int:
        """Number of rows."""
        with _open(path) as file:
            return int(file.metadata.num_rows)

    def generated_weight(self, path: str) -> float | None:
        """What the file that this one was converted from said."""
        with _open(path) as file:
            said = file.schema_arrow.metadata or {}
            checked = DIGEST in file.schema_arrow.names  # files of before are not
        try:
            found = [float(said[_GENERATED])] if _GENERATED in said else []
            same = not checked or int(said[_ITS_DIGEST]) == digest_of(found)
        except (KeyError, ValueError):
            same = False
        if not same:
            raise ReadError(
                f"{path}: a bit of the sum of weights has changed since it was written; copy or "
                "convert it again"
            )
        return found[0] if found else None

    def read(self, path: str, start: int = 0, stop: int | None = None) -> ak.Array:
        """Events [start, stop) of a file, all by default; ReadError names file, entry or column."""
        check_range(path, start, stop)
        with _open(path) as file:
            n = file.metadata.num_rows
            stop = n if stop is None else min(stop, n)
            start = min(start, stop)
            sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
            ends = np.cumsum(sizes, dtype=np.int64)
            groups = [
                i for i, size in enumerate(sizes) if ends[i] > start and ends[i] - size < stop
            ]
            before = int(ends[groups[0]] - sizes[groups[0]]) if groups else 0
            more = more_of(file.schema_arrow.names).values()
            names = [*COLUMNS, *(one for some in more for one in some)]
            checked = [DIGEST] if DIGEST in file.schema_arrow.names else []  # none before
            table = file.read_row_groups(groups, columns=[*names, *checked]).slice(
                start - before, stop - start
            )
            absent = [name for name in names if table.column(name).null_count]
            if absent:
                raise ReadError(
                    f"{path} has missing values in column {absent[0]!r}; write the file without "
                    "them"
                )
            columns = {name: ak.from_arrow(table.column(name)) for name in [*names, *checked]}
            events = events_of(path, start, columns)
            if checked:
                check_digests(path, start, columns, names)
            return events


@contextlib.contextmanager
def _open(path: str) -> Iterator[pq.ParquetFile]:
    check_file(path)
    with (
        damage(path, "a parquet file", (pa.ArrowException, OSError, UnicodeDecodeError)),
        pq.ParquetFile(path, page_checksum_verification=True) as file,
    ):
        check_columns(path, file.schema_arrow.names)
        yield file


def write_parquet(
    path: str | Path, chunks: Iterable[ak.Array], *, generated: float | None = None
) -> None:
    """Write events to a new file, one row group a chunk, compressed by ZSTD.

    Parameters
    ----------
    generated
        sum of the weights of all generated events, if it is known; kept with the schema.
    """
    writer: Any = None
    said = [] if generated is None else [generated]
    more = {_ITS_DIGEST: str(digest_of(said)).encode()}
    if generated is not None:
        more[_GENERATED] = repr(generated).encode()
    try:
        for events in chunks:
            columns = flat(events)
            beside = (one for some in more_of(columns).values() for one in some)
            columns[DIGEST] = ak.Array(digests(columns, [*COLUMNS, *beside]))
            table = pa.table({name: _arrow(column) for name, column in columns.items()})
            table = table.replace_schema_metadata(more)
            writer = writer or pq.ParquetWriter(
                path, table.schema, compression="zstd", write_page_checksum=True
            )
            writer.write_table(table, row_group_size=max(len(events), 1))
    finally:
        if writer is not None:
            writer.close()


def _arrow(column: ak.Array) -> Any:
    return ak.to_arrow(column, extensionarray=False, list_to32=True)

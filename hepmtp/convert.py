"""Convert: any file that a reader reads, into ROOT or parquet for repeated use.

The rule: chunk by chunk in bounded memory, nothing changed to the last bit, and the events keep their source and entry
number, so that they stay in the same part of the train / validation / analysis split.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import awkward as ak

from hepmtp import storage
from hepmtp.errors import ReadError
from hepmtp.readers import ChunkReader, Reader, reader_for


def convert(
    source: str | Path,
    target: str | Path,
    *,
    reader: Reader | None = None,
    rntuple: bool = False,
    chunk: int = 100_000,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Write the events of `source` to a new file `target`, compressed by ZSTD, and return their number.

    Parameters
    ----------
    source
        a file; a ``.csv.gz`` file is unpacked once to count its lines and once to read them.
    target
        a name that ends in ``.root`` or ``.parquet``; takes this name only when it is complete.
    reader
        what reads `source`; by default the reader for its name.
    rntuple
        write an RNTuple instead of a TTree.
    chunk
        number of events in memory at a time; the clusters or row groups of `target`.
    progress
        called after each chunk with the number of events in it.

    Raises
    ------
    ReadError
        if `source` cannot be read or the name of `target` is of no known kind.
    """
    from hepmtp.readers.parquet import write_parquet  # noqa: PLC0415 (loads coffea and pyarrow only when asked)
    from hepmtp.readers.root import write_root  # noqa: PLC0415

    source, target = str(source), Path(target)
    if target.suffix not in (".root", ".parquet"):
        raise ReadError(f"{target}: cannot write this kind of file; choose a name that ends in .root or .parquet")
    if rntuple and target.suffix != ".root":
        raise ReadError(f"{target}: an RNTuple lives in a .root file; choose such a name")
    if chunk < 1:
        raise ReadError(f"chunk is {chunk}, expected at least 1")
    reader = reader or reader_for(source)
    written = 0

    def counted() -> Iterator[ak.Array]:
        nonlocal written
        for events in iterate(reader, source, chunk):
            yield events
            written += len(events)
            if progress is not None:
                progress(len(events))

    with storage.new_file(target) as temporary:
        if target.suffix == ".parquet":
            write_parquet(temporary, counted())
        else:
            write_root(temporary, counted(), rntuple=rntuple)
    return written


def iterate(reader: Reader, path: str, chunk: int) -> Iterator[ak.Array]:
    """Events of a file in chunks; a file without events gives one chunk of none."""
    if isinstance(reader, ChunkReader):
        yield from reader.iterate(path, chunk)
        return
    n = reader.num_events(path)
    for start in range(0, max(n, 1), chunk):
        yield reader.read(path, start, min(start + chunk, n))

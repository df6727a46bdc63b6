"""Convert: any file that has a reader, into ROOT or parquet, or into Dark Machines CSV.

The rule: chunk by chunk in bounded memory, nothing changed to the last bit. The events keep their
source and entry number, so that they stay in the same part of the train / validation / analysis
split. A CSV has no place for these two: its events are numbered anew when it is read, and that is
said if it moves them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import awkward as ak
import numpy as np

from hepmtp import storage
from hepmtp.errors import OptionError, ReadError
from hepmtp.events import PARTICLE_TYPES, source_id
from hepmtp.readers import ChunkReader, FileReader, Reader
from hepmtp.readers.formats import reader_for
from hepmtp.readers.lines import split

logger = logging.getLogger(__name__)

#: What the names of new files end in.
TARGETS: tuple[str, ...] = (".root", ".parquet", ".csv", ".csv.gz")
_RECORD = {"Particle", "MET", "weight", "event", "source"}
#: Fields of jets (`hepmtp.readers.columns.MORE`) that ROOT and parquet keep, and CSV does not.
_JETS = {"label", "Jet"}
_ANEW = (
    "CSV has no place for the file and entry that events were first read from: they are numbered "
    "anew, and fall into other parts of the train / validation / analysis split than before"
)


def convert(
    source: str | Path,
    target: str | Path,
    *,
    reader: Reader | None = None,
    rntuple: bool = False,
    chunk: int = 100_000,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Write the events of `source` to a new file `target` and return their number.

    ROOT and parquet are compressed by ZSTD. Of fields that are no part of the event record only
    ``label`` and ``Jet`` are written, and not to CSV; the log says what is not.

    Parameters
    ----------
    source
        a file; a ``.csv.gz`` file is unpacked once to count its lines and once to read them.
    target
        a name that ends in one of `TARGETS`; takes this name only when it is complete.
    reader
        what reads `source`; by default the reader for what is in it.
    rntuple
        write an RNTuple instead of a TTree.
    chunk
        number of events in memory at a time; the clusters or row groups of `target`.
    progress
        called after each chunk with the number of events in it.

    Raises
    ------
    ReadError
        if `source` cannot be read, or a CSV cannot hold its particles.
    OptionError
        if the name of `target` is of no known kind, or an option has no such value.
    """
    # coffea, uproot and pyarrow are loaded only when a file is converted
    from hepmtp.readers.darkmachines.write import write_csv  # noqa: PLC0415
    from hepmtp.readers.parquet import write_parquet  # noqa: PLC0415
    from hepmtp.readers.root import write_root  # noqa: PLC0415

    source, target = str(source), Path(target)
    ending = _ending_of(target, rntuple=rntuple)
    if chunk < 1:
        raise OptionError(f"chunk is {chunk}, expected at least 1")
    if Path(source).exists() and target.exists() and Path(source).samefile(target):
        raise OptionError(f"{target} is what is read; choose another name for the new file")
    reader = reader or reader_for(source)
    written = 0
    generated = reader.generated_weight(source) if isinstance(reader, FileReader) else None

    def counted() -> Iterator[ak.Array]:
        nonlocal written
        said: set[str] = set()
        for events in iterate(reader, source, chunk):
            for text in _lost(events, target, ending) - said:
                logger.warning("%s: %s", target, text)
                said.add(text)
            moved.sources.update(np.unique(ak.to_numpy(events.source)).tolist())
            moved.numbered |= bool(ak.any(events.event != written + np.arange(len(events))))
            yield events
            written += len(events)
            if progress is not None:
                progress(len(events))

    moved = _Moved()
    with storage.new_file(target) as temporary:
        if ending == ".parquet":
            write_parquet(temporary, counted(), generated=generated)
        elif ending.startswith(".csv"):
            process = target.name.removesuffix(ending)
            write_csv(temporary, counted(), process=process, packed=ending == ".csv.gz")
            if written and (moved.numbered or moved.sources != {source_id(str(temporary))}):
                logger.warning("%s: %s", target, _ANEW)
            if generated is not None:
                logger.warning(
                    "%s: CSV has no place for the sum of the weights of all generated events; give "
                    "sum_weights: %r with the file",
                    *(target, generated),
                )
        else:
            write_root(temporary, counted(), rntuple=rntuple, generated=generated)
    return written


def _ending_of(target: Path, *, rntuple: bool) -> str:
    """Which of `TARGETS` a file is of; OptionError if of none, or of one without RNTuples."""
    ending = next((ending for ending in TARGETS if target.name.endswith(ending)), None)
    if ending is None:
        raise OptionError(
            f"{target}: cannot write this kind of file; choose a name that ends in "
            f"{', '.join(TARGETS)}"
        )
    if rntuple and target.suffix != ".root":
        raise OptionError(f"{target}: an RNTuple lives in a .root file; choose such a name")
    return ending


@dataclass
class _Moved:
    """Files that events were first read from, and whether an entry has another number now."""

    sources: set[int] = field(default_factory=set)
    numbered: bool = False


def _lost(events: ak.Array, target: Path, ending: str) -> set[str]:
    """What a new file does not keep of these events."""
    found = set()
    kept = set() if ending.startswith(".csv") else _JETS
    if more := sorted(set(events.fields) - _RECORD - kept):
        found.add(
            f"the fields {', '.join(more)} are not written: they are no part of the event record"
        )
    highest = ak.max(events.Particle["type"], axis=None, initial=0)
    if ending.startswith(".csv") and highest >= len(PARTICLE_TYPES):
        raise ReadError(
            f"{target}: Dark Machines CSV has no label for hadrons; choose a .root or .parquet file"
        )
    return found


def iterate(reader: Reader, path: str, chunk: int) -> Iterator[ak.Array]:
    """Events of a file in chunks; a file without events gives one chunk of none."""
    if isinstance(reader, ChunkReader):
        yield from reader.iterate(path, chunk)
        return
    for first, n, *_ in split(path, reader.num_events(path), chunk):
        yield reader.read(path, first, first + n)

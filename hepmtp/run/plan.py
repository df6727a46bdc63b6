"""How each file of a run is read: by coffea itself, or by a reader, chunk by chunk.

The rule: our own ROOT, and all ROOT if the user's schema is another, goes to coffea as it is.
Everything else is chunks that a reader of ours makes into trees in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hepmtp.datasets.filesets import Steps, Wanted
from hepmtp.errors import OptionError, ReadError
from hepmtp.plugins import current_name
from hepmtp.readers import ChunkReader, FileReader, Reader
from hepmtp.readers.coffea_names import WorkItem
from hepmtp.readers.formats import OWN_ROOT, class_of_reader, reader_from_file, reader_name
from hepmtp.readers.lines import Chunk, is_remote, split
from hepmtp.readers.options import has_option, leaving_out_lines
from hepmtp.readers.root import TREE, HepmtpSchema, RootReader
from hepmtp.run.chunks import chunk_name, is_chunk
from hepmtp.run.stamps import OURS, stamp_of
from hepmtp.statistics.normalisation import GENERATED, Known, known


@dataclass(frozen=True)
class Plan:
    """How one file is read.

    Parameters
    ----------
    path, tree
        absolute path or address, and the tree that coffea opens.
    entries
        number of all entries in the file; None if only coffea knows.
    chunks
        names and entries of its chunks; None if coffea opens the file itself.
    steps
        the entry ranges that are wanted; None for all.
    generated
        sum of the weights of all generated events of this file, or of its data set.
    of_file
        whether `generated` is of this file alone.
    stamp
        what the file was (:mod:`hepmtp.run.stamps`).
    """

    path: str
    tree: str
    entries: int | None
    chunks: tuple[tuple[str, Chunk], ...] | None
    steps: Steps | None
    generated: float | None
    of_file: bool
    stamp: str

    def items(self, dataset: str) -> Iterator[WorkItem]:
        """The chunks as coffea's pieces of work."""
        where = self.path
        if not is_remote(self.path):
            stat = Path(self.path).stat()
            where = f"{self.path} {stat.st_size} {stat.st_mtime_ns}"
        for name, chunk in self.chunks or ():
            # coffea's checkpointer knows a chunk by this and its entries, which always start at 0
            uuid = hashlib.md5(f"{where} {name}".encode(), usedforsecurity=False).digest()
            yield WorkItem(dataset, name, TREE, 0, chunk.n_entries, uuid, None, None)

    def within_steps(self, items: Iterable[WorkItem]) -> Iterator[WorkItem]:
        """Coffea's pieces of work, cut to the steps; chunks of ours are made for them."""
        if self.steps is None or self.chunks is not None:
            yield from items
            return
        for item in items:
            if not len(item):  # of a file without events
                yield item
            for start, stop in self.steps:
                first, last = max(item.entrystart, start), min(item.entrystop, stop)
                if first < last:
                    yield replace(item, entrystart=first, entrystop=last)

    def share(self, item: WorkItem, of_dataset: int) -> dict[str, float]:
        """The part of the generated weight that stands for a chunk, as metadata of it.

        `of_dataset` is the number of all entries in the files of the data set.
        """
        if self.generated is None:
            return {}
        total = (self.entries or 0) if self.of_file else of_dataset
        return {GENERATED: self.generated * (len(item) / total if total else 1.0)}


def plan_of(wanted: Wanted, metadata: Mapping[str, Any], treename: str | None, runner: Any) -> Plan:
    """How a file is read, with all that must be known of it before.

    Raises
    ------
    ReadError
        if it cannot be read.
    OptionError
        if a tree is named for a file that has none, or its reader has no such option.
    """
    path, schema = wanted.path, runner.schema
    stamp = stamp_of(path)  # before anything is read of it
    if is_chunk(path):
        raise ReadError(
            f"{path}: hepmtp gives such names to the chunks of a file, and reads no file of this "
            "name; rename it"
        )
    given = metadata.get("reader")
    name = current_name(str(given)) if given else reader_name(path)
    options = dict(metadata.get("reader_options") or {})
    found = class_of_reader(name)
    if runner.skipbadfiles is True:
        options = leaving_out_lines(found, options)
    takes_tree = has_option(found, "tree")
    is_root = isinstance(found, type) and getattr(found, "magic", b"") == b"root"
    if schema is not HepmtpSchema and is_root:
        if given or options:
            raise OptionError(
                f"{path}: with the schema {schema.__name__} coffea opens ROOT files itself; leave "
                "out reader and reader_options, or the schema"
            )
        if not path.isascii():
            raise ReadError(
                f"{path}: with the schema {schema.__name__} coffea opens it, which takes names of "
                "ASCII letters only; rename it, or leave out the schema"
            )
        shown, total = wanted.tree or treename or TREE, _of_dataset(known(metadata))
        return Plan(path, shown, None, None, wanted.steps, total, False, stamp)
    if wanted.tree is not None and not takes_tree:
        raise OptionError(
            f"{path}: the tree {wanted.tree!r} is named for it, but {name} reads no trees; leave "
            "it out"
        )
    tree = wanted.tree or (treename if takes_tree else None)
    if tree is not None:
        if options.get("tree", tree) != tree:
            raise OptionError(
                f"{path}: its tree is {tree!r}, but the option tree of its reader says "
                f"{options['tree']!r}; keep one"
            )
        options["tree"] = tree
    reader = reader_from_file(name, options)
    # coffea takes ASCII names only
    coffea_opens = name == OWN_ROOT and set(options) <= {"tree"} and f"{path}{tree}".isascii()
    if runner.align_clusters and not coffea_opens:
        raise OptionError(
            f"{path}: align_clusters is for ROOT files that hepmtp wrote, and {name} reads chunks "
            "of chunksize events; leave it out"
        )
    entries, chunks = _chunks(path, reader, wanted.steps, runner.chunksize)
    knows_bytes = isinstance(reader, ChunkReader) and wanted.steps is None
    generated, of_file = _generated(path, reader, known(metadata))
    if coffea_opens and isinstance(reader, RootReader):
        name_of_tree = reader.tree_name(path)
        return Plan(
            path, name_of_tree, entries, None, wanted.steps, generated, of_file, stamp + OURS
        )
    named = tuple(
        (chunk_name(path, name, chunk, options=options, bytes_known=knows_bytes), chunk)
        for chunk in chunks
    )
    return Plan(path, TREE, entries, named, wanted.steps, generated, of_file, stamp)


def _generated(path: str, reader: Reader, given: Known) -> tuple[float | None, bool]:
    """The sum of the weights of all generated events, and whether it is that of this file alone."""
    if (total := _of_dataset(given)) is not None:
        return total, False
    if given.cross_section_pb is None or not isinstance(reader, FileReader):
        return None, False
    total = reader.generated_weight(path)
    return total, total is not None


def _of_dataset(given: Known) -> float | None:
    """What was said of all generated events of the data set."""
    return given.sum_weights or given.n_generated


def _chunks(path: str, reader: Reader, steps: Steps | None, size: int) -> tuple[int, list[Chunk]]:
    """The number of all entries of a file, and the chunks of what is wanted of it."""
    if steps is None and isinstance(reader, ChunkReader):
        chunks = reader.chunks(path, size)
        return sum(chunk.n_entries for chunk in chunks), chunks
    entries = reader.num_events(path)
    # coffea has the step [0, 0] of a file without events
    if steps is None or (not entries and steps[-1][1] == 0):
        return entries, split(path, entries, size)
    if not any(start < entries for start, _ in steps):
        raise ReadError(f"{path} has {entries} entries: none of its steps begins within them")
    return entries, [
        Chunk(start, min(stop, entries) - start, 0, 0) for start, stop in steps if start < entries
    ]

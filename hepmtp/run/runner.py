"""Run: coffea's Runner for every file that hepmtp reads, and executors that close what they open.

The rule: a processor sees the same events whatever the file. Our own ROOT goes to coffea as it is.
A chunk of any other file is read by its reader into a TTree in memory, on the worker, under a name
that says which entries it holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coffea.processor import Runner
from coffea.processor.executor import WorkItem

from hepmtp.errors import HepmtpError, ReadError
from hepmtp.readers import ChunkReader
from hepmtp.readers.formats import OWN_ROOT, load_reader, reader_name
from hepmtp.readers.lines import is_remote, split
from hepmtp.readers.root import TREE, HepmtpSchema, RootReader
from hepmtp.run.chunks import ChunkSource, chunk_name
from hepmtp.storage import current_name

#: What coffea itself writes into the metadata of events.
_RESERVED = {"dataset", "filename", "treename", "entrystart", "entrystop", "fileuuid"}


class _Forgetful(dict[Any, Any]):
    """No cache: coffea's knows files by name alone, a rewritten file would keep length and role."""

    def __setitem__(self, key: Any, value: Any) -> None:
        """Keep nothing."""


@dataclass
class HepRunner(Runner):  # type: ignore[misc]
    """Coffea's Runner that also takes every other format that has a reader, mixed with ROOT.

    ``HepRunner(executor)(fileset, processor)`` takes a fileset of
    ``{dataset: {"files": [...], "metadata": {...}}}``. The metadata "reader" of a data set names
    its reader (``"package.module:Class"``); by default the files say it. Options of the reader are
    the metadata "reader_options", a mapping of what JSON can hold.

    All other options are coffea's, but files are looked at anew in each run unless a metadata_cache
    is given. An error of ours on a worker arrives as the same error.
    """

    schema: Any = HepmtpSchema
    chunksize: int = 20_000
    metadata_cache: Any = None

    def __post_init__(self) -> None:
        if self.metadata_cache is None:
            self.metadata_cache = _Forgetful()
        super().__post_init__()

    def preprocess(
        self,
        fileset: Mapping[str, Any],
        *,
        treename: str | None = None,
        uproot_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> list[WorkItem]:
        """The chunks of all files, data set by data set; counts the events of every file.

        Raises
        ------
        ReadError
            if a file is missing, empty or of no known kind.
        """
        roots: dict[str, Any] = {}
        items: list[WorkItem] = []
        for dataset, entry in fileset.items():
            given = dict(entry) if isinstance(entry, Mapping) else {"files": entry}
            tree = given.setdefault("treename", treename or TREE)
            metadata = dict(given.get("metadata") or {})
            if clash := _RESERVED & metadata.keys():
                raise ReadError(
                    f"data set {dataset!r}: metadata {sorted(clash)} are coffea's own; "
                    "choose other names"
                )
            trees = given["files"]
            if not isinstance(trees, Mapping):
                trees = dict.fromkeys(trees, tree)
            for path, local_tree in trees.items():
                reader = current_name(metadata.get("reader") or self._reader(str(path)))
                options = metadata.get("reader_options") or {}
                if reader == OWN_ROOT and not options:
                    self._check_root(str(path), local_tree)
                    root = roots.setdefault(dataset, {**given, "files": {}, "treename": None})
                    root["files"][str(path)] = local_tree
                else:
                    size = self.chunksize
                    items += _work_items(dataset, str(path), reader, options, size, metadata)
        if roots:
            options = {"handler": ChunkSource, **(uproot_options or {})}
            items += super().preprocess(roots, uproot_options=options, **kwargs)
        of = {dataset: [item for item in items if item.dataset == dataset] for dataset in fileset}
        return [item for mine in of.values() for item in mine[: self.maxchunks]]

    def run(
        self,
        fileset: Any,
        processor_instance: Any,
        *,
        uproot_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """As coffea's `run`, with the source that opens our chunks.

        Nothing is cached: each chunk is read once.
        """
        caches = {"array_cache": None, "object_cache": None}
        options = {"handler": ChunkSource, **caches, **(uproot_options or {})}
        return super().run(fileset, processor_instance, uproot_options=options, **kwargs)

    @staticmethod
    def automatic_retries(
        retries: int, skipbadfiles: Any, func: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """As coffea's, but an error of ours is not wrapped: a pickle loses its cause."""
        try:
            return Runner.automatic_retries(retries, skipbadfiles, func, *args, **kwargs)
        except Exception as error:
            cause: BaseException | None = error
            while cause is not None and not isinstance(cause, HepmtpError):
                cause = cause.__cause__ or cause.__context__
            if cause is None:
                raise
        raise cause  # out here, so that it is not its own context: Dask pickles those too

    def _reader(self, path: str) -> str:
        """Name of a file's reader; coffea's own if bad files are skipped or the schema is other."""
        if path.endswith(".root") and (self.schema is not HepmtpSchema or self.skipbadfiles):
            return OWN_ROOT
        return reader_name(path)

    def _check_root(self, path: str, tree: str) -> None:
        """Say what is wrong with a file before a worker does; other schemas are coffea's matter."""
        if self.schema is HepmtpSchema and not self.skipbadfiles and "://" not in path:
            RootReader(tree=tree).num_events(path)


def _work_items(
    dataset: str,
    path: str,
    name: str,
    options: Mapping[str, Any],
    size: int,
    metadata: dict[str, Any],
) -> Iterator[WorkItem]:
    """Chunks of a file that coffea does not open, for the reader of this name and options."""
    reader = load_reader(name, **options)
    if isinstance(reader, ChunkReader):
        chunks = reader.chunks(path, size)
    else:
        chunks = split(path, reader.num_events(path), size)
    where = path
    if not is_remote(path):
        stat = Path(path).stat()
        where = f"{Path(path).absolute()} {stat.st_size} {stat.st_mtime_ns}"
    for chunk in chunks:
        named = chunk_name(
            path, name, chunk, options=options, bytes_known=isinstance(reader, ChunkReader)
        )
        # coffea's checkpointer knows a chunk by this and its entries, which always start at 0
        identity = f"{where} {named}"
        uuid = hashlib.md5(identity.encode(), usedforsecurity=False).digest()
        yield WorkItem(dataset, named, TREE, 0, chunk.n_entries, uuid, metadata, None)

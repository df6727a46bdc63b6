"""What readers of trees share: the tree of a ROOT file that others wrote, read a chunk at a time.

The rule: a subclass says which branches make its events. What is wrong with a file is said when it
is opened, or with the branch and the entry (:mod:`hepmtp.readers.branches`).
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import awkward as ak

from hepmtp.errors import EventError, OptionError, ReadError
from hepmtp.events.freed import keep_freed
from hepmtp.events.source import root_source, source_id
from hepmtp.readers import FileReader
from hepmtp.readers.branches import Branches
from hepmtp.readers.lines import Chunk, check_range, damage, split
from hepmtp.readers.naming import Collection, Known, Layout, renamed
from hepmtp.readers.opening import PARQUET, ROOT, Wanted, is_table, names_of, open_tree
from hepmtp.readers.options import Renamed


@dataclass(frozen=True)
class TreeReader(FileReader, ABC):
    """What readers of trees share: those of ROOT files, and the columns of parquet ones.

    A subclass says in which tree its branches are and what events they make, and is a dataclass
    whose fields are its options.

    Parameters
    ----------
    tree
        name of the TTree or RNTuple, with its folder if it is in one. By default the one of
        `trees`, in any folder, or the one that has the `branches`.
    names
        branches and collections of other names than those of the layout: a mapping, or as text
        ``jets=JetPUPPI,jet_pt=Jet_pt_nom,photons=none`` (:mod:`hepmtp.readers.naming`).
    """

    tree: str | None = field(default=None, kw_only=True)
    names: Renamed = field(default_factory=dict, kw_only=True, hash=False)

    endings = (".root",)
    magic = b"root"
    #: Names of the tree.
    trees: ClassVar[tuple[str, ...]]
    #: What may be named otherwise: collections, single branches, and options that name a branch.
    collections: ClassVar[Mapping[str, Collection]] = {}
    singles: ClassVar[Mapping[str, str]] = {}
    through: ClassVar[Mapping[str, str]] = {}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.nameable.check(type(self).__name__, self.names)
        default = {field.name: field.default for field in fields(self)}
        for option in self.through.keys() & self.names.keys():
            if getattr(self, option) not in (default[option], self.names[option]):
                raise OptionError(
                    f"{type(self).__name__}: option {option} is {getattr(self, option)!r}, but "
                    f"names says {self.names[option]!r}; say it once"
                )
            object.__setattr__(self, option, self.names[option])

    @property
    def nameable(self) -> Layout:
        """What may be named otherwise."""
        return Layout(self.collections, self.singles, self.through)

    @classmethod
    def knows(cls, start: bytes) -> bool:
        """Whether it is a ROOT or a parquet file."""
        return start.startswith((cls.magic, PARQUET))

    @abstractmethod
    def _events(self, branches: Branches) -> ak.Array:
        """The events of these branches."""

    def _check(self, branches: Branches) -> None:
        """Refuse a tree as soon as it is opened; the default takes any."""

    def format_of(self, path: str) -> str:
        """What this file is called."""
        kind = "parquet" if is_table(path) else "ROOT"
        return self.format or f"{kind}, layout {type(self).__name__}"

    def tree_name(self, path: str) -> str:
        """Name of the tree that is read of a file, with its folder; empty for a parquet file."""
        with open_tree(path, self._wanted) as opened:
            return opened.name

    def num_events(self, path: str) -> int:
        """Number of entries of the tree."""
        with self._open(path) as branches:
            return len(branches)

    def read(self, path: str, start: int = 0, stop: int | None = None) -> ak.Array:
        """Events [start, stop) of a file; the whole file by default.

        Raises
        ------
        ReadError
            naming file, branch and entry, what was found and what to do.
        """
        check_range(path, start, stop)
        with self._open(path) as branches:
            return self._made(branches.part(start, stop))

    def chunks(self, path: str, size: int) -> list[Chunk]:
        """The file as chunks of `size` events; one of none if it has no event."""
        return split(path, self.num_events(path), size)

    def read_chunk(self, path: str, chunk: Chunk) -> ak.Array:
        """Events of one of the `chunks`."""
        return self.read(path, chunk.first_entry, chunk.first_entry + chunk.n_entries)

    def iterate(self, path: str, size: int) -> Iterator[ak.Array]:
        """Events of each chunk in turn; a tree of 1500 branches takes a second to open."""
        with self._open(path) as branches:
            for first, n, *_ in split(path, len(branches), size):
                yield self._made(branches.part(first, first + n))

    def _made(self, branches: Branches) -> ak.Array:
        try:
            return self._events(branches)
        except EventError as error:
            raise ReadError(f"{branches.path}, entries from {branches.start} on: {error}") from None

    @contextlib.contextmanager
    def _open(self, path: str) -> Iterator[Branches]:
        keep_freed()
        with open_tree(path, self._wanted) as opened:
            branches = _branches(path, opened.tree, opened.known, self.trees)
            self._check(branches)
            yield branches

    @contextlib.contextmanager
    def _beside(self, path: str, name: str) -> Iterator[tuple[Known, Branches | None]]:
        """The names of the events' branches, and the tree of this name beside theirs, if any."""
        with open_tree(path, self._wanted) as opened:
            tree = opened.beside(name)
            found = (
                None if tree is None else _branches(path, tree, Known(names_of(tree)), self.trees)
            )
            yield opened.known, found

    @property
    def _wanted(self) -> Wanted:
        def known(where: str, found: Mapping[str, str], friend: Callable[[str], Any]) -> Known:
            return renamed(where, found, self.nameable, self.names, friend)

        return Wanted(type(self).__name__, self.tree, self.trees, self.branches, known)


def _branches(path: str, tree: Any, known: Known, trees: tuple[str, ...]) -> Branches:
    with damage(path, ROOT):
        return Branches(path, tree, 0, int(tree.num_entries), known, _source(path, tree, trees))


def _source(path: str, tree: Any, trees: tuple[str, ...]) -> int:
    """Identity of the file, and of the tree if it is another than the usual one of the layout."""
    if not tree.name:  # of a table
        return source_id(path)
    place = tree.object_path.partition(";")[0].strip("/")
    part = "" if place in trees[:1] else place
    uuid: bytes = tree.file.uuid.bytes
    return root_source(uuid, part) if any(uuid) else source_id(path, part)

"""Trees of ROOT files that others wrote, opened and read as flat columns, a chunk at a time.

The rule: a branch is read only when it is asked for, alone and in the range that is wanted.
Whatever is wrong with it (absent, of another type, a value that cannot be) is said with file,
branch and entry.

Plain uproot, one branch after the other, and not coffea's schemas: those cross-link every branch of
the file before the first is read. Uproot's own ``arrays`` looks at every field of an RNTuple (1077
of them in a PHYSLITE file, 3 s).
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp.errors import EventError, OptionError, ReadError
from hepmtp.events.freed import keep_freed
from hepmtp.events.lists import Lists, lists_of
from hepmtp.events.ragged import Bools
from hepmtp.events.source import root_source, source_id
from hepmtp.readers import FileReader
from hepmtp.readers.lines import Chunk, check_range, damage, split
from hepmtp.readers.naming import Collection, Known, Layout, near, renamed
from hepmtp.readers.opening import PARQUET, ROOT, Wanted, is_table, names_of, open_tree, where_of
from hepmtp.readers.options import Renamed


@dataclass(frozen=True)
class Branches:
    """The branches of one tree, for entries [start, stop) of a file."""

    path: str
    tree: Any
    start: int
    stop: int
    #: Names as they are asked for, with "." before a part, to names in the file.
    known: Known
    #: Identity of the file that the events come from.
    source: int
    _read: dict[str, Lists] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of events."""
        return self.stop - self.start

    def __contains__(self, name: str) -> bool:
        """Whether there is a branch of this name."""
        return name in self.known

    def part(self, start: int, stop: int | None) -> Branches:
        """The same branches for entries [start, stop), or as many of them as there are."""
        stop = self.stop if stop is None else min(stop, self.stop)
        return replace(self, start=min(start, stop), stop=stop, _read={})

    @property
    def where(self) -> str:
        """File and tree, for errors."""
        return where_of(self.path, self.tree)

    def lacks(self, name: str) -> bool:
        """Whether there is no branch of this name, and it was not said that there is none."""
        return name not in self and not name.startswith(self.known.empty)

    def first_of(self, names: Iterable[str], what: str, advice: str) -> str:
        """The first of these names that is a branch."""
        for name in names:
            if not self.lacks(name):
                return name
        raise ReadError(f"{self.where} has no {what} ({', '.join(names)}); {advice}")

    def array(self, name: str, stop: int | None = None) -> ak.Array:
        """A branch as it is; up to `stop` only, if that comes first."""
        stop = self.stop if stop is None else min(stop, self.stop)
        whole, _, part = name.rpartition(".")
        # an RNTuple has records where a TTree has a branch for each part
        if name not in self and whole in self:
            record = self.array(whole, stop)
            if part in record.fields:
                return record[part]
        if name not in self:
            raise ReadError(
                f"{self.where} has no branch {name!r}{near(name, self.known)}; name another "
                "reader, or the branch with the option names"
            )
        with damage(self.path, ROOT):
            branch = self.known.elsewhere.get(name)
            if branch is None:
                branch = self.tree[self.known[name]]
            return branch.array(entry_start=min(self.start, stop), entry_stop=stop, library="ak")

    def arrays(self, names: Iterable[str]) -> dict[str, ak.Array]:
        """Branches as they are, all at once: faster where the tree has few others."""
        if self.known.elsewhere:
            return {name: self.array(name) for name in names}
        files = {name: self.known[name] for name in names}
        with damage(self.path, ROOT):
            found = self.tree.arrays(
                list(files.values()), entry_start=self.start, entry_stop=self.stop, library="ak"
            )
            return {name: found[file] for name, file in files.items()}

    def numbers(self, name: str) -> NDArray[Any]:
        """A branch with one number per event, shape (n_events,)."""
        return self.lists(name, depth=1).values

    def lists(self, name: str, *, depth: int = 2) -> Lists:
        """A branch with a list of numbers per event; read once, however often it is asked for."""
        if name not in self._read and name.startswith(self.known.empty):
            self._read[name] = Lists(np.zeros(len(self), np.int64), np.zeros(0, np.int64))
        if name not in self._read:
            array = self.array(name)
            found = lists_of(array) if array.ndim == depth else None
            if found is None:
                expected = "a list of numbers" if depth == 2 else "a number"
                raise ReadError(
                    f"{self.path}: branch {name!r} is {ak.type(array)}, expected {expected} per "
                    "event"
                )
            self._read[name] = found
        return self._read[name]

    def like(self, name: str, other: str) -> NDArray[Any]:
        """The values of a branch whose lists are as long as those of another one."""
        column, counts = self.lists(name), self.lists(other).counts
        if not np.array_equal(column.counts, counts):
            at = np.flatnonzero(column.counts != counts)[0]
            raise ReadError(
                f"{self.path} entry {self.start + at}: {column.counts[at]} values of {name} but "
                f"{counts[at]} of {other}; the file is damaged or was not written as one"
            )
        return column.values

    def single(self, name: str) -> NDArray[Any]:
        """The values of a branch whose lists have one value in every event, shape (n_events,)."""
        column = self.lists(name)
        odd = np.flatnonzero(column.counts != 1)
        if len(odd):
            raise ReadError(
                f"{self.path} entry {self.start + odd[0]}: {column.counts[odd[0]]} values of "
                f"{name}, expected one"
            )
        return column.values

    def require(
        self,
        legal: Bools,
        name: str,
        values: NDArray[Any],
        expected: str,
        *,
        per_event: bool = False,
    ) -> None:
        """Raise ReadError for the first value of a branch, or of an event, that is not legal."""
        if legal.all():
            return
        bad = np.flatnonzero(~legal)
        at = int(bad[0]) if per_event else self.event_of(name, bad[0])
        raise ReadError(
            f"{self.path} entry {self.start + at}: {name} is {values[bad[0]]}, expected {expected} "
            f"({len(bad)} such values in entries {self.start}-{self.stop - 1}); make the file "
            "again or leave such events out"
        )

    def event_of(self, name: str, place: int) -> int:
        """Which event, counted from 0, the value at this place of a branch is in."""
        ends = np.cumsum(self.lists(name).counts)
        return int(np.searchsorted(ends, place, side="right"))


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

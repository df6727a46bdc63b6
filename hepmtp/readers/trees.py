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
import difflib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import awkward as ak
import numpy as np
import uproot
from numpy.typing import NDArray

from hepmtp.errors import EventError, ReadError
from hepmtp.events.ragged import Bools, Ints
from hepmtp.events.source import root_source, source_id
from hepmtp.readers import FileReader
from hepmtp.readers.lines import Chunk, check_file, check_range, damage, is_remote, split

_KINDS = ("TTree", "ROOT::RNTuple")
_ROOT = "a ROOT file"


class Lists(NamedTuple):
    """A branch with a list per event: how many values each has, and all values in a row."""

    counts: Ints  # (n_events,)
    values: NDArray[Any]  # (n_values,)


@dataclass(frozen=True)
class Branches:
    """The branches of one tree, for entries [start, stop) of a file."""

    path: str
    tree: Any
    start: int
    stop: int
    #: Names as they are asked for, with "." before a part, to names in the file.
    known: Mapping[str, str]
    _read: dict[str, Lists] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of events."""
        return self.stop - self.start

    @property
    def source(self) -> int:
        """Identity of the file that the events come from."""
        uuid: bytes = self.tree.file.uuid.bytes
        return root_source(uuid) if any(uuid) else source_id(self.path)

    def __contains__(self, name: str) -> bool:
        """Whether there is a branch of this name."""
        return name in self.known

    def part(self, start: int, stop: int | None) -> Branches:
        """The same branches for entries [start, stop), or as many of them as there are."""
        stop = self.stop if stop is None else min(stop, self.stop)
        return Branches(self.path, self.tree, min(start, stop), stop, self.known)

    def first_of(self, names: Mapping[str, Any], what: str, advice: str) -> str:
        """The first of these names that is a branch."""
        for name in names:
            if name in self:
                return name
        raise ReadError(
            f"{self.path}, tree {self.tree.name}, has no {what} ({', '.join(names)}); {advice}"
        )

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
            close = difflib.get_close_matches(name, self.known, n=4, cutoff=0.5)
            near = f"no name is near it among {len(self.known)}"
            near = f"near it are {', '.join(close)}" if close else near
            raise ReadError(
                f"{self.path}, tree {self.tree.name}, has no branch {name!r} ({near}); name "
                "another reader or branch"
            )
        with damage(self.path, _ROOT):
            return self.tree[self.known[name]].array(
                entry_start=min(self.start, stop), entry_stop=stop, library="ak"
            )

    def arrays(self, names: Iterable[str]) -> dict[str, ak.Array]:
        """Branches as they are, all at once: faster where the tree has few others."""
        files = {name: self.known[name] for name in names}
        with damage(self.path, _ROOT):
            found = self.tree.arrays(
                list(files.values()), entry_start=self.start, entry_stop=self.stop, library="ak"
            )
            return {name: found[file] for name, file in files.items()}

    def numbers(self, name: str) -> NDArray[Any]:
        """A branch with one number per event, shape (n_events,)."""
        return self.lists(name, depth=1).values

    def lists(self, name: str, *, depth: int = 2) -> Lists:
        """A branch with a list of numbers per event; read once, however often it is asked for."""
        if name not in self._read:
            array = self.array(name)
            found = (_flat(array) or _flat(_present(array))) if array.ndim == depth else None
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


def _flat(array: ak.Array) -> Lists | None:
    """The values of an array of numbers, or of lists of them, from its buffers; else None."""
    form, length, buffers = ak.to_buffers(array)
    numbers = form if array.ndim == 1 else getattr(form, "content", None)
    if not isinstance(numbers, ak.forms.NumpyForm) or array.ndim > 2:
        return None
    if array.ndim == 1:
        return Lists(np.ones(length, dtype=np.int64), np.asarray(buffers["node0-data"])[:length])
    if not isinstance(form, ak.forms.ListOffsetForm):
        return None
    offsets = np.asarray(buffers["node0-offsets"], dtype=np.int64)[: length + 1]
    values = np.asarray(buffers["node1-data"])[offsets[0] : offsets[-1]]
    return Lists(np.diff(offsets), values)


def _present(array: ak.Array) -> ak.Array:
    """The same values of a type that allows no missing ones, if none is missing."""
    for axis in range(array.ndim):
        if not ak.any(ak.is_none(array, axis=axis), axis=None):
            array = ak.to_packed(ak.drop_none(array, axis=axis))
    return array


class TreeReader(FileReader, ABC):
    """What readers of ROOT trees share.

    A subclass says in which tree its branches are and what events they make, and is a dataclass
    whose fields are its options.
    """

    endings = (".root",)
    magic = b"root"
    #: Names of the tree, the first that is in the file is taken.
    trees: ClassVar[tuple[str, ...]]

    @abstractmethod
    def _events(self, branches: Branches) -> ak.Array:
        """The events of these branches."""

    def _trees(self) -> tuple[str, ...]:
        """Names of the tree, where an option of the reader tells them."""
        return self.trees

    def _check(self, branches: Branches) -> None:
        """Refuse a tree as soon as it is opened; the default takes any."""

    def format_of(self, path: str) -> str:  # noqa: ARG002
        """What this file is called."""
        return self.format or f"ROOT, layout {type(self).__name__}"

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
        with open_root(path) as file:
            found, wanted = _trees_of(file), self._trees()
            name = next((name for name in wanted if name in found), None)
            if name is None:
                raise ReadError(
                    f"{path} has no tree {' or '.join(map(repr, wanted))} "
                    f"(found: {', '.join(found) or 'none'}); name another reader"
                )
            with damage(path, _ROOT):
                tree = file[name]
                branches = Branches(path, tree, 0, int(tree.num_entries), _names(tree))
            self._check(branches)
            yield branches


@contextlib.contextmanager
def open_root(path: str) -> Iterator[Any]:
    """A ROOT file, with nothing of what is read kept in memory; an address is read in place."""
    # the plain source of local files: uproot's own choice asks an event loop for every branch
    source = {} if is_remote(path) else {"handler": uproot.MultithreadedFileSource}
    if not is_remote(path):
        check_file(path)
    with damage(path, _ROOT):
        file = uproot.open({path: None}, array_cache=None, **source)
    with file:
        yield file


def names_of_branches(path: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Each tree of a ROOT file and the names of its branches, as they are asked for."""
    with open_root(path) as file:
        for tree in _trees_of(file):
            with damage(path, _ROOT):
                names = _names(file[tree])
            yield tree, names


def _trees_of(file: Any) -> list[str]:
    """Names of the TTrees and RNTuples of a file, without their cycle numbers."""
    with damage(file.file_path, _ROOT):
        found: dict[str, str] = file.classnames(cycle=False)
    return [name for name, kind in found.items() if kind in _KINDS and not name.startswith("#")]


def _names(tree: Any) -> dict[str, str]:
    """Names of the branches as they are asked for, to those in the file."""
    keys: list[str] = tree.keys(recursive=tree.classname == "TTree")
    return {key.rpartition("/")[2].replace(":", "."): key for key in keys}

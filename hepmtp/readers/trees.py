"""Trees of ROOT files that others wrote: opened, told apart, and read as flat columns, a chunk at a time.

The rule: a branch is read only when it is asked for, alone and in the range that is wanted, and whatever is wrong with it
(absent, of another type, a value that cannot be) is said with file, branch and entry.

Plain uproot, one branch after the other, and not coffea's schemas: those cross-link every branch of the file before the
first is read, and uproot's ``arrays`` looks at every field of an RNTuple (1077 of them in a PHYSLITE file, 3 s).
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
from hepmtp.readers.formats import LAYOUTS
from hepmtp.readers.lines import Chunk, check_file, check_range, is_remote
from hepmtp.readers.options import check_options

_KINDS = ("TTree", "ROOT::RNTuple")


class Lists(NamedTuple):
    """A branch with a list per event: how many values each event has, and all values one after the other."""

    counts: NDArray[np.int64]  # (n_events,)
    values: NDArray[Any]  # (n_values,)


@dataclass(frozen=True)
class Branches:
    """The branches of one tree, for entries [start, stop) of a file."""

    path: str
    tree: Any
    start: int
    stop: int
    known: Mapping[
        str, str
    ]  # names as they are asked for, with "." before a part, to names in the file
    _read: dict[str, Lists] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of events."""
        return self.stop - self.start

    def __contains__(self, name: str) -> bool:
        """Whether there is a branch of this name."""
        return name in self.known

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
        if (
            name not in self and whole in self
        ):  # an RNTuple has records where a TTree has a branch for each part
            record = self.array(whole, stop)
            if part in record.fields:
                return record[part]
        if name not in self:
            close = difflib.get_close_matches(name, self.known, n=4, cutoff=0.5)
            near = (
                f"near it are {', '.join(close)}"
                if close
                else f"no name is near it among {len(self.known)}"
            )
            raise ReadError(
                f"{self.path}, tree {self.tree.name}, has no branch {name!r} ({near}); name another reader or branch"
            )
        with damage(self.path):
            return self.tree[self.known[name]].array(
                entry_start=min(self.start, stop), entry_stop=stop, library="ak"
            )

    def numbers(self, name: str) -> NDArray[Any]:
        """A branch with one number per event, shape (n_events,)."""
        return self.lists(name, depth=1).values

    def lists(self, name: str, *, depth: int = 2) -> Lists:
        """A branch with a list of numbers per event; read once, however often it is asked for."""
        if name not in self._read:
            array = self.array(name)
            found = _flat(array) if array.ndim == depth else None
            if found is None:
                expected = "a list of numbers" if depth == 2 else "a number"
                raise ReadError(
                    f"{self.path}: branch {name!r} is {ak.type(array)}, expected {expected} per event"
                )
            self._read[name] = found
        return self._read[name]

    def like(self, name: str, other: str) -> NDArray[Any]:
        """The values of a branch whose lists are as long as those of another one."""
        column, counts = self.lists(name), self.lists(other).counts
        if not np.array_equal(column.counts, counts):
            at = np.flatnonzero(column.counts != counts)[0]
            raise ReadError(
                f"{self.path} entry {self.start + at}: {column.counts[at]} values of {name} but {counts[at]} of {other};"
                " the file is damaged or was not written as one"
            )
        return column.values

    def single(self, name: str) -> NDArray[Any]:
        """The values of a branch whose lists have one value in every event, shape (n_events,)."""
        column = self.lists(name)
        odd = np.flatnonzero(column.counts != 1)
        if len(odd):
            raise ReadError(
                f"{self.path} entry {self.start + odd[0]}: {column.counts[odd[0]]} values of {name}, expected one"
            )
        return column.values

    def require(
        self,
        legal: NDArray[np.bool_],
        name: str,
        values: NDArray[Any],
        expected: str,
        *,
        per_event: bool = False,
    ) -> None:
        """Raise ReadError that names entry, branch and value where `legal` is False, per value of a branch or per event."""
        if legal.all():
            return
        bad = np.flatnonzero(~legal)
        counts = np.ones(len(self), dtype=np.int64) if per_event else self.lists(name).counts
        entry = self.start + int(np.searchsorted(np.cumsum(counts), bad[0], side="right"))
        raise ReadError(
            f"{self.path} entry {entry}: {name} is {values[bad[0]]}, expected {expected} ({len(bad)} such values in "
            f"entries {self.start}-{self.stop - 1}); make the file again or leave such events out"
        )


def _flat(array: ak.Array) -> Lists | None:
    """The numbers of an array of numbers or of lists of them, from its buffers; None if it is something else."""
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


class TreeReader(ABC):
    """What the readers of ROOT trees share: a subclass says in which tree its branches are and what events they make."""

    #: names of the tree, the first that is in the file is taken
    trees: ClassVar[tuple[str, ...]]

    def __post_init__(self) -> None:
        check_options(self)

    @abstractmethod
    def _events(self, branches: Branches) -> ak.Array:
        """The events of these branches."""

    def num_events(self, path: str) -> int:
        """Number of entries of the tree."""
        with self._open(path) as tree:
            return int(tree.num_entries)

    def read(self, path: str, start: int = 0, stop: int | None = None) -> ak.Array:
        """Events [start, stop) of a file; the whole file by default.

        Raises
        ------
        ReadError
            naming file, branch and entry, what was found and what to do.
        """
        check_range(path, start, stop)
        with self._open(path) as tree:
            return self._chunk(path, tree, _names(tree), start, stop)

    def chunks(self, path: str, size: int) -> list[Chunk]:
        """The file as chunks of `size` events; one of none if it has no event."""
        return _chunks(path, self.num_events(path), size)

    def read_chunk(self, path: str, chunk: Chunk) -> ak.Array:
        """Events of one of the `chunks`."""
        return self.read(path, chunk.first_entry, chunk.first_entry + chunk.n_entries)

    def iterate(self, path: str, size: int) -> Iterator[ak.Array]:
        """Events of each chunk in turn; the file is opened once, for a tree of 1500 branches takes a second to open."""
        with self._open(path) as tree:
            known = _names(tree)
            for chunk in _chunks(path, int(tree.num_entries), size):
                yield self._chunk(
                    path, tree, known, chunk.first_entry, chunk.first_entry + chunk.n_entries
                )

    def _chunk(
        self, path: str, tree: Any, known: Mapping[str, str], start: int, stop: int | None
    ) -> ak.Array:
        branches = Branches(path, tree, *entries(tree, start, stop), known)
        try:
            return self._events(branches)
        except EventError as error:
            raise ReadError(f"{path}, entries from {branches.start} on: {error}") from None

    @contextlib.contextmanager
    def _open(self, path: str) -> Iterator[Any]:
        with open_root(path) as file:
            found = trees_of(file)
            name = next((name for name in self.trees if name in found), None)
            if name is None:
                raise ReadError(
                    f"{path} has no tree {' or '.join(map(repr, self.trees))} (found: {', '.join(found) or 'none'});"
                    " name another reader"
                )
            with damage(path):
                tree = file[name]
            yield tree


def entries(tree: Any, start: int, stop: int | None) -> tuple[int, int]:
    """The part of [start, stop) that the tree holds; None stands for its end."""
    end = int(tree.num_entries)
    stop = end if stop is None else min(stop, end)
    return min(start, stop), stop


def _chunks(path: str, n: int, size: int) -> list[Chunk]:
    if size < 1:
        raise ReadError(f"{path}: chunks of {size} events were asked for, expected at least 1")
    return [Chunk(first, min(size, n - first), 0, 0) for first in range(0, max(n, 1), size)]


@contextlib.contextmanager
def open_root(path: str) -> Iterator[Any]:
    """A ROOT file, with nothing of what is read from it kept in memory; an address is read in place."""
    # the plain source of local files: uproot's own choice asks an event loop for every branch
    source = {} if is_remote(path) else {"handler": uproot.MultithreadedFileSource}
    if not is_remote(path):
        check_file(path)
    with damage(path):
        file = uproot.open({path: None}, array_cache=None, **source)
    with file:
        yield file


@contextlib.contextmanager
def damage(path: str) -> Iterator[None]:
    """Turn what uproot raises on damaged bytes (anything, StopIteration even) into a ReadError."""
    try:
        yield
    except ReadError:
        raise
    except Exception as error:  # noqa: BLE001
        reason = f"{type(error).__name__}: {error}".strip().split("\n", maxsplit=1)[0]
        raise ReadError(
            f"{path} is not a ROOT file, or is cut short or damaged ({reason}); fetch it again, or name another reader"
        ) from None


def trees_of(file: Any) -> list[str]:
    """Names of the TTrees and RNTuples of a file, without their cycle numbers."""
    with damage(file.file_path):
        found: dict[str, str] = file.classnames(cycle=False)
    return [name for name, kind in found.items() if kind in _KINDS and not name.startswith("#")]


def _names(tree: Any) -> dict[str, str]:
    """Names of the branches as they are asked for, to those in the file."""
    with damage(tree.file.file_path):
        keys: list[str] = tree.keys(recursive=tree.classname == "TTree")
        return {key.rpartition("/")[2].replace(":", "."): key for key in keys}


def identify(path: str) -> str:
    """Name of the reader for a ROOT file, by the branches of its trees.

    Raises
    ------
    ReadError
        if no known layout is there; it lists the trees, some of their branches, and what is missing of the nearest layout.
    """
    found = []
    with open_root(path) as file:
        for tree in trees_of(file):
            with damage(path):
                known = _names(file[tree])
            missing = {
                reader: [name for name in names if name not in known]
                for reader, names in LAYOUTS.items()
            }
            for reader, names in missing.items():
                if not names:
                    return reader
            found.append(f"{tree} with {len(known)} branches ({_some(known)}{_nearest(missing)})")
    raise ReadError(
        f"{path} has no events of a known layout; found: {'; '.join(found) or 'no tree'}; known are the layouts of "
        f"{', '.join(reader.rpartition(':')[2] for reader in LAYOUTS)}; name a reader of your own for it"
    )


def _some(names: Iterable[str]) -> str:
    shown = sorted(names)
    return ", ".join(shown[:8]) + (", ..." if len(shown) > 8 else "")


def _nearest(missing: Mapping[str, list[str]]) -> str:
    reader = min(missing, key=lambda reader: len(missing[reader]) / len(LAYOUTS[reader]))
    if len(missing[reader]) == len(LAYOUTS[reader]):
        return ""
    return f"; {reader.rpartition(':')[2]} needs {', '.join(missing[reader])} too"

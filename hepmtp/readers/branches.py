"""The branches of one tree, as flat numbers of a range of its entries.

The rule: a branch is read only when it is asked for, alone and in the range that is wanted.
Whatever is wrong with it (absent, of another type, a value that cannot be) is said with file,
branch and entry.

Not coffea's schemas: those cross-link every branch of the file before the first is read. Uproot's
own ``arrays`` looks at every field of an RNTuple (1077 of them in a PHYSLITE file, 3 s).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp.errors import ReadError
from hepmtp.events.lists import Lists, lists_of
from hepmtp.events.ragged import Bools
from hepmtp.readers.lines import damage
from hepmtp.readers.naming import Known, near
from hepmtp.readers.opening import ROOT, where_of
from hepmtp.readers.plain import Baskets, FieldColumns, plain


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
    #: What reads each branch of plain numbers; all parts share it.
    _ways: dict[str, Baskets | FieldColumns | None] = field(default_factory=dict)

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
            first = min(self.start, stop)
            return self._branch(name).array(entry_start=first, entry_stop=stop, library="ak")

    def _branch(self, name: str) -> Any:
        """What is read of this name."""
        branch = self.known.elsewhere.get(name)
        return self.tree[self.known[name]] if branch is None else branch

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
            self._read[name] = self._plain(name, depth) or self._unpacked(name, depth)
        return self._read[name]

    def _plain(self, name: str, depth: int) -> Lists | None:
        """A branch of plain numbers, the shorter way; None for any other."""
        if name not in self:
            return None
        with damage(self.path, ROOT):
            if name not in self._ways:
                self._ways[name] = plain(self._branch(name))
            way = self._ways[name]
            return None if way is None or way.depth != depth else way.read(self.start, self.stop)

    def _unpacked(self, name: str, depth: int) -> Lists:
        """A branch of lists or numbers by way of an array."""
        array = self.array(name)
        found = lists_of(array) if array.ndim == depth else None
        if found is None:
            expected = "a list of numbers" if depth == 2 else "a number"
            raise ReadError(
                f"{self.path}: branch {name!r} is {ak.type(array)}, expected {expected} per event"
            )
        return found

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

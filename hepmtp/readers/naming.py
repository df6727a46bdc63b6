"""Names of branches that differ from those of a layout, as the option names of a reader tells them.

The rule: what is named must be there, and nothing is taken from where it was not named. A
collection that is replaced is gone with all of its branches; one that is ``none`` has no particles.

The keys are plain words: ``jets=JetPUPPI`` for a collection, ``jet_pt=Jet_pt_nom`` for one branch
of it, ``photons=none`` for no photons. A branch of another tree with as many entries is
``jet_pt=friend/Jet_pt``, and ``jet_pt=friends.root:friend/Jet_pt`` if that tree is in another file,
which lies beside the first unless its path says otherwise.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from hepmtp.errors import OptionError, ReadError

#: Collections that a file need not have.
_PARTICLES = ("jets", "electrons", "muons", "photons", "leptons")


class Collection(NamedTuple):
    """Branches of a layout that begin alike, and the keys of those that may be named alone.

    Examples
    --------
    >>> dict(Collection("Jet.", "pt:PT btag:BTag").branches("jets"))
    {'jet_pt': 'Jet.PT', 'jet_btag': 'Jet.BTag'}
    """

    #: What the names of its branches begin with.
    prefix: str
    #: Words of ``key:branch``, or of one name that is both.
    parts: str

    def branches(self, key: str) -> Iterator[tuple[str, str]]:
        """Keys of its branches and their names in the layout."""
        for word in self.parts.split():
            part, _, branch = word.partition(":")
            yield f"{key.removesuffix('s')}_{part}", self.prefix + (branch or part)


class Layout(NamedTuple):
    """What may be named of a layout."""

    #: Collections by their keys.
    collections: Mapping[str, Collection]
    #: Further branches by their keys.
    branches: Mapping[str, str]
    #: Options of the reader that name branches, and what the names of these are made of it.
    naming: Mapping[str, str]

    def keys(self) -> dict[str, str]:
        """Keys of single branches and their names in the layout."""
        found = dict(self.branches)
        for key, collection in self.collections.items():
            found |= collection.branches(key)
        return found

    def check(self, reader: str, names: Mapping[str, str | None]) -> None:
        """Raise OptionError for a key that does not exist, or that cannot be none."""
        single = self.keys()
        legal = [*self.collections, *single, *self.naming]
        for key, value in names.items():
            if key not in legal:
                raise OptionError(
                    f"{reader}: option names has no key {key!r}; it has {', '.join(legal)}"
                )
            may = [*(key for key in self.collections if key in _PARTICLES)]
            may += [key for key in self.naming if key == "weight"]
            if value is None and key in self.collections:
                parts = dict(self.collections[key].branches(key))
                if said := [part for part in parts if part in names]:
                    raise OptionError(
                        f"{reader}: option names: {key} is none, but {', '.join(said)} is given; "
                        "keep one"
                    )
            if value is None and key not in may:
                raise OptionError(
                    f"{reader}: option names: {key} cannot be none; "
                    f"{', '.join(may) or 'nothing of this layout'} can"
                )


class Known(dict[str, str]):
    """Names of branches, as they are asked for, to names in the file.

    `elsewhere` has the branches of other trees, `empty` what names begin with that have no values.
    """

    def __init__(
        self,
        names: Mapping[str, str],
        *,
        elsewhere: Mapping[str, Any] | None = None,
        empty: tuple[str, ...] = (),
    ) -> None:
        super().__init__(names)
        self.elsewhere = dict(elsewhere or {})
        self.empty = empty

    def fits(self, branches: Iterable[str]) -> bool:
        """Whether all of these are there, or are not wanted."""
        return all(name in self or name.startswith(self.empty) for name in branches)


def renamed(
    where: str,
    known: Mapping[str, str],
    layout: Layout,
    names: Mapping[str, str | None],
    friend: Callable[[str], Any],
) -> Known:
    """The names of a tree as the readers of a layout ask for them.

    Parameters
    ----------
    where
        file and tree, for errors.
    known
        names of the branches that the tree has.
    friend
        opens a branch of another tree by ``"tree/branch"`` or ``"file:tree/branch"``.

    Raises
    ------
    ReadError
        if there is nothing of a name that is given, with those near it.
    """
    found = dict(known)
    elsewhere: dict[str, Any] = {}
    single = layout.keys()
    moved: dict[str, str] = {}
    empty = []
    for key, value in names.items():
        if key not in layout.collections:
            continue
        prefix = layout.collections[key].prefix
        found = {name: file for name, file in found.items() if not name.startswith(prefix)}
        if value is None:
            empty.append(prefix)
        else:
            moved |= _moved(where, known, key, prefix, value)
    found |= moved
    for key, value in names.items():
        if key in layout.collections or value is None:
            continue
        for name, asked in _wanted(single, layout.naming, key, value):
            spelled = asked.replace(":", ".")
            if spelled in known:
                found[name] = known[spelled]
            elif "/" in asked:
                elsewhere[name], found[name] = friend(asked), asked
            elif key in single or name not in known:
                raise ReadError(
                    f"{where} has no branch {asked!r}{near(asked, known)}; correct the option "
                    f"names for {key}"
                )
    return Known(found, elsewhere=elsewhere, empty=tuple(empty))


def _wanted(
    single: Mapping[str, str], options: Mapping[str, str], key: str, value: str
) -> Iterator[tuple[str, str]]:
    """Each branch that a key is of: its name in the layout and the one that is asked for."""
    if key in single:
        yield single[key], value
    else:
        for pattern in options[key].split():
            asked = pattern.format(value) if pattern.startswith("{}") else value
            yield pattern.format(value), asked


def near(name: str, known: Iterable[str]) -> str:
    """What is spelled like a name that is not there."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=4, cutoff=0.5)
    said = f"near it are {', '.join(close)}" if close else None
    return f" ({said or f'no name is near it among {len(known)}'})"


def _moved(
    where: str, known: Mapping[str, str], key: str, prefix: str, value: str
) -> dict[str, str]:
    """The branches of another collection under the names of one of the layout."""
    tail = re.search(r"(AuxDyn)?[._]?$", prefix)
    end = tail[0] if tail else ""
    begin = value.removesuffix(end).removesuffix(end[:-1]) + end
    found = {
        prefix + name[len(begin) :]: file for name, file in known.items() if name.startswith(begin)
    }
    if not found:
        others = sorted({name.partition(end)[0] for name in known if end in name})
        raise ReadError(
            f"{where} has no collection {value!r}{near(value, others)}; correct the option names "
            f"for {key}"
        )
    return found

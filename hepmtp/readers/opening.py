"""Files with trees, opened: the trees of a ROOT file, the one that is meant, branches of others.

The rule: a tree is the one that was named, or the only one that is of the layout; of several none
is chosen in silence. The columns of a parquet file are a tree without a name.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import fsspec
import uproot

from hepmtp.errors import NetworkError, ReadError
from hepmtp.readers.lines import check_file, damage, is_remote
from hepmtp.readers.naming import Known, near

_KINDS = ("TTree", "ROOT::RNTuple")
ROOT = "a ROOT file"
#: Trees of one entry that hepmtp writes beside the events: the sum of the weights of all that were
#: generated; how many events were written, and whether there is that sum.
GENERATED, WRITTEN = "Generated", "Written"
BESIDE = (GENERATED, WRITTEN)
_FEW = 200  # fields of an RNTuple
#: What parquet files begin with.
PARQUET = b"PAR1"


class Wanted(NamedTuple):
    """The tree that a reader asks for.

    Parameters
    ----------
    reader
        what its layout is called, for errors.
    tree
        its name, if that was said.
    usual
        names that such trees usually have: one at the top of the file comes before all others.
    branches
        what the tree must have.
    known
        names as they are asked for, of those that a tree has; takes file and tree, for errors, the
        names, and what opens a branch of another tree.
    """

    reader: str
    tree: str | None
    usual: Sequence[str]
    branches: Sequence[str]
    known: Callable[[str, Mapping[str, str], Callable[[str], Any]], Known]


class Opened(NamedTuple):
    """A tree with the names of its branches, and the file that it is in; a table has none."""

    path: str
    name: str
    tree: Any
    known: Known
    file: Any = None

    def beside(self, name: str) -> Any:
        """The tree of this name in the same folder, or else at the top of the file; or None."""
        found = [] if self.file is None else trees_of(self.file)
        folder = self.name.rpartition("/")[0]
        there = next((one for one in (f"{folder}/{name}", name) if one in found), None)
        return None if there is None else tree_of(self.path, self.file, there)


@contextlib.contextmanager
def open_tree(path: str, wanted: Wanted) -> Iterator[Opened]:
    """The tree that is wanted of a ROOT file, or the columns of a parquet file."""
    with contextlib.ExitStack() as stack:
        if is_table(path):
            if wanted.tree is not None:
                raise ReadError(
                    f"{path} is a parquet file and has no trees; leave out the option "
                    f"tree={wanted.tree}"
                )
            table = stack.enter_context(_table(path))
            yield Opened(path, "", table, wanted.known(path, table.names(), _no_friend(path)))
            return
        file = stack.enter_context(open_root(path))
        seen: dict[str, dict[str, str]] = {}
        name = _choose(path, file, wanted, seen)
        tree = tree_of(path, file, name)
        names = seen.get(name) or names_of(tree)

        def friend(branch: str) -> Any:
            return _friend(path, file, tree, branch, stack)

        known = wanted.known(where_of(path, tree), names, friend)
        yield Opened(path, name, tree, known, file)


def _choose(path: str, file: Any, wanted: Wanted, seen: dict[str, dict[str, str]]) -> str:
    """Name of the tree that is wanted; names of the branches that were looked at go into `seen`."""
    found = trees_of(file)
    if wanted.tree is not None:
        return asked(path, found, wanted.tree)

    def fits(name: str) -> bool:
        seen[name] = names_of(tree_of(path, file, name))
        try:
            return wanted.known("", seen[name], lambda _: None).fits(wanted.branches)
        except ReadError:  # it has not what was named
            return False

    def is_filled(name: str) -> bool:
        with damage(path, ROOT):
            return int(file[name].num_entries) > 0

    top = [name for name in wanted.usual if name in found]
    fitting = [name for name in top if fits(name)]
    if not fitting:
        fitting = [name for name in found if name not in top and fits(name)]
    if len(fitting) > 1:
        fitting = [name for name in fitting if is_filled(name)] or fitting[:1]
    if not fitting:  # what is missing in the tree of the right name is said when it is read
        fitting = top[:1] or [one for one in found if one.rpartition("/")[2] in wanted.usual][:1]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise ReadError(
            f"{path} has several trees of the layout {wanted.reader}: {', '.join(fitting)}; name "
            "one with the option tree"
        )
    raise ReadError(
        f"{path} has no tree {' or '.join(map(repr, wanted.usual))} "
        f"(found: {_offered(found)}); name another reader, or one of them with the "
        "option tree"
    )


def tree_of(path: str, file: Any, name: str) -> Any:
    """A tree of an open file."""
    with damage(path, ROOT):
        return file[name]


def asked(path: str, found: Sequence[str], name: str) -> str:
    """The tree of this name, in whatever folder it is if that is not said."""
    asked = name.partition(";")[0]  # a cycle may be named
    if asked in found:
        return name
    folders = [one for one in found if one.rpartition("/")[2] == asked]
    if len(folders) == 1:
        return folders[0] + name[len(asked) :]
    if folders:
        raise ReadError(
            f"{path} has several trees {asked!r}: {', '.join(folders)}; name one with its folder"
        )
    raise ReadError(
        f"{path} has no tree {name!r} (found: {_offered(found)}); name another of them, "
        "or another reader"
    )


def _offered(found: Sequence[str]) -> str:
    """Trees that a user may name: those that hold events."""
    return ", ".join(one for one in found if one not in BESIDE) or "none"


def _friend(path: str, file: Any, tree: Any, name: str, stack: contextlib.ExitStack) -> Any:
    """A branch of another tree, of the same file or of another, with as many entries."""
    place, _, branch = name.rpartition("/")
    other, colon, inside = place.rpartition(":")
    if colon:
        at = other if is_remote(other) else str(Path(path).parent / other)
        file, place = stack.enter_context(open_root(at)), inside
    else:
        at = path
    with damage(at, ROOT):
        friend = file[asked(at, trees_of(file), place)]
        names, n = names_of(friend), int(friend.num_entries)
        if branch not in names:
            raise ReadError(
                f"{where_of(at, friend)} has no branch {branch!r}{near(branch, names)}; correct "
                f"{name} in the option names"
            )
        if n != int(tree.num_entries):
            raise ReadError(
                f"{where_of(at, friend)} has {n} entries, but {where_of(path, tree)} has "
                f"{tree.num_entries}: the entries of {name} cannot be matched with them"
            )
        return friend[names[branch]]


def _no_friend(path: str) -> Callable[[str], Any]:
    def refuse(name: str) -> Any:
        raise ReadError(
            f"{path} is a parquet file and has no branch {name!r}; correct the option names"
        )

    return refuse


def _table(path: str) -> contextlib.AbstractContextManager[Any]:
    from hepmtp.readers.tables import open_table  # noqa: PLC0415 (pyarrow only when asked)

    return open_table(path)


def is_table(path: str) -> bool:
    """Whether a local file is a parquet file."""
    if is_remote(path):
        return False
    check_file(path)
    with damage(path, "a file", (OSError,)), Path(path).open("rb") as file:
        return file.read(len(PARQUET)) == PARQUET


@contextlib.contextmanager
def open_root(path: str) -> Iterator[Any]:
    """A ROOT file, with nothing of what is read kept in memory; an address is read in place."""
    source: dict[str, Any] = {}
    if not is_remote(path):
        # the plain source, in this thread: uproot's own choice opens the file for every basket, and
        # a thread that reads is waited for
        source = {"handler": uproot.MultithreadedFileSource, "use_threads": False}
        check_file(path)
    try:
        with damage(path, ROOT):
            file = uproot.open({str(path): None}, array_cache=None, **source)
    except NetworkError:
        raise
    except ReadError:
        if _gives_parts(path):
            raise
        raise ReadError(
            f"{path}: the server gives no parts of files; download it, then name the copy"
        ) from None
    with file:
        yield file


def _gives_parts(path: str) -> bool:
    """Whether a server gives parts of this file; true of all but web servers that do not say so."""
    if not str(path).startswith(("http://", "https://")):
        return True
    try:
        system, name = fsspec.core.url_to_fs(path)
        return bool(system.info(name).get("partial"))
    except Exception:  # noqa: BLE001 (each protocol has errors of its own)
        return True


def names_of_branches(path: str, first: Iterable[str] = ()) -> Iterator[tuple[str, Known]]:
    """Each tree of a file and the names of its branches, as they are asked for.

    Those of the names in `first` come first. A parquet file has one, of no name.
    """
    if is_table(path):
        with _table(path) as table:
            yield "", Known(table.names())
        return
    first = set(first)
    with open_root(path) as file:
        for tree in sorted(trees_of(file), key=lambda name: name not in first):
            if tree not in BESIDE:
                yield tree, Known(names_of(tree_of(path, file, tree)))


def trees_of(file: Any) -> list[str]:
    """Names of the TTrees and RNTuples of a file, without their cycle numbers."""
    with damage(file.file_path, ROOT):
        found: dict[str, str] = file.classnames(cycle=False)
    return [name for name, kind in found.items() if kind in _KINDS and not name.startswith("#")]


def names_of(tree: Any) -> dict[str, str]:
    """Names of the branches as they are asked for, to those in the file."""
    if not hasattr(tree, "classname"):  # of a table
        return dict(tree.names())
    with damage(tree.file.file_path, ROOT):
        return _names_of(tree)


def _names_of(tree: Any) -> dict[str, str]:
    if tree.classname == "TTree":
        keys: list[str] = tree.keys(recursive=True)
        return {key.rpartition("/")[2].replace(":", "."): key for key in keys}
    top: list[str] = tree.keys(recursive=False)
    found = {key.replace(":", "."): key for key in top}
    if len(top) > _FEW:  # to look at every field is slow, and these have one for each branch
        return found
    # the part pt of records Jet is Jet_pt, as in parquet
    parts = {
        key.replace(":", "."): key
        for key in tree.keys(recursive=True)
        if "." in key and key not in top
    }
    return {name.replace(".", "_"): key for name, key in parts.items()} | parts | found


def where_of(path: str, tree: Any) -> str:
    """File and tree, for errors."""
    return f"{path}, tree {tree.name}," if tree.name else path

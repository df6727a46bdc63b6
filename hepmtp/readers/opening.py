"""Files with trees, opened: the trees of a ROOT file, the one that is meant, branches of others.

The rule: a tree is the one that was named, or the only one that is of the layout; of several none
is chosen in silence. The columns of a parquet file are a tree without a name.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import uproot

from hepmtp.errors import ReadError
from hepmtp.readers.lines import check_file, damage, is_remote
from hepmtp.readers.naming import Known, near

_KINDS = ("TTree", "ROOT::RNTuple")
ROOT = "a ROOT file"
_FEW = 200  # fields of an RNTuple
#: What parquet files begin with.
PARQUET = b"PAR1"


def choose(
    path: str,
    found: Sequence[str],
    layout: str,
    usual: Sequence[str],
    fits: Callable[[str], bool],
    entries: Callable[[str], int],
) -> str:
    """The tree of a layout among those that were found in a file.

    Parameters
    ----------
    layout
        what the layout is called, for errors.
    usual
        names that its trees usually have: one at the top of the file comes before all others.
    fits, entries
        whether a tree has the branches of the layout, and how many entries it has.

    Raises
    ------
    ReadError
        if there is none, or several with entries.
    """
    top = [name for name in usual if name in found]
    fitting = [name for name in top if fits(name)]
    if not fitting:
        fitting = [name for name in found if name not in top and fits(name)]
    if len(fitting) > 1:
        fitting = [name for name in fitting if entries(name)] or fitting[:1]
    if not fitting:  # what is missing in the tree of the right name is said when it is read
        fitting = top[:1] or [name for name in found if name.rpartition("/")[2] in usual][:1]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise ReadError(
            f"{path} has several trees of the layout {layout}: {', '.join(fitting)}; name one with "
            "the option tree"
        )
    wanted = " or ".join(map(repr, usual)) or f"of the layout {layout}"
    raise ReadError(
        f"{path} has no tree {wanted} (found: {', '.join(found) or 'none'}); name another reader, "
        "or one of them with the option tree"
    )


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
        f"{path} has no tree {name!r} (found: {', '.join(found) or 'none'}); name another of them, "
        "or another reader"
    )


def friend(path: str, file: Any, tree: Any, name: str, stack: contextlib.ExitStack) -> Any:
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


def no_friend(path: str, name: str) -> Any:
    raise ReadError(
        f"{path} is a parquet file and has no branch {name!r}; correct the option names"
    )


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
    # the plain source of local files: uproot's own choice asks an event loop for every branch
    source = {} if is_remote(path) else {"handler": uproot.MultithreadedFileSource}
    if not is_remote(path):
        check_file(path)
    with damage(path, ROOT):
        file = uproot.open({path: None}, array_cache=None, **source)
    with file:
        yield file


def names_of_branches(path: str, first: Iterable[str] = ()) -> Iterator[tuple[str, Known]]:
    """Each tree of a file and the names of its branches, as they are asked for.

    Those of the names in `first` come first. A parquet file has one, of no name.
    """
    if is_table(path):
        from hepmtp.readers.tables import open_table  # noqa: PLC0415 (pyarrow only when asked)

        with open_table(path) as table:
            yield "", Known(table.names())
        return
    first = set(first)
    with open_root(path) as file:
        for tree in sorted(trees_of(file), key=lambda name: name not in first):
            with damage(path, ROOT):
                names = Known(names_of(file[tree]))
            yield tree, names


def trees_of(file: Any) -> list[str]:
    """Names of the TTrees and RNTuples of a file, without their cycle numbers."""
    with damage(file.file_path, ROOT):
        found: dict[str, str] = file.classnames(cycle=False)
    return [name for name, kind in found.items() if kind in _KINDS and not name.startswith("#")]


def names_of(tree: Any) -> dict[str, str]:
    """Names of the branches as they are asked for, to those in the file."""
    if not tree.name:
        return dict(tree.names())  # of a table
    top: list[str] = tree.keys(recursive=False)
    # every field of an RNTuple with many is slow to look at; those have a field for each branch
    some = tree.classname == "TTree" or len(top) <= _FEW
    keys: list[str] = tree.keys(recursive=True) if some else top
    found = {key.rpartition("/")[2].replace(":", "."): key for key in keys}
    if tree.classname == "TTree":
        return found
    # the part pt of records Jet is Jet_pt, as in parquet
    parts = {key.replace(".", "_"): key for key in keys if "." in key and key not in top}
    return parts | found


def where_of(path: str, tree: Any) -> str:
    return f"{path}, tree {tree.name}," if tree.name else path

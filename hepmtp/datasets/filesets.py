"""Filesets in every form that coffea takes or gives, as one: data sets, their files, metadata.

The rule: what is not understood is refused with data set and key, and nothing is left out in
silence. Paths become absolute, for workers run elsewhere. A data set is one of these::

    [path, ...]                                    also one path
    {path: tree, ...}
    {path: {"object_path": tree, "steps": [[start, stop], ...]}, ...}
    {"files": one of these, "treename": tree, "metadata": {...}, "preload": [branch, ...]}

or coffea's DatasetSpec. A fileset is a mapping of names to data sets, a DataGroupSpec, or the path
of a JSON (or YAML) file of such a mapping, compressed or not. What `coffea.dataset_tools` writes
beyond this (uuid, num_entries, form, did, ...) is legal. Of it, num_entries must agree with the
steps, and the rest is not used.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from hepmtp.datasets.fileset_files import load_fileset
from hepmtp.datasets.metadata import check_metadata, check_name, check_once, check_there, short
from hepmtp.datasets.paths import expand, split_tree
from hepmtp.errors import ManifestError, ReadError
from hepmtp.readers.lines import is_remote

Steps = tuple[tuple[int, int], ...]

#: Keys of a data set, and those among them that coffea writes and hepmtp does not need.
KEYS = ("files", "treename", "metadata", "preload")
DESCRIBED = ("form", "compressed_form", "saved_form", "did", "format")
#: Keys of a file, and those among them that coffea writes and hepmtp does not need.
FILE_KEYS = ("object_path", "steps", "num_entries")
FILE_DESCRIBED = (
    "uuid", "format", "lfn", "pfn", "form", "compressed_form", "saved_form", "num_selected_entries",
)  # fmt: skip


class Wanted(NamedTuple):
    """One file of a data set.

    Parameters
    ----------
    path
        absolute path, or an address.
    tree
        the tree that was named for this file; None if none was.
    steps
        entry ranges [start, stop) that are to be read; None for all entries.
    """

    path: str
    tree: str | None
    steps: Steps | None


class FilesetEntry(NamedTuple):
    """One data set of a fileset.

    Parameters
    ----------
    files
        at least one.
    metadata
        the user's; role, normalisation and energy are legal where they are given.
    preload
        names of branches that are to be read together; None if not given.
    """

    files: tuple[Wanted, ...]
    metadata: dict[str, Any]
    preload: frozenset[str] | None


def read_fileset(
    fileset: Any, *, treename: str | None = None, missing_ok: bool = False
) -> dict[str, FilesetEntry]:
    """A fileset in any of the forms of this module's docstring.

    Parameters
    ----------
    fileset
        a mapping of data set names, coffea's DataGroupSpec, or the path of a JSON or YAML file.
    treename
        tree of files for which none is named in the fileset.
    missing_ok
        whether files that are not there are left to whoever opens them, and counts them as lost.

    Raises
    ------
    ManifestError
        naming data set, key, what was found and what is legal.
    OptionError
        for numbers of the normalisation that cannot be.
    ReadError
        if a file is missing or cannot be read as a fileset, or metadata have coffea's own names.

    Examples
    --------
    >>> found = read_fileset({"tt": {"root://eos.cern.ch//a.root": "Events"}})
    >>> found["tt"].files[0]
    Wanted(path='root://eos.cern.ch//a.root', tree='Events', steps=None)
    """
    content = load_fileset(fileset) if isinstance(fileset, str | os.PathLike) else _plain(fileset)
    if not isinstance(content, Mapping):
        raise ManifestError(
            f"a fileset is a mapping of data set names to files, found {short(content)}; write "
            '{"NAME": [files]}'
        )
    if not content:
        raise ManifestError("the fileset is empty: it names no data set")
    return {
        _name(name): _entry(str(name), entry, treename, missing_ok=missing_ok)
        for name, entry in content.items()
    }


def _plain(thing: Any) -> Any:
    """Coffea's classes of filesets (pydantic models) as plain data; anything else as it is."""
    return thing.model_dump() if hasattr(thing, "model_dump") else thing


def _name(name: object) -> str:
    if not isinstance(name, str) or not name.strip():
        raise ManifestError(f"data set {name!r} of a fileset: a name is text that is not empty")
    check_name(name)
    return name


def _entry(dataset: str, given: Any, treename: str | None, *, missing_ok: bool) -> FilesetEntry:
    content = _plain(given)
    if isinstance(content, Mapping):
        named = {str(key) for key in content}
        if "files" not in named and not named & {*KEYS, *DESCRIBED}:
            content = {"files": content}  # {path: tree}
    else:
        content = {"files": content}
    _check_keys(f"data set {dataset!r}", content, KEYS, DESCRIBED)
    if "files" not in content:
        raise ManifestError(
            f"data set {dataset!r} has no key 'files', only {', '.join(map(str, content))}"
        )
    tree = _tree(f"data set {dataset!r}: treename", content.get("treename"))
    files = tuple(
        wanted
        for path, own_tree, steps in _files(dataset, content["files"], tree)
        for wanted in _expanded(
            dataset, path, own_tree or tree, steps, treename, missing_ok=missing_ok
        )
    )
    check_once(dataset, [wanted.path for wanted in files])
    return FilesetEntry(
        files,
        check_metadata(dataset, content.get("metadata")),
        _preload(dataset, content.get("preload")),
    )


def _check_keys(
    where: str, given: Mapping[Any, Any], used: Sequence[str], described: Sequence[str]
) -> None:
    unknown = [str(key) for key in given if key not in (*used, *described)]
    if unknown:
        hint = {"tree": "treename", "object_path": "treename", "root": "files"}.get(unknown[0])
        advice = (
            f"write {hint!r}"
            if hint is not None and hint in used
            else "numbers and words of your own belong into 'metadata'"
            if "metadata" in used
            else "say nothing else of a file"
        )
        raise ManifestError(
            f"{where}: key {', '.join(map(repr, unknown))} is unknown; allowed are "
            f"{', '.join(used)} (and what coffea writes: {', '.join(described)}); {advice}"
        )


def _files(
    dataset: str, given: Any, tree: str | None
) -> Iterator[tuple[str, str | None, Steps | None]]:
    """Path, tree and steps of each file, as they are written."""
    files = _plain(given)
    if isinstance(files, str | os.PathLike):
        files = [files]
    if isinstance(files, Mapping):
        for path, one in files.items():
            yield _file(dataset, path, _plain(one), tree)
        return
    if not isinstance(files, Iterable) or isinstance(files, bytes):
        raise ManifestError(
            f"data set {dataset!r}: key 'files' is {short(files)}, expected a path, a list of "
            "paths, or a mapping of path to tree"
        )
    for path in files:
        if isinstance(path, list | tuple):
            raise ManifestError(
                f"data set {dataset!r}: file {short(path)} is a list of replicas; keep one of "
                'each, as rucio gives with mode="first"'
            )
        yield _file(dataset, path, None, tree)


def _file(
    dataset: str, path: Any, given: Any, tree: str | None
) -> tuple[str, str | None, Steps | None]:
    if not isinstance(path, str | os.PathLike) or not str(os.fspath(path)).strip():
        raise ManifestError(f"data set {dataset!r}: file {path!r}, expected a path")
    where = f"data set {dataset!r}, file {os.fspath(path)!r}"
    if isinstance(given, list | tuple):
        raise ManifestError(
            f"{where}: found {short(given)}, expected a tree, or a mapping with 'object_path' and "
            "'steps'"
        )
    if not isinstance(given, Mapping):
        given = {"object_path": given}
    _check_keys(where, given, FILE_KEYS, FILE_DESCRIBED)
    own = _tree(f"{where}: object_path", given.get("object_path"))
    if own is not None and tree is not None and own != tree:
        raise ManifestError(
            f"{where}: its tree is {own!r}, but the data set's treename is {tree!r}; keep one"
        )
    return os.fspath(path), own, _steps(where, given.get("steps"), given.get("num_entries"))


def _tree(where: str, tree: Any) -> str | None:
    if tree is None or tree == "":
        return None
    if not isinstance(tree, str):
        raise ManifestError(f"{where} is {short(tree)}, expected the name of a tree")
    return tree


def _steps(where: str, given: Any, n_entries: Any) -> Steps | None:
    """Entry ranges in order, none overlapping, none beyond the entries of the file."""
    if n_entries is not None and not _whole(n_entries):
        raise ManifestError(f"{where}: num_entries is {n_entries!r}, expected a whole number")
    if given is None:
        return None
    expected = f"{where}: steps are {short(given)}, expected [[start, stop], ...]"
    if not isinstance(given, list | tuple):
        raise ManifestError(expected)
    if not given:
        raise ManifestError(
            f"{where}: its list of steps is empty; leave the file out, or steps for all of it"
        )
    pairs = []
    for pair in given:
        if not (isinstance(pair, list | tuple) and len(pair) == 2 and all(map(_whole, pair))):
            raise ManifestError(expected)
        pairs.append((int(pair[0]), int(pair[1])))
    pairs.sort()
    for (start, stop), (_, before) in zip(pairs, [(0, 0), *pairs], strict=False):
        if stop < start or start < before:
            raise ManifestError(
                f"{where}: step [{start}, {stop}] ends before it begins, or overlaps another one"
            )
    if n_entries is not None and pairs[-1][1] > n_entries:
        raise ManifestError(
            f"{where}: step {list(pairs[-1])} ends behind the file's {n_entries} entries; "
            "preprocess it again"
        )
    return tuple(pairs)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _expanded(
    dataset: str,
    path: str,
    tree: str | None,
    steps: Steps | None,
    treename: str | None,
    *,
    missing_ok: bool,
) -> Iterator[Wanted]:
    """The files that a path stands for."""
    file, own = split_tree(path)
    if own is not None and tree is not None and own != tree:
        raise ManifestError(
            f"data set {dataset!r}: file {path!r} names the tree {own!r}, but {tree!r} is given "
            "for it; keep one"
        )
    found = expand(file)
    if steps is not None and found != expand(file, patterns=False):
        raise ManifestError(
            f"data set {dataset!r}: {path!r} is a pattern and has steps; steps belong to one file"
        )
    if not found and not missing_ok:
        raise ReadError(
            f"data set {dataset!r}: {file} does not exist; check the name, or fetch the file"
        )
    for one in found or expand(file, patterns=False):
        if not is_remote(one) and not missing_ok:
            check_there(dataset, one)
        yield Wanted(one, own or tree or treename, steps)


def _preload(dataset: str, given: Any) -> frozenset[str] | None:
    if given is None:
        return None
    names = None if isinstance(given, str | bytes | Mapping) else given
    if not isinstance(names, Iterable) or not all(isinstance(one, str) for one in names):
        raise ManifestError(
            f"data set {dataset!r}: key 'preload' is {short(given)}, expected a list of branches"
        )
    return frozenset(names)

"""Paths as users write them: patterns, ``~``, relative ones, addresses, ``FILE:TREE``.

The rule: what exists is a file, whatever its name holds (``=``, blanks, ``:``, ``*``, ``#``). Only
what does not exist is looked at for a tree or a pattern.
"""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import fsspec

from hepmtp.errors import ReadError
from hepmtp.readers.failures import reason_of
from hepmtp.readers.lines import is_remote

#: As uproot tells a file from a tree in it.
_WITH_TREE = re.compile(r"(.+\.root(?:\.\d+)?):(?!//)(.+)", re.IGNORECASE)


def local(path: str) -> str:
    """The absolute path of a file that is on disk, with ``~`` and ``file://`` filled in.

    Links stay as they are.
    """
    if path.lower().startswith("file://"):
        path = unquote(urlsplit(path).path)
    if not Path(path).exists():
        path = os.path.expanduser(path)  # noqa: PTH111 (Path's own raises for an unknown user)
    return str(Path(path).absolute())


def split_tree(path: str) -> tuple[str, str | None]:
    """A path and the tree that is named with it, ``a.root:Events``; None without one.

    Examples
    --------
    >>> split_tree("root://host:1094//a.root:nominal/Delphes"), split_tree("a:b.csv")
    (('root://host:1094//a.root', 'nominal/Delphes'), ('a:b.csv', None))
    """
    found = _WITH_TREE.fullmatch(path)
    if found is None or (not is_remote(path) and Path(local(path)).exists()):
        return path, None
    return found[1], found[2].strip("/") or None


def expand(path: str, *, patterns: bool = True) -> list[str]:
    """The files that a path stands for, absolute and sorted: itself, or those that a pattern finds.

    Parameters
    ----------
    patterns
        whether ``*``, ``?``, ``[...]`` and ``**`` of a path that does not exist are filled in; of
        an address only ``*``, for ``?`` is legal in one.

    Raises
    ------
    ReadError
        if the pattern of an address cannot be filled in.
    """
    if is_remote(path) and not path.lower().startswith("file://"):
        return _remote(path) if patterns and "*" in path else [path]
    file = local(path)
    if not patterns or Path(file).exists() or not glob.has_magic(file):
        return [file]
    # Path.glob takes no absolute pattern
    return sorted(glob.glob(file, recursive=True))  # noqa: PTH207


def _remote(pattern: str) -> list[str]:
    try:
        system, inner = fsspec.core.url_to_fs(pattern)
        return sorted(str(system.unstrip_protocol(one)) for one in system.glob(inner))
    except Exception as error:  # noqa: BLE001 (each protocol has errors of its own)
        raise ReadError(
            f"{pattern}: its files cannot be listed ({reason_of(error)}); name each of them"
        ) from None

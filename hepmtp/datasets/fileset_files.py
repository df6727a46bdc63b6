"""Files that hold a fileset: JSON or YAML, compressed or not.

The rule: a file that is none is refused with the place where it stops being one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from hepmtp.datasets.text import from_json, from_yaml, read_text
from hepmtp.errors import ManifestError, ReadError
from hepmtp.readers.lines import head, is_remote, open_file

#: What the names of fileset files end in.
_ENDINGS = (".json", ".yaml", ".yml")
_PACKED = (".gz", ".bz2", ".xz", ".lzma", ".zst", ".lz4")


def is_fileset(path: str) -> bool:
    """Whether a path is that of a fileset: by its name, or because the file begins with ``{``."""
    name = path.lower()
    for ending in _PACKED:
        name = name.removesuffix(ending)
    if name.endswith(_ENDINGS):
        return True
    if is_remote(path) or not Path(path).is_file() or Path(path).stat().st_size == 0:
        return False
    try:
        return head(path).lstrip()[:1] == b"{"
    except ReadError:
        return False


def load_fileset(path: str | os.PathLike[str]) -> Any:
    """What a JSON or YAML file holds, unpacked if it is compressed."""
    where = str(os.fspath(path))
    where = where if is_remote(where) else str(Path(where).expanduser().absolute())
    try:
        with open_file(where) as file:
            text = read_text(file, where)
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"{where} is no JSON fileset: it begins with {error.object[:8]!r}; to use a file of "
            'events write {"NAME": [file]}'
        ) from None
    try:
        return from_json(text, where, lambda pairs: _no_key_twice(where, pairs))
    except json.JSONDecodeError as error:
        plain = where.lower().rpartition("/")[2]
        if not any(ending in plain for ending in (".yaml", ".yml")):
            raise ManifestError(
                f"{where} is no JSON fileset: {error.msg} in line {error.lineno}, column "
                f"{error.colno}"
            ) from None
    try:
        content = from_yaml(text, where)[1]
    except yaml.YAMLError as error:
        raise ManifestError(f"{where} is no YAML fileset: {' '.join(str(error).split())}") from None
    if isinstance(content, Mapping) and isinstance(content.get("datasets"), list):
        raise ManifestError(
            f"{where} is a manifest and not a fileset: name it with --manifest, and its data sets"
        )
    return content


def _no_key_twice(where: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ManifestError(f"{where} has the key {twice!r} twice in one mapping; keep one")
    return found

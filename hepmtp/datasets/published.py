"""Records of a manifest: files that are published together, and how they are kept.

The rule: the name of a file is plain, and it is kept inside the folder of the data.
"""

from __future__ import annotations

import glob
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from hepmtp.datasets.archives import TAR_ENDINGS, is_packed
from hepmtp.datasets.manifest import manifest_path
from hepmtp.datasets.schema import check_names, read_manifest
from hepmtp.errors import ManifestError


@dataclass(frozen=True)
class Download:
    """A file of a record, and how it is kept.

    Parameters
    ----------
    name
        its name in the record, or a pattern.
    into
        folder that it is put into, inside the folder of the data.
    unpack
        "tar" or "gz": such files are unpacked into that folder.
    sha256, md5, size
        published digests, and size [bytes], if known; what is fetched must have them.
    """

    name: str
    into: str = ""
    unpack: Literal["tar", "gz"] | None = None
    sha256: str | None = None
    md5: str | None = None
    size: int | None = None

    @property
    def target(self) -> str:
        """Where it is put, relative to the folder of the data."""
        return (PurePosixPath(self.into) / self.name).as_posix()


@dataclass(frozen=True)
class Record:
    """Files that are published together.

    Parameters
    ----------
    name, files
        unique name; what is fetched of it.
    listing
        address of a Zenodo listing of the record (JSON): its files, their addresses and digests.
    url
        instead of it, the address that the files' names are added to.
    unchecked
        what is said of this record that nobody has checked.
    doi, licence, note
        origin.
    """

    name: str
    files: tuple[Download, ...]
    listing: str | None = None
    url: str | None = None
    unchecked: str = ""
    doi: str | None = None
    licence: str | None = None
    note: str = ""


def load_records(path: str | Path | None = None) -> tuple[Record, ...]:
    """All records of a manifest, hepmtp's own by default.

    Raises ManifestError as `load_manifest` does.

    Examples
    --------
    >>> [record.name for record in load_records()][:4]
    ['fourtops', 'challenge', 'challenge-secret', 'challenge-sm']
    """
    manifest = read_manifest(manifest_path(path))
    rows = manifest.content.get("records", [])
    check_names(manifest, "records", "records")
    for i, row in enumerate(rows):
        if ("listing" in row) == ("url" in row):
            raise ManifestError(
                f"{manifest.where('records', i)}: needs either the key 'listing' or the key 'url'"
            )
        for name, given in row["files"].items():
            kind = (given or {}).get("unpack")
            if kind is not None and not glob.has_magic(name) and not is_packed(name, kind):
                raise ManifestError(
                    f"{manifest.where('records', i, 'files', key=name)}: {name} is to be unpacked "
                    f"as {kind}, but has not the name of such a file "
                    f"({', '.join(TAR_ENDINGS) if kind == 'tar' else '.gz'})"
                )
        patterns = [name for name in row["files"] if glob.has_magic(name)]
        if patterns and "url" in row:
            raise ManifestError(
                f"{manifest.where('records', i, key='files')}: pattern {patterns[0]!r} needs the "
                "key 'listing'; with 'url' name every file"
            )
    return tuple(_record(row) for row in rows)


def _record(row: Mapping[str, Any]) -> Record:
    files = tuple(Download(name, **(given or {})) for name, given in row["files"].items())
    return Record(**{**row, "files": files})

"""What is fetched: names become files of records, each with its address."""

from __future__ import annotations

import difflib
import glob
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import quote

from hepmtp.datasets.archives import is_packed
from hepmtp.datasets.lockfile import names_in
from hepmtp.datasets.manifest import Dataset
from hepmtp.datasets.published import Download, Record
from hepmtp.datasets.transfer import Transfer, get_json
from hepmtp.errors import ManifestError


class Item(NamedTuple):
    """One file of a record, ready to be downloaded: its name is no pattern any more."""

    record: Record
    wanted: Download
    url: str


def wanted_files(
    names: Iterable[str], datasets: Sequence[Dataset], records: Sequence[Record]
) -> tuple[list[Dataset], list[tuple[Record, list[Download]]]]:
    """The data sets that are meant, and the files that they need, record by record."""
    by_name = {record.name: record for record in records}
    chosen: dict[str, Dataset] = {}
    needed: dict[str, dict[str, Download]] = {}
    for name in names:
        found = [one for one in datasets if one.name == name]
        record = (
            None if found else next((one for one in records if name in (one.name, one.doi)), None)
        )
        if record is not None:
            needed.setdefault(record.name, {}).update({one.name: one for one in record.files})
            continue
        found = found or [
            one
            for one in datasets
            if one.name.startswith(f"{name}-") or fnmatchcase(one.name, name)
        ]
        if not found:
            known = [*(one.name for one in datasets), *by_name]
            close = difflib.get_close_matches(name, known, cutoff=0.4) or list(by_name)
            raise ManifestError(
                f"{name!r} is no data set, record or group of them; there are {', '.join(close)} "
                "and more (hepmtp datasets lists all)"
            )
        for dataset in found:
            chosen[dataset.name] = dataset
            if dataset.record is not None:
                files = needed.setdefault(dataset.record, {})
                files.update({one.name: one for one in _needed(dataset, by_name[dataset.record])})
            elif not dataset.embedded:
                raise ManifestError(
                    f"data set {dataset.name!r} has no record in the manifest to be fetched from"
                    + (
                        f"; download it by hand from https://doi.org/{dataset.doi}"
                        if dataset.doi
                        else ""
                    )
                )
    return list(chosen.values()), [
        (by_name[name], list(files.values())) for name, files in needed.items()
    ]


def _needed(dataset: Dataset, record: Record) -> list[Download]:
    """The files of its record that a data set needs.

    Those that it is made of, else the archives.
    """
    found: list[Download] = []
    for name in (name for file in dataset.files for name in names_in(dataset.folder, file)):
        path, is_pattern = PurePosixPath(name), glob.has_magic(name)
        plain = [
            one
            for one in record.files
            if fnmatchcase(name, _kept_as(one))
            and (is_pattern or path.parent == PurePosixPath(one.into))
        ]
        if plain and not is_pattern:
            ending = ".gz" if plain[0].unpack == "gz" else ""
            plain = [replace(plain[0], name=path.name + ending)]
        found += plain or [one for one in record.files if one.unpack == "tar"]
    return found


def _kept_as(wanted: Download) -> str:
    return wanted.target.removesuffix(".gz") if wanted.unpack == "gz" else wanted.target


def items_of(record: Record, downloads: Iterable[Download], transfer: Transfer) -> list[Item]:
    """The files of a record with their addresses; patterns are filled in from its listing."""
    if record.url is not None:
        return [
            Item(record, one, f"{record.url.rstrip('/')}/{quote(one.name)}") for one in downloads
        ]
    listed = _listing(record, transfer)
    items: dict[str, Item] = {}
    for one in downloads:
        names = (
            [one.name]
            if one.name in listed
            else [name for name in listed if fnmatchcase(name, one.name)]
        )
        if not names:
            doubt = f" (nobody has checked: {record.unchecked})" if record.unchecked else ""
            raise ManifestError(
                f"record {record.name!r} has no file {one.name!r}; {record.listing} lists "
                f"{', '.join(listed) or 'none'}; correct the manifest{doubt}"
            )
        for name in names:
            url, md5, size = listed[name]
            kind = one.unpack if one.unpack is not None and is_packed(name, one.unpack) else None
            one_file = replace(one, name=name, unpack=kind, md5=one.md5 or md5)
            items[name] = Item(record, replace(one_file, size=one.size or size), url)
    return list(items.values())


def _listing(record: Record, transfer: Transfer) -> dict[str, tuple[str, str | None, int | None]]:
    """Addresses, md5 digests and sizes of a record's files by name, as Zenodo lists them."""
    address = record.listing or ""
    try:
        rows = {
            str(row.get("key") or row["filename"]): row
            for row in get_json(address, transfer)["files"]
        }
        found = {
            name: (str(row["links"]["self"]), _md5(row), _size(row)) for name, row in rows.items()
        }
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        hand = (
            f", or download the files by hand from https://doi.org/{record.doi}"
            if record.doi
            else ""
        )
        raise ManifestError(
            f"{address} is not the listing of a record ({type(error).__name__}: {error}); correct "
            f"the manifest{hand}"
        ) from None
    for name, (url, *_) in found.items():
        if not name or name.startswith(".") or "/" in name or "\\" in name:
            raise ManifestError(
                f"{address} lists a file {name!r}, which is no plain name; nothing of it was "
                "fetched"
            )
        if not url.startswith(("https://", "http://")):
            raise ManifestError(
                f"{address} gives the address {url!r} for {name}, expected https://; nothing was "
                "fetched"
            )
    return found


def _size(row: Mapping[str, Any]) -> int | None:
    size = row.get("size", row.get("filesize"))
    return size if isinstance(size, int) and size >= 0 else None


def _md5(row: Mapping[str, Any]) -> str | None:
    algorithm, _, value = str(row.get("checksum", "")).rpartition(":")
    return value.lower() if algorithm in ("md5", "") and len(value) == 32 else None

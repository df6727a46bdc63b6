"""Data sets become checked files, coffea's fileset, or events.

The rule: files exist and, where a sha256 is known or was locked when they were fetched, have it.
Nothing is downloaded here: the error says how to get the files.
"""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import awkward as ak

from hepmtp.datasets.lockfile import check_locked, digest, names_in, read_lock
from hepmtp.datasets.manifest import FOLDER_VARIABLE, Dataset
from hepmtp.errors import ManifestError
from hepmtp.events.record import concatenate, with_metadata
from hepmtp.readers import Reader
from hepmtp.readers.formats import load_reader, reader_name
from hepmtp.readers.lines import is_remote


def check_files(datasets: Iterable[Dataset], *, digests: bool = True) -> dict[str, list[str]]:
    """Paths of each data set's files, patterns filled in.

    Raises ManifestError if one is missing or has changed.

    Parameters
    ----------
    digests
        also compare the files with their sha256, where it is known or was locked when they were
        fetched; this reads them. What is remote (``https://``, ``root://``) is taken as it is.
    """
    return {dataset.name: _paths(dataset, digests=digests) for dataset in datasets}


def fileset(datasets: Iterable[Dataset], *, treename: str = "Events") -> dict[str, dict[str, Any]]:
    """What coffea's runners take.

    ``{name: {"files": [path, ...], "treename": ..., "metadata": {...}}}``.

    The metadata (role, process, reader and its options) arrives in ``events.metadata``; coffea
    itself adds the data set's name.
    """
    datasets = tuple(datasets)
    paths = check_files(datasets)
    return {
        dataset.name: {
            "files": paths[dataset.name],
            "treename": treename,
            "metadata": {"role": dataset.role, "process": dataset.process, "reader": dataset.reader}
            | ({"reader_options": dict(dataset.reader_options)} if dataset.reader_options else {}),
        }
        for dataset in datasets
    }


def read(datasets: Iterable[Dataset], *, stop: int | None = None) -> ak.Array:
    """Events of these data sets, shape (n_events,), in GeV, with name and role in their metadata.

    Parameters
    ----------
    stop
        only the first `stop` events of each file, for a fit that needs no more; all by default.

    Raises
    ------
    ManifestError
        if a file is missing or has changed.
    ReadError
        if a file is not what its reader expects.
    """
    datasets = tuple(datasets)
    paths = check_files(datasets)
    return concatenate(
        with_metadata(
            _reader(dataset, path).read(path, 0, stop), dataset=dataset.name, role=dataset.role
        )
        for dataset in datasets
        for path in paths[dataset.name]
    )


def _reader(dataset: Dataset, path: str) -> Reader:
    return load_reader(dataset.reader or reader_name(path), **dataset.reader_options)


def _paths(dataset: Dataset, *, digests: bool) -> list[str]:
    found: list[str] = []
    for file, sha256 in zip(dataset.files, dataset.sha256, strict=True):
        if is_remote(file):
            found.append(file)
            continue
        pattern = glob.has_magic(file) and not Path(file).exists()
        # Path.glob takes no absolute pattern
        paths = sorted(glob.glob(file, recursive=True)) if pattern else [file]  # noqa: PTH207
        missing = [path for path in paths if not Path(path).is_file()]
        if missing or not paths:
            raise ManifestError(f"data set {dataset.name!r}: no file {file}{_advice(dataset)}")
        if digests and sha256 and (found_sha256 := digest(file)) != sha256:
            raise ManifestError(
                f"data set {dataset.name!r}: {file} has sha256 {found_sha256}, expected {sha256}; "
                "the file has changed: fetch it again, or correct the manifest"
            )
        found += paths
    if digests and dataset.folder:
        _check_lock(dataset.folder, found)
    return found


def _check_lock(folder: str, paths: Iterable[str]) -> None:
    locked = read_lock(folder)
    for path in paths:
        for name in names_in(folder, path):
            if name in locked:
                check_locked(Path(path), locked[name], folder)


def _advice(dataset: Dataset) -> str:
    where = f"; download it from https://doi.org/{dataset.doi}" if dataset.doi else ""
    fetch = f"; hepmtp fetch {dataset.name} downloads it" if dataset.record else ""
    return (
        f"{where}{fetch}. Say where your files lie with the option folder or the variable "
        f"{FOLDER_VARIABLE}"
    )

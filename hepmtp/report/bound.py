"""What a run was made from: its input files and its detectors, as far as they can be known again.

The rule: a run stays what it is when its inputs change; that they have changed is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hepmtp import storage
from hepmtp.datasets.files import files_of
from hepmtp.datasets.manifest import Dataset
from hepmtp.errors import HepmtpError
from hepmtp.events.source import source_id
from hepmtp.readers.lines import is_remote
from hepmtp.report.info import RunInfo


def inputs_of(datasets: Sequence[Dataset]) -> dict[str, list[dict[str, Any]]]:
    """The files of data sets, with size and identity of those that are on this machine."""
    return {one.name: [_file(path) for path in _paths(one)] for one in datasets}


def _paths(dataset: Dataset) -> list[str]:
    """Paths of a data set's files; as they were given, if they are gone since."""
    try:
        return [one.path for one in files_of(dataset, digests=False, missing_ok=True)]
    except HepmtpError:
        return list(dataset.files)


def detectors_of(folders: Iterable[str | Path]) -> dict[str, str]:
    """Absolute path of saved detectors -> digest; ``FOLDER#form`` is the detector in FOLDER."""
    paths = dict.fromkeys(map(path_of, folders))
    return {path: storage.digest(path) for path in paths}


def path_of(detector: str | Path) -> str:
    """Absolute path of the folder of a detector, or of a form of it."""
    return str(Path(str(detector).partition("#")[0]).resolve())


def changes(info: RunInfo) -> Iterator[str]:
    """A sentence for each input or detector that is there, and is another than in the run."""
    for dataset, files in info.inputs.items():
        for one in files:
            path = str(one.get("path"))
            if "bytes" in one and Path(path).is_file() and _file(path) != dict(one):
                yield (
                    f"{path} of data set {dataset} has changed since the run, which is of the "
                    "file as it was; run again for the new one."
                )
    for folder, digest in info.detectors.items():
        if (Path(folder) / storage.META).is_file() and _digest(folder) != digest:
            yield (
                f"The detector in {folder} is another one than in the run; run again for the new "
                "one."
            )


def _file(path: str) -> dict[str, Any]:
    if is_remote(path) or not Path(path).is_file():
        return {"path": path}
    found: dict[str, Any] = {"path": path, "bytes": Path(path).stat().st_size}
    try:
        return found | {"source": f"{source_id(path):016x}"}
    except (HepmtpError, OSError, EOFError):
        return found


def _digest(folder: str) -> str | None:
    try:
        return storage.digest(folder)
    except HepmtpError:
        return None

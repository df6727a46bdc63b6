"""data_manifest.yaml as a tuple of data sets, and from there to files, a coffea fileset or events.

The rule: a data set is one row of the manifest and is checked before use: known keys, a name of its own, files that
exist and, where a sha256 is known or was locked when they were fetched, have it. Nothing is downloaded here: the error
says how to get the files.
"""

from __future__ import annotations

import difflib
import glob
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal, cast

import awkward as ak

from hepmtp.archives import TAR_ENDINGS, is_packed
from hepmtp.errors import ManifestError
from hepmtp.events import ROLES, Role, concatenate, with_metadata
from hepmtp.files import is_remote
from hepmtp.lockfile import check_locked, digest, names_in, read_lock
from hepmtp.manifest_file import ManifestFile, read_manifest
from hepmtp.readers import ENDINGS, Reader, load_reader, reader_name

#: Variable that names the folder of downloaded data.
FOLDER_VARIABLE = "HEPMTP_DATA"
#: Folder of the embedded sample, inside the package.
EMBEDDED = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Dataset:
    """One process's files and what is known about them.

    Parameters
    ----------
    name, process
        unique name; what was generated.
    role
        "background", "signal" or "data".
    files
        paths or patterns, as they are opened.
    reader
        ``"package.module:Class"`` of a `Reader`; if not given, the one that the files' names end in.
    reader_options
        options that the reader is made with, as plain data.
    sha256
        one per file, None where not known.
    embedded
        whether the files come with hepmtp.
    units
        energies in the files, "MeV" or "GeV"; events in memory are always GeV.
    events
        number of events, if known.
    cross_section_pb, luminosity_ifb
        cross-section [pb]; luminosity that the weights stand for [fb-1].
    label
        TeX text for plots; the process if not given.
    doi, licence, note
        origin.
    record
        name of the `Record` that the files are fetched from.
    folder
        folder that the files were looked for in, where the lock file of what was fetched is.
    """

    name: str
    process: str
    role: Role
    files: tuple[str, ...]
    reader: str = ""
    reader_options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    sha256: tuple[str | None, ...] = ()
    embedded: bool = False
    units: str = "MeV"
    events: int | None = None
    cross_section_pb: float | None = None
    luminosity_ifb: float | None = None
    label: str = ""
    doi: str | None = None
    licence: str | None = None
    note: str = ""
    record: str | None = None
    folder: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha256", self.sha256 or (None,) * len(self.files))
        object.__setattr__(self, "label", self.label or self.process)


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
    sha256, md5
        published digests, if known.
    """

    name: str
    into: str = ""
    unpack: Literal["tar", "gz"] | None = None
    sha256: str | None = None
    md5: str | None = None

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


def shipped_manifest() -> Path:
    """Path of hepmtp's own manifest: in the wheel beside the data, in a source checkout at the top."""
    wheel = EMBEDDED / "data_manifest.yaml"
    return wheel if wheel.is_file() else EMBEDDED.parents[1] / "data_manifest.yaml"


def load_manifest(path: str | Path | None = None, *, folder: str | Path | None = None) -> tuple[Dataset, ...]:
    """All data sets of a manifest.

    Parameters
    ----------
    path
        a manifest; hepmtp's own by default.
    folder
        where the files that do not come with hepmtp lie; else the variable HEPMTP_DATA; else the manifest's folder.

    Raises
    ------
    ManifestError
        naming file, entry, key and what is allowed.

    Examples
    --------
    >>> [dataset.name for dataset in load_manifest() if dataset.embedded]
    ['ttbarW', 'ttbarWW', 'ttbarZ', 'ttbarHiggs', '4top', 'glgl1600_neutralino800']
    """
    manifest = read_manifest(shipped_manifest() if path is None else Path(path))
    folder = _folder(manifest.path, folder)
    rows = manifest.content["datasets"]
    _check_names(manifest, "datasets", "entries")
    records = {row["name"] for row in manifest.content.get("records", ())}
    for i, row in enumerate(rows):
        if (record := row.get("record")) is not None and record not in records:
            raise ManifestError(
                f"{manifest.where('datasets', i, key='record')}: key 'record' is {record!r}, expected the name of one of"
                f" the records: {', '.join(sorted(records)) or 'there are none'}"
            )
    return tuple(_dataset(row, manifest.where("datasets", i), folder) for i, row in enumerate(rows))


def data_folder(path: str | Path | None = None, folder: str | Path | None = None) -> Path:
    """The folder that the files of a manifest are fetched into: where `load_manifest` looks for them.

    Raises
    ------
    ManifestError
        if it would be that of hepmtp itself.
    """
    if path is None and not folder and not os.environ.get(FOLDER_VARIABLE):
        raise ManifestError(
            f"no folder to fetch into; name one with the option folder or the variable {FOLDER_VARIABLE}"
        )
    return _folder(shipped_manifest() if path is None else Path(path), folder)


def _folder(path: Path, folder: str | Path | None) -> Path:
    return Path(folder or os.environ.get(FOLDER_VARIABLE) or path.parent).expanduser()


def load_records(path: str | Path | None = None) -> tuple[Record, ...]:
    """All records of a manifest, hepmtp's own by default; raises ManifestError as `load_manifest` does.

    Examples
    --------
    >>> [record.name for record in load_records()]
    ['fourtops', 'challenge', 'challenge-secret', 'challenge-sm', 'challenge-bsm']
    """
    manifest = read_manifest(shipped_manifest() if path is None else Path(path))
    rows = manifest.content.get("records", [])
    _check_names(manifest, "records", "records")
    for i, row in enumerate(rows):
        if ("listing" in row) == ("url" in row):
            raise ManifestError(f"{manifest.where('records', i)}: needs either the key 'listing' or the key 'url'")
        for name, given in row["files"].items():
            kind = (given or {}).get("unpack")
            if kind is not None and not glob.has_magic(name) and not is_packed(name, kind):
                raise ManifestError(
                    f"{manifest.where('records', i, 'files', key=name)}: {name} is to be unpacked as {kind}, but has not"
                    f" the name of such a file ({', '.join(TAR_ENDINGS) if kind == 'tar' else '.gz'})"
                )
        patterns = [name for name in row["files"] if glob.has_magic(name)]
        if patterns and "url" in row:
            raise ManifestError(
                f"{manifest.where('records', i, key='files')}: pattern {patterns[0]!r} needs the key 'listing'; with 'url'"
                " name every file"
            )
    return tuple(_record(row) for row in rows)


def embedded() -> tuple[Dataset, ...]:
    """The embedded sample: hepmtp's own simulation of four backgrounds and two signals."""
    return tuple(dataset for dataset in load_manifest() if dataset.embedded)


def select(names: Iterable[str], datasets: Iterable[Dataset], *, role: Role = "background") -> tuple[Dataset, ...]:
    """Data sets by name, or made from files, in this order.

    Parameters
    ----------
    names
        each the name of one of `datasets`; or ``NAME=FILE``, ``NAME=FILE,FILE``, ``NAME:ROLE=FILE`` or just ``FILE``
        (the name is then that of the file) for files that are in no manifest; patterns are fine.
    role
        role of files that name none; but files under the name of one of `datasets`, such as a converted ``4top.root``, have
        its role and process.

    Raises
    ------
    ManifestError
        if a name is unknown or is asked for twice, or a role is unknown.

    Examples
    --------
    >>> [(d.name, d.role, d.files) for d in select(["4top", "mine:signal=a.csv,b.csv", "c/d.csv.gz"], embedded())][1:]
    [('mine', 'signal', ('a.csv', 'b.csv')), ('d', 'background', ('c/d.csv.gz',))]
    """
    known = {dataset.name: dataset for dataset in datasets}
    found: dict[str, Dataset] = {}
    for word in names:
        dataset = known.get(word) or _from_files(word, known, role)
        if dataset.name in found:
            raise ManifestError(f"data set {dataset.name!r} is asked for twice; give files a name with NAME=FILE")
        found[dataset.name] = dataset
    return tuple(found.values())


def check_files(datasets: Iterable[Dataset], *, digests: bool = True) -> dict[str, list[str]]:
    """Paths of each data set's files, patterns filled in; raises ManifestError if one is missing or has changed.

    Parameters
    ----------
    digests
        also compare the files with their sha256, where it is known or was locked when they were fetched; this reads
        them. What is remote (``https://``, ``root://``) is taken as it is.
    """
    return {dataset.name: _paths(dataset, digests=digests) for dataset in datasets}


def fileset(datasets: Iterable[Dataset], *, treename: str = "Events") -> dict[str, dict[str, Any]]:
    """What coffea's runners take: ``{name: {"files": [path, ...], "treename": ..., "metadata": {...}}}``.

    The metadata (role, process, reader and its options) arrives in ``events.metadata``; coffea itself adds the data set's name.
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
        with_metadata(_reader(dataset, path).read(path, 0, stop), dataset=dataset.name, role=dataset.role)
        for dataset in datasets
        for path in paths[dataset.name]
    )


def _from_files(word: str, known: Mapping[str, Dataset], role: Role) -> Dataset:
    left, equals, files = ("", "", word) if is_remote(word.partition("=")[0]) else word.partition("=")
    name, colon, own_role = left.partition(":")
    if not equals:
        ending = next((ending for ending in sorted(ENDINGS, key=len, reverse=True) if word.endswith(ending)), None)
        if ending is None:
            close = difflib.get_close_matches(word, known, cutoff=0.4) or list(known)[:6]
            raise ManifestError(
                f"data set {word!r} is unknown; there are {', '.join(close)} and more (hepmtp datasets lists all);"
                f" for files of your own write NAME=FILE or the name of a file that ends in {', '.join(ENDINGS)}"
            )
        name, files = Path(word).name.removesuffix(ending), word
    if not name or not all(files.split(",")):
        raise ManifestError(f"data set {word!r} has no name or no file; expected NAME=FILE or NAME=FILE,FILE")
    like = known.get(name) or Dataset(name=name, process=name, role=role, files=())
    if colon:
        if own_role not in ROLES:
            raise ManifestError(f"data set {word!r}: key 'role' is {own_role!r}, expected one of {', '.join(ROLES)}")
        role = cast(Role, own_role)
    else:
        role = like.role
    return Dataset(name=name, process=like.process, label=like.label, role=role, files=tuple(files.split(",")))


def _reader(dataset: Dataset, path: str) -> Reader:
    return load_reader(dataset.reader or reader_name(path), **dataset.reader_options)


def _paths(dataset: Dataset, *, digests: bool) -> list[str]:
    found: list[str] = []
    for file, sha256 in zip(dataset.files, dataset.sha256, strict=True):
        if is_remote(file):
            found.append(file)
            continue
        pattern = glob.has_magic(file) and not Path(file).exists()
        paths = sorted(glob.glob(file, recursive=True)) if pattern else [file]  # noqa: PTH207 - Path.glob takes no absolute pattern
        missing = [path for path in paths if not Path(path).is_file()]
        if missing or not paths:
            raise ManifestError(f"data set {dataset.name!r}: no file {file}{_advice(dataset)}")
        if digests and sha256 and (found_sha256 := digest(file)) != sha256:
            raise ManifestError(
                f"data set {dataset.name!r}: {file} has sha256 {found_sha256}, expected {sha256}; the file has changed:"
                " fetch it again, or correct the manifest"
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
    return f"{where}{fetch}. Say where your files lie with the option folder or the variable {FOLDER_VARIABLE}"


def _dataset(row: Mapping[str, Any], where: str, folder: Path) -> Dataset:
    files = row["files"] if isinstance(row["files"], dict) else dict.fromkeys(row["files"])
    for file, sha256 in files.items():
        if sha256 and (glob.has_magic(file) or is_remote(file)):
            raise ManifestError(f"{where}: {file} has a sha256, but only a file on disk can have one, not a pattern")
    start = EMBEDDED if row.get("embedded") else folder
    paths = tuple(file if is_remote(file) else str(start / file) for file in files)
    return Dataset(**{**row, "files": paths, "sha256": tuple(files.values()), "folder": str(start)})


def _record(row: Mapping[str, Any]) -> Record:
    files = tuple(Download(name, **(given or {})) for name, given in row["files"].items())
    return Record(**{**row, "files": files})


def _check_names(manifest: ManifestFile, key: str, many: str) -> None:
    seen: dict[str, int] = {}
    for i, row in enumerate(manifest.content.get(key, ()), start=1):
        if (first := seen.setdefault(row["name"], i)) != i:
            raise ManifestError(
                f"{manifest.path} line {manifest.line(key, i - 1, key='name')}: {many} {first} and {i} have the same name"
                f" {row['name']!r}; a name is unique"
            )

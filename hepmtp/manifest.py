"""data_manifest.yaml as a tuple of data sets, and from there to files, a coffea fileset or events.

The rule: a data set is one row of the manifest and is checked before use: known keys, a name of its own, files that
exist and, where a sha256 is known, have it. Nothing is downloaded: the error says where to get the files.
"""

from __future__ import annotations

import difflib
import glob
import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

import awkward as ak
import yaml

from hepmtp.errors import ManifestError
from hepmtp.events import ROLES, Role, concatenate, with_metadata
from hepmtp.readers import ENDINGS, Reader, load_reader, reader_for

#: Variable that names the folder of downloaded data.
FOLDER_VARIABLE = "HEPMTP_DATA"
#: Folder of the embedded sample, inside the package.
EMBEDDED = Path(__file__).parent / "data"
_NEEDED = ("name", "process", "role", "files")


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
    """

    name: str
    process: str
    role: Role
    files: tuple[str, ...]
    reader: str = ""
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

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha256", self.sha256 or (None,) * len(self.files))
        object.__setattr__(self, "label", self.label or self.process)


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
    path = shipped_manifest() if path is None else Path(path)
    folder = Path(folder or os.environ.get(FOLDER_VARIABLE) or path.parent)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ManifestError(f"{path} cannot be read as a manifest: {error}") from None
    rows = content.get("datasets") if isinstance(content, dict) else None
    if not isinstance(rows, list):
        raise ManifestError(f"{path} has no list 'datasets' at its top; see hepmtp's own manifest {shipped_manifest()}")
    if unknown := set(content) - {"datasets", "shared"}:
        raise ManifestError(f"{path}: key {_words(unknown)} is unknown; allowed are datasets, shared")
    datasets = tuple(_dataset(row, f"{path}: entry {i}", folder) for i, row in enumerate(rows, start=1))
    seen: dict[str, int] = {}
    for i, dataset in enumerate(datasets, start=1):
        if seen.setdefault(dataset.name, i) != i:
            raise ManifestError(
                f"{path}: entries {seen[dataset.name]} and {i} have the same name {dataset.name!r}; a name is unique"
            )
    return datasets


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


def check_files(datasets: Iterable[Dataset]) -> dict[str, list[str]]:
    """Paths of each data set's files, patterns filled in; raises ManifestError if one is missing or has changed."""
    return {dataset.name: _paths(dataset) for dataset in datasets}


def fileset(datasets: Iterable[Dataset], *, treename: str = "Events") -> dict[str, dict[str, Any]]:
    """What coffea's runners take: ``{name: {"files": [path, ...], "treename": ..., "metadata": {...}}}``.

    The metadata (role, process, reader) arrives in ``events.metadata``; coffea itself adds the data set's name.
    """
    datasets = tuple(datasets)
    paths = check_files(datasets)
    return {
        dataset.name: {
            "files": paths[dataset.name],
            "treename": treename,
            "metadata": {"role": dataset.role, "process": dataset.process, "reader": dataset.reader},
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
    left, equals, files = word.partition("=")
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
        _check("role", own_role, f"data set {word!r}")
        role = cast(Role, own_role)
    else:
        role = like.role
    return Dataset(name=name, process=like.process, label=like.label, role=role, files=tuple(files.split(",")))


def _reader(dataset: Dataset, path: str) -> Reader:
    return load_reader(dataset.reader) if dataset.reader else reader_for(path)


def _paths(dataset: Dataset) -> list[str]:
    found: list[str] = []
    for file, sha256 in zip(dataset.files, dataset.sha256, strict=True):
        pattern = glob.has_magic(file) and not Path(file).exists()
        paths = sorted(glob.glob(file)) if pattern else [file]  # noqa: PTH207 - Path.glob takes no absolute pattern
        missing = [path for path in paths if not Path(path).is_file()]
        if missing or not paths:
            where = f"; download it from https://doi.org/{dataset.doi}" if dataset.doi else ""
            raise ManifestError(
                f"data set {dataset.name!r}: no file {file}{where}. Say where your files lie with the option folder"
                f" or the variable {FOLDER_VARIABLE}"
            )
        if sha256 and (digest := hashlib.sha256(Path(file).read_bytes()).hexdigest()) != sha256:
            raise ManifestError(
                f"data set {dataset.name!r}: {file} has sha256 {digest}, expected {sha256}; the file has changed"
            )
        found += paths
    return found


def _dataset(row: object, where: str, folder: Path) -> Dataset:
    if not isinstance(row, dict):
        raise ManifestError(f"{where} is {row!r}, expected keys and values such as 'name: ttbarW'")
    where = f"{where} ({row.get('name', 'no name')})"
    allowed = [field.name for field in fields(Dataset) if field.name != "sha256"]
    if unknown := set(row) - set(allowed):
        raise ManifestError(f"{where}: key {_words(unknown)} is unknown; allowed are {', '.join(allowed)}")
    if missing := [key for key in _NEEDED if key not in row]:
        raise ManifestError(f"{where}: key {_words(missing)} is missing; needed are {', '.join(_NEEDED)}")
    for key, value in row.items():
        if key != "files":
            _check(key, value, where)
    files = row["files"] if isinstance(row["files"], dict) else dict.fromkeys(_strings(row["files"], where))
    for file, sha256 in files.items():
        if sha256 is not None and not (isinstance(sha256, str) and len(sha256) == 64):
            raise ManifestError(
                f"{where}: key 'files': sha256 of {file} is {sha256!r}, expected 64 hex digits or nothing"
            )
    start = EMBEDDED if row.get("embedded") else folder
    paths = tuple(str(start / file) for file in files)
    return Dataset(**{**row, "files": paths, "sha256": tuple(files.values())})


def _check(key: str, value: object, where: str) -> None:
    choices = {"role": ROLES, "units": ("MeV", "GeV")}
    if key in choices:
        legal, expected = value in choices[key], f"one of {', '.join(choices[key])}"
    elif key == "embedded":
        legal, expected = isinstance(value, bool), "true or false"
    elif key == "events":
        legal, expected = type(value) is int and value >= 0, "a whole number, 0 or more"
    elif key in ("cross_section_pb", "luminosity_ifb"):
        legal, expected = type(value) in (int, float) and 0 < float(str(value)) < float("inf"), "a number above 0"
    else:
        legal, expected = isinstance(value, str) and bool(value), "text (put numbers in quotes)"
    if not legal:
        raise ManifestError(f"{where}: key {key!r} is {value!r}, expected {expected}")


def _strings(value: object, where: str) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise ManifestError(
            f"{where}: key 'files' is {value!r}, expected a list of paths, or a mapping of path to sha256"
        )
    return value


def _words(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names, key=str))

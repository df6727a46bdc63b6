"""data_manifest.yaml as a tuple of data sets, and from there to files, a coffea fileset or events.

The rule: a data set is one row of the manifest and is checked before use: known keys, a name of its
own, files that exist. Where a sha256 is known or was locked when they were fetched, they must have
it. Nothing is downloaded here: the error says how to get the files.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from hepmtp.datasets.filesets import Steps
from hepmtp.datasets.metadata import check_metadata, check_name
from hepmtp.datasets.schema import check_names, read_manifest
from hepmtp.errors import ManifestError, OptionError
from hepmtp.events.record import ROLES, Role
from hepmtp.notebook import facts_table
from hepmtp.readers.lines import is_remote

#: Variable that names the folder of downloaded data.
FOLDER_VARIABLE = "HEPMTP_DATA"


#: Numbers of a data set that its metadata take over.
NUMBERS = ("cross_section_pb", "luminosity_ifb", "sum_weights", "n_generated", "energy_tev")
#: Folder of the embedded sample, inside the package.
EMBEDDED = Path(__file__).parents[1] / "data"
#: Reader of the embedded jets, by which they are known from the embedded events.
_JETS = "hepmtp:JetClass"


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
        ``"package.module:Class"`` of a `Reader`; if not given, what is in the files tells.
    reader_options
        options that the reader is made with, as plain data.
    sha256
        one per file, None where not known.
    embedded
        whether the files come with hepmtp.
    units
        energies in the files, "MeV" or "GeV", which their reader is told or must agree with; if not
        given, the reader knows. Events in memory are always GeV.
    events
        number of events, if known; only shown.
    cross_section_pb, luminosity_ifb
        cross-section [pb]; luminosity [fb-1] that is wanted or, without a cross-section, the one
        that the weights in the files stand for.
    label
        TeX text for plots; the process if not given.
    doi, licence, note
        origin.
    record
        name of the `Record` that the files are fetched from.
    folder
        folder that the files were looked for in, where the lock file of what was fetched is.
    sum_weights, n_generated
        sum of the weights, or number, of all generated events before any selection; see
        :mod:`hepmtp.statistics.normalisation`.
    energy_tev
        collision energy [TeV], for captions.
    tree
        name of the tree in ROOT files; if not given, their reader knows.
    trees, steps
        of a fileset: the tree, and the ranges of entries, of each file; None where not given.
    preload
        of a fileset: branches that coffea reads together.
    metadata
        of a fileset: what else its metadata say; events get it too.
    """

    name: str
    process: str
    role: Role
    files: tuple[str, ...]
    reader: str = ""
    reader_options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    sha256: tuple[str | None, ...] = ()
    embedded: bool = False
    units: Literal["MeV", "GeV"] | None = None
    events: int | None = None
    cross_section_pb: float | None = None
    luminosity_ifb: float | None = None
    label: str = ""
    doi: str | None = None
    licence: str | None = None
    note: str = ""
    record: str | None = None
    folder: str = ""
    sum_weights: float | None = None
    n_generated: float | None = None
    energy_tev: float | None = None
    tree: str | None = None
    trees: tuple[str | None, ...] = ()
    steps: tuple[Steps | None, ...] = ()
    preload: frozenset[str] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.role not in ROLES:
            raise ManifestError(
                f"data set {self.name!r}: key 'role' is {self.role!r}, expected one of "
                f"{', '.join(ROLES)}"
            )
        for name in ("sha256", "trees", "steps"):
            object.__setattr__(self, name, getattr(self, name) or (None,) * len(self.files))
        object.__setattr__(self, "label", self.label or self.process)

    def __repr__(self) -> str:
        return f"<Dataset {self.name}: {self.role}, {self._size}>"

    def _repr_html_(self) -> str:
        values = {
            "role": self.role,
            "process": self.process,
            "files": f"{self._size}: {', '.join(PurePosixPath(one).name for one in self.files)}",
            "reader": self.reader,
            **{name: _said(getattr(self, name)) for name in NUMBERS},
            **{name: getattr(self, name) or "" for name in ("doi", "licence", "note")},
        }
        return facts_table(self.name, values)

    @property
    def _size(self) -> str:
        files = f"{len(self.files)} file{'s' * (len(self.files) != 1)}"
        return files if self.events is None else f"{files}, {self.events:,} events"

    @property
    def known(self) -> dict[str, Any]:
        """What is known of it, as the metadata of a fileset say it."""
        named = ("role", "process", *NUMBERS, "reader", "reader_options")
        values = {name: getattr(self, name) for name in named}
        return {**self.metadata, **{name: one for name, one in values.items() if one}}


def _said(number: float | None) -> str:
    return "" if number is None else f"{number:g}"


def shipped_manifest() -> Path:
    """Path of hepmtp's own manifest.

    In the wheel beside the data, in a source checkout at the top.
    """
    wheel = EMBEDDED / "data_manifest.yaml"
    return wheel if wheel.is_file() else EMBEDDED.parents[1] / "data_manifest.yaml"


def load_manifest(
    path: str | Path | None = None, *, folder: str | Path | None = None
) -> tuple[Dataset, ...]:
    """All data sets of a manifest.

    Parameters
    ----------
    path
        a manifest; hepmtp's own by default.
    folder
        where the files that do not come with hepmtp lie; else the variable HEPMTP_DATA; else the
        manifest's folder.

    Raises
    ------
    ManifestError
        naming file, entry, key and what is allowed.

    Examples
    --------
    >>> [dataset.name for dataset in load_manifest() if dataset.embedded][:6]
    ['ttbarW', 'ttbarWW', 'ttbarZ', 'ttbarHiggs', '4top', 'glgl1600_neutralino800']
    """
    manifest = read_manifest(manifest_path(path))
    folder = _folder(manifest.path, folder)
    rows = manifest.content["datasets"]
    check_names(manifest, "datasets", "entries")
    records = {row["name"] for row in manifest.content.get("records", ())}
    for i, row in enumerate(rows):
        if (record := row.get("record")) is not None and record not in records:
            raise ManifestError(
                f"{manifest.where('datasets', i, key='record')}: key 'record' is {record!r}, "
                "expected the name of one of the records: "
                f"{', '.join(sorted(records)) or 'there are none'}"
            )
    return tuple(_dataset(row, manifest.where("datasets", i), folder) for i, row in enumerate(rows))


def data_folder(path: str | Path | None = None, folder: str | Path | None = None) -> Path:
    """The folder that the files of a manifest are fetched into.

    Where `load_manifest` looks for them.

    Raises
    ------
    ManifestError
        if it would be that of hepmtp itself.
    """
    if path is None and not folder and not os.environ.get(FOLDER_VARIABLE):
        raise ManifestError(
            "no folder to fetch into; name one with the option folder or the variable "
            f"{FOLDER_VARIABLE}"
        )
    return _folder(manifest_path(path), folder)


def manifest_path(path: str | Path | None) -> Path:
    """The path of a manifest; that of hepmtp's own if none is given."""
    return shipped_manifest() if path is None else Path(path)


def _folder(path: Path, folder: str | Path | None) -> Path:
    return Path(folder or os.environ.get(FOLDER_VARIABLE) or path.parent).expanduser()


def embedded() -> tuple[Dataset, ...]:
    """The embedded sample: hepmtp's own simulation of four backgrounds and two signals."""
    return tuple(one for one in load_manifest() if one.embedded and one.reader != _JETS)


def embedded_jets() -> tuple[Dataset, ...]:
    """The embedded jets, each an event: hepmtp's own simulation of QCD and of top quarks.

    Examples
    --------
    >>> [(one.name, one.role) for one in embedded_jets()]
    [('QCD_jets', 'background'), ('top_jets', 'signal')]
    """
    return tuple(one for one in load_manifest() if one.embedded and one.reader == _JETS)


def _dataset(row: Mapping[str, Any], where: str, folder: Path) -> Dataset:
    files = row["files"] if isinstance(row["files"], dict) else dict.fromkeys(row["files"])
    for file, sha256 in files.items():
        if sha256 and (glob.has_magic(file) or is_remote(file)):
            raise ManifestError(
                f"{where}: {file} has a sha256, but only a file on disk can have one, not a pattern"
            )
    start = EMBEDDED if row.get("embedded") else folder
    paths = tuple(
        file if is_remote(file) else str(start / Path(file).expanduser()) for file in files
    )
    try:
        check_metadata(row["name"], {key: row[key] for key in NUMBERS if key in row})
    except (ManifestError, OptionError) as error:
        raise ManifestError(f"{where}: {error}") from None
    return Dataset(**{**row, "files": paths, "sha256": tuple(files.values()), "folder": str(start)})

"""Readers: each turns one file format into the event record of :mod:`hepmtp.events`.

The rule: a reader is stateless, reads only the range it is asked for, and every error names file and line (or entry).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import awkward as ak
import numpy as np

from hepmtp import storage
from hepmtp.errors import EventError, ReadError
from hepmtp.events import CONSTITUENT_TYPES, PARTICLE_FIELDS, make_events
from hepmtp.files import Chunk, is_remote
from hepmtp.readers.options import check_options as check_options

#: Columns of events in ROOT and parquet files: one value an event, or one list an event for ``Particle_*``.
COLUMNS: tuple[str, ...] = (
    *("event", "source", "weight", "MET_pt", "MET_phi"),
    *(f"Particle_{name}" for name in PARTICLE_FIELDS),
)


@runtime_checkable
class Reader(Protocol):
    """What a reader can do. Named in the manifest and on the command line as ``"package.module:Class"``."""

    def num_events(self, path: str) -> int:
        """Number of events in a file."""

    def read(self, path: str, start: int = 0, stop: int | None = None) -> ak.Array:
        """Events [start, stop) of a file; the whole file by default, and no more than the file has.

        Raises
        ------
        ReadError
            naming file, line or entry, what was found and what to do.
        """


@runtime_checkable
class ChunkReader(Reader, Protocol):
    """A reader that knows where in the file its chunks are, so that nothing before a chunk need be read."""

    def chunks(self, path: str, size: int) -> list[Chunk]:
        """The file as chunks of `size` events."""

    def read_chunk(self, path: str, chunk: Chunk) -> ak.Array:
        """Events of one of the `chunks`."""

    def iterate(self, path: str, size: int) -> Iterator[ak.Array]:
        """Events of each chunk in turn."""


_SHOWN = 20  # names in an error: files of others have thousands of columns

#: What the names of files end in, and the reader of each.
ENDINGS: dict[str, str] = {
    ".csv": "hepmtp:DarkMachinesCSV",
    ".csv.gz": "hepmtp:DarkMachinesCSV",
    ".root": "hepmtp:RootReader",
    ".parquet": "hepmtp:ParquetReader",
    ".h5": "hepmtp:FourTopsHDF5",
    ".hdf5": "hepmtp:FourTopsHDF5",
}


#: Layouts of ROOT files: each reader, and branches (with "." before a part) that tell that a tree is its own.
LAYOUTS: dict[str, tuple[str, ...]] = {
    ENDINGS[".root"]: COLUMNS,
    "hepmtp:Delphes": ("Jet.PT", "Jet.BTag", "MissingET.MET"),
    "hepmtp:NanoAOD": ("Jet_pt", "Electron_pt", "Muon_pt"),
    "hepmtp:Physlite": ("AnalysisJetsAuxDyn.pt", "AnalysisElectronsAuxDyn.pt"),
    "hepmtp:DMNtuple": ("obj_px", "isBJet", "isMET"),
    "hepmtp:JetClass": ("part_px", "part_energy", "label_QCD"),
}


def reader_for(path: str) -> Reader:
    """The reader for a file, as `reader_name` says."""
    return load_reader(reader_name(path))


def reader_name(path: str) -> str:
    """Name of the reader for a file: by the end of its name, and for a ROOT file that is there by what is in it."""
    for ending, name in ENDINGS.items():
        if path.endswith(ending):
            there = is_remote(path) or Path(path).is_file()
            return identify(path) if ending == ".root" and there else name
    raise ReadError(f"{path}: no reader is known for this name, only for {', '.join(ENDINGS)}; name a reader for it")


def identify(path: str) -> str:
    """Name of the reader for a ROOT file, by the branches of its trees (`LAYOUTS`).

    Raises
    ------
    ReadError
        if no known layout is there; it lists the trees and some of their branches.
    """
    from hepmtp.readers import trees  # noqa: PLC0415 (loads uproot only when asked)

    return trees.identify(path)


def load_reader(name: str, **options: Any) -> Reader:
    """The reader that ``"package.module:Class"`` (made with these options) or ``"package.module:object"`` names.

    Examples
    --------
    >>> load_reader("hepmtp:DarkMachinesCSV")
    DarkMachinesCSV(on_bad='raise', variant='auto', check_count=True)
    """
    try:
        found = storage.resolve(name)
        if options and not isinstance(found, type):
            raise TypeError("only a class takes options")  # noqa: TRY301 (told like all the others)
        if isinstance(found, type) and is_dataclass(found):
            known = [field.name for field in fields(found) if field.init]
            if unknown := sorted(options.keys() - set(known)):
                raise ReadError(f"{name} has no option {unknown[0]!r}; it has {', '.join(known) or 'none'}")  # noqa: TRY301
        reader = found(**options) if isinstance(found, type) else found
    except ReadError:
        raise
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ReadError(f"reader {name!r} cannot be made ({error}); expected 'package.module:Class'") from None
    if not isinstance(reader, Reader):
        raise ReadError(f"{name!r} is not a reader: it has no num_events or no read")
    return reader


def flat(events: ak.Array) -> dict[str, ak.Array]:
    """Events as `COLUMNS` and the counter ``nParticle``, ready to be written."""
    columns = {name: events[name] for name in ("event", "source", "weight")}
    columns |= {f"MET_{name}": events.MET[name] for name in ("pt", "phi")}
    columns["nParticle"] = ak.values_astype(ak.num(events.Particle), np.int32)
    columns |= {f"Particle_{name}": events.Particle[name] for name in PARTICLE_FIELDS}
    return {name: ak.to_packed(ak.without_parameters(column)) for name, column in columns.items()}


def check_columns(where: str, found: Iterable[str]) -> None:
    """Raise ReadError if one of `COLUMNS` is not among the names that were found."""
    found = list(found)
    for name in COLUMNS:
        if name not in found:
            shown = ", ".join(found[:_SHOWN]) + (f", ... {len(found)} in all" if len(found) > _SHOWN else "")
            raise ReadError(
                f"{where} has no column {name!r} (found: {shown or 'none'}); expected what hepmtp convert writes"
            )


def events_of(path: str, first_entry: int, columns: Mapping[str, ak.Array]) -> ak.Array:
    """Events from the `COLUMNS` of a file, checked; `first_entry` is where they begin in it.

    Raises
    ------
    ReadError
        if the columns of the particles differ in length, or a value breaks the event record.
    """
    try:
        return _events_of(path, first_entry, columns)
    except EventError as error:
        raise ReadError(f"{path}, entries from {first_entry} on: {error}") from None


def _events_of(path: str, first_entry: int, columns: Mapping[str, ak.Array]) -> ak.Array:
    for name in COLUMNS:
        depth = 2 if name.startswith("Particle_") else 1
        if columns[name].ndim != depth or ak.to_numpy(ak.flatten(columns[name], axis=None)).dtype.kind not in "iuf":
            expected = "a list of numbers" if depth == 2 else "a number"
            raise ReadError(f"{path}: column {name!r} is {ak.type(columns[name])}, expected {expected} per event")
    lists = {name: columns[f"Particle_{name}"] for name in PARTICLE_FIELDS}
    counts = ak.to_numpy(ak.num(lists["pt"]))
    for name, column in lists.items():
        differs = np.flatnonzero(ak.to_numpy(ak.num(column)) != counts)
        if len(differs):
            at = differs[0]
            raise ReadError(
                f"{path} entry {first_entry + at}: {ak.num(column)[at]} values of Particle_{name} but {counts[at]} of "
                "Particle_pt; write the file again"
            )
    return make_events(
        counts=counts,
        met=columns["MET_pt"],
        met_phi=columns["MET_phi"],
        **{name: columns[name] for name in ("weight", "event", "source")},
        **{name: ak.to_numpy(ak.flatten(column)) for name, column in lists.items()},
        types=CONSTITUENT_TYPES,  # converted jets are read like any other events
    )

"""Which reader takes a file: by the end of its name and, for ROOT, by what is in it."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from hepmtp import storage
from hepmtp.errors import ReadError
from hepmtp.readers import Reader
from hepmtp.readers.columns import COLUMNS
from hepmtp.readers.lines import is_remote

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
    raise ReadError(
        f"{path}: no reader is known for this name, only for {', '.join(ENDINGS)}; name a reader for it"
    )


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
                raise ReadError(  # noqa: TRY301
                    f"{name} has no option {unknown[0]!r}; it has {', '.join(known) or 'none'}"
                )
        reader = found(**options) if isinstance(found, type) else found
    except ReadError:
        raise
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ReadError(
            f"reader {name!r} cannot be made ({error}); expected 'package.module:Class'"
        ) from None
    if not isinstance(reader, Reader):
        raise ReadError(f"{name!r} is not a reader: it has no num_events or no read")
    return reader

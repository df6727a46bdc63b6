"""Which reader takes a file: by what is in it, and for a remote one by the end of its name.

The rule: each reader declares what its files are known by (`hepmtp.readers.FileReader`); a new one
is its file and its name in `SHIPPED`. Readers are imported when a file is asked about.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from hepmtp import storage
from hepmtp.errors import OptionError, ReadError
from hepmtp.readers import FileReader, Reader
from hepmtp.readers.lines import check_file, head, is_remote
from hepmtp.readers.options import check_names

#: The reader of what hepmtp writes, which coffea can open by itself.
OWN_ROOT = "hepmtp:RootReader"
#: The readers that come with hepmtp, in the order in which they are asked whether they know a file.
SHIPPED: tuple[str, ...] = (
    OWN_ROOT,
    "hepmtp:Delphes",
    "hepmtp:NanoAOD",
    "hepmtp:Physlite",
    "hepmtp:DMNtuple",
    "hepmtp:JetClass",
    "hepmtp:ParquetReader",
    "hepmtp:FourTopsHDF5",
    "hepmtp:DarkMachinesCSV",
)


@functools.cache
def shipped() -> dict[str, type[FileReader]]:
    """The classes of the readers that come with hepmtp, by name."""
    return {name: storage.resolve(name) for name in SHIPPED}


def endings() -> tuple[str, ...]:
    """What the names of files end in that have a reader, longest first."""
    found = {ending for cls in shipped().values() for ending in cls.endings}
    return tuple(sorted(found, key=lambda ending: (-len(ending), ending)))


def reader_for(path: str) -> Reader:
    """The reader for a file, as `reader_name` says."""
    return load_reader(reader_name(path))


def reader_name(path: str) -> str:
    """Name of the reader for a file, by what is in it.

    Of a file that is remote, or not there, the end of the name tells; for a remote ROOT file that
    leaves several layouts, of which its branches tell one.

    Raises
    ------
    ReadError
        saying what the file begins with or, of a ROOT file, which trees and branches it has.
    """
    there = Path(path).exists() and not is_remote(path)
    if there:
        check_file(path)
        known = {name: cls for name, cls in shipped().items() if cls.knows(path)}
    else:
        known = {name: cls for name, cls in shipped().items() if path.endswith(cls.endings)}
    layouts = {name: cls.branches for name, cls in known.items() if cls.branches}
    if layouts and (there or is_remote(path)):
        return _by_branches(path, layouts)
    if known:
        return next(iter(known))
    if not is_remote(path):
        check_file(path)
        raise ReadError(
            f"{path} is of no known kind: it begins with {head(path)[:8]!r}; known are the files "
            f"of {_names(shipped())}; name a reader of your own for it"
        )
    raise ReadError(
        f"{path}: no reader is known for this name, only for {', '.join(endings())}; "
        "name a reader for it"
    )


def _by_branches(path: str, layouts: Mapping[str, tuple[str, ...]]) -> str:
    """The reader whose branches a tree of this ROOT file has."""
    from hepmtp.readers.trees import names_of_branches  # noqa: PLC0415 (uproot only when asked)

    found = []
    for tree, known in names_of_branches(path):
        missing = {name: [one for one in layouts[name] if one not in known] for name in layouts}
        for name, absent in missing.items():
            if not absent:
                return name
        nearest = min(missing, key=lambda name: len(missing[name]) / len(layouts[name]))
        near = (
            f"; {_names([nearest])} needs {', '.join(missing[nearest])} too"
            if len(missing[nearest]) < len(layouts[nearest])
            else ""
        )
        some = ", ".join(sorted(known)[:8]) + (", ..." if len(known) > 8 else "")
        found.append(f"{tree} with {len(known)} branches ({some}{near})")
    raise ReadError(
        f"{path} has no events of a known layout; found: {'; '.join(found) or 'no tree'}; known "
        f"are the layouts of {_names(layouts)}; name a reader of your own for it"
    )


def _names(readers: Iterable[str]) -> str:
    return ", ".join(name.rpartition(":")[2] for name in readers)


def load_reader(name: str, **options: Any) -> Reader:
    """The reader that ``"package.module:Class"`` or ``"package.module:object"`` names.

    Parameters
    ----------
    name
        of a class, which is made with these options, or of an object, which takes none.

    Raises
    ------
    OptionError
        if there is no such reader, or it has no such option, or the option no such value.

    Examples
    --------
    >>> load_reader("hepmtp:DarkMachinesCSV")
    DarkMachinesCSV(on_bad='raise', variant='auto', check_count=True, units='MeV')
    """
    try:
        found = storage.resolve(name)
        if options and not isinstance(found, type):
            raise TypeError("only a class takes options")  # noqa: TRY301 (told like all the others)
        if isinstance(found, type):
            if is_dataclass(found):
                check_names(name, found, options)
            found = found(**options)
    except (OptionError, ReadError):
        raise
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise OptionError(
            f"reader {name!r} cannot be made ({error}); expected 'package.module:Class'"
        ) from None
    if not isinstance(found, Reader):
        raise OptionError(f"{name!r} is not a reader: it has no num_events or no read")
    return found

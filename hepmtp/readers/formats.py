"""Which reader takes a file: by what is in it, wherever it is, packed or not.

The rule: each reader declares what its files are known by (`hepmtp.readers.FileReader`); a new one
is its file and its name in `SHIPPED`. Readers are imported when a file is asked about. The end of a
name tells only where the content cannot be had: of a file that is not there, or whose server gives
no part of it.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hepmtp.errors import OptionError, ReadError
from hepmtp.plugins import check_options, resolve, resolve_from_file
from hepmtp.readers import FileReader, Reader
from hepmtp.readers.lines import check_file, is_remote, look
from hepmtp.readers.options import has_option

_ROOT = b"root"
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
    "hepmtp:FlatNtuple",
    "hepmtp:ParquetReader",
    "hepmtp:FourTopsHDF5",
    "hepmtp:DarkMachinesCSV",
)


@functools.cache
def shipped() -> dict[str, type[FileReader]]:
    """The classes of the readers that come with hepmtp, by name."""
    return {name: resolve(name) for name in SHIPPED}


def endings() -> tuple[str, ...]:
    """What the names of files end in that have a reader, longest first."""
    found = {ending for cls in shipped().values() for ending in cls.endings}
    return tuple(sorted(found, key=lambda ending: (-len(ending), ending)))


def reader_for(path: str) -> Reader:
    """The reader for a file, as `reader_name` says."""
    return load_reader(reader_name(path))


def reader_name(path: str) -> str:
    """Name of the reader for a file, by what is in it.

    Raises
    ------
    ReadError
        saying what the file begins with or, of one with trees or columns, which it has.
    """
    if not is_remote(path) and not Path(path).exists():
        known = _by_ending(path)
        if not known:
            check_file(path)  # it does not exist
        return known[0]
    try:
        packed, start = look(path)
    except ReadError as error:
        if not is_remote(path):
            raise
        return _unseen(path, error)
    found = {name: cls for name, cls in shipped().items() if cls.knows(start)}
    layouts = {name: cls for name, cls in found.items() if cls.branches}
    if packed and (binary := {cls.endings[0] for cls in found.values() if cls.magic}):
        raise ReadError(
            f"{path} is a {' or '.join(sorted(binary))} file packed by {packed}; only text is read "
            "as it is packed: unpack it first"
        )
    if layouts and (start.startswith(_ROOT) or not is_remote(path)):
        return _by_branches(path, layouts)
    if found:
        # a parquet file of a layout is not read in place either, and the reader of ours says so
        return next(iter([name for name in found if start.startswith(found[name].magic)] or found))
    raise ReadError(
        f"{path} is of no known kind: it begins with {start[:8]!r}; known are the files of "
        f"{_names(shipped())}; name a reader of your own for it"
    )


def _by_ending(path: str) -> list[str]:
    """Readers of files whose names end like this one; an address without what follows its path."""
    name = urlsplit(path).path if is_remote(path) else path
    return [reader for reader, cls in shipped().items() if name.endswith(cls.endings)]


def _unseen(path: str, error: ReadError) -> str:
    """The reader of a remote file whose content cannot be had, for the reason given."""
    known = _by_ending(path)
    layouts = {name: shipped()[name] for name in known if shipped()[name].branches}
    if len(layouts) > 1 and layouts.keys() == set(known):
        return _by_branches(path, layouts)  # or the reason why it cannot be opened
    if known:
        return known[0]
    raise type(error)(
        f"{path}: no reader is known for this name, only for {', '.join(endings())}; name a reader "
        f"for it. Its content cannot be had: {error}"
    )


def _by_branches(path: str, layouts: Mapping[str, type[FileReader]]) -> str:
    """The reader whose branches a tree of this file, or its columns, have."""
    from hepmtp.readers.opening import names_of_branches  # noqa: PLC0415 (uproot only when asked)

    found: list[str] = []
    fitting: dict[str, str] = {}
    usual = {name: getattr(cls, "trees", ()) for name, cls in layouts.items()}
    for tree, known in names_of_branches(path, itertools.chain.from_iterable(usual.values())):
        missing = {
            name: [one for one in cls.branches if one not in known] for name, cls in layouts.items()
        }
        first = next((name for name, absent in missing.items() if not absent), None)
        if first is not None and (not tree or tree in usual[first]):
            return first
        if first is not None:
            fitting.setdefault(first, tree)
        nearest = min(missing, key=lambda name: len(missing[name]) / len(layouts[name].branches))
        near = (
            f"; {_names([nearest])} needs {', '.join(missing[nearest])} too"
            f"{_named(layouts[nearest])}"
            if len(missing[nearest]) < len(layouts[nearest].branches)
            else ""
        )
        some = ", ".join(sorted(known)[:8]) + (", ..." if len(known) > 8 else "")
        what = f"{tree} with {len(known)} branches" if tree else f"{len(known)} columns"
        found.append(f"{what} ({some}{near})")
    if len(fitting) == 1:
        return next(iter(fitting))
    if fitting:
        trees = ", ".join(f"{tree} of {_names([name])}" for name, tree in fitting.items())
        raise ReadError(f"{path} has trees of several layouts: {trees}; name the reader")
    raise ReadError(
        f"{path} has no events of a known layout; found: {'; '.join(found) or 'no tree'}; known "
        f"are the layouts of {_names(layouts)}; name a reader of your own for it"
    )


def _named(reader: Any) -> str:
    """Advice for a file whose branches have other names, if its reader takes such."""
    if not has_option(reader, "names"):
        return ""
    return ": if they have other names, give the reader and its option names, jets=JetPUPPI say"


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
    return _made(name, _found(name, resolve), options)


def reader_from_file(name: str, options: Mapping[str, Any]) -> Reader:
    """As `load_reader`, for a name that stands in a file (:mod:`hepmtp.plugins`)."""
    return _made(name, class_of_reader(name), options)


def class_of_reader(name: str) -> Any:
    """The class, or object, of a reader that a file names; raises OptionError if it may not."""
    return _found(name, resolve_from_file)


def _found(name: str, resolved: Callable[[str], Any]) -> Any:
    """What a name stands for, if it is a reader, or a class of readers."""
    try:
        found = resolved(name)
    except OptionError:
        raise
    except (ImportError, AttributeError, ValueError) as error:
        raise _not_made(name, error) from None
    if not all(callable(getattr(found, one, None)) for one in ("num_events", "read")):
        raise OptionError(f"{name!r} is not a reader: it has no num_events or no read")
    return found


def _made(name: str, found: Any, options: Mapping[str, Any]) -> Reader:
    """The reader of a class, whose options are checked before it is made, or an object as it is."""
    try:
        if isinstance(found, type):
            check_options(name, found, options)
            found = found(**options)
        elif options:
            raise TypeError("only a class takes options")  # noqa: TRY301 (told like all the others)
    except (OptionError, ReadError):
        raise
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise _not_made(name, error) from None
    reader: Reader = found
    return reader


def _not_made(name: str, error: Exception) -> OptionError:
    return OptionError(f"reader {name!r} cannot be made ({error}); expected 'package.module:Class'")

"""Work that fails on a worker: tried again, left out and accounted for, or raised as our own error.

The rule: what may pass (a server, a disk) is tried again after a pause; what is wrong with a file
is not. Only a failure to read is ever left out, and only if that was asked for; an error of a
processor is raised always.
"""

from __future__ import annotations

import platform
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hepmtp.errors import ReadError
from hepmtp.readers.coffea_names import WorkItem
from hepmtp.readers.failures import causes, ours_of, told, tried
from hepmtp.readers.lines import is_remote
from hepmtp.run.chunks import path_of
from hepmtp.run.stamps import check_digests, check_stamp

# modules whose errors come from bytes that are not what they should be
_OF_BYTES = (
    "uproot",
    "fsspec",
    "cramjam",
    "zlib",
    "lzma",
    "struct",
    "xxhash",
    "awkward_cpp",
    "pyarrow",
)


def tried_on_worker(
    skip: bool | tuple[type[BaseException], ...],
    function: Callable[..., Any],
    *args: Any,
    **kwargs: Any,
) -> Any:
    """As `tried`, for coffea's work function.

    An error of ours is raised unwrapped, for a pickle loses its cause. What could not be read is
    returned as ``{"lost": {chunk: reason}}`` if that is to be left out.
    """
    item = next((one for one in _flat(args) if isinstance(one, WorkItem)), None)
    try:
        return tried(_of_one_file, item, function, *args, **kwargs)
    except Exception as error:
        ours = _unseen(item) or ours_of(error)
        if ours is None and item is not None and _is_of_bytes(error):
            where = f"{path_of(item.filename)}, entries {item.entrystart}-{item.entrystop}"
            ours = ReadError(f"{where}: damaged ({told(error)}); fetch or make it again")
        if item is not None and is_left_out(error, skip):
            return {"lost": {item: told(error) if ours is None else str(ours)}}
        if ours is None:
            raise
        cause = ours
    raise cause  # out here, so that it is not its own context: Dask pickles those too


def _of_one_file(
    item: WorkItem | None, function: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    """What a function makes of a chunk, whose file is the same before and after."""
    if item is None:
        return function(*args, **kwargs)
    check_stamp(item)
    check_digests(item)
    found = function(*args, **kwargs)
    check_stamp(item)
    return found


def _unseen(item: WorkItem | None) -> ReadError | None:
    """The error of a file that is not where this process, maybe on another machine, looks."""
    path = "" if item is None else path_of(item.filename)
    if not path or is_remote(path) or Path(path).exists():
        return None
    return ReadError(
        f"{path} is not there for the worker on {platform.node()}: give a path that all workers "
        "see, or run where the file is"
    )


def is_left_out(error: BaseException, skip: bool | tuple[type[BaseException], ...]) -> bool:
    """Whether an error is a failure to read that is to be left out."""
    if not skip:
        return False
    if isinstance(skip, tuple) and any(isinstance(one, skip) for one in causes(error)):
        return True
    if (ours := ours_of(error)) is not None:
        return isinstance(ours, ReadError)
    return _is_of_bytes(error)


def _is_of_bytes(error: BaseException) -> bool:
    """Whether an error comes from a file that is not what it should be.

    An OSError of the processor, which may open files of its own, does not.
    """
    return any(
        type(one).__module__.startswith(_OF_BYTES)
        or (isinstance(one, (OSError, EOFError)) and _passed_through(one, _OF_BYTES))
        for one in causes(error)
    )


def _passed_through(error: BaseException, modules: tuple[str, ...]) -> bool:
    """Whether an error was raised inside one of these libraries."""
    return any(
        str(frame.f_globals.get("__name__")).startswith(modules)
        for frame, _ in traceback.walk_tb(error.__traceback__)
    )


def _flat(args: Any) -> Iterator[Any]:
    for one in args:
        if isinstance(one, tuple) and not isinstance(one, WorkItem):
            yield from _flat(one)
        else:
            yield one

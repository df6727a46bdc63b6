"""Arguments of a runner: each has an effect, or is refused before a file is opened.

The rule: what coffea would pass over in silence, or find on a worker, is said here with the
argument, its value and what was expected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping
from typing import Any

from coffea.nanoevents import BaseSchema
from coffea.processor import CheckpointerABC, DaskExecutor

from hepmtp.errors import ManifestError, OptionError
from hepmtp.readers.coffea_names import ExecutorBase, WorkItem

_Test = Callable[[Any], bool]


def check_arguments(runner: Any) -> None:
    """Raise OptionError for the first argument of a runner that cannot be what it is."""
    for name, (legal, expected) in _ARGUMENTS.items():
        value = getattr(runner, name)
        if not legal(value):
            raise OptionError(f"{name} is {value!r}, expected {expected}")
    if runner.format != "root":
        raise OptionError(
            f"format is {runner.format!r}: HepRunner finds the format of every file itself; leave "
            "it out"
        )
    if runner.use_result_type and not runner.skipbadfiles:
        raise OptionError(
            "use_result_type gives an Err for the errors that skipbadfiles names: set skipbadfiles "
            "too"
        )
    if runner.cachestrategy == "dask-worker" and not isinstance(runner.executor, DaskExecutor):
        raise OptionError(
            "cachestrategy 'dask-worker' needs a DaskExecutor; give a function that returns a "
            "mapping"
        )
    if runner.skipbadfiles and runner.use_dataframes:
        raise OptionError(
            "skipbadfiles and a DaskExecutor with use_dataframes do not go together: a data frame "
            "has no place for what was lost"
        )


def check_call(treename: Any, trace: Any) -> None:
    """Raise OptionError for a tree or a tracing function that is none."""
    if not (treename is None or (isinstance(treename, str) and treename)):
        raise OptionError(f"treename is {treename!r}, expected the name of a tree or None")
    if not (trace is None or callable(trace)):
        raise OptionError(f"trace is {trace!r}, expected a function or None")


def made_chunks(fileset: Any, treename: str | None, trace: Any) -> list[WorkItem]:
    """Chunks that `preprocess` has made before."""
    items = list(fileset) if isinstance(fileset, Iterable) else []
    if not items or not all(isinstance(one, WorkItem) for one in items):
        raise ManifestError(
            "a fileset is a mapping of data set names to files, or what preprocess gave, found "
            f'{type(fileset).__name__}; write {{"NAME": [files]}}'
        )
    for name, value in (("treename", treename), ("trace", trace)):
        if value is not None:
            raise OptionError(
                f"{name} has no effect on chunks that are made already: give it to preprocess"
            )
    return items


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _truth(value: Any) -> bool:
    return isinstance(value, bool)


def _skips(value: Any) -> bool:
    errors = value if isinstance(value, tuple) else ()
    is_error = [isinstance(one, type) and issubclass(one, BaseException) for one in errors]
    return isinstance(value, bool) or (bool(errors) and all(is_error))


def _seconds(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value is None or (is_number and value > 0)


#: Each argument: whether a value is legal, and what is expected.
_ARGUMENTS: dict[str, tuple[_Test, str]] = {
    "executor": (lambda value: isinstance(value, ExecutorBase), "an executor of make_executor"),
    "pre_executor": (
        lambda value: value is None or isinstance(value, ExecutorBase),
        "an executor or None",
    ),
    "chunksize": (lambda value: _whole(value, 1), "a whole number of events, 1 or more"),
    "maxchunks": (
        lambda value: value is None or _whole(value, 1),
        "a whole number of chunks, 1 or more, or None",
    ),
    "metadata_cache": (
        lambda value: value is None or isinstance(value, MutableMapping),
        "a mapping or None",
    ),
    "skipbadfiles": (_skips, "True, False or a tuple of exception types"),
    "xrootdtimeout": (_seconds, "a number of seconds or None"),
    "align_clusters": (_truth, "True or False"),
    "savemetrics": (_truth, "True or False"),
    "use_result_type": (_truth, "True or False"),
    "schema": (
        lambda value: isinstance(value, type) and issubclass(value, BaseSchema),
        "a schema of coffea.nanoevents",
    ),
    "processor_compression": (
        lambda value: value is None or _whole(value, -(1 << 31)),
        "a whole number or None",
    ),
    "checkpointer": (
        lambda value: value is None or isinstance(value, CheckpointerABC),
        "a checkpointer of coffea or None",
    ),
    "cachestrategy": (
        lambda value: value in (None, "dask-worker") or callable(value),
        "a function that returns a mapping, 'dask-worker' or None",
    ),
}

"""Executors of coffea that close what they open."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
from collections.abc import Iterator
from typing import Any, Literal

import coffea.util
import dask
import loky
from coffea.processor import DaskExecutor, FuturesExecutor, IterativeExecutor
from distributed import Client, LocalCluster

from hepmtp.errors import OptionError


class _FuturesExecutor(FuturesExecutor):  # type: ignore[misc]
    def __call__(self, items: Any, function: Any, accumulator: Any) -> Any:
        """As coffea's, without the traceback that it prints before it raises the same error."""
        with contextlib.redirect_stderr(io.StringIO()):
            return super().__call__(items, function, accumulator)


#: Threads of numerical libraries in a worker process: several on busy cores are much slower.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


#: Dask's default makes glibc return memory after each operation: torch loses a third of its speed.
_MALLOC = {"MALLOC_TRIM_THRESHOLD_": str(1 << 30), "MALLOC_MMAP_THRESHOLD_": str(1 << 28)}


@contextlib.contextmanager
def make_executor(
    name: Literal["iterative", "futures", "dask"],
    *,
    workers: int = 1,
    client: Client | str | None = None,
    status: bool = True,
) -> Iterator[Any]:
    """An executor for `HepRunner` that closes its processes at the end of the ``with`` block.

    Parameters
    ----------
    name
        "iterative": this process; "futures": `workers` processes; "dask": `client`, or a cluster of
        `workers` processes on this machine. A script that starts processes needs
        ``if __name__ == "__main__":``.
    workers
        number of processes.
    client
        a Dask client, or the address of a scheduler (``"tcp://host:8786"``); for "dask" only. A
        client is left open.
    status
        draw progress bars.

    Examples
    --------
    >>> from hepmtp.run.runner import HepRunner
    >>> with make_executor("iterative", status=False) as executor:
    ...     runner = HepRunner(executor)
    """
    if name not in ("iterative", "futures", "dask"):
        raise OptionError(
            f"executor {name!r} is unknown; the executors are iterative, futures, dask"
        )
    with contextlib.ExitStack() as stack:
        if not status:
            console = coffea.util.coffea_console
            stack.callback(setattr, console, "quiet", console.quiet)
            console.quiet = True
        options = {"status": status, "retries": 0}
        if name == "iterative":
            yield IterativeExecutor(**options)
        elif name == "futures":
            # an instance: of a class coffea would start processes to count and once more to run
            pool = stack.enter_context(
                loky.ProcessPoolExecutor(
                    max_workers=workers, env=_ONE_THREAD, initializer=_import_libraries
                )
            )
            yield _FuturesExecutor(pool=pool, workers=workers, **options)
        else:
            if client is None:
                client = stack.enter_context(_local_cluster(workers))
            if not isinstance(client, Client):
                client = stack.enter_context(Client(client))  # type: ignore[no-untyped-call]
            yield DaskExecutor(client=client, **options)


def _import_libraries() -> None:
    """Load what scoring needs before a worker's memory is first measured.

    loky takes what is loaded after the first task for a leak: it warns and restarts the worker.
    """
    importlib.import_module("torch")
    importlib.import_module("coffea.processor")


def _local_cluster(workers: int) -> LocalCluster:
    key, environment = "distributed.nanny.pre-spawn-environ", {**_ONE_THREAD, **_MALLOC}
    # what is set here would win over Dask's configuration, and Dask leaves behind what it sets
    before = dict(os.environ)
    for name in environment.keys() & before.keys():
        del os.environ[name]
    try:
        with dask.config.set({key: {**dask.config.get(key), **environment}}):
            return LocalCluster(  # type: ignore[no-untyped-call]
                host="127.0.0.1",
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                # Dask serves its state even without a dashboard: on a free port
                dashboard_address="127.0.0.1:0",
                scheduler_kwargs={"dashboard": False},
                silence_logs="ERROR",
            )
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)

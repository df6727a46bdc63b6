"""Executors of coffea that close what they open."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Any, Literal

import coffea.util
import dask
from coffea.processor import IterativeExecutor
from distributed import Client, LocalCluster

from hepmtp.errors import OptionError
from hepmtp.run.cluster import WatchedExecutor, connected
from hepmtp.run.futures import ONE_THREAD, LastingExecutor, Pool

#: Dask's default makes glibc return memory after each operation: torch loses a third of its speed.
_MALLOC = {"MALLOC_TRIM_THRESHOLD_": str(1 << 30), "MALLOC_MMAP_THRESHOLD_": str(1 << 28)}
#: First words of a worker, which leaves Ctrl-C to the process that started it.
_NO_CTRL_C = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"


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
            pool = stack.enter_context(Pool(workers))
            yield LastingExecutor(pool=pool, workers=workers, **options)
        else:
            given: Any = client
            if given is None:
                given = stack.enter_context(_ended_at_once(_local_cluster(workers)))
            if not isinstance(given, Client):
                given = stack.enter_context(connected(given))
            yield WatchedExecutor(client=given, **options)


@contextlib.contextmanager
def _ended_at_once(cluster: LocalCluster) -> Iterator[LocalCluster]:
    """A cluster whose workers are killed, not asked, when the block is left by an error."""
    try:
        yield cluster
    except BaseException:
        for nanny in cluster.workers.values():
            if (pid := getattr(nanny, "pid", None)) is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        cluster.close(timeout=1)
        raise
    cluster.close()


def _local_cluster(workers: int) -> LocalCluster:
    key, environment = "distributed.nanny.pre-spawn-environ", {**ONE_THREAD, **_MALLOC}
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
                preload=[_NO_CTRL_C],
            )
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)

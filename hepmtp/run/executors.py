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
from hepmtp.run import queues
from hepmtp.run.cluster import WatchedExecutor, connected
from hepmtp.run.futures import LastingExecutor, Pool
from hepmtp.training.workers import ONE_THREAD

#: Dask's default makes glibc return memory after each operation: torch loses a third of its speed.
_MALLOC = {"MALLOC_TRIM_THRESHOLD_": str(1 << 30), "MALLOC_MMAP_THRESHOLD_": str(1 << 28)}
#: Processes that are started if their number is not given.
WORKERS = 2
#: First words of a worker, which leaves Ctrl-C to the process that started it.
_NO_CTRL_C = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"


@contextlib.contextmanager
def make_executor(
    name: Literal["iterative", "futures", "dask"],
    *,
    workers: int | None = None,
    client: Client | str | None = None,
    cluster: Literal["local", "slurm", "htcondor"] | None = None,
    status: bool = True,
) -> Iterator[Any]:
    """An executor for `HepRunner` that closes its processes at the end of the ``with`` block.

    Parameters
    ----------
    name
        "iterative": this process; "futures": `workers` processes; "dask": `client`, or a `cluster`
        of `workers` processes. A script that starts processes needs
        ``if __name__ == "__main__":``.
    workers
        number of processes to start; 2 if not given.
    client
        a Dask client, or the address of a scheduler (``"tcp://host:8786"``); for "dask" only. A
        client is left open.
    cluster
        where processes of "dask" are started: here, or as jobs of a batch system
        (:mod:`hepmtp.run.queues`). If neither this, nor `workers`, nor a client is given, it is
        what an analysis facility has set up: the client of this process, or the scheduler of
        ``DASK_SCHEDULER_ADDRESS``. Without them it is here.
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
    if client is not None and (cluster is not None or workers is not None):
        raise OptionError(
            f"cluster={cluster!r} and workers={workers!r} are started, and a client has its own: "
            "leave one of them out"
        )
    if name != "dask" and (client is not None or cluster is not None):
        raise OptionError(f"a client or cluster needs the executor 'dask', found {name!r}")
    with contextlib.ExitStack() as stack:
        if not status:
            console = coffea.util.coffea_console
            stack.callback(setattr, console, "quiet", console.quiet)
            console.quiet = True
        number = workers or WORKERS
        options: dict[str, Any] = {"status": status, "retries": 0}
        if name == "iterative":
            yield IterativeExecutor(**options)
        elif name == "futures":
            # an instance: of a class coffea would start processes to count and once more to run
            pool = stack.enter_context(Pool(number))
            yield LastingExecutor(pool=pool, workers=number, **options)
        else:
            given: Any = client
            if given is None and cluster is None and workers is None:
                given = there()
            if given is None:
                if cluster is None or cluster == "local":
                    given = stack.enter_context(_ended_at_once(_local_cluster(number)))
                else:
                    queued = queues.queued(cluster, number, {**ONE_THREAD, **_MALLOC})
                    given, options["jobs"] = stack.enter_context(queued)
                    options["patience"] = queues.PATIENCE
            if not isinstance(given, Client):
                given = stack.enter_context(connected(given))
            yield WatchedExecutor(client=given, **options)


def there() -> Client | str | None:
    """What an analysis facility has set up: the client of this process, or a scheduler's address.

    Dask reads the latter from ``DASK_SCHEDULER_ADDRESS``, or from its configuration.
    """
    with contextlib.suppress(ValueError):
        return Client.current()  # type: ignore[no-untyped-call, no-any-return]
    address: str | None = dask.config.get("scheduler-address", None)
    return address


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

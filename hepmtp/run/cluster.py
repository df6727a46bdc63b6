"""The executor on Dask: a cluster without workers or scheduler ends the run, in half a minute.

The rule: Dask itself waits for ever, as workers may come. A run says what is missing instead; its
finished chunks are kept. Only jobs of a batch system are waited for, as long as one is there.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import dask
from coffea.processor import DaskExecutor
from distributed import Client, LocalCluster

from hepmtp.errors import ClusterError
from hepmtp.run import queues
from hepmtp.run.jobs import Jobs
from hepmtp.training.workers import ONE_THREAD

log = logging.getLogger(__name__)
#: Seconds without a worker, or without an answer of the scheduler, after which a run ends.
PATIENCE = 20.0
#: Seconds between two questions to a batch system.
LOOK = 15.0
#: Dask's default makes glibc return memory after each operation: torch loses a third of its speed.
_MALLOC = {"MALLOC_TRIM_THRESHOLD_": str(1 << 30), "MALLOC_MMAP_THRESHOLD_": str(1 << 28)}
#: First words of a worker, which leaves Ctrl-C to the process that started it.
_NO_CTRL_C = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"


@contextlib.contextmanager
def dask_executor(
    client: Client | str | None,
    cluster: Literal["local", "slurm", "htcondor"],
    workers: int,
    options: Mapping[str, Any],
) -> Iterator[WatchedExecutor]:
    """The executor on a client, on the scheduler at an address, or else on a cluster that it opens.

    Parameters
    ----------
    client, cluster, workers
        as `hepmtp.run.executors.make_executor` has them.
    options
        of coffea's executor.
    """
    more: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        given: Any = client
        if given is None:
            if cluster == "local":
                given = stack.enter_context(_ended_at_once(_local_cluster(workers)))
            else:
                queued = queues.queued(cluster, workers, {**ONE_THREAD, **_MALLOC})
                given, more["jobs"] = stack.enter_context(queued)
                more["patience"] = queues.PATIENCE
        if not isinstance(given, Client):
            given = stack.enter_context(connected(given))
        yield WatchedExecutor(client=given, **options, **more)


@contextlib.contextmanager
def connected(address: Any) -> Iterator[Client]:
    """A client of the scheduler at an address, or of a cluster, closed at the end.

    Raises
    ------
    ClusterError
        if nobody answers there.
    """
    try:
        client = Client(address, timeout=PATIENCE)  # type: ignore[no-untyped-call]
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterError(
            f"no Dask scheduler answers at {address} ({type(error).__name__}): start one with dask "
            "scheduler, or check the address"
        ) from None
    try:
        yield client
    finally:
        client.close(timeout=2)  # type: ignore[no-untyped-call]


@dataclass
class WatchedExecutor(DaskExecutor):  # type: ignore[misc]
    """Coffea's executor on Dask, which looks after its cluster while it waits.

    Parameters
    ----------
    patience
        seconds that it waits for a worker; `PATIENCE` if 0.
    jobs
        of a batch system, which bring workers; all that have ended bring none.
    """

    patience: float = 0.0
    jobs: Jobs | None = None

    def __call__(self, items: Any, function: Any, accumulator: Any) -> Any:
        """As coffea's, in a thread; ClusterError if the cluster is gone."""
        found: list[Any] = []
        failed: list[BaseException] = []

        def work() -> None:
            try:
                found.append(super(WatchedExecutor, self).__call__(items, function, accumulator))
            except BaseException as error:  # noqa: BLE001 (raised below, in the main thread)
                failed.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        alive, asked = time.monotonic(), -math.inf
        while thread.is_alive():
            thread.join(1.0)
            what, now = self._missing(), time.monotonic()
            if what is None:
                alive = now
            elif now - alive > self._waits():
                raise ClusterError(what)
            elif self.jobs is not None and now - max(alive, asked) > LOOK:
                # a worker may have come while the system was asked
                if (ended := self.jobs.ended()) is not None and self._missing() is not None:
                    raise ClusterError(ended)
                if asked < alive:
                    log.warning("%s: the run waits for one", self.jobs.waiting())
                asked = time.monotonic()
        if failed:
            if (what := self._missing()) is not None and type(failed[0]).__name__ in _LOST:
                raise ClusterError(what)
            raise failed[0]
        return found[0]

    def _waits(self) -> float:
        """Seconds; a scheduler that is gone is not waited for longer than ever."""
        running = self.client.status == "running"
        return self.patience if self.patience and running else PATIENCE

    def _missing(self) -> str | None:
        """What is missing of the cluster; None if all is there."""
        client = self.client
        if client.status != "running":
            return (
                "the Dask scheduler is gone: start it and its workers again; finished chunks are "
                "kept, --resume goes on from them"
            )
        if not client.scheduler_info(n_workers=1)["workers"]:
            return (
                f"the Dask scheduler at {client.scheduler.address} has no workers: start some "
                "with dask worker; finished chunks are kept, --resume goes on from them"
            )
        return None


#: Names of errors that Dask has for work whose scheduler is gone.
_LOST = {"CancelledError", "FutureCancelledError", "FuturesCancelledError", "CommClosedError"}


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

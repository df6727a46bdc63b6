"""A Dask cluster that is watched: one without workers or scheduler ends the run, in half a minute.

The rule: Dask itself waits for ever, as workers may come. A run says what is missing instead; its
finished chunks are kept. Only jobs of a batch system are waited for, as long as one is there.
"""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from coffea.processor import DaskExecutor
from distributed import Client

from hepmtp.errors import ClusterError
from hepmtp.run.jobs import Jobs

log = logging.getLogger(__name__)
#: Seconds without a worker, or without an answer of the scheduler, after which a run ends.
PATIENCE = 20.0
#: Seconds between two questions to a batch system.
LOOK = 15.0


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

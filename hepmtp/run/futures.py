"""Worker processes on this machine: one that dies loses its chunk, and not the run.

The rule: what was not finished when a worker died is done again by new workers. Workers leave
Ctrl-C to the process that started them, and end with it, however it ends.
"""

from __future__ import annotations

import concurrent.futures
import importlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import loky
from coffea.processor import FuturesExecutor, accumulate
from coffea.util import rich_bar

from hepmtp.training.workers import ONE_THREAD, begin_worker

log = logging.getLogger(__name__)
#: So many pools in a row may break without a chunk that is finished.
LOSSES = 3


class Pool(concurrent.futures.Executor):
    """Worker processes that are replaced, all of them, when one has died."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._pool = self._started()

    def _started(self) -> loky.ProcessPoolExecutor:
        return loky.ProcessPoolExecutor(
            max_workers=self.workers, env=ONE_THREAD, initializer=_begin, initargs=(os.getpid(),)
        )

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """As every executor; raises BrokenExecutor once a worker has died."""
        return self._pool.submit(fn, *args, **kwargs)

    def replace(self) -> None:
        """End these processes and start others."""
        self.shutdown()
        self._pool = self._started()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        """End the processes at once, whatever they do."""
        self._pool.shutdown(wait=wait, kill_workers=True)


@dataclass
class LastingExecutor(FuturesExecutor):  # type: ignore[misc]
    """Coffea's executor on a `Pool`, for which the death of a worker is not the end."""

    def __call__(self, items: Any, function: Any, accumulator: Any) -> Any:
        """The sum of what `function` makes of the items; an error of it ends the others."""
        waiting = dict(enumerate(items))
        if not waiting:
            return accumulator
        merged, losses, total = None, 0, len(waiting)
        with rich_bar() as progress:
            bar = progress.add_task(self.desc, total=total, unit=self.unit)
            while waiting:
                futures: dict[Any, int] = {}
                try:
                    futures |= {self.pool.submit(function, one): i for i, one in waiting.items()}
                    for future in concurrent.futures.as_completed(futures):
                        merged = accumulate([future.result()], merged)
                        del waiting[futures[future]]
                        losses = 0
                        progress.update(bar, completed=total - len(waiting), refresh=True)
                except concurrent.futures.BrokenExecutor:
                    losses += 1
                    if losses == LOSSES:
                        raise
                    log.warning(
                        "a worker process was killed: %d of %d chunks are done again or go on",
                        len(waiting),
                        total,
                    )
                    self.pool.replace()
        return accumulate([merged, accumulator]), 0


def _begin(parent: int) -> None:
    """What a worker does first.

    It loads what scoring needs before its memory is measured: loky takes what is loaded after the
    first task for a leak, warns and restarts the worker.
    """
    begin_worker(parent)
    importlib.import_module("torch")
    importlib.import_module("coffea.processor")

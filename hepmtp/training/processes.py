"""A training that several processes on this machine share: each takes its part of every batch.

The rule: a step of the optimiser is that of the whole batch. Losses and gradients are summed over
the processes (torch.distributed, gloo), as DistributedDataParallel does, so that all hold the same
weights.
"""

from __future__ import annotations

import concurrent.futures
import importlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import loky
import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from hepmtp.errors import TrainingError
from hepmtp.events.ragged import Ints
from hepmtp.training.workers import ONE_THREAD, begin_worker

T = TypeVar("T")
#: Seconds between two looks at what the processes say.
_LOOK = 0.1
_said: Any = None  #: in a worker: the queue on which it says how far it is


@dataclass(frozen=True)
class Share:
    """Which of the processes this is, and of how many."""

    rank: int = 0
    of: int = 1

    def part(self, batch: Ints) -> Ints:
        """Of the events of a batch those of this process."""
        return batch[self.rank :: self.of]

    def total(self, loss: float, n: int) -> tuple[float, int]:
        """Summed loss and number of terms of all processes."""
        if self.of == 1:
            return loss, n
        both = torch.tensor([loss, n], dtype=torch.float64)
        dist.all_reduce(both)
        return float(both[0]), int(both[1])

    def add_gradients(self, model: nn.Module) -> None:
        """Give all processes the sum of their gradients, and the buffers of the first."""
        if self.of == 1:
            return
        parameters = list(model.parameters())
        used = torch.tensor([one.grad is not None for one in parameters], dtype=torch.uint8)
        dist.all_reduce(used, op=dist.ReduceOp.MAX)
        shared = [one for one, yes in zip(parameters, used.tolist(), strict=True) if yes]
        for one in shared:
            if one.grad is None:
                one.grad = torch.zeros_like(one)
        gradients = [one.grad for one in shared if one.grad is not None]
        whole = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(whole)
        ends = np.cumsum([gradient.numel() for gradient in gradients])
        for gradient, end in zip(gradients, ends, strict=True):
            gradient.copy_(whole[end - gradient.numel() : end].view_as(gradient))
        for buffer in model.buffers():
            dist.broadcast(buffer, 0)

    def same(self, make: Callable[[], float | None]) -> float | None:
        """What the first process makes, for all of them."""
        if self.of == 1:
            return make()
        made = make() if self.rank == 0 else None
        told = torch.tensor([0.0 if made is None else 1.0, made or 0.0], dtype=torch.float64)
        dist.broadcast(told, 0)
        return float(told[1]) if told[0] else None


ALONE = Share()


def together(
    n: int, work: Callable[..., T], *args: Any, progress: Callable[..., None] | None = None
) -> T:
    """What ``work(share, *args, progress=...)`` gives in the first of `n` processes.

    All run it, each with its `Share`. `progress` is called here with what the first one tells its
    own.

    Raises
    ------
    TrainingError
        if one of the processes was killed; an error of one of them is raised as it is.
    """
    # with the context "loky" no worker imports the script that started it
    queue = loky.backend.get_context("loky").SimpleQueue()
    pool = loky.ProcessPoolExecutor(
        max_workers=n, env=ONE_THREAD, initializer=_begin, initargs=(os.getpid(), queue)
    )

    def listen() -> None:
        while not queue.empty():
            said = queue.get()
            if progress is not None:
                progress(*said)

    with tempfile.TemporaryDirectory() as folder:
        try:
            place = f"file://{Path(folder, 'meeting')}"
            shares = [Share(rank, n) for rank in range(n)]
            tell = progress is not None
            futures = [pool.submit(_worker, one, place, tell, work, args) for one in shares]
            waiting = set(futures)
            while waiting:
                done, waiting = concurrent.futures.wait(
                    waiting, timeout=_LOOK, return_when=concurrent.futures.FIRST_EXCEPTION
                )
                listen()
                for future in done:
                    future.result()  # raises the error of a process; the others wait for it in vain
            return futures[0].result()  # type: ignore[no-any-return]
        except concurrent.futures.BrokenExecutor:
            raise TrainingError(
                f"one of the {n} processes that trained was killed, for want of memory perhaps: "
                "train with fewer, or go on from the checkpoint"
            ) from None
        finally:
            pool.shutdown(wait=True, kill_workers=True)


def on_cpu(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights that another process can be sent."""
    return {name: value.detach().cpu() for name, value in state.items()}


def _begin(parent: int, queue: Any) -> None:
    global _said  # noqa: PLW0603 (a queue reaches a process at its start alone)
    begin_worker(parent)
    importlib.import_module("torch")
    _said = queue


def _worker(share: Share, place: str, tell: bool, work: Callable[..., T], args: Any) -> T:
    """Meet the other processes, and do the work."""
    dist.init_process_group("gloo", init_method=place, rank=share.rank, world_size=share.of)
    try:
        tells = tell and share.rank == 0
        return work(share, *args, progress=(lambda *said: _said.put(said)) if tells else None)
    finally:
        dist.destroy_process_group()

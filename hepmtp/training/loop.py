"""One loop for every training: optimiser, early stopping, checkpoints, device, progress.

The rule: the loop knows no model; a task does. The same seed gives the same model, also when
training was interrupted. Each epoch draws from generators of its own, numpy's of (seed, epoch)
and torch's seeded from that one. All else that an epoch starts from is in the checkpoint.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol, Self, TypedDict

import numpy as np
import torch
from torch import Tensor, nn

from hepmtp.errors import OptionError, TrainingError
from hepmtp.events.ragged import Ints
from hepmtp.notebook import epoch_bar
from hepmtp.training.checkpoint import State, fingerprint
from hepmtp.training.processes import ALONE, Share, on_cpu, together
from hepmtp.training.schedules import Schedule, warm_up_cosine
from hepmtp.training.threads import torch_threads

log = logging.getLogger(__name__)


#: Called after each batch with (epoch, batches done, batches in an epoch, mean loss so far).
Progress = Callable[[int, int, int, float], None]


#: One row an epoch: epoch, train_loss, validation_loss (where there is one), and the learning_rate
#: that the next epoch would start with.
History = list[dict[str, float]]


@dataclass(frozen=True, kw_only=True)
class LoopOptions:
    """How anything is trained.

    Parameters
    ----------
    epochs, patience
        at most so many epochs; stop after `patience` epochs without a lower validation loss.
    batch_events
        events of mixed multiplicity in one optimiser step.
    learning_rate, weight_decay
        of AdamW (Loshchilov and Hutter, arXiv:1711.05101); the rate falls to zero along a cosine.
    seed
        of everything that is random.
    threads
        torch threads; more than one is many times slower on a busy machine.
    device
        where to train, e.g. "cpu" or "cuda"; what was trained comes back to the CPU.
    processes
        that share each batch, on the CPU of this machine. Two are not twice as fast, and what is
        random (masks, dropout) is drawn otherwise than by one.

    Raises
    ------
    OptionError
        if a number is out of its range, or several processes shall train on another device. Whether
        the device can be used is seen when training starts.
    """

    epochs: int = 8
    patience: int = 3
    batch_events: int = 512
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    seed: int = 0
    threads: int = 1
    device: str = "cpu"
    processes: int = 1

    def __post_init__(self) -> None:
        counts = (self.epochs, self.patience, self.batch_events, self.threads, self.processes)
        if min(counts) < 1:
            raise OptionError(
                "epochs, patience, batch_events, threads and processes must be 1 or more, found "
                f"{self}"
            )
        if self.processes > 1 and self.device != "cpu":
            raise OptionError(
                f"{self.processes} processes share a training on the CPU alone, not on "
                f"{self.device!r}: take one process"
            )
        if not (self.learning_rate > 0 and self.weight_decay >= 0):
            raise OptionError(
                f"learning_rate must be above 0 and weight_decay must be 0 or more, found {self}"
            )

    @classmethod
    def from_saved(cls, saved: Mapping[str, Any]) -> Self:
        """From a saved record of any version.

        What it lacks takes its default; what is unknown today is left out.
        """
        return cls(**{one.name: saved[one.name] for one in fields(cls) if one.name in saved})


class Watch(TypedDict, total=False):
    """Keyword arguments of everything that trains; :func:`train` says what they do."""

    checkpoint: str | Path | None
    progress: Progress | None


class Task(Protocol):
    """What the loop trains: a model, its data and its loss."""

    @property
    def model(self) -> nn.Module:
        """The model, trained in place; the loop moves it to the device, a task its batches."""

    def draw(self, epoch: int, rng: np.random.Generator, /) -> int:
        """Make the training events of this epoch (1, 2, ...) ready and tell how many there are."""

    def loss(self, events: Ints, rng: np.random.Generator, /) -> tuple[Tensor, int]:
        """Summed loss of some events of this epoch, and how many terms it has, for the mean.

        The optimiser lowers that mean; there is no step if there are none.
        """

    def validation_loss(self) -> float | None:
        """Mean loss of held-out events; None: there are none, and the last epoch is the best."""

    def identity(self) -> Iterable[object]:
        """All data (arrays) and settings (by repr) that a checkpoint must share with this task."""


def train(
    task: Task,
    options: LoopOptions,
    *,
    schedule: Schedule = warm_up_cosine,
    betas: tuple[float, float] = (0.9, 0.98),
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
) -> History:
    """Train the model of a task in place; it ends on the CPU with the weights of its best epoch.

    Parameters
    ----------
    schedule
        of the learning rate (:mod:`hepmtp.training.schedules`).
    betas
        of AdamW.
    checkpoint
        folder that is written after each epoch. If it holds an unfinished training of the same task
        and options, that is taken up where it ended and gives the same numbers.
    progress
        called after each batch; in a notebook a bar is drawn if nothing is given.

    Raises
    ------
    OptionError
        if the device cannot be used.
    TrainingError
        if the loss is not finite, or the checkpoint belongs to another training.
    """
    with epoch_bar(options.epochs) as bar:
        show, how = progress or bar, (task, options, schedule, betas, checkpoint)
        if options.processes > 1:
            history, best = together(options.processes, _train, *how, progress=show)
        else:
            history, best = _train(ALONE, *how, progress=show)
    task.model.load_state_dict(best)
    task.model.to("cpu").eval()
    return history


def _train(
    share: Share,
    task: Task,
    options: LoopOptions,
    schedule: Schedule,
    betas: tuple[float, float],
    checkpoint: str | Path | None,
    *,
    progress: Progress | None,
) -> tuple[History, dict[str, Tensor]]:
    """History and weights of the best epoch, of one process or of one that shares a training."""
    with torch_threads(options.threads):
        run = _Run(task, options, schedule, betas, share)
        if checkpoint is not None:
            path, of = Path(checkpoint), fingerprint(task.model, options, task.identity())
            if path.exists():
                run.state.read(path, of)
                log.info("training goes on from %s after epoch %d", path, len(run.state.history))
        while not run.finished:
            run.epoch(progress)
            if checkpoint is not None and share.rank == 0:
                run.state.write(path, of)
    return run.state.history, on_cpu(run.state.best)


@contextlib.contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Seed torch's global generators within the block, and leave them as they were behind it."""
    cuda = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(seed)
        yield


def device_of(model: nn.Module) -> torch.device:
    """Where the weights of a model are."""
    return next(model.parameters()).device


def usable(name: str) -> torch.device:
    """A device by its name; raises OptionError if it cannot be used here."""
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        # torch raises an AssertionError if it is built without CUDA
        reason = str(error).partition("\n")[0]
        raise OptionError(f"device {name!r} cannot be used here ({reason}): try 'cpu'") from None


class _Run:
    """One training: a task, its options and the state that epochs move on."""

    def __init__(
        self,
        task: Task,
        options: LoopOptions,
        schedule: Schedule,
        betas: tuple[float, float],
        share: Share,
    ) -> None:
        self.task, self.options, self.schedule, self.share = task, options, schedule, share
        self.device = usable(options.device)
        model = task.model.to(self.device)
        optimizer = torch.optim.AdamW(
            model.parameters(),
            lr=options.learning_rate,
            weight_decay=options.weight_decay,
            betas=betas,
        )
        self.state = State(model, optimizer)

    @property
    def finished(self) -> bool:
        history = self.state.history
        losses = [row["validation_loss"] for row in history if "validation_loss" in row]
        stale = len(losses) - 1 - int(np.argmin(losses)) if losses else 0
        return len(history) >= self.options.epochs or stale >= self.options.patience

    def epoch(self, progress: Progress | None) -> None:
        number, size = len(self.state.history) + 1, self.options.batch_events
        rng = np.random.default_rng([self.options.seed, number])
        order = rng.permutation(self.task.draw(number, rng))
        batches = [order[first : first + size] for first in range(0, len(order), size)]
        steps, total, counted = len(batches), 0.0, 0
        if self.share.of > 1:  # each process draws its own
            rng = np.random.default_rng([self.options.seed, number, self.share.rank])
        self.state.model.train()
        # dropout, noise and the replacing of dead codes draw from torch's global generators
        with seeded(int(rng.integers(2**63)), self.device):
            for step, events in enumerate(batches):
                part = self.share.part(events)
                loss, n = self.task.loss(part, rng) if len(part) else (torch.zeros(()), 0)
                found, of_all = self.share.total(float(loss.detach()), n)
                if of_all:
                    rate = self._rate((number - 1) * steps + step, steps)
                    self._step(loss / of_all if n else None, rate)
                total, counted = total + found, counted + of_all
                if not np.isfinite(total):
                    raise TrainingError(
                        f"the loss became {total} in epoch {number}, step {step + 1}:"
                        " lower learning_rate"
                    )
                if progress is not None:
                    progress(number, step + 1, steps, total / max(counted, 1))
        row = {"epoch": number, "train_loss": total / counted, **self._validate(number)}
        self.state.history.append({**row, "learning_rate": self._rate(number * steps, steps)})
        log.info("%s", self.state.history[-1])

    def _step(self, loss: Tensor | None, rate: float) -> None:
        """A step; a process without a loss has nothing to add to it."""
        for group in self.state.optimizer.param_groups:
            group["lr"] = rate
        self.state.optimizer.zero_grad(set_to_none=True)
        if loss is not None:
            torch.autograd.backward(loss)
        self.share.add_gradients(self.state.model)
        torch.nn.utils.clip_grad_norm_(self.state.model.parameters(), 1.0)
        self.state.optimizer.step()

    def _rate(self, step: int, steps: int) -> float:
        return self.options.learning_rate * self.schedule(step, steps, self.options.epochs)

    def _validate(self, epoch: int) -> dict[str, float]:
        """The validation loss, if there is one; weights that are the best so far are kept."""
        model, history = self.state.model.eval(), self.state.history
        # the same noise in every epoch, so that losses can be compared
        with torch.no_grad(), seeded(self.options.seed, self.device):
            loss = self.share.same(self.task.validation_loss)
        if loss is None or all(loss < row["validation_loss"] for row in history):
            self.state.best = {
                name: value.detach().clone() for name, value in model.state_dict().items()
            }
        if loss is None:
            return {}
        if not np.isfinite(loss):
            raise TrainingError(
                f"the validation loss became {loss} in epoch {epoch}: lower learning_rate"
            )
        return {"validation_loss": loss}

"""Training of the masked-token model: epochs, early stopping, checkpoints.

The rule: the same seed gives the same model, also when training was interrupted: every epoch draws from a generator of its
own (seed, epoch), and a checkpoint is written, under a temporary name and renamed, after each.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hepmtp import storage
from hepmtp.errors import TrainingError
from hepmtp.events.tokens import TokenBatch
from hepmtp.models.masked import MaskedTokenModel
from hepmtp.training.masking import TrainingOptions, batch_loss, tokens_to_predict
from hepmtp.training.threads import torch_threads

log = logging.getLogger(__name__)


#: Called after each batch with (epoch, batches done, batches in an epoch, mean loss so far).
Progress = Callable[[int, int, int, float], None]


#: One row an epoch: epoch, train_loss, validation_loss, learning_rate.
History = list[dict[str, float]]


def train(
    model: MaskedTokenModel,
    training: TokenBatch,
    validation: TokenBatch,
    *,
    options: TrainingOptions | None = None,
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
) -> History:
    """Train in place; the model ends with the weights of its best epoch.

    Parameters
    ----------
    training, validation
        background events; the second only decides when to stop.
    checkpoint
        folder that is written after each epoch; if it holds an unfinished training of the same model, tokens and options,
        that is taken up where it ended and gives the same numbers.

    Raises
    ------
    TrainingError
        if there is nothing to train on, the loss is not finite, or the checkpoint belongs to another training.
    """
    options = options or TrainingOptions()
    if not len(training.values) or not len(validation.values):
        raise TrainingError(
            f"training needs events: found {len(training)} training and {len(validation)} validation events with tokens"
        )
    with torch_threads(options.threads):
        run = _Run(model.to(options.device), training, validation, options)
        if checkpoint is not None:
            run.resume(Path(checkpoint))
        while not run.finished:
            run.epoch(progress)
            if checkpoint is not None:
                run.save(Path(checkpoint))
        model.load_state_dict(run.best)
        model.to("cpu").eval()
    return run.history


class _Run:
    """The state of one training: model, optimiser, history, best weights."""

    def __init__(
        self,
        model: MaskedTokenModel,
        training: TokenBatch,
        validation: TokenBatch,
        options: TrainingOptions,
    ) -> None:
        self.model, self.training, self.validation, self.options = (
            model,
            training,
            validation,
            options,
        )
        self.steps = -(-len(training) // options.batch_events)  # of an epoch
        self.optimizer = torch.optim.AdamW(
            model.parameters(),
            lr=options.learning_rate,
            weight_decay=options.weight_decay,
            betas=(0.9, 0.98),
        )
        self.history: History = []
        self.best = _copy(model.state_dict())
        # hidden validation tokens are the same in every epoch, so that losses can be compared
        self.hidden = tokens_to_predict(
            model, validation, options, np.random.default_rng([options.seed, 0])
        )
        if (
            not self.hidden.any()
            or not tokens_to_predict(model, training, options, np.random.default_rng(0)).any()
        ):
            raise TrainingError(
                f"there is no token of kind {' or '.join(options.hide)} to predict: give other events"
            )

    @property
    def finished(self) -> bool:
        losses = [row["validation_loss"] for row in self.history]
        stale = len(losses) - 1 - int(np.argmin(losses)) if losses else 0
        return len(losses) >= self.options.epochs or stale >= self.options.patience

    def epoch(self, progress: Progress | None) -> None:
        number = len(self.history) + 1
        rng = np.random.default_rng([self.options.seed, number])
        order = rng.permutation(len(self.training))
        total, tokens = 0.0, 0
        self.model.train()
        device = self.model.embedding.device
        # dropout draws from torch's global generator: leave it as it was
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(int(rng.integers(2**63)))
            for step in range(self.steps):
                chosen = order[
                    step * self.options.batch_events : (step + 1) * self.options.batch_events
                ]
                batch = self.training.select(chosen)
                loss, n_hidden = batch_loss(
                    self.model, batch, tokens_to_predict(self.model, batch, self.options, rng)
                )
                if n_hidden:
                    self._step(loss / n_hidden, (number - 1) * self.steps + step)
                total, tokens = total + float(loss.detach()), tokens + n_hidden
                if not np.isfinite(total):
                    raise TrainingError(
                        f"the loss became {total} in epoch {number}, step {step + 1}: lower learning_rate"
                    )
                if progress is not None:
                    progress(number, step + 1, self.steps, total / max(tokens, 1))
        row = {"epoch": number, "train_loss": total / tokens, "validation_loss": self._validate()}
        if not np.isfinite(row["validation_loss"]):
            raise TrainingError(
                f"the validation loss became {row['validation_loss']} in epoch {number}"
            )
        if all(row["validation_loss"] < old["validation_loss"] for old in self.history):
            self.best = _copy(self.model.state_dict())
        self.history.append({**row, "learning_rate": self._rate(number * self.steps)})
        log.info(
            "epoch %d: train %.4f, validation %.4f",
            number,
            row["train_loss"],
            row["validation_loss"],
        )

    def _rate(self, step: int) -> float:
        total = self.steps * self.options.epochs
        warm = max(1, total // 20)
        shape = min(1.0, (step + 1) / warm) * 0.5 * (1 + np.cos(np.pi * min(step / total, 1.0)))
        return float(self.options.learning_rate * shape)

    def _step(self, loss: Tensor, step: int) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate(step)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()

    @torch.no_grad()
    def _validate(self) -> float:
        self.model.eval()
        total, tokens = 0.0, 0
        for first in range(0, len(self.validation), self.options.batch_events):
            events = np.arange(first, min(first + self.options.batch_events, len(self.validation)))
            span = slice(
                self.validation.offsets[events[0]], self.validation.offsets[events[-1] + 1]
            )
            loss, n_hidden = batch_loss(
                self.model, self.validation.select(events), self.hidden[span]
            )
            total, tokens = total + float(loss), tokens + n_hidden
        return total / tokens

    def fingerprint(self) -> str:
        """Changes with the data, the model's shape or the options: a checkpoint is of use for the same only."""
        digest = hashlib.sha256(
            repr((asdict(self.options), self.model.config(), self.model.heads)).encode()
        )
        for batch in (self.training, self.validation):
            digest.update(batch.values.tobytes() + batch.offsets.tobytes())
            digest.update(b"" if batch.features is None else batch.features.tobytes())
        return digest.hexdigest()

    def save(self, path: Path) -> None:
        arrays = {
            f"model.{name}": value.numpy(force=True)
            for name, value in self.model.state_dict().items()
        }
        arrays |= {f"best.{name}": value.numpy(force=True) for name, value in self.best.items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            arrays |= {
                f"optimizer.{index}.{name}": value.numpy(force=True)
                for name, value in state.items()
            }
        with storage.new_folder(path) as folder:
            storage.write(
                folder, "checkpoint", {"of": self.fingerprint(), "history": self.history}, arrays
            )

    def resume(self, path: Path) -> None:
        if not path.exists():
            return
        meta, arrays = storage.read(path, "checkpoint")
        if meta["of"] != self.fingerprint():
            raise TrainingError(
                f"checkpoint {path} is of other events, options or model: choose another folder or remove it"
            )
        self.history = meta["history"]
        groups: dict[str, dict[str, Any]] = {"model": {}, "best": {}, "optimizer": {}}
        for name, array in arrays.items():
            group, _, rest = name.partition(".")
            groups[group][rest] = torch.as_tensor(array)
        self.model.load_state_dict(groups["model"])
        self.best = groups["best"]
        states: dict[int, dict[str, Tensor]] = {}
        for name, tensor in groups["optimizer"].items():
            index, _, key = name.partition(".")
            states.setdefault(int(index), {})[key] = tensor
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": states})
        log.info("training goes on from %s after epoch %d", path, len(self.history))


def _copy(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in state.items()}

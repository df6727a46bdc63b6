"""Checkpoints: the state of a training after an epoch, as a folder of plain arrays.

The rule: a checkpoint is of use for the same data, model and options only; another training
refuses it.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hepmtp import storage
from hepmtp.errors import TrainingError
from hepmtp.events.stored_tokens import StoredArray

#: Of an array that are read at a time.
_ROWS = 1 << 20


@dataclass
class State:
    """What an epoch starts from; torch's and numpy's generators start anew in each."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    best: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)

    def write(self, path: Path, of: str) -> None:
        """Write it under a temporary name, which then takes the place of an older one."""
        arrays = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        arrays |= {f"best.{name}": value for name, value in self.best.items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            arrays |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
        plain = {name: value.numpy(force=True) for name, value in arrays.items()}
        with storage.new_folder(path) as folder:
            storage.write(folder, "checkpoint", {"of": of, "history": self.history}, plain)

    def read(self, path: Path, of: str) -> None:
        """Take up what `write` wrote; TrainingError if that is of another training."""
        meta, arrays = storage.read(path, "checkpoint")
        if meta["of"] != of:
            raise TrainingError(
                f"checkpoint {path} is of other events, options or model:"
                " choose another folder or remove it"
            )
        groups: dict[str, dict[str, Any]] = {"model": {}, "best": {}, "optimizer": {}}
        for name, array in arrays.items():
            group, _, rest = name.partition(".")
            groups[group][rest] = torch.as_tensor(array)
        self.history, self.best = meta["history"], groups["best"]
        self.model.load_state_dict(groups["model"])
        states: dict[int, dict[str, Tensor]] = {}
        for name, tensor in groups["optimizer"].items():
            index, _, key = name.partition(".")
            states.setdefault(int(index), {})[key] = tensor
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": states})


def fingerprint(model: nn.Module, settings: object, identity: Iterable[object]) -> str:
    """Hash of a model's shape, of settings (by their repr), and of arrays and further settings.

    An array in a file counts as the same one in memory. Weights do not count: those of the
    checkpoint take their place. Buffers that it does not hold do.
    """
    state = model.state_dict()
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    digest = hashlib.sha256(repr((type(model).__name__, shapes, settings)).encode())
    fixed = (one.numpy(force=True) for name, one in model.named_buffers() if name not in state)
    for one in itertools.chain(fixed, identity):
        if isinstance(one, np.ndarray | StoredArray):
            digest.update(f"{one.dtype}{one.shape}".encode())
            rows = np.atleast_1d(one) if isinstance(one, np.ndarray) else one
            for first in range(0, len(rows), _ROWS):
                digest.update(np.ascontiguousarray(rows[first : first + _ROWS]).data)
        else:
            digest.update(repr(one).encode())
    return digest.hexdigest()

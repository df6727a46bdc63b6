"""A training that two processes share: the same losses and weights as by one."""

from __future__ import annotations

import itertools
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import hepmtp as hm
from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.errors import OptionError, TrainingError
from hepmtp.training.loop import LoopOptions, train

N, HELD = 700, 200


def network() -> nn.Module:
    torch.manual_seed(0)
    unused = nn.Linear(2, 2)  # no gradient reaches it: it must stay as it is
    return nn.ModuleDict({"used": nn.Sequential(nn.Linear(3, 8), nn.Tanh()), "unused": unused})


@dataclass(eq=False)
class Sums:
    """Learns the squared sum of three numbers; `fails` says what happens in a later epoch."""

    fails: str = ""
    model: nn.Module = field(default_factory=network)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(0)
        self.x = torch.tensor(rng.normal(size=(N + HELD, 3)), dtype=torch.float32)
        self.y = self.x.sum(dim=1) ** 2
        self.epoch = 0

    def draw(self, epoch: int, _: np.random.Generator) -> int:
        self.epoch = epoch
        return N

    def loss(self, events: Any, _: np.random.Generator) -> tuple[torch.Tensor, int]:
        if self.epoch == 2 and self.fails == "error":
            raise ArithmeticError("this loss cannot be had")
        if self.epoch == 2 and self.fails == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        found = self.away(events)
        if self.epoch == 2 and self.fails == "nan":
            found = found * np.nan
        return found.sum(), len(events)

    def away(self, events: Any) -> torch.Tensor:
        assert isinstance(self.model, nn.ModuleDict)
        return (self.model["used"](self.x[events]).sum(dim=1) - self.y[events]) ** 2

    def validation_loss(self) -> float:
        return float(self.away(slice(N, None)).mean())

    def identity(self) -> tuple[Any, ...]:
        return (self.x.numpy(),)


def options(**changed: Any) -> LoopOptions:
    # the last of these batches has one event: nothing for the second process
    return LoopOptions(**{"epochs": 3, "batch_events": 233, "processes": 2} | changed)


def weights(task: Sums) -> list[np.ndarray[Any, Any]]:
    return [one.detach().numpy() for one in task.model.parameters()]


def test_losses_and_weights_are_those_of_one_process() -> None:
    one, two = Sums(), Sums()
    said: list[tuple[Any, ...]] = []
    alone = train(one, options(processes=1))
    shared = train(two, options(), progress=lambda *words: said.append(words))
    for a, b in zip(alone, shared, strict=True):
        assert a == pytest.approx(b, rel=1e-5)
    for x, y in zip(weights(one), weights(two), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-6)
    assert [words[:3] for words in said] == [
        (epoch, step, 4) for epoch, step in itertools.product((1, 2, 3), (1, 2, 3, 4))
    ]


def test_it_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    whole, parts = Sums(), Sums("error")
    expected = train(whole, options())
    with pytest.raises(ArithmeticError, match="cannot be had"):
        train(parts, options(), checkpoint=tmp_path / "kept")
    again = Sums()
    assert train(again, options(), checkpoint=tmp_path / "kept") == expected
    for x, y in zip(weights(whole), weights(again), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize(
    ("fails", "match"),
    [("nan", r"the loss became nan in epoch 2, step 1"), ("killed", "of the 2 processes that")],
)
def test_what_goes_wrong_in_a_process_ends_all(fails: str, match: str) -> None:
    with pytest.raises(TrainingError, match=match):
        train(Sums(fails), options())


def test_the_masked_token_model_learns_as_well() -> None:
    background = read([one for one in embedded() if one.role == "background"], stop=300)
    found = {}
    for processes in (1, 2):
        training = hm.TrainingOptions(epochs=2, batch_events=128, processes=processes)
        model = hm.ModelOptions(width=16, heads=2, layers=1, feedforward=32)
        one = hm.MaskedTokenDetector(model=model, training=training, tail_events=200)
        found[processes] = one.fit(background).history_[-1]["validation_loss"]
        assert np.isfinite(one.score(background[:5])).all()
    assert found[2] == pytest.approx(found[1], rel=0.05)


def test_another_device_is_refused() -> None:
    with pytest.raises(OptionError, match="2 processes share a training on the CPU alone"):
        LoopOptions(processes=2, device="cuda")
    with pytest.raises(OptionError, match="must be 1 or more"):
        LoopOptions(processes=0)

"""What a benchmark of jets has: its sample, how it takes times, and the rows of its table."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import awkward as ak
import numpy as np
import torch

from hepmtp.events.tokens import TokenBatch
from hepmtp.models.autoregressive import AutoregressiveModel
from hepmtp.models.autoregressive_options import AutoregressiveOptions
from hepmtp.tokenizers.constituents import ConstituentTokenizer
from hepmtp.training.next_token import neighbours

#: Jets of a step of training.
BATCH = 64


class Row(NamedTuple):
    """What was measured of hepmtp and of something else, and which ratio is the goal."""

    what: str
    against: str
    ours: float
    other: float
    unit: str
    goal: float | None
    at_most: bool = False  #: the goal is an upper limit

    @property
    def ratio(self) -> float:
        """Ours over the other."""
        return self.ours / self.other

    @property
    def missed(self) -> bool:
        """Whether the ratio is on the wrong side of the goal."""
        if self.goal is None:
            return False
        return self.ratio > self.goal if self.at_most else self.ratio < self.goal

    def line(self) -> str:
        """Of the table."""
        goal = "-" if self.goal is None else f"{'<=' if self.at_most else '>='} {self.goal:g}"
        return (
            f"| {self.what} | {self.against} | {self.ours:.4g} | {self.other:.4g} {self.unit} "
            f"| {self.ratio:.3g} | {goal}{', missed' if self.missed else ''} |"
        )


@dataclass(frozen=True)
class Sample:
    """QCD jets, their tokens, and how often each side runs."""

    events: ak.Array
    tokenizer: ConstituentTokenizer
    tokens: TokenBatch
    rounds: int

    @property
    def sizes(self) -> list[int]:
        """Values of each digit."""
        return [size for _, size in self.tokenizer.factors]

    def model(self, **shape: int) -> AutoregressiveModel:
        """One that is not trained."""
        torch.manual_seed(1)
        one = self.tokenizer
        return AutoregressiveModel(
            one.factors, one.digits, AutoregressiveOptions(**shape), centres=one.centres
        )

    def some(self, n_batches: int) -> list[TokenBatch]:
        """Batches of neighbours, as they are trained on."""
        rng = np.random.default_rng(1)
        runs = neighbours(self.tokens.counts, 16, rng)
        order = rng.permutation(len(runs))[: n_batches * BATCH // 16]
        return [
            self.tokens.select(np.concatenate([runs[one] for one in four]))
            for four in np.split(order, n_batches)
        ]

    def seconds(self, calls: Mapping[str, Callable[[], object]]) -> dict[str, float]:
        """Best CPU time of each, in turns."""
        found: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(self.rounds):
            for name, call in calls.items():
                start = time.process_time()
                call()
                found[name].append(time.process_time() - start)
        return {name: min(times) for name, times in found.items()}

"""Training and sampling of language models of jets, here and in the published design.

The rule: both sides have the same jets, and as many layers of the same width.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from jet_sample import Row, Sample
from padded_jets import PaddedTransformer, padded
from torch import Tensor

from hepmtp.events.tokens import TokenBatch
from hepmtp.jets.generation import sample
from hepmtp.models.autoregressive import AutoregressiveModel
from hepmtp.models.autoregressive_options import AutoregressiveOptions
from hepmtp.models.growing import State
from hepmtp.training.next_token import Jets, NextTokenOptions, batch_loss, first_counts, train

#: Where the published designs cut jets: constituents, and learned codes.
LONGEST, LONGEST_OF_CODES = 100, 128
#: Digits of a vocabulary of 8192 learned codes, as a product.
CODES = (32, 16, 16)
#: Jets of a step of the padded design.
PADDED_BATCH = 32


def training(given: Sample) -> Iterator[Row]:
    """Steps of training on the same jets: forward, backward, optimiser."""
    digits = given.tokenizer.digits
    for width, layers, goal in ((128, 4, 20.0), (256, 8, 10.0)):
        shape = {"width": width, "layers": layers, "heads": 4, "feedforward": 2 * width}
        other = PaddedTransformer(given.sizes, digits, **shape)
        yield _steps(given, f"{width} x {layers}", given.model(**shape), other, LONGEST, goal)
    # one embedding and one softmax of learned codes; ours makes a code of three digits
    codes = np.indices(CODES).reshape(3, -1).T
    factors = tuple(zip(("first", "second", "third"), CODES, strict=True))
    shape = {"width": 256, "layers": 3, "heads": 8, "feedforward": 1024}
    options = AutoregressiveOptions(**shape, running=False, ordered=False, counts=False)
    ours = AutoregressiveModel(factors, codes, options)
    other = PaddedTransformer([len(codes)], np.arange(len(codes))[:, None], **shape)
    few = TokenBatch(given.tokens.values % len(codes), given.tokens.offsets)
    of_codes = replace(given, tokens=few)
    yield _steps(of_codes, "8192 codes, 256 x 3", ours, other, LONGEST_OF_CODES, 10.0)


def _steps(
    given: Sample,
    name: str,
    model: AutoregressiveModel,
    other: PaddedTransformer,
    longest: int,
    goal: float,
) -> Row:
    some = given.some(2)
    jets = TokenBatch.concatenate(some)
    mine, theirs = (torch.optim.AdamW(one.parameters(), lr=1e-4) for one in (model, other))

    def ours() -> None:
        for one in some:
            mine.zero_grad()
            loss, terms = batch_loss(model, Jets.leading(one))
            (loss / terms).backward()
            mine.step()

    def padded_steps() -> None:
        for first in range(0, len(jets), PADDED_BATCH):
            theirs.zero_grad()
            batch = jets.select(np.arange(first, first + PADDED_BATCH))
            other.loss(*padded(batch, longest, other.stop)).backward()
            theirs.step()

    spent = given.seconds({"ours": ours, "other": padded_steps})
    against = f"padded to {longest + 1}, one softmax of {other.stop + 1}"
    speeds = (len(jets) / one for one in spent.values())
    return Row(f"training, {name}", against, *speeds, "jets/s", goal)


def sampling(given: Sample) -> Iterator[Row]:
    """Jets from models whose jets stop as true ones do."""
    model, jets = given.model(width=128, layers=4), Jets.leading(given.tokens)
    model.start_from_counts(first_counts(model, jets))
    digits, centres = given.tokenizer.digits, given.tokenizer.centres
    slow = Recomputing(model.factors, digits, model.options, centres=centres)
    slow.load_state_dict(model.state_dict())
    with torch.no_grad():
        found = [sample(one, 64, batch_jets=64) for one in (model, slow)]
        alike = [np.array_equal(*(one.select([i]).values for one in found)) for i in range(64)]
        if np.mean(alike) < 0.9:
            sys.exit(f"{sum(alike)} of 64 jets are equal with and without cache, expected 90 %")
        constituents = round(found[0].counts.mean())
        other = PaddedTransformer(
            given.sizes, digits, width=128, layers=4, heads=4, feedforward=256
        ).eval()
        spent = given.seconds(
            {
                "ours": lambda: sample(model, 256),
                "all logits": lambda: other.draw(8, constituents, last_only=False),
                "last logits": lambda: other.draw(8, constituents, last_only=True),
                "64": lambda: sample(model, 64, batch_jets=64),
                "no cache": lambda: sample(slow, 64, batch_jets=64),
            }
        )
    ours, of_64 = 256 / spent["ours"], 64 / spent["64"]
    name = f"sampling, {constituents} constituents"
    for against, goal in (("all logits", 150.0), ("last logits", None)):
        what = f"the published design without cache, {against}"
        yield Row(name, what, ours, 8 / spent[against], "jets/s", goal)
    yield Row(name, "hepmtp without cache", of_64, 64 / spent["no cache"], "jets/s", 9.0)


class Recomputing(AutoregressiveModel):
    """The model without its cache: each step reads the whole past."""

    def begin(self, n_jets: int) -> State:
        """As the model's own."""
        one = super().begin(n_jets)
        return Past(one.hidden, one.last, [], None, torch.zeros(n_jets, 0, dtype=torch.int64))

    def step(self, values: Tensor, state: State) -> State:
        """As the model's own."""
        past = torch.cat([state.past, values[:, None]], dim=1)
        n, length = past.shape
        hidden = self.hidden(past.flatten(), torch.arange(n + 1) * length)
        last = hidden.reshape(n, length + 1, -1)[:, -1]
        return Past(last, self.digits[values, 0], [], None, past)


@dataclass
class Past(State):
    """With all tokens of each jet."""

    past: Tensor

    def select(self, jets: Tensor) -> State:
        """Of these jets only."""
        return Past(self.hidden[jets], self.last[jets], [], None, self.past[jets])


def batching(given: Sample) -> Iterator[Row]:
    """Batches of neighbours against random ones: speed of an epoch, and what it leads to."""
    order = np.random.default_rng(2).permutation(len(given.tokens))
    parts = [
        Jets.leading(given.tokens.select(some)) for some in np.split(order, [int(0.8 * len(order))])
    ]
    model, one_jet = given.model(width=128, layers=4), parts[1].select(np.arange(1))
    ways = {
        size: NextTokenOptions(epochs=1, neighbours=size, learning_rate=1e-6) for size in (16, 1)
    }
    spent = given.seconds(
        {
            str(size): partial(train, model, parts[0], one_jet, options=once)
            for size, once in ways.items()
        }
    )
    speeds = [len(parts[0].tokens) / one for one in spent.values()]
    yield Row("batches of neighbours", "random batches", speeds[0], speeds[1], "jets/s", 1.4)
    losses = [_trained_loss(given, parts, size) for size in ways]
    yield Row(
        "validation loss, 32 x 2",
        "with random batches",
        losses[0],
        losses[1],
        "nat",
        1.005,
        at_most=True,
    )


def _trained_loss(given: Sample, parts: list[Jets], size: int, seeds: int = 2) -> float:
    """Validation loss of a small model, the mean over trainings."""
    found = []
    for seed in range(seeds):
        model = given.model(width=32, layers=2, heads=2, feedforward=64)
        model.start_from_counts(first_counts(model, parts[0]))
        options = NextTokenOptions(epochs=4, neighbours=size, learning_rate=3e-3, seed=seed)
        history = train(model, parts[0], parts[1], options=options)
        found.append(min(row["validation_loss"] for row in history))
    return float(np.mean(found))

"""Masked tokens first, stranger background second: a transformer of particles as the networks.

Written down before the first number was seen:

- A transformer is trained by masked tokens on background. Then it learns, with a head on the sum
  and the mean of its tokens, to tell background from background made stranger, which is drawn anew
  in each epoch. "From scratch" is the same without the first step. The tokens have no azimuth, so
  that the balance of momenta, which background made stranger breaks, cannot be read.
- Candidates are those of `CANDIDATES`: each in the place of the networks of `stranger`, or beside
  them. Criterion and rule are those of choosing.py.

    python benchmarks/finetuning.py --judge FOLDER --folder finetuning \\
        --left-out overlay met --out benchmarks/results/finetuning.md

--judge is that of stranger.py. What is fitted is kept in --folder, so that an interrupted run goes
on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import awkward as ak
import numpy as np
import torch
from choosing import ANOMALY, REFERENCE, Floats, Parts, choose, networks_of, parser_of
from safetensors.torch import load_file, save_file
from sr_significance import Samples, samples_of
from stranger import combined, kept, parts_of
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

import hepmtp as hm
from hepmtp.detectors import training_events
from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.detectors.observables import Observable
from hepmtp.detectors.stranger import StrangerDetector
from hepmtp.events.ragged import Ints
from hepmtp.events.stranger import make_stranger, recipes
from hepmtp.events.tokens import TokenBatch
from hepmtp.models.masked import MaskedTokenModel, ModelOptions
from hepmtp.run.rivals import PLAIN
from hepmtp.training.loop import LoopOptions, seeded, train

#: Of the pre-training and of the second step.
MODEL = ModelOptions(attention="full", dropout=0.0)
MASKED = hm.TrainingOptions(mask_fraction=0.15)
SECOND = LoopOptions(epochs=6, patience=6, learning_rate=1e-3)
BATCH, TYPICAL = 1024, 10.0  # events that are scored at once; tokens of an event
CANDIDATES: dict[str, tuple[str, ...]] = {
    REFERENCE: ANOMALY,
    "fine-tuned + observables + masked tokens": ("tuned", *PLAIN, "jets"),
    "from scratch + observables + masked tokens": ("scratch", *PLAIN, "jets"),
    "anomaly + fine-tuned": ("stranger", *PLAIN, "jets", "tuned"),
    "anomaly + from scratch": ("stranger", *PLAIN, "jets", "scratch"),
    "stranger": ("stranger",),
    "fine-tuned": ("tuned",),
    "from scratch": ("scratch",),
}


class Second(nn.Module):
    """An encoder of tokens and a head on the sum and the mean of what it makes of them."""

    def __init__(self, encoder: MaskedTokenModel) -> None:
        super().__init__()
        self.encoder = encoder
        width = encoder.options.width
        self.head = nn.Sequential(nn.Linear(2 * width, 64), nn.GELU(), nn.Linear(64, 1))

    def forward(self, tokens: TokenBatch) -> Tensor:
        """Logit of "made stranger" of events by rising multiplicity, none empty, (n_events,)."""
        at = torch.arange(len(tokens.values))
        values, offsets = (torch.as_tensor(one) for one in (tokens.values, tokens.offsets))
        x = self.encoder.encode(values, offsets, at)
        total = torch.zeros(len(tokens), x.shape[1]).index_add(0, torch.as_tensor(tokens.owner), x)
        mean = total / torch.as_tensor(tokens.counts)[:, None]
        logits: Tensor = self.head(torch.cat([total / TYPICAL, mean], dim=1))[:, 0]
        return logits


class Labelled(NamedTuple):
    """Events of both classes."""

    tokens: TokenBatch
    labels: Floats  # (n_events,), 1 for background made stranger
    weights: Floats  # (n_events,), 1 on average; both classes have the same sum


class Tuned:
    """A trained `Second`, and a task for the loop of trainings."""

    def __init__(self, masked: MaskedTokenDetector, without: str, *, scratch: bool) -> None:
        self.tokenizer, self.without = masked.tokenizer, without
        with seeded(0):
            encoder = MODEL.build(masked.tokenizer.factors, masked.tokenizer.digits)
            if not scratch:
                encoder.load_state_dict(masked.fitted_model.state_dict())
            self.model = Second(encoder)

    def fit(self, background: ak.Array) -> Tuned:
        """Train on the train part of background; its validation part stops the training."""
        self.training, self.validation = (
            training_events(background, part) for part in ("train", "validation")
        )
        self.held_out = self._both(self.validation, np.random.default_rng(0))
        self.history = train(self, SECOND)
        return self

    def save(self, path: Path) -> None:
        """Write the weights."""
        save_file(self.model.state_dict(), path)

    def load(self, path: Path) -> Tuned:
        """Read what `save` wrote."""
        self.model.load_state_dict(load_file(path))
        return self

    def score(self, events: ak.Array) -> Floats:
        """Logit of "made stranger" of each event, (n_events,)."""
        return self._logits(self.tokenizer.encode(events))

    # what hepmtp.training.loop.train asks of a task

    def draw(self, _: int, rng: np.random.Generator) -> int:
        """Background and as many stranger events."""
        self.events = self._both(self.training, rng)
        return len(self.events.labels)

    def loss(self, events: Ints, _: np.random.Generator) -> tuple[Tensor, int]:
        """Weighted cross-entropy, summed over events."""
        tokens, labels, weights = self.events
        events = events[np.argsort(tokens.counts[events], kind="stable")]
        truth, w = (torch.as_tensor(one[events]) for one in (labels, weights))
        logits = self.model(tokens.select(events)).double()
        return binary_cross_entropy_with_logits(logits, truth, w, reduction="sum"), len(events)

    def validation_loss(self) -> float:
        """Of an event, on average."""
        logits, truth, w = (
            torch.as_tensor(one) for one in (self._logits(self.held_out.tokens), *self.held_out[1:])
        )
        return float(binary_cross_entropy_with_logits(logits, truth, w))

    def identity(self) -> Iterator[object]:
        """What a training depends on."""
        yield from (self.without, *self.held_out[1:])

    def _both(self, events: ak.Array, rng: np.random.Generator) -> Labelled:
        strange = make_stranger(events, rng, recipes(self.without))
        tokens = [self.tokenizer.encode(one) for one in (events, strange)]
        weight = np.asarray(events.weight, dtype=np.float64)
        labels = np.repeat([0.0, 1.0], len(events))
        return Labelled(TokenBatch.concatenate(tokens), labels, np.tile(weight / weight.mean(), 2))

    @torch.no_grad()
    def _logits(self, tokens: TokenBatch) -> Floats:
        self.model.eval()
        order = np.argsort(tokens.counts, kind="stable")
        found = np.zeros(len(order))
        for first in range(0, len(order), BATCH):
            some = order[first : first + BATCH]
            found[some] = self.model(tokens.select(some)).numpy()
        return found


def classifiers(
    folder: Path, samples: Samples, without: str
) -> dict[str, StrangerDetector | Tuned]:
    """The networks and both transformers, none of which has learned an operation."""
    path = folder / f"stranger_without_{without or 'nothing'}"
    networks = kept(path, networks_of(StrangerDetector, without), samples.fitting)
    found: dict[str, StrangerDetector | Tuned] = {"stranger": networks}
    first = MaskedTokenDetector(model=MODEL, training=MASKED)
    masked = kept(folder / "pretrained", first, samples.fitting)
    for name in ("tuned", "scratch"):
        one = Tuned(masked, without, scratch=name == "scratch")
        path = folder / f"{name}_without_{without or 'nothing'}.safetensors"
        if not path.exists():
            one.fit(samples.fitting).save(path)
        found[name] = one.load(path)
    return found


def main() -> None:
    """Fit what is missing and print the tables."""
    options = parser_of(__doc__, "finetuning").parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    samples = samples_of(options.judge, options.signals)
    masked = kept(options.folder / "masked", MaskedTokenDetector(), samples.fitting)
    detectors = {name: Observable(name) for name in PLAIN} | {"jets": masked.with_score("jets")}

    def scores_of(sets: Sequence[str], without: str = "") -> Parts:
        of = detectors | classifiers(options.folder, samples, without)
        some = {
            name: parts_of(samples.sets[name], of) for name in ("training", "background", *sets)
        }
        return {name: combined(some, which) for name, which in CANDIDATES.items()}

    choose(samples, scores_of, (REFERENCE, "stranger"), options, "finetuning.py --judge FOLDER")


if __name__ == "__main__":
    main()

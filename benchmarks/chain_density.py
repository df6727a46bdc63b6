"""A density of whole events by the chain rule, given their leptons.

The rule: composition first, then kinematics. Asked are the number of jets, that of b-jets given it,
the pt of the b-jets and then of the light jets, each in falling pt, and at last MET. Each answer is
a mixture of logistics, of whole numbers for counts and of logarithms for pt and MET, whose
parameters a causal transformer reads off what came before. So tails are smooth, and there are no
bins. Directions and photons are not asked for and not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import awkward as ak
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional as F

from hepmtp.detectors import training_events
from hepmtp.events.flat import particles_of
from hepmtp.events.particles import B_JET, ELECTRON, JET, PARTICLE_TYPES, PHOTON, POSITRON
from hepmtp.events.ragged import starts
from hepmtp.events.tokens import TokenBatch
from hepmtp.models.attention import Block
from hepmtp.models.groups import Group
from hepmtp.training.loop import LoopOptions, seeded, train

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
#: What is asked, and middle and spread that its mixture starts from.
QUESTIONS = {
    "n_jets": (4.5, 1.5),
    "n_b": (1.5, 0.6),
    "b_pt": (4.4, 0.6),
    "jet_pt": (4.0, 0.7),
    "met": (4.3, 0.8),
}
N_JETS, N_B, B_PT, JET_PT, MET = range(len(QUESTIONS))
#: What a row of a chain is: the first two are leptons, the next three the composition.
AN_ELECTRON, A_MUON, BEGIN, NUMBER, B_NUMBER, A_B_JET, A_JET = range(7)
#: The question that a row answers: the row before it is asked.
ANSWERS = np.array([-1, -1, -1, N_JETS, N_B, B_PT, JET_PT])
#: Smallest answers that pass the preselection: counts; pt [GeV], MET above 0.
LEAST = np.array([2.5, 0.5, np.log(20.0), np.log(20.0), -20.0])
NO_LIMIT, TINY = 1e3, 1e-30


class Columns(NamedTuple):
    """What is read of each row (the first four) and what it is asked, as features of a chain."""

    value: Floats  # log of pt / GeV, or the number
    b_left: Floats  # b-jets and light jets still to come, once that is known
    jets_left: Floats
    scale: Floats  # log(1 + HT / 100 GeV) so far
    asked: Floats  # number of the question, -1 for none
    answer: Floats
    largest: Floats  # that the answer can be


def chains(events: ak.Array) -> TokenBatch:
    """Rows of each event, whose ids say what they are, with `Columns` as features."""
    row_of = np.full(len(PARTICLE_TYPES), A_MUON)
    row_of[[JET, B_JET, ELECTRON, POSITRON, PHOTON]] = A_JET, A_B_JET, AN_ELECTRON, AN_ELECTRON, -1
    flat = particles_of(events)
    flat = flat.keep(row_of[flat.columns["type"]] >= 0)
    kind, pt, event = row_of[flat.columns["type"]], flat.columns["pt"], flat.owner
    order = np.lexsort((-pt, np.maximum(kind, A_MUON), event))
    kind, pt = kind[order], pt[order].astype(np.float64)
    n_b, n_light, n_leptons = (
        np.bincount(event[chosen], minlength=len(events))
        for chosen in (kind == A_B_JET, kind == A_JET, kind <= A_MUON)
    )
    sizes = flat.counts + 3
    first = starts(sizes)
    begin, last, n_rows = first + n_leptons, first + sizes - 1, int(sizes.sum())
    at = np.arange(len(kind)) + 3 * (event + (kind > A_MUON))
    row, value, momentum = np.zeros(n_rows, dtype=np.int64), np.zeros(n_rows), np.zeros(n_rows)
    row[at], value[at], momentum[at] = kind, np.log(pt), pt
    row[begin], row[begin + 1], row[begin + 2] = BEGIN, NUMBER, B_NUMBER
    value[begin + 1], value[begin + 2] = n_b + n_light, n_b
    answer, asked = np.roll(value, -1), np.roll(ANSWERS[row], -1)
    answer[last], asked[last] = np.log(np.maximum(ak.to_numpy(events.MET.pt), 1e-6)), MET
    falling = (np.roll(row, -1) == row) & (row >= A_B_JET) & (asked != MET)
    largest = np.where(falling, value, NO_LIMIT)
    largest[begin + 1] = value[begin + 1] + 0.5

    def so_far(numbers: Floats) -> Floats:
        """Sum over the rows of the event up to each."""
        total = np.cumsum(numbers)
        return np.asarray(total - np.repeat(total[first] - numbers[first], sizes))

    known = row >= B_NUMBER
    b_left, light_left = (
        known * (np.repeat(n, sizes) - so_far(1.0 * (row == one)))
        for n, one in ((n_b, A_B_JET), (n_light, A_JET))
    )
    scale = np.log1p(so_far(momentum) / 100)
    columns = Columns(value, b_left, light_left, scale, asked, answer, largest)
    return TokenBatch.from_counts(row, sizes, np.stack(columns, axis=1).astype(np.float32))


class ChainModel(nn.Module):
    """A causal transformer that gives each row of a chain the mixture of its answer.

    Parameters
    ----------
    static
        nothing is read: each question has one mixture, cut off where answers must end.
    """

    def __init__(
        self, width: int = 32, layers: int = 2, components: int = 4, *, static: bool = False
    ) -> None:
        super().__init__()
        self.static, self.components = static, components
        self.kinds, self.numbers = nn.Embedding(len(ANSWERS), width), nn.Linear(4, width)
        self.blocks = nn.ModuleList(Block(width, 4, 2 * width, causal=True) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, 3 * components * len(QUESTIONS))
        middle, spread = (
            torch.tensor(one)[:, None] for one in zip(*QUESTIONS.values(), strict=True)
        )
        start = torch.zeros(len(QUESTIONS), 3, components)
        start[:, 1] = middle + spread * torch.linspace(-1, 1, components)
        start[:, 2] = torch.log(torch.expm1(spread / 2))
        self.out.bias = nn.Parameter(start.flatten())
        with torch.no_grad():
            self.out.weight.mul_(0.1)

    def forward(self, batch: TokenBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Questions that were asked, log p of the answers and log of the share beyond, (n_asked,).

        Events of `batch` come by rising multiplicity. Of a count that is met half lies beyond.
        """
        features = torch.as_tensor(batch.features)
        x = self.kinds(torch.as_tensor(batch.values)) + self.numbers(features[:, :4])
        sizes, numbers = np.unique(batch.counts, return_counts=True)
        groups = [Group(int(n), int(size)) for size, n in zip(sizes, numbers, strict=True)]
        for block in () if self.static else self.blocks:
            x = block(x, groups)
        x = torch.zeros_like(x) if self.static else self.norm(x)
        rows = features[:, 4] >= 0
        asked, (answer, largest) = features[rows, 4].long(), features[rows, 5:].double().T
        mixtures = self.out(x[rows]).double().reshape(len(asked), len(QUESTIONS), 3, -1)
        weight, mean, scale = mixtures[torch.arange(len(asked)), asked].unbind(1)
        weight, scale = torch.softmax(weight, dim=1), F.softplus(scale) + 0.02

        def beyond(value: Tensor) -> Tensor:
            return (weight * torch.sigmoid((mean - value[:, None]) / scale)).sum(dim=1)

        counted = asked <= N_B
        upper, inside = beyond(largest), beyond(torch.as_tensor(LEAST)[asked])
        inside = (inside - upper).clamp(min=TINY).log()
        above, below = beyond(answer + 0.5 * counted), beyond(answer - 0.5 * counted)
        z = (mean - answer[:, None]) / scale
        density = (weight * torch.sigmoid(z) * torch.sigmoid(-z) / scale).sum(dim=1)
        p = torch.where(counted, below - above, density).clamp(min=TINY).log() - inside
        tail = ((above + below) / 2 - upper).clamp(min=TINY).log() - inside
        return asked, p, tail


class Chain:
    """A trained `ChainModel`, and what it answers."""

    def __init__(self, *, static: bool = False, seed: int = 0) -> None:
        with seeded(seed):
            self.model = ChainModel(static=static)
        epochs, rate = (6, 2e-2) if static else (12, 4e-3)
        self.options = LoopOptions(epochs=epochs, patience=epochs, learning_rate=rate)

    def fit(self, background: ak.Array) -> Chain:
        """Train on the train part of background, each event alike; stop by its validation part."""
        self.training, self.held_out = (
            chains(training_events(background, part)) for part in ("train", "validation")
        )
        self.history = train(self, self.options)
        return self

    def save(self, path: Path) -> None:
        """Write the weights."""
        save_file(self.model.state_dict(), path)

    def load(self, path: Path) -> Chain:
        """Read what `save` wrote."""
        self.model.load_state_dict(load_file(path))
        self.model.eval()
        return self

    @torch.no_grad()
    def surprises(self, chain: TokenBatch) -> tuple[Floats, Floats]:
        """-log p and -log of the share beyond, summed by question, (n_events, n_questions) each."""
        found = np.zeros((2, len(chain) * len(QUESTIONS)))
        for events in np.array_split(np.argsort(chain.counts), len(chain) // 2048 + 1):
            batch = chain.select(events)
            asked, *logs = self.model(batch)
            owner = events[batch.owner[batch.features[:, 4] >= 0]]  # type: ignore[index]
            at = owner * len(QUESTIONS) + asked.numpy()
            found += [np.bincount(at, -log.numpy(), found.shape[1]) for log in logs]
        p, tail = found.reshape(2, len(chain), -1)
        return p, tail

    def answers(self, events: ak.Array) -> dict[str, Floats]:
        """Columns by name, (n_events, 1) each: `p_...` of densities and `t_...` of tails.

        `t_hard` is how hard all jets are: the tail of the sum of so many surprises.
        """
        p, tail = self.surprises(chains(events))
        n = ak.to_numpy(ak.sum(events.Particle["type"] <= B_JET, axis=1))
        pt = tail[:, [B_PT, JET_PT]].sum(axis=1)
        found = {
            "p": p.sum(axis=1),
            "p_composition": p[:, :B_PT].sum(axis=1),
            "p_kinematics": p[:, B_PT:].sum(axis=1),
            "t_n_jets": tail[:, N_JETS],
            "t_n_b": tail[:, N_B],
            "t_pt": pt,
            "t_hard": np.where(n > 0, -stats.gamma.logsf(pt, np.maximum(n, 1)), 0.0),
            "t_met": tail[:, MET],
        }
        return {name: column[:, None] for name, column in found.items()}

    # what hepmtp.training.loop.train asks of a task

    def draw(self, _: int, __: np.random.Generator) -> int:
        """The same events in each epoch."""
        return len(self.training)

    def loss(self, events: Ints, _: np.random.Generator) -> tuple[Tensor, int]:
        """-log p summed over events."""
        return self._loss(self.training, events), len(events)

    def validation_loss(self) -> float:
        """Mean -log p of an event."""
        return float(self._loss(self.held_out, np.arange(len(self.held_out)))) / len(self.held_out)

    def identity(self) -> Iterator[object]:
        """What a training depends on."""
        yield from (self.training.features, self.held_out.features)

    def _loss(self, chain: TokenBatch, events: Ints) -> Tensor:
        by_size = events[np.argsort(chain.counts[events], kind="stable")]
        loss: Tensor = -self.model(chain.select(by_size))[1].sum()
        return loss

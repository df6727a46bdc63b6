"""The network of graph tokens: attention between particles, codes of each type, and training.

The rule: an event is a graph whose edges say which particle sees which, itself always among
them. The graphs of a batch lie in flat arrays, so that nothing is padded.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Unpack, cast

import awkward as ak
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from vector_quantize_pytorch import VectorQuantize

from hepmtp.events.features import PARTICLE_FEATURES, particle_features
from hepmtp.events.ragged import Floats, Ints, owner, ragged_arange, starts, wrap_phi
from hepmtp.events.tokens import TokenBatch
from hepmtp.tokenizers.binning import flat
from hepmtp.training import loop
from hepmtp.training.loop import History, LoopOptions, Watch, device_of

with warnings.catch_warnings():
    # torch_geometric marks code with torch.jit.script when it is imported, which torch has given up
    warnings.filterwarnings(
        "ignore", message=r"`torch\.jit\.script` is deprecated", category=DeprecationWarning
    )
    from torch_geometric.nn import GATConv

#: Columns of the features that are numbers; the others say the type.
NUMBERS = PARTICLE_FEATURES.index("is jet")
#: Codes are told apart by their direction in so many dimensions.
CODE_WIDTH = 16
#: So many events give the first codes.
FIRST_EVENTS = 8000
#: At most so many pairs of particles at a time, for memory.
MAX_EDGES = 200_000
#: A batch: features (n_particles, n_features), edges (2, n_edges), number of particles of each
#: event (n_events,).
Graph = tuple[Tensor, Tensor, Tensor]


class GraphNetwork(nn.Module):
    """Graph attention, codes of each type, and what is learned from them.

    That is the class of the event, and the particle itself.

    Parameters
    ----------
    width, layers, heads
        of the graph-attention layers, which are residual and pre-norm.
    sizes
        number of codes of each type.
    """

    mean: Tensor  # (n_features,)
    std: Tensor

    def __init__(self, width: int, layers: int, heads: int, sizes: list[int]) -> None:
        super().__init__()
        n_features = len(PARTICLE_FEATURES)
        self.enter = nn.Linear(n_features, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers))
        # edges hold the particle itself too
        self.attention = nn.ModuleList(
            GATConv(width, width // heads, heads=heads, add_self_loops=False) for _ in range(layers)
        )
        self.leave = nn.Linear(width, CODE_WIDTH)
        self.quantise = nn.ModuleList(
            VectorQuantize(dim=CODE_WIDTH, codebook_size=size, use_cosine_sim=True,
                           kmeans_init=True, decay=0.95, threshold_ema_dead_code=0.1)
            for size in sizes
        )  # fmt: skip
        self.classify = nn.Sequential(
            nn.Linear(2 * CODE_WIDTH, width), nn.GELU(), nn.Linear(width, 1)
        )
        typed = CODE_WIDTH + n_features - NUMBERS
        self.reconstruct = nn.Sequential(
            nn.Linear(typed, width), nn.GELU(), nn.Linear(width, NUMBERS)
        )
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("std", torch.ones(n_features))

    def standardise(self, x: NDArray[np.float32]) -> None:
        """Take mean and standard deviation of the numbers in x, (n_particles, n_features)."""
        self.mean[:NUMBERS] = torch.from_numpy(x[:, :NUMBERS].mean(axis=0, dtype=np.float64))
        self.std[:NUMBERS] = torch.from_numpy(
            np.maximum(x[:, :NUMBERS].std(axis=0, dtype=np.float64), 1e-6)
        )

    def standardised(self, x: Tensor) -> Tensor:
        """Features in units of their spread, shape of x."""
        scaled: Tensor = (x - self.mean) / self.std
        return scaled

    def features(self, x: Tensor, edges: Tensor) -> Tensor:
        """What is quantised, (n_particles, CODE_WIDTH), from features and edges; see `pairs`."""
        h = self.enter(self.standardised(x))
        for norm, attention in zip(self.norms, self.attention, strict=True):
            h = h + F.gelu(attention(norm(h), edges))
        z: Tensor = self.leave(h)
        return z

    def ids(self, x: Tensor, edges: Tensor) -> Tensor:
        """Id of each particle, int64, (n_particles,): its type's code of the closest direction."""
        z, kind = self.features(x, edges), x[:, NUMBERS:].argmax(dim=1)
        ids = torch.zeros(len(x), dtype=torch.int64)
        start = 0
        for i, codebook in enumerate(self.codebooks()):
            ids[kind == i] = start + (z[kind == i] @ codebook.T).argmax(dim=1)
            start += len(codebook)
        return ids

    def codebooks(self) -> list[Tensor]:
        """Codes of each type, (n_codes, CODE_WIDTH) each, of length one."""
        return [cast(Tensor, one.codebook) for one in self.quantise]

    def loss(
        self, x: Tensor, edges: Tensor, counts: Tensor, label: Tensor, reconstruction: float
    ) -> Tensor:
        """Cross-entropy of the classes, commitment to codes and, weighted, error of particles."""
        z, kind = self.features(x, edges), x[:, NUMBERS:].argmax(dim=1)
        codes, commitment = torch.zeros_like(z), z.new_zeros(())
        for i, quantise in enumerate(self.quantise):
            where = (kind == i).nonzero()[:, 0]
            if len(where):
                found, _, loss = quantise(z[where][None])
                codes = codes.index_copy(0, where, found[0])
                commitment = commitment + loss.sum() * len(where) / len(x)
        of = torch.repeat_interleave(torch.arange(len(counts), device=x.device), counts)
        total = codes.new_zeros(len(counts), codes.shape[1]).index_add(0, of, codes)
        # sum and mean: the number of particles is part of what an event is
        pooled = torch.cat([total, total / counts.clamp(min=1)[:, None]], dim=1)
        loss = F.binary_cross_entropy_with_logits(self.classify(pooled)[:, 0], label) + commitment
        if reconstruction:
            again = self.reconstruct(torch.cat([codes, x[:, NUMBERS:]], dim=1))
            loss = loss + reconstruction * F.mse_loss(again, self.standardised(x)[:, :NUMBERS])
        out: Tensor = loss
        return out


class Graphs:
    """Events as features and edges, taken apart once and handed out in batches."""

    def __init__(self, events: ak.Array, neighbours: int | None) -> None:
        self.counts = ak.to_numpy(ak.num(events.Particle)).astype(np.int64)
        self.x, self.neighbours = particle_features(events), neighbours
        self.particles = TokenBatch.from_counts(np.arange(len(self.x)), self.counts)
        self.direction = np.stack([flat(events, "eta"), flat(events, "phi")], axis=1)

    def batch(self, events: Ints) -> Graph:
        """These events, in this order."""
        chosen = self.particles.select(events)
        edges = pairs(chosen.counts, self.direction[chosen.values], self.neighbours)
        return (
            torch.from_numpy(self.x[chosen.values]),
            torch.from_numpy(edges),
            torch.from_numpy(chosen.counts),
        )

    def portions(self, max_edges: int) -> Iterator[Ints]:
        """Indices of events, in order, at most so many pairs (or one event) in each portion."""
        portion = np.cumsum(self.counts**2) // max_edges
        yield from np.split(np.arange(len(self.counts)), np.flatnonzero(np.diff(portion)) + 1)


def pairs(counts: Ints, direction: Floats, neighbours: int | None = None) -> Ints:
    """Which particle (row 1) sees which (row 0), itself always among them; shape (2, n_edges).

    Parameters
    ----------
    counts
        particles of each event, shape (n_events,).
    direction
        eta and phi, shape (n_particles, 2).
    neighbours
        how many others at most, the nearest in eta and phi; None: all of the event.

    Examples
    --------
    >>> pairs(np.array([2, 0, 1]), np.zeros((3, 2))).tolist()
    [[0, 1, 0, 1, 2], [0, 0, 1, 1, 2]]
    >>> pairs(np.array([3]), np.array([[0, 3.1], [0, 0.1], [0, -3.1]]), neighbours=1).tolist()
    [[0, 2, 1, 0, 2, 0], [0, 0, 1, 1, 2, 2]]
    """
    n = np.repeat(counts, counts)
    seeing, within = owner(n), ragged_arange(n)
    seen = ragged_arange(n, np.repeat(starts(counts), counts))
    if neighbours is not None:
        d_eta, d_phi = (direction[seeing] - direction[seen]).T
        distance = np.hypot(d_eta, wrap_phi(d_phi))
        order = np.lexsort((np.where(seeing == seen, -1.0, distance), seeing))
        # within is the rank too: both count from the start of each particle's pairs
        order = order[within <= neighbours]
        seeing, seen = seeing[order], seen[order]
    return np.asarray(np.stack([seen, seeing]))


def join(first: Graph, second: Graph) -> Graph:
    """The events of both."""
    edges = torch.cat([first[1], second[1] + len(first[0])], dim=1)
    return torch.cat([first[0], second[0]]), edges, torch.cat([first[2], second[2]])


def train(
    network: GraphNetwork,
    events: ak.Array,
    others: Callable[[np.random.Generator], ak.Array],
    options: LoopOptions,
    *,
    neighbours: int | None,
    reconstruction: float,
    **watch: Unpack[Watch],
) -> History:
    """Minimise the loss on batches that hold as many events of both classes.

    Parameters
    ----------
    network
        knows the spread of the features; it draws first codes from torch's global generator.
    events
        of the first class, shape (n_events,).
    others
        gives the events of the second class for each epoch, from a generator; they are repeated, or
        left out, to be as many.
    watch
        of :class:`hepmtp.training.loop.Watch`; errors are those of the loop.
    """
    task = _TwoClasses(network, Graphs(events, neighbours), others, reconstruction)
    task.first_codes(options.seed)
    return loop.train(task, options, **watch)


@dataclass(eq=False)
class _TwoClasses:
    """The task: tell two classes of events apart by the codes of their particles."""

    model: GraphNetwork
    first: Graphs
    others: Callable[[np.random.Generator], ak.Array]
    reconstruction: float
    second: Graphs = field(init=False)
    partner: Ints = field(init=False)  # of each event, in the second class

    @torch.no_grad()
    def first_codes(self, seed: int) -> None:
        """K-means sees far more particles than a batch holds."""
        n = len(self.first.counts)
        some = np.random.default_rng(seed).permutation(n)[:FIRST_EVENTS]
        self.model.train().loss(*self.first.batch(some), torch.zeros(len(some)), 0.0)

    def draw(self, _: int, rng: np.random.Generator) -> int:
        """Events of the second class, and which of them goes with which of the first."""
        self.second, n = self._drawn(rng), len(self.first.counts)
        self.partner = rng.permutation(np.resize(np.arange(len(self.second.counts)), n))
        return n

    def loss(self, events: Ints, _: np.random.Generator) -> tuple[Tensor, int]:
        """Over these events and as many of the second class."""
        device = device_of(self.model)
        graphs = join(self.first.batch(events), self.second.batch(self.partner[events]))
        x, edges, counts = (one.to(device) for one in graphs)
        label = torch.tensor([0.0, 1.0], device=device).repeat_interleave(len(events))
        loss = self.model.loss(x, edges, counts, label, self.reconstruction)
        return loss * len(label), len(label)

    def validation_loss(self) -> None:
        """Nothing is held out."""

    def identity(self) -> Iterator[object]:
        """Both classes; one draw stands for the function that draws."""
        yield (self.first.neighbours, self.reconstruction)
        for graphs in (self.first, self._drawn(np.random.default_rng(0))):
            yield from (graphs.x, graphs.counts)

    def _drawn(self, rng: np.random.Generator) -> Graphs:
        return Graphs(self.others(rng), self.first.neighbours)


@torch.no_grad()
def ids(network: GraphNetwork, events: ak.Array, neighbours: int | None) -> Ints:
    """Id of each particle, shape (n_particles,).

    By a network in float64, so that the portion an event is in decides no code.
    """
    graphs = Graphs(events, neighbours)
    parts = [np.zeros(0, dtype=np.int64)]
    for chosen in graphs.portions(MAX_EDGES):
        x, edges, _ = graphs.batch(chosen)
        parts.append(network.ids(x.double(), edges).numpy())
    return np.concatenate(parts)

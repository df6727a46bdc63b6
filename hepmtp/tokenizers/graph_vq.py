r"""Codes from graph attention: what a particle's id says depends on the particles beside it.

The rule: a code is contextual. Decoding puts a typical particle in the place of each one and so
changes what the others see, so that encoding a decoded event need not give the same ids. Number,
order and types of the particles always stay.

Graph-attention layers (Velickovic et al., arXiv:1710.10903) let the particles of an event see each
other. A vector-quantisation layer (van den Oord et al., arXiv:1711.00937) then gives each one the
nearest code of its type,

.. math:: \mathrm{code} = \arg\max_k\ \frac{z \cdot c_k}{|z|}, \qquad |c_k| = 1 .

Both learn to tell two classes of events apart from their codes and, as a second task, to give each
particle back from its code. The classes are background and distorted background. Signal in place
of the second is an option that marks everything made from it as supervised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self, Unpack

import awkward as ak
import numpy as np
import torch
from numpy.typing import NDArray

from hepmtp.errors import OptionError, TrainingError, fitted
from hepmtp.events import PARTICLE_TYPES, metadata, particle_types
from hepmtp.events.distortions import DISTORTIONS, distort
from hepmtp.events.features import particle_features
from hepmtp.events.ragged import Bools, Floats, Ints, owner, ragged_arange
from hepmtp.events.split import in_one_order, part_of
from hepmtp.tokenizers.binning import flat
from hepmtp.tokenizers.graph_network import GraphNetwork, ids, train
from hepmtp.tokenizers.particles_then_met import ParticleTokenizer
from hepmtp.training.loop import LoopOptions, Watch, seeded
from hepmtp.training.threads import torch_threads

#: The distortions of particles. Those of MET, which the graph does not hold, show only in the
#: recoil of the particles.
VISIBLE = tuple(one for one in DISTORTIONS if not one.name.startswith("met"))
#: What is stored of a representative particle.
REPRESENTATIVE = ("pt", "eta", "phi", "energy")


@dataclass(eq=False)
class GraphVQTokenizer(ParticleTokenizer):
    """Tokens from a graph-attention network with a vector-quantisation layer.

    Parameters
    ----------
    codes
        number of particle ids. Each type has codes of its own, at least one. Their numbers go with
        the square root of the type's share of the training particles.
    neighbours
        each particle sees the so many nearest in eta and phi; None: all particles of its event.
    met_bins, met_phi_bins
        of :class:`hepmtp.tokenizers.particles_then_met.ParticleTokenizer`.
    width, layers, heads
        of the graph network.
    reconstruction
        weight of a second task, the particle itself (mean squared error of its standardised
        features) from its code and type. With 0, as in the talk, codes keep only what tells the
        classes apart. Encoding decoded held-out background of the embedded sample gave 97 % of the
        particle ids again with 1 and 6 % with 0 (three epochs).
    epochs, batch_events, learning_rate, seed, device
        of the training (:class:`hepmtp.training.loop.LoopOptions`); batches hold as many events
        again of the second class.
    signal
        events of role signal, of which the train part is the second class in place of distorted
        background. It makes the tokenizer supervised; it is not saved.

    Attributes
    ----------
    supervised_
        whether signal was used; saved, and so marks everything that is made from the tokenizer.
    sizes_
        number of codes of each type.
    representatives_
        pt [GeV], eta, phi, energy [GeV] of a particle for each id, shape (codes, 4): what `decode`
        gives back. It is the training particle nearest to the median of its code.
    """

    codes: int = 512
    neighbours: int | None = None
    met_bins: int | Sequence[float] = 5
    met_phi_bins: int = 5
    width: int = 64
    layers: int = 2
    heads: int = 4
    reconstruction: float = 1.0
    epochs: int = 4
    batch_events: int = 256
    learning_rate: float = 3e-3
    seed: int = 0
    signal: ak.Array | None = field(default=None, repr=False)
    device: str = "cpu"
    supervised_: bool = field(default=False, init=False, repr=False)
    sizes_: Ints = field(init=False, repr=False)
    representatives_: Floats | None = field(default=None, init=False, repr=False)
    network_: GraphNetwork | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.codes < len(PARTICLE_TYPES):
            raise OptionError(
                f"codes must be {len(PARTICLE_TYPES)} or more, one for each type, "
                f"found {self.codes}"
            )
        if self.neighbours is not None and self.neighbours < 1:
            raise OptionError(
                f"neighbours must be 1 or more, or None for all, found {self.neighbours}"
            )
        if min(self.layers, self.heads) < 1 or self.width % self.heads:
            raise OptionError(
                f"layers and heads must be 1 or more and width a multiple of heads, found {self}"
            )
        self._training()
        if self.signal is not None and metadata(self.signal).get("role") != "signal":
            raise TrainingError(
                f"signal has the role {metadata(self.signal).get('role')!r}, expected 'signal';"
                " leave it out for background against distorted background"
            )
        self.sizes_ = share_out(self.codes, np.ones(len(PARTICLE_TYPES)))

    @property
    def supervised(self) -> bool:
        """Whether signal is, or was, used in the training."""
        return self.supervised_ or self.signal is not None

    @property
    def particle_factors(self) -> tuple[tuple[str, int], ...]:
        """Type, and code within the type."""
        return (("type", len(PARTICLE_TYPES)), ("code", int(self.sizes_.max())))

    @property
    def particle_digits(self) -> Ints:
        """Digits of each particle id; each type has as many codes as it was given."""
        return np.stack([owner(self.sizes_), ragged_arange(self.sizes_)], axis=1)

    def fit(self, events: ak.Array, **watch: Unpack[Watch]) -> Self:
        """Train on background training events, shape (n_events,), whatever their order.

        `watch` is that of :class:`hepmtp.training.loop.Watch`.

        Raises
        ------
        TrainingError
            if the events are not background, or too few.
        """
        super().fit(events)
        events = in_one_order(events)
        others = None if self.signal is None else in_one_order(part_of(self.signal, "train"))
        if others is not None and not len(others):
            raise TrainingError("none of the signal events is in the train part: give more events")
        counts = np.bincount(particle_types(events), minlength=len(PARTICLE_TYPES))
        self.sizes_ = share_out(self.codes, np.sqrt(counts))
        with seeded(self.seed), torch_threads(1):
            network = GraphNetwork(self.width, self.layers, self.heads, self.sizes_.tolist())
            network.standardise(particle_features(events))
            train(
                network,
                events,
                lambda rng: distort(events, rng, VISIBLE) if others is None else others,
                self._training(),
                neighbours=self.neighbours,
                reconstruction=self.reconstruction,
                **watch,
            )
        # in float64 the chunk that an event comes in cannot decide between two codes
        self.network_, self.supervised_ = network.double().eval(), others is not None
        self.representatives_ = representatives(
            network.standardised(torch.from_numpy(particle_features(events)).double()).numpy(),
            np.stack([flat(events, name) for name in REPRESENTATIVE], axis=1),
            flat(events, "type"),
            self._particle_ids(events),
            [one.numpy() for one in network.codebooks()],
        )
        return self

    def _training(self) -> LoopOptions:
        return LoopOptions(**{name: getattr(self, name) for name in _TRAINING})

    def _particle_ids(self, events: ak.Array) -> Ints:
        with torch_threads(1):
            return ids(fitted(self.network_, self), events, self.neighbours)

    def _particles(self, ids: Ints, counts: Ints) -> dict[str, NDArray[Any]]:  # noqa: ARG002
        columns = fitted(self.representatives_, self)[ids].T
        particles = dict(zip(REPRESENTATIVE, columns, strict=True))
        return particles | {"type": owner(self.sizes_)[ids]}

    def _options(self) -> dict[str, Any]:
        return {name: one for name, one in super()._options().items() if name != "signal"}

    def _meta(self) -> dict[str, Any]:
        return {**super()._meta(), "supervised": self.supervised_}

    @classmethod
    def _from_meta(cls, meta: dict[str, Any]) -> Self:
        tokenizer = super()._from_meta(meta)
        tokenizer.supervised_ = meta["supervised"]
        return tokenizer

    def _arrays(self) -> dict[str, NDArray[Any]]:
        weights = fitted(self.network_, self).state_dict()
        network = {f"network.{name}": value.numpy(force=True) for name, value in weights.items()}
        representatives = fitted(self.representatives_, self)
        return {"sizes": self.sizes_, "representatives": representatives, **network}

    def _restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        self.sizes_, self.representatives_ = arrays["sizes"], arrays["representatives"]
        with seeded(self.seed):  # first weights are drawn, then replaced
            network = GraphNetwork(self.width, self.layers, self.heads, self.sizes_.tolist())
        weights = {
            name.removeprefix("network."): torch.from_numpy(array)
            for name, array in arrays.items()
            if name.startswith("network.")
        }
        network.double().load_state_dict(weights)
        self.network_ = network.eval()


_TRAINING = ("epochs", "batch_events", "learning_rate", "seed", "device")


def share_out(total: int, weight: NDArray[Any]) -> Ints:
    """Whole numbers, at least one each, with this total and about these proportions.

    Examples
    --------
    >>> share_out(10, np.array([3.0, 1.0, 0.0])).tolist()
    [6, 3, 1]
    """
    ideal = (total - len(weight)) * weight / weight.sum()
    sizes = np.floor(ideal).astype(np.int64)
    missing = total - len(weight) - int(sizes.sum())
    sizes[np.argsort(sizes - ideal, kind="stable")[:missing]] += 1  # largest remainders first
    return np.asarray(sizes + 1)


def representatives(
    x: Floats,
    particles: Floats,
    kind: Ints,
    ids: Ints,
    codebooks: list[Floats],
) -> Floats:
    """For each id the particle nearest to the median of its particles, shape (n_ids, n_columns).

    An id that no training particle has takes the particle of the id of its type with the closest
    direction. A type without any training particle takes the overall median.

    Parameters
    ----------
    x
        standardised features, in which the median and nearness are meant, shape (n_particles,
        n_features).
    particles
        what is given back, shape (n_particles, n_columns).
    kind, ids
        type and id of each particle, shape (n_particles,).
    codebooks
        codes of each type.
    """
    found = np.empty((sum(map(len, codebooks)), particles.shape[1]))
    start = 0
    for i, codebook in enumerate(codebooks):
        used = np.unique(ids[kind == i])
        for one in used:
            found[one] = _typical(x, particles, ids == one)
        if len(used):
            nearest = used[(codebook @ codebook[used - start].T).argmax(axis=1)]
            unused = np.setdiff1d(np.arange(start, start + len(codebook)), used)
            found[unused] = found[nearest[unused - start]]
        else:
            found[start : start + len(codebook)] = _typical(
                x, particles, np.ones(len(x), dtype=np.bool_)
            )
        start += len(codebook)
    return found


def _typical(x: Floats, particles: Floats, chosen: Bools) -> Floats:
    some = x[chosen]
    return np.asarray(
        particles[chosen][np.argmin(((some - np.median(some, axis=0)) ** 2).sum(axis=1))]
    )

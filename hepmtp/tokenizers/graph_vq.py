r"""Codes from graph attention: what a particle's id says depends on the particles beside it.

The rule: a code is contextual. Encoding a decoded event need not give the same ids, since decoding puts a typical particle in
the place of each one and so changes what the others see; number, order and types of the particles always stay.

Graph-attention layers (Velickovic et al., arXiv:1710.10903) let the particles of an event see each other, and a
vector-quantisation layer (van den Oord et al., arXiv:1711.00937) gives each one the nearest code of its type,

.. math:: \mathrm{code} = \arg\max_k\ \frac{z \cdot c_k}{|z|}, \qquad |c_k| = 1 .

Both learn to tell two classes of events apart from their codes and, as a second task, to give each particle back from its code. The classes are background and distorted background;
signal in place of the second is an option that marks everything made from it as supervised.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import awkward as ak
import numpy as np
import torch
from numpy.typing import NDArray

from hepmtp import storage
from hepmtp.errors import NotFittedError, TokenError, TrainingError
from hepmtp.events.distortions import DISTORTIONS, distort
from hepmtp.events.observables import particle_features, particle_types
from hepmtp.events.particles import PARTICLE_TYPES
from hepmtp.events.record import make_events, metadata
from hepmtp.events.split import check_background, in_one_order, part_of
from hepmtp.events.tokens import TokenBatch
from hepmtp.tokenizers.binning import (
    Bins,
    behind_particles,
    check_bins,
    check_ids,
    digit_table,
    fit_bins,
    flat,
    met_ids,
    met_values,
    n_bins,
)
from hepmtp.tokenizers.graph_network import GraphNetwork, ids, train
from hepmtp.training.loop import LoopOptions, Progress, seeded
from hepmtp.training.threads import torch_threads

Floats = NDArray[np.float64]

#: The distortions of particles; those of MET, which the graph does not hold, show in the recoil of the particles alone.
VISIBLE = tuple(one for one in DISTORTIONS if not one.name.startswith("met"))


@dataclass(eq=False)
class GraphVQTokenizer:
    """Tokens from a graph-attention network with a vector-quantisation layer, then MET and METphi by bins.

    Parameters
    ----------
    codes
        number of particle ids. Each type has codes of its own, as many as the square root of its share of the training
        particles asks for, at least one.
    neighbours
        each particle sees the so many nearest in eta and phi; None: all particles of its event.
    met_bins, met_phi_bins
        as of `LookupTokenizer`.
    width, layers, heads
        of the graph network.
    reconstruction
        weight of a second task, the particle itself (mean squared error of its standardised features) from its code and
        type; with 0, as in the talk, codes keep only what tells the classes apart. Of held-out background of the embedded
        sample, encoding decoded events gave 97 % of the particle ids again with 1 and 6 % with 0 (three epochs).
    epochs, batch_events, learning_rate, seed, device
        of the training (:class:`hepmtp.training.loop.LoopOptions`); batches hold as many events again
        of the second class.
    signal
        events of role signal, of which the train part is the second class in place of distorted background. It makes
        the tokenizer supervised; it is not saved.

    Attributes
    ----------
    supervised_
        whether signal was used; saved, and so marks everything that is made from the tokenizer.
    sizes_
        number of codes of each type.
    representatives_
        pt [GeV], eta, phi, energy [GeV] of a particle for each id, the training particle nearest to the median of its code;
        shape (codes, 4): what `decode` gives back.
    """

    codes: int = 512
    neighbours: int | None = None
    met_bins: int | tuple[float, ...] = 5
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
    sizes_: NDArray[np.int64] = field(init=False, repr=False)
    representatives_: Floats | None = field(default=None, init=False, repr=False)
    met_: Bins | None = field(default=None, init=False, repr=False)
    network_: GraphNetwork | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.codes < len(PARTICLE_TYPES):
            raise TokenError(
                f"codes must be {len(PARTICLE_TYPES)} or more, one for each type, found {self.codes}"
            )
        if self.neighbours is not None and self.neighbours < 1:
            raise TokenError(
                f"neighbours must be 1 or more, or None for all, found {self.neighbours}"
            )
        if (
            min(self.layers, self.heads, self.epochs, self.batch_events) < 1
            or self.width % self.heads
        ):
            raise TokenError(
                f"layers, heads, epochs, batch_events: 1 or more; width: a multiple of heads; found {self}"
            )
        for name in ("met_bins", "met_phi_bins"):
            setattr(self, name, check_bins(name, getattr(self, name)))
        if self.signal is not None and metadata(self.signal).get("role") != "signal":
            raise TrainingError(
                f"signal must be events of role 'signal', found role {metadata(self.signal).get('role')!r};"
                " leave it out for background against distorted background"
            )
        self.sizes_ = share_out(self.codes, np.ones(len(PARTICLE_TYPES)))

    @property
    def supervised(self) -> bool:
        """Whether signal is, or was, used in the training."""
        return self.supervised_ or self.signal is not None

    @property
    def factors(self) -> tuple[tuple[str, int], ...]:
        """Names and sizes of an id's digits: type and code, then MET and METphi if there are such tokens."""
        sizes = {
            "type": len(PARTICLE_TYPES),
            "code": int(self.sizes_.max()),
            "MET": n_bins(self.met_bins),
        }
        return tuple(
            (name, size) for name, size in (*sizes.items(), ("METphi", self.met_phi_bins)) if size
        )

    @property
    def vocab_size(self) -> int:
        """Number of ids."""
        return self.codes + n_bins(self.met_bins) + self.met_phi_bins

    @property
    def digits(self) -> NDArray[np.int64]:
        """Digit of each id for each factor, -1 where it has none, shape (vocab_size, n_factors)."""
        types = np.repeat(np.arange(len(self.sizes_)), self.sizes_)
        within = np.arange(self.codes) - np.repeat(
            np.cumsum(self.sizes_) - self.sizes_, self.sizes_
        )
        blocks = [np.stack([types, within], axis=1)]
        blocks += [
            np.arange(size)[:, None] for size in (n_bins(self.met_bins), self.met_phi_bins) if size
        ]
        return digit_table(*blocks)

    def fit(
        self,
        events: ak.Array,
        *,
        checkpoint: str | Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Train on background training events, shape (n_events,), whatever their order.

        `checkpoint` and `progress` are those of :func:`hepmtp.training.loop.train`.

        Raises
        ------
        TrainingError
            if the events are not background, or too few.
        """
        check_background(events)
        if not ak.any(ak.num(events.Particle)):
            raise TrainingError(
                f"none of the {len(events)} events has a particle: there is nothing to learn codes from"
            )
        events = in_one_order(events)
        others = None if self.signal is None else in_one_order(part_of(self.signal, "train"))
        if others is not None and not len(others):
            raise TrainingError("none of the signal events is in the train part: give more events")
        counts = np.bincount(particle_types(events), minlength=len(PARTICLE_TYPES))
        met = (
            fit_bins("MET", ak.to_numpy(events.MET.pt), self.met_bins)
            if n_bins(self.met_bins)
            else None
        )
        self.sizes_ = share_out(self.codes, np.sqrt(counts))
        options = LoopOptions(**{name: getattr(self, name) for name in _TRAINING})
        with seeded(self.seed), torch_threads(1):
            network = GraphNetwork(self.width, self.layers, self.heads, self.sizes_.tolist())
            network.standardise(particle_features(events))
            train(
                network,
                events,
                (lambda rng: distort(events, rng, VISIBLE))
                if others is None
                else (lambda _: others),
                options,
                neighbours=self.neighbours,
                reconstruction=self.reconstruction,
                checkpoint=checkpoint,
                progress=progress,
            )
        # in float64 the chunk that an event comes in cannot decide between two codes
        self.network_, self.met_, self.supervised_ = (
            network.double().eval(),
            met,
            others is not None,
        )
        self.representatives_ = representatives(
            network.standardised(torch.from_numpy(particle_features(events)).double()).numpy(),
            np.stack([flat(events, name) for name in ("pt", "eta", "phi", "energy")], axis=1),
            flat(events, "type"),
            self._particle_ids(events),
            [one.numpy() for one in network.codebooks()],
        )
        return self

    def encode(self, events: ak.Array) -> TokenBatch:
        """Tokens of each event: its particles in their order, then MET, then METphi."""
        particles = self._particle_ids(events)
        missing = met_ids(events, self.codes, self.met_, self.met_phi_bins)
        return behind_particles(particles, ak.to_numpy(ak.num(events.Particle)), missing)

    def decode(self, tokens: TokenBatch) -> ak.Array:
        """Events of the codes' representative particles, and MET and METphi at the bin centres; weights 1.

        Raises
        ------
        TokenError
            if an id is outside the vocabulary or an event does not hold one MET and one METphi token where there are any.
        """
        self._fitted()
        assert self.representatives_ is not None
        check_ids(tokens, self.vocab_size)
        digits = dict(
            zip([name for name, _ in self.factors], self.digits[tokens.values].T, strict=True)
        )
        particle = digits["type"] >= 0
        pt, eta, phi, energy = self.representatives_[tokens.values[particle]].T
        met, met_phi = met_values(tokens, digits, self.met_, self.met_phi_bins)
        return make_events(
            counts=np.bincount(tokens.owner[particle], minlength=len(tokens)),
            pt=pt,
            eta=eta,
            phi=phi,
            energy=energy,
            type=digits["type"][particle],
            met=met,
            met_phi=met_phi,
        )

    def save(self, path: str | Path) -> None:
        """Write options, network, representatives and bins to a folder; the signal is not written."""
        network = self._fitted()
        assert self.representatives_ is not None
        options = {name: getattr(self, name) for name in _OPTIONS}
        arrays: dict[str, NDArray[Any]] = {
            "sizes": self.sizes_,
            "representatives": self.representatives_,
        }
        if self.met_ is not None:
            arrays |= {"met.edges": self.met_.edges, "met.centres": self.met_.centres}
        arrays |= {
            f"network.{name}": value.numpy(force=True)
            for name, value in network.state_dict().items()
        }
        with storage.new_folder(path) as folder:
            meta = {"options": options, "supervised": self.supervised_}
            storage.write(folder, storage.kind_of(self), meta, arrays)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote."""
        meta, arrays = storage.read(path, storage.kind_of(cls))
        tokenizer = cls(**meta["options"])
        tokenizer.supervised_ = meta["supervised"]
        tokenizer.sizes_, tokenizer.representatives_ = arrays["sizes"], arrays["representatives"]
        if "met.edges" in arrays:
            tokenizer.met_ = Bins(arrays["met.edges"], arrays["met.centres"])
        network = GraphNetwork(
            tokenizer.width, tokenizer.layers, tokenizer.heads, tokenizer.sizes_.tolist()
        ).double()
        state = {name.removeprefix("network."): torch.from_numpy(array) for name, array in arrays.items()
                 if name.startswith("network.")}  # fmt: skip
        network.load_state_dict(state)
        tokenizer.network_ = network.eval()
        return tokenizer

    def _fitted(self) -> GraphNetwork:
        if self.network_ is None:
            raise NotFittedError(
                "this GraphVQTokenizer is not trained yet: call fit(background events) first"
            )
        return self.network_

    def _particle_ids(self, events: ak.Array) -> NDArray[np.int64]:
        with torch_threads(1):
            return ids(self._fitted(), events, self.neighbours)


_TRAINING = ("epochs", "batch_events", "learning_rate", "seed", "device")
_OPTIONS = ("codes", "neighbours", "met_bins", "met_phi_bins", "width", "layers", "heads",
            "reconstruction", *_TRAINING)  # fmt: skip


def share_out(total: int, weight: NDArray[Any]) -> NDArray[np.int64]:
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
    kind: NDArray[np.int64],
    ids: NDArray[np.int64],
    codebooks: list[Floats],
) -> Floats:
    """A real particle for each id, the nearest to the median of the id's particles; shape (n_ids, n_columns).

    An id that no training particle has takes the particle of the id of its type with the closest direction; a type without any
    training particle takes the overall median.

    Parameters
    ----------
    x
        standardised features, in which the median and nearness are meant, shape (n_particles, n_features).
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


def _typical(x: Floats, particles: Floats, chosen: NDArray[np.bool_]) -> Floats:
    some = x[chosen]
    return np.asarray(
        particles[chosen][np.argmin(((some - np.median(some, axis=0)) ** 2).sum(axis=1))]
    )

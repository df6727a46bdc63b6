"""What learned tokenizers share: a code per particle by an autoencoder.

The rule: an id decodes to its centre, a real training particle that has this id. Decoding and
encoding again then gives the same ids exactly (but see `AutoencoderOptions.context`). A code that
no training particle has is never given: its particles take the nearest code that one has.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self, Unpack

import awkward as ak
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from hepmtp.errors import fitted
from hepmtp.events.features import particle_features
from hepmtp.events.ragged import Floats, Ints
from hepmtp.events.split import in_one_order
from hepmtp.tokenizers import autoencoder
from hepmtp.tokenizers.autoencoder import N_KINEMATIC, N_TYPES, Autoencoder, AutoencoderOptions
from hepmtp.tokenizers.binning import flat
from hepmtp.tokenizers.networks import Quantiser
from hepmtp.tokenizers.particles_then_met import ParticleTokenizer
from hepmtp.training.loop import Watch

#: What is stored of a centre.
CENTRE = ("pt", "eta", "phi", "energy", "type")


@dataclass(eq=False, kw_only=True)
class LearnedTokenizer(ParticleTokenizer, ABC):
    """A tokenizer whose particle codes an autoencoder learns; a subclass says the quantiser.

    The id of a particle is its code, or ``type * n_codes + code`` where the type is the
    autoencoder's condition.

    Parameters
    ----------
    options
        shape and training of the autoencoder.
    met_bins, met_phi_bins
        of :class:`hepmtp.tokenizers.particles_then_met.ParticleTokenizer`.

    Attributes
    ----------
    model_
        the trained autoencoder, in float64.
    history_
        mean training loss of each epoch.
    given_
        int64, shape (n_particle_ids,): the id that is given for each, itself where a training
        particle has it.
    centres_
        pt, eta, phi, energy and type of the training particle that each id decodes to, shape
        (n_particle_ids,) each.
    """

    options: AutoencoderOptions = field(default_factory=AutoencoderOptions)
    met_bins: int | Sequence[float] = 5
    met_phi_bins: int = 5
    model_: Autoencoder | None = field(default=None, init=False, repr=False)
    history_: list[float] = field(default_factory=list, init=False, repr=False)
    given_: Ints = field(
        default_factory=lambda: np.zeros(0, dtype=np.int64), init=False, repr=False
    )
    centres_: dict[str, Floats] = field(default_factory=dict, init=False, repr=False)

    @property
    @abstractmethod
    def code_factors(self) -> tuple[tuple[str, int], ...]:
        """Names and sizes of the digits that a code is made of; the last one changes fastest."""

    @abstractmethod
    def quantiser(self) -> Quantiser:
        """A new quantiser whose codes count through `code_factors`."""

    @property
    def particle_factors(self) -> tuple[tuple[str, int], ...]:
        """The type, unless the codes say it, and the digits of the code."""
        types = (("type", N_TYPES),) if self.options.condition == "type" else ()
        return types + self.code_factors

    def fit(self, events: ak.Array, **watch: Unpack[Watch]) -> Self:
        """Train on background training events, shape (n_events,); their order has no effect.

        `watch` is that of :class:`hepmtp.training.loop.Watch`.

        Raises
        ------
        TrainingError
            if the events are not background, there are fewer particles than codes, or the training
            fails.
        """
        super().fit(events)
        events = in_one_order(events)
        features = particle_features(events)
        self.model_, self.history_ = autoencoder.fit(
            self.quantiser,
            self.options,
            features,
            _counts(events),
            **watch,
        )
        self._find_centres(events, features)
        return self

    def _particle_ids(self, events: ak.Array) -> Ints:
        return self.given_[self._ids(particle_features(events), _counts(events))]

    def _particles(self, ids: Ints, counts: Ints) -> dict[str, NDArray[Any]]:
        """Centres of the ids; where codes depend on the event, what the decoder makes of them."""
        model = fitted(self.model_, self)
        if not self.options.context:
            return {name: column[ids] for name, column in self.centres_.items()}
        types, codes = np.divmod(ids, model.quantiser.n_codes)
        return _columns(autoencoder.decode(model, codes, types, counts))

    def _options(self) -> dict[str, Any]:
        return super()._options() | {"options": asdict(self.options)}

    def _meta(self) -> dict[str, Any]:
        return {"tokenizer": self._options(), "history": self.history_}

    @classmethod
    def _from_meta(cls, meta: dict[str, Any]) -> Self:
        options = meta["tokenizer"]
        options["options"] = AutoencoderOptions.from_saved(options["options"])
        tokenizer = cls(**options)
        tokenizer.history_ = meta["history"]
        return tokenizer

    def _arrays(self) -> dict[str, NDArray[Any]]:
        model = fitted(self.model_, self)
        arrays: dict[str, NDArray[Any]] = {"given": self.given_}
        arrays |= {f"centre.{name}": column for name, column in self.centres_.items()}
        for name, value in model.state_dict().items():
            array = value.numpy()
            # all was trained in float32: nothing is lost
            arrays[f"model.{name}"] = array.astype(np.float32) if array.dtype == float else array
        return arrays

    def _restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        self.given_ = arrays["given"]
        self.centres_ = {name: arrays[f"centre.{name}"] for name in CENTRE}
        weights = {
            name.removeprefix("model."): torch.as_tensor(array)
            for name, array in arrays.items()
            if name.startswith("model.")
        }
        self.model_ = autoencoder.restored(self.quantiser, self.options, weights)

    def _ids(self, features: NDArray[np.float32], counts: Ints) -> Ints:
        """The id of each particle, those that no training particle has included."""
        model = fitted(self.model_, self)
        codes = autoencoder.encode(model, features, counts)
        if self.options.condition == "none":
            return codes
        types = features[:, N_KINEMATIC:].argmax(axis=1)
        return np.asarray(types * model.quantiser.n_codes + codes)

    def _find_centres(self, events: ak.Array, features: NDArray[np.float32]) -> None:
        """Of each id the training particle nearest to the mean of its particles.

        An id without any gets the nearest that has.
        """
        model = fitted(self.model_, self)
        particles, counts = {name: flat(events, name) for name in CENTRE}, _counts(events)
        if self.options.condition == "type":
            features, particles, counts = _with_all_types(features, particles, counts)
        n_codes, n_ids = model.quantiser.n_codes, len(self.particle_digits)
        standard = model.standard(torch.as_tensor(features, dtype=torch.float64)).numpy()
        medoid = _medoids(self._ids(features, counts), standard, n_ids)
        vectors = model.quantiser.vectors().numpy()
        blocks = []
        for first in range(0, n_ids, n_codes):  # of one type
            used = np.flatnonzero(medoid[first : first + n_codes] >= 0)
            blocks.append(first + used[cdist(vectors, vectors[used]).argmin(axis=1)])
        self.given_ = np.concatenate(blocks)
        self.centres_ = {name: column[medoid[self.given_]] for name, column in particles.items()}


def _counts(events: ak.Array) -> Ints:
    return np.asarray(ak.to_numpy(ak.num(events.Particle)), dtype=np.int64)


def _medoids(ids: Ints, x: Floats, n: int) -> Ints:
    """For each of n ids the index of its particle nearest to their mean, -1 where it has none.

    Of several types the most frequent is taken: types weigh more than everything else.
    """
    x = np.concatenate([x[:, :N_KINEMATIC], 10 * x[:, N_KINEMATIC:]], axis=1)
    number = np.maximum(np.bincount(ids, minlength=n), 1)
    means = np.stack([np.bincount(ids, column, minlength=n) / number for column in x.T], axis=1)
    order = np.lexsort((((x - means[ids]) ** 2).sum(axis=1), ids))
    found, first = np.unique(ids[order], return_index=True)
    medoid = np.full(n, -1, dtype=np.int64)
    medoid[found] = order[first]
    return medoid


def _with_all_types(
    features: NDArray[np.float32], particles: dict[str, NDArray[Any]], counts: Ints
) -> tuple[NDArray[np.float32], dict[str, NDArray[Any]], Ints]:
    """The particles, and one of each type that none of them has, alone in its event.

    The latter are copies of the first particle but for the type.
    """
    absent = np.setdiff1d(np.arange(N_TYPES), particles["type"])
    more = np.tile(features[:1], (len(absent), 1))
    more[:, N_KINEMATIC:] = np.eye(N_TYPES)[absent]
    wider = {
        name: np.r_[column, np.repeat(column[:1], len(absent))]
        for name, column in particles.items()
    }
    wider["type"][len(features) :] = absent
    return (
        np.concatenate([features, more]),
        wider,
        np.r_[counts, np.ones(len(absent), dtype=np.int64)],
    )


def _columns(features: Floats) -> dict[str, NDArray[Any]]:
    """Columns of particles with these features."""
    log_pt, eta, sin, cos, log_energy = features[:, :N_KINEMATIC].T
    kind = features[:, N_KINEMATIC:].argmax(axis=1)
    numbers = {
        "pt": np.exp(log_pt),
        "eta": eta,
        "phi": np.arctan2(sin, cos),
        "energy": np.exp(log_energy),
    }
    return {**numbers, "type": kind}

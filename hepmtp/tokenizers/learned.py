"""What learned tokenizers share: a code per particle by an autoencoder, then MET and METphi tokens from bins.

The rule: an id decodes to its centre, a real training particle that has this id, so decoding and encoding again gives
the same ids exactly (but see `AutoencoderOptions.context`). A code that no training particle has is never given: its particles
take the nearest code that one has.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

import awkward as ak
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from hepmtp import storage
from hepmtp.errors import NotFittedError, StorageError
from hepmtp.events.observables import particle_features
from hepmtp.events.record import make_events
from hepmtp.events.split import check_background, in_one_order
from hepmtp.events.tokens import TokenBatch
from hepmtp.tokenizers import autoencoder
from hepmtp.tokenizers.autoencoder import (
    N_KINEMATIC,
    N_TYPES,
    Autoencoder,
    AutoencoderOptions,
    Quantiser,
)
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
from hepmtp.training.loop import Progress

#: What is stored of a centre.
CENTRE = ("pt", "eta", "phi", "energy", "type")


@dataclass(eq=False, kw_only=True)
class LearnedTokenizer(ABC):
    """A tokenizer whose particle codes are learned by an autoencoder; a subclass says which quantiser.

    Ids of particles come first: ``code``, or ``type * n_codes + code`` where the type is the autoencoder's condition; then one
    id per MET bin and one per METphi bin, as `LookupTokenizer` has them.

    Parameters
    ----------
    options
        shape and training of the autoencoder.
    met_bins
        number of equal-population bins of MET, or their inner quantiles; 0 leaves the MET token out.
    met_phi_bins
        number of bins of METphi; 0 leaves the METphi token out.

    Attributes
    ----------
    model_
        the trained autoencoder, in float64.
    history_
        mean training loss of each epoch.
    given_
        int64, shape (n_particle_ids,): the id that is given for each, itself where a training particle has it.
    centres_
        pt, eta, phi, energy and type of the training particle that each id decodes to, shape (n_particle_ids,) each.
    """

    options: AutoencoderOptions = field(default_factory=AutoencoderOptions)
    met_bins: int | Sequence[float] = 5
    met_phi_bins: int = 5
    model_: Autoencoder | None = field(default=None, init=False, repr=False)
    history_: list[float] = field(default_factory=list, init=False, repr=False)
    given_: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(0, dtype=np.int64), init=False, repr=False
    )
    centres_: dict[str, NDArray[np.float64]] = field(default_factory=dict, init=False, repr=False)
    met_: Bins | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("met_bins", "met_phi_bins"):
            setattr(self, name, check_bins(name, getattr(self, name)))

    @property
    @abstractmethod
    def code_factors(self) -> tuple[tuple[str, int], ...]:
        """Names and sizes of the digits that a code is made of; the last one changes fastest."""

    @abstractmethod
    def quantiser(self) -> Quantiser:
        """A new quantiser whose codes count through `code_factors`."""

    @property
    def factors(self) -> tuple[tuple[str, int], ...]:
        """Names and sizes of an id's digits; MET and METphi only if there are such tokens."""
        missing = {"MET": n_bins(self.met_bins), "METphi": self.met_phi_bins}
        return self._particle_factors + tuple(
            (name, size) for name, size in missing.items() if size
        )

    @property
    def vocab_size(self) -> int:
        """Number of ids."""
        return len(self.digits)

    @property
    def digits(self) -> NDArray[np.int64]:
        """Digit of each id for each factor, -1 where it has none, shape (vocab_size, n_factors)."""
        sizes = [size for _, size in self._particle_factors]
        missing = [np.arange(size)[:, None] for _, size in self.factors[len(sizes) :]]
        return digit_table(np.indices(sizes).reshape(len(sizes), -1).T, *missing)

    def fit(
        self,
        events: ak.Array,
        *,
        checkpoint: str | Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Train on background training events, shape (n_events,); their order has no effect.

        `checkpoint` and `progress` are those of :func:`hepmtp.training.loop.train`.

        Raises
        ------
        TrainingError
            if the events are not background, there are fewer particles than codes, or the training fails.
        """
        check_background(events)
        events = in_one_order(events)
        features, counts = particle_features(events), _counts(events)
        met = (
            fit_bins("MET", ak.to_numpy(events.MET.pt), self.met_bins)
            if n_bins(self.met_bins)
            else None
        )
        self.model_, self.history_ = autoencoder.fit(
            self.quantiser,
            self.options,
            features,
            counts,
            checkpoint=checkpoint,
            progress=progress,
        )
        self.met_ = met
        self._find_centres(events, features)
        return self

    def encode(self, events: ak.Array) -> TokenBatch:
        """Tokens of each event: its particles in their order, then MET, then METphi."""
        self._fitted()
        ids = self.given_[self._ids(particle_features(events), _counts(events))]
        return behind_particles(
            ids, _counts(events), met_ids(events, len(self.given_), self.met_, self.met_phi_bins)
        )

    def decode(self, tokens: TokenBatch) -> ak.Array:
        """Events of the centres of the ids, weight 1; where codes depend on the event, of what the decoder makes of them.

        Raises
        ------
        TokenError
            if an id is outside the vocabulary or an event does not hold one MET and one METphi token where there are any.
        """
        model = self._fitted()
        check_ids(tokens, self.vocab_size)
        digits = dict(
            zip((name for name, _ in self.factors), self.digits[tokens.values].T, strict=True)
        )
        is_particle = tokens.values < len(self.given_)
        ids = tokens.values[is_particle]
        counts = np.bincount(tokens.owner[is_particle], minlength=len(tokens))
        met, met_phi = met_values(tokens, digits, self.met_, self.met_phi_bins)
        if self.options.context:
            types, codes = np.divmod(ids, model.quantiser.n_codes)
            particles = _particles(autoencoder.decode(model, codes, types, counts))
        else:
            particles = {name: column[ids] for name, column in self.centres_.items()}
        pt, eta, phi, energy, kind = (particles[name] for name in CENTRE)
        return make_events(
            counts=counts,
            pt=pt,
            eta=eta,
            phi=phi,
            energy=energy,
            type=kind,
            met=met,
            met_phi=met_phi,
        )

    def save(self, path: str | Path) -> None:
        """Write options, network, centres and MET bins to a folder."""
        model = self._fitted()
        options = {one.name: getattr(self, one.name) for one in fields(self) if one.init}
        options["options"] = asdict(self.options)
        # all was trained in float32: nothing is lost
        weights = {f"model.{name}": value.numpy() for name, value in model.state_dict().items()}
        arrays = {
            name: w.astype(np.float32) if w.dtype == np.float64 else w
            for name, w in weights.items()
        }
        arrays |= {f"centre.{name}": column for name, column in self.centres_.items()} | {
            "given": self.given_
        }
        if self.met_ is not None:
            arrays |= {"met.edges": self.met_.edges, "met.centres": self.met_.centres}
        with storage.new_folder(path) as folder:
            storage.write(
                folder,
                storage.kind_of(self),
                {"tokenizer": options, "history": self.history_},
                arrays,
            )

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote."""
        meta, arrays = storage.read(path, storage.kind_of(cls))
        options = meta["tokenizer"]
        tokenizer = cls(**{**options, "options": AutoencoderOptions.from_saved(options["options"])})
        weights = {
            name[6:]: torch.as_tensor(array)
            for name, array in arrays.items()
            if name.startswith("model.")
        }
        try:
            tokenizer.model_ = autoencoder.restored(tokenizer.quantiser, tokenizer.options, weights)
        except RuntimeError as error:
            raise StorageError(
                f"{path}: the weights do not fit the options ({error}); save it again"
            ) from None
        tokenizer.history_, tokenizer.given_ = meta["history"], arrays["given"]
        tokenizer.centres_ = {name: arrays[f"centre.{name}"] for name in CENTRE}
        if "met.edges" in arrays:
            tokenizer.met_ = Bins(arrays["met.edges"], arrays["met.centres"])
        return tokenizer

    @property
    def _particle_factors(self) -> tuple[tuple[str, int], ...]:
        types = (("type", N_TYPES),) if self.options.condition == "type" else ()
        return types + self.code_factors

    def _fitted(self) -> Autoencoder:
        if self.model_ is None:
            raise NotFittedError(
                f"this {type(self).__name__} is not trained yet: call fit(background events) first"
            )
        return self.model_

    def _ids(self, features: NDArray[np.float32], counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """The id of each particle, those that no training particle has included."""
        model = self._fitted()
        codes = autoencoder.encode(model, features, counts)
        if self.options.condition == "none":
            return codes
        return np.asarray(
            features[:, N_KINEMATIC:].argmax(axis=1) * model.quantiser.n_codes + codes
        )

    def _find_centres(self, events: ak.Array, features: NDArray[np.float32]) -> None:
        """Of each id the training particle nearest to the mean of its particles; an id without any gets the nearest that has."""
        model = self._fitted()
        particles, counts = {name: flat(events, name) for name in CENTRE}, _counts(events)
        if self.options.condition == "type":
            features, particles, counts = _with_all_types(features, particles, counts)
        n_codes, n_ids = (
            model.quantiser.n_codes,
            int(np.prod([size for _, size in self._particle_factors])),
        )
        standard = model.standard(torch.as_tensor(features, dtype=torch.float64)).numpy()
        medoid = _medoids(self._ids(features, counts), standard, n_ids)
        vectors = model.quantiser.vectors().numpy()
        blocks = []
        for first in range(0, n_ids, n_codes):  # of one type
            used = np.flatnonzero(medoid[first : first + n_codes] >= 0)
            blocks.append(first + used[cdist(vectors, vectors[used]).argmin(axis=1)])
        self.given_ = np.concatenate(blocks)
        self.centres_ = {name: column[medoid[self.given_]] for name, column in particles.items()}


def _counts(events: ak.Array) -> NDArray[np.int64]:
    return np.asarray(ak.to_numpy(ak.num(events.Particle)), dtype=np.int64)


def _medoids(ids: NDArray[np.int64], x: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    """Index of the particle nearest to the mean of the particles with its id, for each of n ids, -1 where there is none.

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
    features: NDArray[np.float32], particles: dict[str, NDArray[Any]], counts: NDArray[np.int64]
) -> tuple[NDArray[np.float32], dict[str, NDArray[Any]], NDArray[np.int64]]:
    """The particles and, for each type that none of them has, the first particle as if it were one, alone in its event."""
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


def _particles(features: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
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

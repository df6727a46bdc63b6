"""What tokenizers of particles share: MET and METphi tokens, digits, decoding and saving.

The rule: an event's tokens are its particles in their order, then MET, then METphi. Ids of
particles come first, then one for each MET bin, then one for each METphi bin.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp import storage
from hepmtp.errors import StorageError, TokenError, TrainingError, fitted
from hepmtp.events import make_events, particle_types
from hepmtp.events.ragged import Ints
from hepmtp.events.split import check_background
from hepmtp.events.tokens import TokenBatch
from hepmtp.tokenizers.binning import (
    Bins,
    angle_labels,
    bin_labels,
    check_bins,
    fit_bins,
    n_bins,
    phi_bin,
    phi_centre,
)


class ParticleTokenizer(ABC):
    """One token for each particle, then one for MET and one for METphi, both by bins.

    A subclass says what a particle's id is made of (`particle_factors`), extends `fit`, and has
    `_particle_ids`, `_particles`, `_arrays` and `_restore`. What its constructor takes are
    attributes of the same names, as in scikit-learn, so that they can be saved.

    Parameters
    ----------
    met_bins
        number of equal-population bins of MET, or their inner quantiles in (0, 1); 0 leaves the
        MET token out.
    met_phi_bins
        number of bins of METphi, of equal width; 0 leaves the METphi token out.

    Attributes
    ----------
    met_
        fitted bins of MET [GeV]; None if it has no token.
    """

    met_bins: int | Sequence[float] = 5
    met_phi_bins: int = 5
    met_: Bins | None = None

    #: Names of the arrays that the MET bins are saved as: edges and centres.
    met_arrays: ClassVar[tuple[str, str]] = ("met.edges", "met.centres")

    def __post_init__(self) -> None:
        """Check the numbers of bins; a dataclass calls this by itself."""
        for name in inspect.signature(type(self)).parameters:
            if name.endswith("_bins"):
                setattr(self, name, check_bins(name, getattr(self, name)))

    @property
    @abstractmethod
    def particle_factors(self) -> tuple[tuple[str, int], ...]:
        """Names and sizes of the digits of a particle's id."""

    @abstractmethod
    def _particle_ids(self, events: ak.Array) -> Ints:
        """Id of each particle, shape (n_particles,); raises NotFittedError before `fit`."""

    @abstractmethod
    def _particles(self, ids: Ints, counts: Ints) -> Mapping[str, NDArray[Any]]:
        """pt, eta, phi, energy and type of particles with these ids, shape (n_particles,) each.

        `counts` has the number of particles of each event, shape (n_events,).
        """

    @abstractmethod
    def _arrays(self) -> dict[str, NDArray[Any]]:
        """What was fitted to particles, as named arrays; raises NotFittedError before `fit`."""

    @abstractmethod
    def _restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take up what `_arrays` gave."""

    @property
    def particle_digits(self) -> Ints:
        """Digits of each particle id, shape (n_particle_ids, n_factors); the last changes fastest.

        All combinations of digits, unless a subclass says otherwise.
        """
        sizes = [size for _, size in self.particle_factors]
        return np.indices(sizes).reshape(len(sizes), -1).T

    @property
    def supervised(self) -> bool:
        """Whether signal is used in the training."""
        return False

    @property
    def factors(self) -> tuple[tuple[str, int], ...]:
        """Names and sizes of an id's digits; MET and METphi only if there are such tokens."""
        sizes = {"MET": n_bins(self.met_bins), "METphi": self.met_phi_bins}
        return self.particle_factors + tuple((name, size) for name, size in sizes.items() if size)

    @property
    def vocab_size(self) -> int:
        """Number of ids."""
        return len(self.digits)

    @property
    def digits(self) -> Ints:
        """Digit of each id for each factor, -1 where it has none: (vocab_size, n_factors)."""
        particles = self.particle_digits
        met = [np.arange(size)[:, None] for _, size in self.factors[particles.shape[1] :]]
        return digit_table(particles, *met)

    def labels(self, factor: str) -> list[str]:
        """What each digit of a factor is, as text: a range of MET [GeV] or METphi, or its number.

        Raises
        ------
        TokenError
            if no id has such a digit.
        NotFittedError
            before `fit`, where the bins are fitted.
        """
        sizes = dict(self.factors)
        if factor not in sizes:
            raise TokenError(f"ids are made of {', '.join(sizes)}, not of {factor!r}")
        if factor == "MET":
            return bin_labels(fitted(self.met_, self).edges)
        if factor == "METphi":
            return angle_labels(self.met_phi_bins)
        return [str(digit) for digit in range(sizes[factor])]

    def fit(self, events: ak.Array) -> Self:
        """Fit the bins of MET on background training events, shape (n_events,).

        A subclass begins with this and goes on with particles.

        Raises
        ------
        TrainingError
            if the events are not background, or too few to fill the bins.
        EventError
            if there are particles of other types, as in jets' constituents.
        """
        check_background(events)
        if not len(particle_types(events)):
            raise TrainingError(
                f"none of the {len(events)} events has a particle: there is nothing to fit ids on"
            )
        self.met_ = None
        if n_bins(self.met_bins):
            self.met_ = fit_bins("MET", ak.to_numpy(events.MET.pt), self.met_bins)
        return self

    def encode(self, events: ak.Array) -> TokenBatch:
        """Tokens of each event: its particles in their order, then MET, then METphi."""
        ids, first = self._particle_ids(events), len(self.particle_digits)
        behind = []
        if n_bins(self.met_bins):
            edges = fitted(self.met_, self).edges
            behind.append(first + np.digitize(ak.to_numpy(events.MET.pt), edges))
        if self.met_phi_bins:
            first += n_bins(self.met_bins)
            behind.append(first + phi_bin(ak.to_numpy(events.MET.phi), self.met_phi_bins))
        return behind_particles(ids, ak.to_numpy(ak.num(events.Particle)), behind)

    def decode(self, tokens: TokenBatch) -> ak.Array:
        """Events of typical particles of the ids, MET and METphi at the bin centres, weight 1.

        Raises
        ------
        TokenError
            if an id is outside the vocabulary, or an event does not hold one MET and one METphi
            token where there are any.
        """
        digits = self.digits
        if len(tokens.values) and not 0 <= tokens.values.min() <= tokens.values.max() < len(digits):
            raise TokenError(
                f"ids must lie in 0..{len(digits) - 1}, found "
                f"{tokens.values.min()}..{tokens.values.max()}"
            )
        is_particle = tokens.values < len(self.particle_digits)
        counts = np.bincount(tokens.owner[is_particle], minlength=len(tokens))
        particles: Mapping[str, Any] = self._particles(tokens.values[is_particle], counts)
        of = {name: digits[tokens.values, i] for i, (name, _) in enumerate(self.factors)}
        met = met_phi = np.zeros(len(tokens))
        if "MET" in of:
            met = fitted(self.met_, self).centres[one_each_event(tokens, of["MET"], "MET")]
        if "METphi" in of:
            met_phi = phi_centre(one_each_event(tokens, of["METphi"], "METphi"), self.met_phi_bins)
        return make_events(counts=counts, met=met, met_phi=met_phi, **particles)

    def save(self, path: str | Path) -> None:
        """Write options and what was fitted to a folder."""
        arrays = dict(self._arrays())
        if self.met_ is not None:
            arrays |= dict(zip(self.met_arrays, self.met_, strict=True))
        with storage.new_folder(path) as folder:
            storage.write(folder, storage.kind_of(self), self._meta(), arrays)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote; a damaged folder or one of another kind raises StorageError."""
        meta, arrays = storage.read(path, storage.kind_of(cls))
        try:
            tokenizer = cls._from_meta(meta)
            if cls.met_arrays[0] in arrays:
                tokenizer.met_ = Bins(*(arrays.pop(name) for name in cls.met_arrays))
            tokenizer._restore(arrays)
        except (KeyError, TypeError, RuntimeError) as error:
            raise StorageError(
                f"{path}: what was saved does not fit the options ({error}); save it again"
            ) from None
        return tokenizer

    def _options(self) -> dict[str, Any]:
        """What the constructor takes, as plain data."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def _meta(self) -> dict[str, Any]:
        """What is saved beside the arrays."""
        return {"options": self._options()}

    @classmethod
    def _from_meta(cls, meta: dict[str, Any]) -> Self:
        """A tokenizer, not fitted, with the options that `_meta` gave."""
        return cls(**meta["options"])


def behind_particles(ids: Ints, counts: Ints, behind: Sequence[Ints]) -> TokenBatch:
    """Tokens of each event: its particles' ids, then one of each of `behind`, shape (n_events,).

    Examples
    --------
    >>> tokens = behind_particles(np.array([1, 2, 3]), np.array([1, 0, 2]), [np.array([7, 8, 9])])
    >>> tokens.to_awkward().to_list()
    [[1, 7], [8], [2, 3, 9]]
    """
    places = np.repeat(np.cumsum(counts), len(behind))
    values = np.insert(ids, places, np.stack(behind, axis=1).ravel()) if behind else ids
    return TokenBatch.from_counts(values, counts + len(behind))


def one_each_event(tokens: TokenBatch, digit: Ints, name: str) -> Ints:
    """The digit of the one token of each event that has it (is not -1), shape (n_events,).

    Raises
    ------
    TokenError
        if an event has none, or more than one.
    """
    is_it = digit >= 0
    if not np.array_equal(tokens.owner[is_it], np.arange(len(tokens))):
        raise TokenError(f"every event must hold exactly one {name} token to be decoded")
    return digit[is_it]


def digit_table(*blocks: Ints) -> Ints:
    """Digits of ids of several kinds, each block (n_ids, n_digits), -1 where an id has none.

    Examples
    --------
    >>> digit_table(np.array([[0, 0], [0, 1]]), np.array([[0]])).tolist()
    [[0, 0, -1], [0, 1, -1], [-1, -1, 0]]
    """
    shape = np.sum([block.shape for block in blocks], axis=0)
    table = np.full(shape, -1, dtype=np.int64)
    row = column = 0
    for block in blocks:
        table[row : row + len(block), column : column + block.shape[1]] = block
        row, column = row + len(block), column + block.shape[1]
    return table

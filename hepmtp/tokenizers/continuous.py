"""Continuous inputs: the ids of another tokenizer as targets, with each particle's plain features.

The rule: a token's features tell of itself alone, so that hiding a token hides all that it says. A
particle's row holds the columns of :data:`hepmtp.events.features.PARTICLE_FEATURES`. That of a
MET token holds log(1 + MET), that of a METphi token sine and cosine of its phi. All other columns
are 0. Models with ``ModelOptions(inputs="continuous")`` read them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import awkward as ak
import numpy as np

from hepmtp import storage
from hepmtp.errors import TokenError, check_protocol, fitted
from hepmtp.events.features import MET_FEATURES, PARTICLE_FEATURES, met_features, particle_features
from hepmtp.events.ragged import Bools, Floats, Ints
from hepmtp.events.tokens import TokenBatch
from hepmtp.tokenizers import Tokenizer, load_tokenizer

#: Columns of the features of a token.
COLUMNS = (*PARTICLE_FEATURES, *MET_FEATURES)
#: Columns that are shifted and scaled to mean 0 and width 1. The others are sine and cosine, or 0
#: or 1.
STANDARDISED = ("log pt", "eta", "log energy", "log1p MET")


@dataclass(eq=False)
class ContinuousInputs:
    """A tokenizer whose batches bring features, float32, shape (n_tokens, 15) (arXiv:2512.04149).

    Parameters
    ----------
    tokenizer
        gives the ids: one for each particle in the order of the event, then MET and METphi if it
        has such tokens.

    Attributes
    ----------
    mean_, scale_
        mean and standard deviation of each column in the training background; 0 and 1 where it is
        left as it is.

    Examples
    --------
    >>> from hepmtp.tokenizers.lookup import LookupTokenizer
    >>> ContinuousInputs(LookupTokenizer()).vocab_size, len(COLUMNS)
    (885, 15)
    """

    tokenizer: Tokenizer
    mean_: Floats | None = field(default=None, init=False, repr=False)
    scale_: Floats | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        check_protocol(self.tokenizer, Tokenizer)

    @property
    def vocab_size(self) -> int:
        """Number of ids."""
        return self.tokenizer.vocab_size

    @property
    def factors(self) -> tuple[tuple[str, int], ...]:
        """Names and sizes of an id's digits."""
        return self.tokenizer.factors

    @property
    def digits(self) -> Ints:
        """Digit of each id for each factor, -1 where it has none: (vocab_size, n_factors)."""
        return self.tokenizer.digits

    @property
    def supervised(self) -> bool:
        """Whether signal is used in the training of the tokenizer."""
        return self.tokenizer.supervised

    def fit(self, events: ak.Array) -> Self:
        """Fit the tokenizer, and mean and width of the features, on background training events.

        Raises
        ------
        TrainingError
            if the events are not background, or what the tokenizer says.
        """
        self.tokenizer.fit(events)
        self.mean_, self.scale_ = np.zeros(len(COLUMNS)), np.ones(len(COLUMNS))
        parts = dict(
            zip(COLUMNS, [*particle_features(events).T, *met_features(events).T], strict=True)
        )
        for name in STANDARDISED:
            values = parts[name].astype(np.float64)
            column = COLUMNS.index(name)
            self.mean_[column], self.scale_[column] = values.mean(), values.std() or 1.0
        return self

    def encode(self, events: ak.Array) -> TokenBatch:
        """Ids of the tokenizer and features of each token.

        Raises
        ------
        TokenError
            if the tokenizer does not give one token for each particle.
        """
        mean, scale = fitted(self.mean_, self), fitted(self.scale_, self)
        tokens = self.tokenizer.encode(events)
        met, met_phi = (self._has(tokens, name) for name in ("MET", "METphi"))
        particle = ~(met | met_phi)
        found = np.bincount(tokens.owner[particle], minlength=len(tokens))
        counts = ak.to_numpy(ak.num(events.Particle))
        if not np.array_equal(found, counts):
            raise TokenError(
                f"{type(self.tokenizer).__name__} gives {found.sum()} tokens for {counts.sum()} "
                "particles: continuous inputs need one for each particle"
            )
        features = np.zeros((len(tokens.values), len(COLUMNS)))
        n = len(PARTICLE_FEATURES)
        of_met = met_features(events)
        for rows, columns, values in (
            (particle, slice(0, n), particle_features(events)),
            (met, slice(n, n + 1), of_met[tokens.owner[met], :1]),
            (met_phi, slice(n + 1, n + 3), of_met[tokens.owner[met_phi], 1:]),
        ):
            features[rows, columns] = (values - mean[columns]) / scale[columns]
        return TokenBatch(tokens.values, tokens.offsets, features.astype(np.float32))

    def decode(self, tokens: TokenBatch) -> ak.Array:
        """Events that encode to the same ids, as the tokenizer decodes them, without features."""
        return self.tokenizer.decode(tokens)

    def save(self, path: str | Path) -> None:
        """Write means, widths and the tokenizer to a folder."""
        arrays = {"mean": fitted(self.mean_, self), "scale": fitted(self.scale_, self)}
        with storage.new_folder(path) as folder:
            storage.write(folder, storage.kind_of(self), {}, arrays)
            self.tokenizer.save(folder / "tokenizer")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote."""
        _, arrays = storage.read(path, storage.kind_of(cls))
        inputs = cls(load_tokenizer(Path(path) / "tokenizer"))
        inputs.mean_, inputs.scale_ = arrays["mean"], arrays["scale"]
        return inputs

    def _has(self, tokens: TokenBatch, factor: str) -> Bools:
        """Which tokens have a digit of this factor, shape (n_tokens,)."""
        names = [name for name, _ in self.factors]
        if factor not in names:
            return np.zeros(len(tokens.values), dtype=bool)
        return np.asarray(self.digits[tokens.values, names.index(factor)] >= 0)

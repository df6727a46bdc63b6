"""Token rarity: how seldom an event's tokens are in background, each token for itself.

The rule: it knows no relation between particles. What a transformer adds is what it scores above
this.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import awkward as ak
import numpy as np

from hepmtp import storage
from hepmtp.detectors import (
    BaseDetector,
    axis_from,
    plain_axis,
    score_axis,
    training_events,
)
from hepmtp.errors import NotFittedError, check_protocol, fitted
from hepmtp.events.ragged import Floats
from hepmtp.events.split import trained_by
from hepmtp.tokenizers import Tokenizer, load_tokenizer
from hepmtp.tokenizers.lookup import LookupTokenizer


@dataclass(eq=False)
class TokenRarity(BaseDetector):
    """Mean of -log f over an event's tokens, f being a token's frequency in background.

    Frequencies are (count + 1/2) / (all + vocab_size / 2), so that a token never seen is rare and
    not infinitely so (Krichevsky and Trofimov, IEEE Trans. Inf. Th. 27 (1981) 199). An event
    without tokens scores 0.

    Parameters
    ----------
    tokenizer
        default: `LookupTokenizer`. It is fitted with the detector unless it is fitted already, such
        as that of a masked-token detector: both then read the same tokens.
    """

    tokenizer: Tokenizer = field(default_factory=LookupTokenizer)
    name: str = "token_rarity"
    rarity_: Floats | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        check_protocol(self.tokenizer, Tokenizer)

    @property
    def description(self) -> str:
        """What the score is, in a sentence."""
        return (
            "Mean of -log of each token's frequency in background: rare tokens, each taken for "
            "itself."
        )

    @property
    def supervised(self) -> bool:
        """Whether signal is used in the training of the tokenizer."""
        return self.tokenizer.supervised

    def fit(self, events: ak.Array) -> Self:
        """Count tokens in the training part of background events."""
        training, self.trained_ = training_events(events), trained_by(events)
        try:
            tokens = self.tokenizer.encode(training)
        except NotFittedError:
            tokens = self.tokenizer.fit(training).encode(training)
        counts = np.bincount(tokens.values, minlength=self.tokenizer.vocab_size) + 0.5
        self.rarity_ = -np.log(counts / counts.sum())
        self.axis_ = score_axis(self.score(training), label="mean token rarity")
        self.describe(training)
        return self

    def score(self, events: ak.Array) -> Floats:
        """Mean rarity of each event's tokens, shape (n_events,)."""
        rarity, tokens = fitted(self.rarity_, self), self.tokenizer.encode(self._entering(events))
        total = np.bincount(tokens.owner, rarity[tokens.values], minlength=len(tokens))
        return np.asarray(total / np.maximum(tokens.counts, 1))

    def save(self, path: str | Path) -> None:
        """Write rarities, axis and tokenizer to a folder."""
        meta = {"name": self.name, "axis": plain_axis(self.axis)}
        arrays = {"rarity": fitted(self.rarity_, self)}
        with storage.new_folder(path) as folder:
            self._write(folder, meta, arrays)
            self.tokenizer.save(folder / "tokenizer")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote."""
        meta, arrays = storage.read(path, storage.kind_of(cls))
        detector = cls(load_tokenizer(Path(path) / "tokenizer"), name=meta["name"])
        detector.rarity_, detector.axis_ = arrays["rarity"], axis_from(meta["axis"])
        detector._recall(meta)
        return detector

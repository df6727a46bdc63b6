"""Token rarity: how seldom an event's tokens are in background, each token for itself.

The rule: it knows no relation between particles; what a transformer adds is what it scores above this.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import awkward as ak
import numpy as np
from hist.axis import Regular
from numpy.typing import NDArray

from hepmtp import storage
from hepmtp.detectors import axis_from, plain_axis, score_axis, training_events
from hepmtp.errors import NotFittedError
from hepmtp.tokenizers import Tokenizer, load_tokenizer
from hepmtp.tokenizers.lookup import LookupTokenizer


@dataclass(eq=False)
class TokenRarity:
    """Mean of -log f over an event's tokens, f being a token's frequency in background training events.

    Frequencies are (count + 1/2) / (all + vocab_size / 2) (Krichevsky and Trofimov, IEEE Trans. Inf. Th. 27 (1981) 199), so
    that a token never seen is rare and not infinitely so. An event without tokens scores 0.

    Parameters
    ----------
    tokenizer
        default: `LookupTokenizer`; fitted together with the detector unless it is fitted already, such as that of a
        masked-token detector: both then read the same tokens.
    """

    tokenizer: Tokenizer = field(default_factory=LookupTokenizer)
    name: str = "token_rarity"
    rarity_: NDArray[np.float64] | None = field(default=None, init=False, repr=False)
    axis_: Regular | None = field(default=None, init=False, repr=False)

    @property
    def description(self) -> str:
        """What the score is, in a sentence."""
        return "Mean of -log of each token's frequency in background: rare tokens, each taken for itself."

    @property
    def axis(self) -> Regular:
        """Axis of the score."""
        if self.axis_ is None:
            raise NotFittedError(
                "this TokenRarity has no axis yet: call fit(background events) first"
            )
        return self.axis_

    def fit(self, events: ak.Array) -> Self:
        """Count tokens in the training part of background events."""
        training = training_events(events)
        try:
            tokens = self.tokenizer.encode(training)
        except NotFittedError:
            tokens = self.tokenizer.fit(training).encode(training)
        counts = np.bincount(tokens.values, minlength=self.tokenizer.vocab_size) + 0.5
        self.rarity_ = -np.log(counts / counts.sum())
        self.axis_ = score_axis(self.score(training), label="mean token rarity")
        return self

    def score(self, events: ak.Array) -> NDArray[np.float64]:
        """Mean rarity of each event's tokens, shape (n_events,)."""
        if self.rarity_ is None:
            raise NotFittedError(
                "this TokenRarity is not fitted yet: call fit(background events) first"
            )
        tokens = self.tokenizer.encode(events)
        total = np.bincount(tokens.owner, self.rarity_[tokens.values], minlength=len(tokens))
        return np.asarray(total / np.maximum(tokens.counts, 1))

    def save(self, path: str | Path) -> None:
        """Write rarities, axis and tokenizer to a folder."""
        axis = plain_axis(self.axis)
        assert self.rarity_ is not None
        with storage.new_folder(path) as folder:
            storage.write(
                folder,
                storage.kind_of(self),
                {"name": self.name, "axis": axis},
                {"rarity": self.rarity_},
            )
            self.tokenizer.save(folder / "tokenizer")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote."""
        meta, arrays = storage.read(path, storage.kind_of(cls))
        detector = cls(load_tokenizer(Path(path) / "tokenizer"), name=meta["name"])
        detector.rarity_, detector.axis_ = arrays["rarity"], axis_from(meta["axis"])
        return detector

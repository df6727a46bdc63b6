"""How large the studies of jets are: shapes, jets, draws and grids.

The rule: a quick study has the same steps as a full one, but its numbers say nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hepmtp.models.autoregressive_options import AutoregressiveOptions
from hepmtp.tokenizers.constituents import ConstituentTokenizer
from hepmtp.training.classify_jets import JetClassifierTraining
from hepmtp.training.next_token import NextTokenOptions

#: The table of the published hyper-parameters: one value of each makes a model.
GRID: dict[str, tuple[Any, ...]] = {
    "dropout": (0.0, 0.1),
    "learning_rate": (1e-3, 5e-4),
    "width": (128, 256),
    "layers": (4, 8),
    "heads": (2, 4),
}
#: Bins that lose information, by name; the first are the published ones.
BINS: dict[str, dict[str, Any]] = {
    "40/30/30": {},
    "20/15/15": {"pt_edges": 20, "eta_edges": 15, "phi_edges": 15},
    "80/60/60": {"pt_edges": 80, "eta_edges": 60, "phi_edges": 60},
    "40/30/30, equal population": {"spacing": "equal_population"},
    "40/30/30, rapidity": {"angle": "rapidity"},
}


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Sizes of all studies.

    Parameters
    ----------
    shape, training, classifier
        of each language model and classifier.
    bins
        arguments of the tokenizer.
    jets, judged
        at most so many jets of each data set, and so many of its analysis part; None: all.
    made
        jets that are drawn from a model.
    lengths
        leading constituents that train, of the study of extrapolation.
    labels
        of each class; None: all that there are.
    draws
        of the labels.
    top_jets, steps
        numbers of jets that a language model is transferred to, and steps of each such training.
    grid
        name -> values of the hyper-parameters.
    """

    shape: AutoregressiveOptions = field(default_factory=AutoregressiveOptions)
    training: NextTokenOptions = field(default_factory=NextTokenOptions)
    classifier: JetClassifierTraining = field(default_factory=JetClassifierTraining)
    bins: dict[str, Any] = field(default_factory=dict)
    jets: int | None = None
    judged: int | None = None
    made: int = 20_000
    lengths: tuple[int, ...] = (10, 20, 30, 40, 50, 70, 100)
    labels: tuple[int | None, ...] = (50, 200, 1000, None)
    draws: int = 5
    top_jets: tuple[int | None, ...] = (500, 2000, None)
    steps: int = 1000
    grid: dict[str, tuple[Any, ...]] = field(default_factory=lambda: dict(GRID))

    def tokenizer(self) -> ConstituentTokenizer:
        """A tokenizer that is not fitted yet."""
        return ConstituentTokenizer(**self.bins)


FULL = Scale()
#: Minutes, not hours.
QUICK = Scale(
    shape=AutoregressiveOptions(width=32, layers=2, heads=2, feedforward=64),
    training=NextTokenOptions(epochs=2, learning_rate=3e-3),
    classifier=JetClassifierTraining(epochs=3, steps=60),
    jets=2500,
    judged=600,
    made=500,
    lengths=(10, 40),
    labels=(50, 200),
    draws=2,
    top_jets=(500, None),
    steps=30,
    grid={"dropout": (0.0, 0.1), "width": (32, 64), "layers": (2,), "heads": (2,)},
)

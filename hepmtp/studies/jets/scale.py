"""How large the studies of jets are: shapes, jets, draws and grids.

The rule: a quick study has the same steps as a full one, but its numbers say nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

from hepmtp.errors import OptionError
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

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            sizes = value if isinstance(value, tuple) else (value,)
            if value == () or any(isinstance(n, int) and n < 1 for n in sizes):
                raise OptionError(f"{one.name} of a study must be 1 or more, found {value}")

    def tokenizer(self) -> ConstituentTokenizer:
        """A tokenizer that is not fitted yet."""
        return ConstituentTokenizer(**self.bins)

    def resized(self, words: Iterable[str]) -> Scale:
        """The same with some sizes replaced.

        Parameters
        ----------
        words
            ``NAME=VALUE``; several values have commas between them, and "all" is None. Names of
            parts have a dot: ``classifier.epochs=4``, ``grid.width=64,128``.

        Raises
        ------
        OptionError
            for a name that is unknown or given twice, or a value that does not fit.

        Examples
        --------
        >>> small = Scale().resized(["judged=4000", "labels=50,all", "training.epochs=2"])
        >>> small.judged, small.labels, small.training.epochs
        (4000, (50, None), 2)
        """
        found = self
        for path, value in self._parsed(words).items():
            name, _, rest = path.partition(".")
            old = getattr(found, name)
            new: Any = value
            if name == "grid":
                new = {**old, rest: value}
            elif rest:
                new = replace(old, **{rest: value})
            found = replace(found, **{name: new})
        return found

    def _parsed(self, words: Iterable[str]) -> dict[str, Any]:
        """Values of these sizes, checked."""
        found: dict[str, Any] = {}
        sizes = _sizes(self)
        for word in words:
            name, equals, text = word.partition("=")
            if not equals or not text:
                raise OptionError(f"{word!r} is no size: expected NAME=VALUE, as judged=4000")
            if name not in sizes:
                raise OptionError(f"a study has no size {name!r}; there are {', '.join(sizes)}")
            if name in found:
                raise OptionError(f"the size {name} is given twice: keep one")
            several = isinstance(sizes[name], tuple)
            values = [_number(word, one, sizes[name]) for one in text.split(",")]
            if len(values) > 1 and not several:
                raise OptionError(f"{word}: {name} is one number")
            found[name] = tuple(values) if several else values[0]
        return found


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


#: Options of the loop that are no sizes.
_NO_SIZES = ("seed", "threads")


def _sizes(scale: Scale) -> dict[str, Any]:
    """Name -> value of all that is a number, several, or None for "all"."""
    found: dict[str, Any] = {}
    for one in fields(scale):
        value = getattr(scale, one.name)
        if is_dataclass(value):
            parts = {each.name: getattr(value, each.name) for each in fields(value)}
        else:
            parts = value if isinstance(value, dict) else {"": value}
        found |= {f"{one.name}.{key}".rstrip("."): each for key, each in parts.items()}
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, int | float | tuple | None)
        and not isinstance(value, bool)
        and name.partition(".")[2] not in _NO_SIZES
    }


def _number(word: str, text: str, old: Any) -> int | float | None:
    """A value as those that it replaces; "all" where there may be no number."""
    like = old if isinstance(old, tuple) else (old,)
    if text == "all" and None in like:
        return None
    kind = float if any(isinstance(one, float) for one in like) else int
    with contextlib.suppress(ValueError):
        return kind(text)
    kinds = f"{'a' if kind is float else 'a whole'} number{' or all' if None in like else ''}"
    raise OptionError(f"{word}: {text!r} was found where {kinds} is expected")

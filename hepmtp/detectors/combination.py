"""Several detectors combined into one by their background ranks.

The rule: a score counts by its rank among those of background training events, or by the share of
them beyond it, so that no detector's unit matters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self, get_args

import awkward as ak
import numpy as np

from hepmtp import storage
from hepmtp.detectors import (
    BaseDetector,
    Detector,
    axis_from,
    in_fold,
    is_fitted,
    load_detector,
    plain_axis,
    score_axis,
    trained_on,
    training_events,
)
from hepmtp.errors import OptionError, StorageError, check_protocol, fitted
from hepmtp.events.folds import Fold
from hepmtp.events.ragged import Floats
from hepmtp.events.split import joined, trained_by
from hepmtp.statistics.fisher import TailCombination

Rule = Literal["and", "or", "prod", "avg", "fisher"]

#: Training events between two points of the map from scores to ranks.
EVENTS_PER_POINT = 10

#: What each rule says about an event.
MEANINGS: dict[Rule, str] = {
    "and": "strange only if it is so for all of them (smallest rank)",
    "or": "strange if it is so for one of them (largest rank)",
    "prod": "strange by the product of the ranks",
    "avg": "strange by the mean of the ranks",
    "fisher": "strange by the product of the shares of background beyond it (Fisher's method)",
}


@dataclass(eq=False)
class Combination(BaseDetector):
    """AND, OR, PROD, AVG (arXiv:2105.14027, arXiv:2406.18469) or Fisher's method of detectors.

    Each member's score goes to its rank r in (0, 1) within background training events, with
    straight lines between ranks. Beyond the outermost of them r goes on towards 0 or 1 without
    reaching it, so that stranger events never tie.

    Parameters
    ----------
    members
        at least two detectors of different names; those not fitted yet are fitted with the
        combination.
    rule
        ``"and"``: smallest rank, ``"or"``: largest, ``"prod"``: product, ``"avg"``: mean,
        ``"fisher"``: :class:`hepmtp.statistics.fisher.TailCombination` of the scores. A member with
        a method ``parts``, whose score is such a combination itself, brings its parts instead.
    called
        its name; by default made of those of the members.

    Attributes
    ----------
    ranks_
        for each member, (score, rank), both rising, shape (2, n_points); none of Fisher's method.
    tails_
        those of Fisher's method.
    """

    members: Sequence[Detector]
    rule: Rule = "and"
    called: str = ""
    ranks_: tuple[Floats, ...] = field(default=(), init=False, repr=False)
    spread_: Floats | None = field(default=None, init=False, repr=False)
    tails_: TailCombination | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.rule not in get_args(Rule):
            raise OptionError(
                f"rule must be one of {', '.join(get_args(Rule))}, found {self.rule!r}"
            )
        for member in self.members:
            check_protocol(member, Detector)
        names = [member.name for member in self.members]
        if len(names) < 2 or len(set(names)) < len(names):
            raise OptionError(
                f"a combination needs two or more detectors of different names, found {names}"
            )

    @property
    def name(self) -> str:
        """What it is called, or the members' names with the rule between them: ``flow_and_vae``."""
        return self.called or f"_{self.rule}_".join(member.name for member in self.members)

    @property
    def description(self) -> str:
        """What the score is, in a sentence."""
        names = ", ".join(member.name for member in self.members)
        return f"Background ranks of {names} combined: an event is {MEANINGS[self.rule]}."

    @property
    def n_parameters(self) -> int:
        """Trainable parameters of all members."""
        return sum(member.n_parameters for member in self.members)

    @property
    def supervised(self) -> bool:
        """Whether signal is used in the training of a member."""
        return any(member.supervised for member in self.members)

    def fit(self, events: ak.Array) -> Self:
        """Fit the members that are not fitted yet, and the ranks of all, on background events."""
        training = training_events(events)
        before = trained_on(member for member in self.members if is_fitted(member))
        self.trained_ = None if before is None else joined([*before, *trained_by(events)])
        for member in self.members:
            if not is_fitted(member):
                member.fit(events)
        scores = self._scores(training)
        if self.rule == "fisher":
            self.tails_ = TailCombination().fit(scores)
        else:
            spread = scores.std(axis=0)
            self.ranks_ = tuple(background_ranks(column) for column in scores.T)
            self.spread_ = np.where(spread > 0, spread, 1.0)
        fisher = self.called or "Fisher's combination"
        label = fisher if self.rule == "fisher" else f"{self.rule.upper()} of ranks"
        self.axis_ = score_axis(self._combined(scores), label=label)
        self.describe(training)
        return self

    def in_fold(self, fold: Fold) -> Self:
        """The combination of what the members are for this fold."""
        return replace(self, members=[in_fold(member, fold) for member in self.members])

    def score(self, events: ak.Array) -> Floats:
        """Combined rank of each event, in (0, 1), shape (n_events,); Fisher's is above 0."""
        return self._combined(self._scores(events))

    def save(self, path: str | Path) -> None:
        """Write ranks and axis to a folder, and each member to a folder within it."""
        meta = {
            "rule": self.rule,
            "called": self.called,
            "members": len(self.members),
            "axis": plain_axis(self.axis),
        }
        if self.rule == "fisher":
            tails = fitted(self.tails_, self).arrays()
            arrays = {f"tails.{name}": one for name, one in tails.items()}
        else:
            arrays = {f"ranks.{i}": ranks for i, ranks in enumerate(self.ranks_)}
            arrays["spread"] = fitted(self.spread_, self)
        with storage.new_folder(path) as folder:
            self._write(folder, meta, arrays)
            for i, member in enumerate(self.members):
                member.save(folder / f"member{i}")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote."""
        meta, arrays = storage.read(path, storage.kind_of(cls))
        members = [load_detector(Path(path) / f"member{i}") for i in range(meta["members"])]
        combination = cls(members, meta["rule"], meta.get("called", ""))
        if combination.rule == "fisher":
            tails = {name[6:]: one for name, one in arrays.items() if name.startswith("tails.")}
            if not tails:
                raise StorageError(
                    f"{path}: Fisher's combination was saved without its tails, by an earlier "
                    "version: train it again"
                )
            combination.tails_ = TailCombination.from_arrays(tails)
        else:
            combination.ranks_ = tuple(arrays[f"ranks.{i}"] for i in range(len(members)))
            combination.spread_ = arrays["spread"]
        combination.axis_ = axis_from(meta["axis"])
        combination._recall(meta)
        return combination

    def _scores(self, events: ak.Array) -> Floats:
        """Scores of the members, or their parts, shape (n_events, n_columns)."""
        return np.concatenate([self._columns(one, events) for one in self.members], axis=1)

    def _columns(self, member: Detector, events: ak.Array) -> Floats:
        parts: Callable[[ak.Array], Floats] | None = getattr(member, "parts", None)
        if self.rule == "fisher" and parts is not None:
            return parts(events)
        return member.score(events)[:, None]

    def _combined(self, scores: Floats) -> Floats:
        if self.rule == "fisher":
            return fitted(self.tails_, self).score(scores)
        columns = zip(scores.T, self.ranks_, fitted(self.spread_, self), strict=True)
        r = np.stack([_rank(column, points, spread) for column, points, spread in columns])
        combine: dict[Rule, Callable[..., Any]] = {
            "and": np.min,
            "or": np.max,
            "prod": np.prod,
            "avg": np.mean,
        }
        return np.asarray(combine[self.rule](r, axis=0), dtype=np.float64)


def background_ranks(values: Floats) -> Floats:
    """Distinct scores of background training events and the middle of their ranks: (2, n_points).

    Both rise. Of scores that one or two events tell apart every tenth event's is kept, so that
    rounding does not show in a rank; the smallest and the largest always are.

    Examples
    --------
    >>> background_ranks(np.array([3.0, 1.0, 1.0, 2.0])).tolist()
    [[1.0, 3.0], [0.25, 0.875]]
    """
    distinct, counts = np.unique(values, return_counts=True)
    upto = np.cumsum(counts)
    keep = np.diff(upto // EVENTS_PER_POINT, prepend=0) > 0
    keep[[0, -1]] = True
    return np.stack([distinct[keep], ((upto - counts / 2) / len(values))[keep]])


def _rank(scores: Floats, points: Floats, spread: float) -> Floats:
    """Rank of scores in background.

    Beyond its ends the distance from 0 or 1 falls as 1 / (1 + distance / spread).
    """
    values, ranks = points
    below, above = np.maximum(values[0] - scores, 0.0), np.maximum(scores - values[-1], 0.0)
    r = np.interp(scores, values, ranks)
    r = np.where(below > 0, ranks[0] / (1 + below / spread), r)
    return np.asarray(np.where(above > 0, 1 - (1 - ranks[-1]) / (1 + above / spread), r))

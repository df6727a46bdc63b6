"""Cross-fitting: one detector trained several times, so that all events can be analysed.

The rule: each training leaves out another fold of the events, and an event is scored by the one
that has not seen it. Nothing is left to split, and no weight is scaled up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, cast

import awkward as ak
import numpy as np
from hist.axis import Regular

from hepmtp import storage
from hepmtp.detectors import BaseDetector, Detector, axis_from, in_fold, load_detector, plain_axis
from hepmtp.detectors.fold_scales import fold_scales, joint_axis
from hepmtp.detectors.unseen_folds import check_unfitted, left_out
from hepmtp.errors import OptionError, StorageError, check_protocol, fitted
from hepmtp.events.entering import as_events
from hepmtp.events.folds import Fold, fold_of, folds, never_trains, with_fold
from hepmtp.events.ragged import Floats
from hepmtp.events.split import Trained, check_background, check_names, in_one_order, trained_by


@dataclass(eq=False)
class CrossFitted(BaseDetector):
    """A detector that was trained once for each fold, on all events outside of it.

    An event's fold (:func:`hepmtp.events.folds.fold_of`) says which training scores it. Signals and
    files that trained nothing go the same way, so that each event has one score for ever.

    Trainings differ in the scale of their scores. A factor and a shift bring each to the scale of
    the first: mean and standard deviation are then the same. They come from background events that
    neither of the two has learned from, and that are in neither's fold.

    Parameters
    ----------
    detector
        what is trained, not fitted.
    folds
        how many trainings; at least 3.

    Attributes
    ----------
    members_
        the fitted detectors, that of fold 0 first.
    scales_
        name of each form of the score -> factor and shift of each member, shape (folds, 2).
    axes_
        name of each form -> its axis, over the ranges of all members.
    seen_
        what each member was given to train on (:class:`hepmtp.events.split.Trained`).
    trained_
        empty: no event is scored by what has trained on it, so that none is left out.

    Examples
    --------
    >>> from hepmtp.detectors.observables import Observable
    >>> CrossFitted(Observable("ht"), folds=2)
    Traceback (most recent call last):
    hepmtp.errors.OptionError: cross-fitting needs 3 folds or more, found 2: ...
    """

    detector: Detector
    folds: int = 5
    members_: tuple[Detector, ...] = field(default=(), init=False, repr=False)
    seen_: tuple[tuple[Trained, ...], ...] = field(default=(), init=False, repr=False)
    scales_: dict[str, Floats] = field(default_factory=dict, init=False, repr=False)
    axes_: dict[str, Regular] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        check_protocol(self.detector, Detector)
        folds(self.folds)

    @classmethod
    def of(cls, members: Sequence[Detector], events: ak.Array) -> Self:
        """A detector of members that are fitted, that of fold 0 first.

        Parameters
        ----------
        members
            each fitted on events of :func:`hepmtp.events.folds.with_fold`.
        events
            background, shape (n_events,), on which their scores are made comparable.

        Raises
        ------
        TrainingError
            if a member has trained on events of its own fold, does not know on which, or if there
            are too few events.
        """
        made = cls(members[0], len(members))
        made._take(members, [getattr(one, "trained_", None) for one in members], events)
        return made

    @property
    def name(self) -> str:
        """That of the members."""
        return self._one.name

    @property
    def description(self) -> str:
        """What the score is, in a sentence, and how it was made."""
        return (
            f"{self._one.description} Cross-fitted: of {self.folds} trainings, the one that has "
            "not seen an event scores it."
        )

    @property
    def axis(self) -> Regular:
        """Axis of this form of the score."""
        return fitted(self.axes_.get(self.name), self)

    @property
    def forms(self) -> tuple[str, ...]:
        """The forms that the members' score can have."""
        return self._one.forms

    @property
    def n_parameters(self) -> int:
        """Trainable parameters of one training."""
        return self._one.n_parameters

    @property
    def supervised(self) -> bool:
        """Whether signal is used in the training of the members."""
        return self._one.supervised

    def with_score(self, form: str) -> Self:
        """The same trainings with another form of the score."""
        other = type(self)(self.detector.with_score(form), self.folds)
        other.members_ = tuple(one.with_score(form) for one in self.members_)
        for name in ("seen_", "scales_", "axes_", "trained_", "card_"):
            setattr(other, name, getattr(self, name))
        return other

    def in_fold(self, fold: Fold) -> Detector:
        """The member that leaves this fold out; not fitted if this is not."""
        if not self.members_:
            return in_fold(self.detector, fold)
        if fold.of != self.folds:
            raise OptionError(
                f"{self.name} is cross-fitted with {self.folds} folds, asked for one of {fold.of}"
            )
        return self.members_[fold.number]

    def fit(self, events: ak.Array, **watch: Any) -> Self:
        """Train on background events, shape (n_events,), once for each fold.

        `watch` is that of the detector's own ``fit``; each training has a folder of its own in
        ``checkpoint``.
        """
        check_unfitted(self.detector, events)
        members, seen = [], []
        for fold in folds(self.folds):
            options = dict(watch)
            if options.get("checkpoint") is not None:
                options["checkpoint"] = checkpoint_of(options["checkpoint"], fold)
            given = with_fold(events, fold)
            members.append(in_fold(self.detector, fold).fit(given, **options))
            # one that keeps no memory keeps the protocol: it fits on the parts that may train
            known = getattr(members[-1], "trained_", None)
            seen.append(trained_by(given) if known is None else known)
        self._take(members, seen, events)
        return self

    def score(self, events: ak.Array) -> Floats:
        """Score of each event by the training that left it out, shape (n_events,)."""
        scales = fitted(self.scales_.get(self.name), self)
        events = self._entering(events)
        fold, scores = fold_of(events, self.folds), np.empty(len(events))
        for index, (member, (factor, shift)) in enumerate(zip(self.members_, scales, strict=True)):
            mine = fold == index
            if mine.any():
                scores[mine] = member.score(events[mine]) * factor + shift
        return scores

    @property
    def replicas(self) -> Callable[[ak.Array], Floats] | None:
        """Scores by each replica of calibrated members, (n_replicas, n_events); None for others."""
        return self._replicas if hasattr(self._one, "replicas") else None

    def _replicas(self, events: ak.Array) -> Floats:
        events = self._entering(events)
        fold, members = fold_of(events, self.folds), cast("tuple[Any, ...]", self.members_)
        found = np.empty((len(members[0].replicas(events[:0])), len(events)))
        for index, member in enumerate(members):
            mine = fold == index
            if mine.any():
                found[:, mine] = member.replicas(events[mine])
        return found

    def save(self, path: str | Path) -> None:
        """Write scales and axes to a folder, and each member to a folder within it."""
        _ = self.axis
        axes = {name: plain_axis(axis) for name, axis in self.axes_.items()}
        with storage.new_folder(path) as folder:
            places = _places(folder, self.folds)
            for place, member in zip(places, self.members_, strict=True):
                member.save(place)
            digests = [storage.digest(place) for place in places]
            meta = {"members": digests, "seen": self.seen_, "axes": axes}
            self._write(folder, meta, self.scales_)
        # as they were saved: worker processes open them where they are now
        opened = tuple(load_detector(place) for place in _places(path, self.folds))
        if self.detector is self.members_[0]:
            self.detector = opened[0]
        self.members_ = opened

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote."""
        meta, arrays = storage.read(path, storage.kind_of(cls))
        places = _places(path, len(meta["members"]))
        members = tuple(load_detector(place) for place in places)
        if [storage.digest(place) for place in places] != meta["members"]:
            raise StorageError(f"{path} has changed since it was saved: a member is another one")
        detector = cls(members[0], len(members))
        detector._recall(meta)
        detector.members_, detector.trained_, detector.scales_ = members, (), arrays
        detector.seen_ = tuple(tuple(Trained(*span) for span in one) for one in meta["seen"])
        detector.axes_ = {name: axis_from(plain) for name, plain in meta["axes"].items()}
        return detector

    def _entering(self, events: ak.Array) -> ak.Array:
        """The events, of which it can be told which member has seen them."""
        events = as_events(events)
        check_names(events, [span for one in self.seen_ for span in one])
        return events

    @property
    def _one(self) -> Detector:
        return self.members_[0] if self.members_ else self.detector

    def _take(
        self,
        members: Sequence[Detector],
        seen: Sequence[tuple[Trained, ...] | None],
        events: ak.Array,
    ) -> None:
        """Check that no member knows its own fold, and make their scores comparable."""
        check_background(events)
        self.seen_ = tuple(
            left_out(member.name, spans, fold)
            for fold, member, spans in zip(folds(self.folds), members, seen, strict=True)
        )
        self.members_, self.trained_, self.scales_, self.axes_ = tuple(members), (), {}, {}
        events = in_one_order(as_events(events))
        events = events[never_trains(events)]
        for form in dict.fromkeys(["", *self.forms]):
            ones = [one.with_score(form) if form else one for one in members]
            if ones[0].name not in self.scales_:
                self.scales_[ones[0].name] = scales = fold_scales(ones, events)
                self.axes_[ones[0].name] = joint_axis([one.axis for one in ones], scales)
        self.describe(events)


def checkpoint_of(folder: str | Path, fold: Fold) -> Path:
    """Where the training that leaves this fold out keeps its state."""
    return Path(folder) / f"fold{fold.number}of{fold.of}"


def _places(path: str | Path, n: int) -> list[Path]:
    """Where the members of a folder are."""
    return [Path(path) / f"member{index}" for index in range(n)]

"""`Calibrated`: a detector whose score is how rare another one's is among events that are alike.

The rule: for background its distribution does not depend on jets, b-jets, HT or leptons, so that a
control region predicts a signal region. What makes a signal strange by these alone is given up.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Self

import awkward as ak
import numpy as np
from hist.axis import Regular

from hepmtp import storage
from hepmtp.detectors import (
    BaseDetector,
    Detector,
    axis_from,
    in_fold,
    is_fitted,
    load_detector,
    plain_axis,
    trained_on,
    training_events,
)
from hepmtp.detectors.calibrated.quantile import (
    ConditionalTail,
    NormalScores,
    basis,
    check_enough,
    check_left,
    conditions,
)
from hepmtp.errors import OptionError, check_protocol, fitted
from hepmtp.events.folds import Fold, hashed, uniform
from hepmtp.events.ragged import Floats, Ints
from hepmtp.events.split import joined, trained_by

#: Bins and end of the axis: the shares 0.5, 0.1, 0.02 and 0.01 are edges to 0.3 %.
BINS, END = 80, 4.0
#: Stream of an event's random bits from which those of the replicas begin.
REPLICA = 1_000_000


@dataclass(eq=False)
class Calibrated(BaseDetector):
    r"""The score :math:`-\log_{10} p` with the background quantile p of another detector's score.

    p is the share of background, of the same number of jets, b-jets and leptons and the same HT,
    that is at least as strange (:mod:`hepmtp.detectors.calibrated.quantile`). So one background
    event in ten has a score above 1, whatever its region.

    Parameters
    ----------
    detector
        whose score is calibrated; one that is not fitted is fitted with it.
    bootstrap
        number of replicas: fits to resampled training events, whose spread is the statistical error
        of the calibration.
    most_events
        at most so many training events are scored for the fit, chosen at random.
    seed
        of the choice and of the replicas.

    Attributes
    ----------
    fits_
        the fit, and behind it the replicas; empty before `fit`.

    Notes
    -----
    Training events count with their weights, so these must be those of one luminosity. The score is
    a function of the event like any other, and needs no uncertainty when simulation predicts it.
    The replicas are the error of the statement that it is flat.

    Examples
    --------
    >>> from hepmtp.datasets.files import read
    >>> from hepmtp.datasets.manifest import embedded
    >>> from hepmtp.detectors.observables import Observable
    >>> background = read([one for one in embedded() if one.role == "background"], stop=500)
    >>> met = Calibrated(Observable("met"), bootstrap=2).fit(background)
    >>> met.name, met.score(background[:3]).shape, met.replicas(background[:3]).shape
    ('met_calibrated', (3,), (2, 3))
    """

    #: The score means the same in every training.
    absolute: ClassVar[bool] = True

    detector: Detector
    bootstrap: int = 20
    most_events: int = 100_000
    seed: int = 0
    fits_: tuple[ConditionalTail, ...] = field(default=(), init=False, repr=False)
    normal_: NormalScores | None = field(default=None, init=False, repr=False)
    range_: Floats | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        check_protocol(self.detector, Detector)
        for name, least in (("bootstrap", 0), ("most_events", 1)):
            if (value := getattr(self, name)) < least:
                raise OptionError(f"{name} is {value}, expected a whole number, {least} or more")

    @property
    def name(self) -> str:
        """The detector's name with ``_calibrated`` behind it."""
        return f"{self.detector.name}_calibrated"

    @property
    def description(self) -> str:
        """What the score is, in a sentence."""
        return (
            f"-log10 of the share of background with the same jets, b-jets, HT and leptons whose "
            f"{self.detector.name} is at least as large."
        )

    @property
    def n_parameters(self) -> int:
        """Trainable parameters of the detector."""
        return self.detector.n_parameters

    @property
    def supervised(self) -> bool:
        """Whether signal is used in the training of the detector."""
        return self.detector.supervised

    def fit(self, events: ak.Array) -> Self:
        """Fit on the training part of background events, shape (n_events,).

        Raises
        ------
        TrainingError
            for fewer than a hundred training events, weights whose sum is not positive, or a score
            that the conditions tell, as n_b is.
        """
        training = training_events(events)
        check_enough(ak.to_numpy(training.weight))
        if not is_fitted(self.detector):
            self.detector.fit(events)
        inner = trained_on([self.detector])
        self.trained_ = None if inner is None else joined([*inner, *trained_by(events)])
        rng = np.random.default_rng(self.seed)
        training = training[np.sort(rng.permutation(len(training))[: self.most_events])]
        weight = ak.to_numpy(training.weight).astype(np.float64)
        check_enough(weight)
        x, scores = conditions(training), self.detector.score(training)
        log_ht = x[:, -1]
        self.range_ = np.stack([x.min(axis=0), x.max(axis=0)])
        self.range_[:, -1] = np.quantile(log_ht, [0.001, 0.999])
        self.normal_ = NormalScores.fit(scores, weight)
        y, columns = self.normal_(scores), basis(np.clip(x, *self.range_))
        check_left(y, columns, weight, self.detector.name)
        streams = REPLICA + self.bootstrap * self.seed + np.arange(self.bootstrap)
        samples = [weight, *(weight * counts(training, int(one)) for one in streams)]
        self.fits_ = tuple(ConditionalTail.fit(y, columns, one) for one in samples)
        label = rf"$-\log_{{10}}\,p$ of {self.detector.axis.label} given jets, b, $H_T$, leptons"
        self.axis_ = Regular(BINS, 0.0, END, name="score", label=label)
        self.describe(training)
        return self

    def in_fold(self, fold: Fold) -> Self:
        """The calibration of what the detector is for this fold."""
        return replace(self, detector=in_fold(self.detector, fold))

    def score(self, events: ak.Array) -> Floats:
        """-log10 of the calibrated share of each event, 0 or more, shape (n_events,)."""
        return np.asarray(self._scores(events, self.fits_[:1])[0])

    def replicas(self, events: ak.Array) -> Floats:
        """The score by each replica, shape (n_replicas, n_events)."""
        return self._scores(events, self.fits_[1:])

    def save(self, path: str | Path) -> None:
        """Write fit, replicas and axis to a folder, and the detector to a folder within it."""
        meta = {
            "bootstrap": self.bootstrap,
            "most_events": self.most_events,
            "seed": self.seed,
            "axis": plain_axis(self.axis),
        }
        normal = fitted(self.normal_, self)
        arrays = {"range": fitted(self.range_, self)}
        arrays |= {"normal.values": normal.values, "normal.normal": normal.normal}
        for i, one in enumerate(self.fits_):
            arrays |= {f"{i}.{key}": value for key, value in one.arrays().items()}
        with storage.new_folder(path) as folder:
            self._write(folder, meta, arrays)
            self.detector.save(folder / "detector")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote."""
        meta, arrays = storage.read(path, storage.kind_of(cls))
        inner = load_detector(Path(path) / "detector")
        found = cls(inner, meta["bootstrap"], meta["most_events"], meta["seed"])
        found.range_ = arrays["range"]
        found.normal_ = NormalScores(arrays["normal.values"], arrays["normal.normal"])
        parts: list[dict[str, Floats]] = [{} for _ in range(1 + found.bootstrap)]
        for name, value in arrays.items():
            number, _, key = name.partition(".")
            if number.isdecimal():
                parts[int(number)][key] = value
        found.fits_ = tuple(map(ConditionalTail.from_arrays, parts))
        found.axis_ = axis_from(meta["axis"])
        found._recall(meta)
        return found

    def _scores(self, events: ak.Array, fits: tuple[ConditionalTail, ...]) -> Floats:
        """-log10 of the share by each of these fits, shape (n_fits, n_events)."""
        normal, limits = fitted(self.normal_, self), fitted(self.range_, self)
        events = self._entering(events)
        y = normal(self.detector.score(events))
        columns = basis(np.clip(conditions(events), *limits))
        found = [one(y, columns) for one in fits]
        return np.stack(found) if found else np.empty((0, len(y)))


def counts(events: ak.Array, stream: int) -> Ints:
    """How often a bootstrap takes each event, shape (n_events,): Poisson's law of mean 1.

    It is the event's own number, so that trainings with common events resample them alike.
    """
    probability = np.exp(-1.0) / np.cumprod([1.0, *range(1, 20)])
    found = np.searchsorted(np.cumsum(probability), uniform(hashed(events, stream)), side="right")
    return np.asarray(found, dtype=np.int64)

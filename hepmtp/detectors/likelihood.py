"""Likelihoods of jets under language models as scores: log p of one model, the ratio of two.

The rule: these are no anomaly scores. Log p is larger for what is *like* the model's data set, and
a ratio is told which of its two models is of signal: it is marked as supervised. It exaggerates
where the models are not exact (arXiv:2511.15779): set a direct classifier beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import awkward as ak

from hepmtp import storage
from hepmtp.detectors import BaseDetector, axis_from, plain_axis, score_axis, training_events
from hepmtp.detectors.language_scores import MOST, LanguageScore
from hepmtp.errors import OptionError, TrainingError, fitted
from hepmtp.events.ragged import Floats
from hepmtp.events.split import joined, trained_by
from hepmtp.events.tokens import TokenBatch
from hepmtp.jets.density import log_ratio
from hepmtp.jets.language_model import JetLanguageModel

#: So many jets are made for a model that was saved without any held-out ones.
_MADE = 400


@dataclass(eq=False)
class JetLogDensity(LanguageScore):
    """Log p of the tokens of a jet, under a language model of any data set.

    Parameters
    ----------
    model
        trained with the detector, if it is not yet.
    form
        "sum" of all terms, or "mean" per constituent and stop.
    """

    form: str = "sum"

    knows_signal = True

    @property
    def forms(self) -> tuple[str, ...]:
        """The forms that the score can have."""
        return ("sum", "mean")

    @property
    def name(self) -> str:
        """``log_p_QCD`` or ``log_p_per_term_QCD``, for a model of QCD."""
        return f"log_p_{'per_term_' * (self.form == 'mean')}{self.model.dataset_}"

    @property
    def description(self) -> str:
        """What the score is, in a sentence."""
        what = "per constituent and stop" if self.form == "mean" else "of the whole jet"
        return (
            f"log p {what} under a language model of {self.model.dataset_}: larger for what is "
            "like it, so no anomaly score."
        )

    @property
    def supervised(self) -> bool:
        """Whether the model has seen signal."""
        return self.model.supervised_

    def fit(self, events: ak.Array) -> Self:
        """Fit the axes on background jets, (n_jets,); they train the model, if it is not yet."""
        training = training_events(events)
        if self.model.model_ is None:
            self.model.fit(events)
        some = training[:: len(training) // MOST + 1]
        self._take(self.model.tokenizer.encode(some))
        self.trained_ = joined([*self.model.trained_, *trained_by(events)])
        self.describe(some)
        return self

    def fit_to_held_out(self) -> Self:
        """Fit the axes on held-out jets that the trained model has kept; there is no card then."""
        self._take(_held_out(self.model))
        self.trained_ = self.model.trained_
        return self

    def score(self, events: ak.Array) -> Floats:
        """Log p of each jet [nat], shape (n_jets,)."""
        fitted(self.axes_, self)
        found = self.model.density(self._entering(events))
        return found.log_p if self.form == "sum" else found.per_term

    def _take(self, jets: TokenBatch) -> None:
        self.card_ = self._saved = None
        self.axes_ = {}
        log_p = self.model.log_prob(jets).sum(axis=1)
        for form, values in (("sum", log_p), ("mean", log_p / (jets.counts + 1))):
            # strange jets lie below the others: there is the room for them
            down = score_axis(-values, label="")
            label = "$\\log p$ per term" if form == "mean" else "$\\log p$"
            low, high = -float(down.edges[-1]), -float(down.edges[0])
            self.axes_[form] = {"bins": down.size, "start": low, "stop": high, "label": label}


@dataclass(eq=False)
class JetRatioDetector(BaseDetector):
    """Log p of a jet under a model of signal, minus that under one of background: supervised.

    Parameters
    ----------
    signal
        a trained model, of any data set.
    background
        a model of background with the same bins; trained with the detector, if it is not yet.

    Raises
    ------
    OptionError
        for models of one data set, or of different bins.
    TrainingError
        if what it divides by is no model of background alone.
    """

    signal: JetLanguageModel
    background: JetLanguageModel
    _saved: tuple[str, str] | None = field(default=None, init=False, repr=False)

    knows_signal = True

    def __post_init__(self) -> None:
        if self.background.model_ is not None:
            self._check()

    @property
    def name(self) -> str:
        """``jet_ratio_top_QCD``, for models of top and QCD."""
        return f"jet_ratio_{self.signal.dataset_}_{self.background.dataset_}"

    @property
    def description(self) -> str:
        """What the score is, in a sentence."""
        return (
            f"log p under a language model of {self.signal.dataset_} minus log p under one of "
            f"{self.background.dataset_}: supervised, no anomaly score."
        )

    @property
    def n_parameters(self) -> int:
        """Trainable parameters of both models."""
        return sum(one.fitted_model.n_parameters for one in (self.signal, self.background))

    @property
    def supervised(self) -> bool:
        """True: it is told which jets are signal."""
        return True

    def fit(self, events: ak.Array) -> Self:
        """Fit the axis on background jets, (n_jets,); they train its model, if it is not yet."""
        training = training_events(events)
        if self.background.model_ is None:
            self.background.fit(events)
        self._check()
        some = training[:: len(training) // MOST + 1]
        self._take(self.background.tokenizer.encode(some))
        self.trained_ = joined([*fitted(self.trained_, self), *trained_by(events)])
        self.describe(some)
        return self

    def fit_to_held_out(self) -> Self:
        """Fit the axis on held-out jets that the model of background has kept; without a card."""
        self._check()
        self._take(_held_out(self.background))
        return self

    def score(self, events: ak.Array) -> Floats:
        """Log of the ratio [nat] of each jet, shape (n_jets,)."""
        fitted(self.axis_, self)
        events = self._entering(events)
        return log_ratio(self.signal.density(events), self.background.density(events))

    def save(self, path: str | Path) -> None:
        """Write axis and both models to a folder."""
        meta = {"axis": plain_axis(self.axis)}
        with storage.new_folder(path) as folder:
            self._write(folder, meta, {})
            self.signal.write(folder / "signal")
            self.background.write(folder / "background")
        self._saved = (str(Path(path).resolve()), storage.digest(path))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote."""
        meta, _ = storage.read(path, storage.kind_of(cls))
        models = (JetLanguageModel.load(Path(path) / name) for name in ("signal", "background"))
        detector = cls(*models)
        detector.axis_ = axis_from(meta["axis"])
        detector._recall(meta)
        detector._saved = (str(Path(path).resolve()), storage.digest(path))
        return detector

    def __reduce__(self) -> Any:
        """A saved one travels to workers as path and digest, and is opened once in each."""
        if self._saved is None or not Path(self._saved[0]).is_dir():
            return super().__reduce__()
        return storage.open_once, (JetRatioDetector, *self._saved)

    def _take(self, jets: TokenBatch) -> None:
        self.card_ = self._saved = None
        above, below = (one.log_prob(jets).sum(axis=1) for one in (self.signal, self.background))
        names = f"{self.signal.dataset_} / {self.background.dataset_}"
        label = f"log likelihood ratio {names} (supervised)"
        self.axis_ = score_axis(above - below, label=label)
        self.trained_ = joined([*self.signal.trained_, *self.background.trained_])

    def _check(self) -> None:
        above, below = self.signal, self.background
        _ = above.fitted_model
        if below.role_ != "background" or below.supervised_:
            raise TrainingError(
                f"the model of {below.dataset_!r} has seen signal: a ratio is one of signal to "
                "background, signal first"
            )
        if above.dataset_ == below.dataset_:
            raise OptionError(f"both models are of {below.dataset_!r}: a ratio needs two data sets")
        if above.tokenizer.identity != below.tokenizer.identity:
            raise OptionError(
                f"the models of {above.dataset_!r} and {below.dataset_!r} have different bins: "
                "train one of them with --start-from the other"
            )


def _held_out(model: JetLanguageModel) -> TokenBatch:
    """Jets that a model has kept."""
    found = model.held_out_
    return model.sample(_MADE, seed=0) if found is None else found

"""Density of jets as an anomaly score: how surprising a jet is for a language model of background.

The rule: the model is one of background. Beside the whole surprise there are forms that do not grow
with the number of constituents.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, Unpack

import awkward as ak
import numpy as np
from hist.axis import Regular

from hepmtp import storage
from hepmtp.detectors import BaseDetector, axis_from, plain_axis, score_axis, training_events
from hepmtp.detectors.sent import open_form
from hepmtp.errors import OptionError, TrainingError, fitted
from hepmtp.events.ragged import Floats
from hepmtp.jets.language_model import JetLanguageModel
from hepmtp.training.loop import Watch

#: Forms of the score and what each is.
FORMS: dict[str, str] = {
    "mean": "-log p per constituent and stop, of a language model of background jets.",
    "sum": "-log p of the whole jet, of a language model of background jets.",
    "excess": "-log p minus its expectation, over its spread, of a model of background jets.",
    "pt": "-log p of the bins of pt, and of the stop, per term, of a model of background jets.",
    "eta": "-log p of the bins of eta, given those of pt, per term, of a model of background jets.",
    "phi": "-log p of the bins of phi, given the others, per term, of a model of background jets.",
}
#: Labels of their axes.
LABELS: dict[str, str] = {
    "mean": r"$-\log\,p$ of the jet per term",
    "sum": r"$-\log\,p$ of the jet",
    "excess": r"excess of $-\log\,p$ of the jet",
    "pt": r"$-\log\,p$ of $p_T$ per term",
    "eta": r"$-\log\,p$ of $\eta$ per term",
    "phi": r"$-\log\,p$ of $\phi$ per term",
}
#: Those of one factor.
FACTORS = ("pt", "eta", "phi")
#: Axes have a range from at most so many training jets.
_MOST = 5000


@dataclass(eq=False)
class JetDensityDetector(BaseDetector):
    """Minus the logarithm of a language model's density, in one of the `FORMS`.

    Parameters
    ----------
    model
        trained with the detector, if it is not yet.
    form
        of the score; those of pt, eta and phi need a model of the product form.
    """

    model: JetLanguageModel = field(default_factory=JetLanguageModel)
    form: str = "mean"
    axes_: dict[str, dict[str, Any]] | None = field(default=None, init=False, repr=False)
    _saved: tuple[str, str] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self._check(self.form)

    @property
    def name(self) -> str:
        """``jet_density``, followed by the form unless it is the default one."""
        return "jet_density" if self.form == "mean" else f"jet_density_{self.form}"

    @property
    def description(self) -> str:
        """What this form of the score is, in a sentence."""
        return FORMS[self.form]

    @property
    def axis(self) -> Regular:
        """Axis of this form of the score."""
        return axis_from(fitted(self.axes_, self)[self.form])

    @property
    def forms(self) -> tuple[str, ...]:
        """The forms that the score can have."""
        product = self.model.model.form == "product"
        if self.axes_ is not None:  # a folder of before does not have all of them
            return tuple(self.axes_)
        return tuple(one for one in FORMS if product or one not in FACTORS)

    @property
    def n_parameters(self) -> int:
        """Trainable parameters of the model."""
        return self.model.fitted_model.n_parameters

    def with_score(self, form: str) -> Self:
        """The same detector with another form; raises OptionError if that is unknown."""
        self._check(form)
        other = type(self)(self.model, form)
        for name in ("axes_", "trained_", "card_", "_saved"):
            setattr(other, name, getattr(self, name))
        return other

    def fit(self, events: ak.Array, **watch: Unpack[Watch]) -> Self:
        """Train the model on background jets, if it is not trained yet, and fit the axes.

        Parameters
        ----------
        events
            shape (n_jets,). Of a trained model, only its data set's.
        watch
            ``checkpoint`` and ``progress`` of :func:`hepmtp.training.loop.train`.

        Raises
        ------
        TrainingError
            for jets that are not background, or a model of signal.
        """
        training = training_events(events)
        if self.model.model_ is None:
            self.model.fit(events, **watch)
        return self.take(training)

    def take(self, training: ak.Array) -> Self:
        """Fit the axes of a trained model of background, on jets that trained it."""
        model = self.model
        if model.role_ != "background" or model.supervised_:
            what = model.role_ if model.role_ != "background" else "trained on signal before"
            raise TrainingError(
                f"the language model is one of {model.dataset_!r}, which is {what}: an anomaly "
                "score needs one of background"
            )
        some = training[:: len(training) // _MOST + 1]
        self.axes_ = {
            form: plain_axis(score_axis(values, label=LABELS[form]))
            for form, values in self._values(some).items()
        }
        self.trained_, self._saved = self.model.trained_, None
        self.describe(some)
        return self

    def score(self, events: ak.Array) -> Floats:
        """Score of each jet, shape (n_jets,)."""
        fitted(self.axes_, self)
        return self._values(self._entering(events))[self.form]

    def save(self, path: str | Path) -> None:
        """Write axes and language model to a folder."""
        meta = {"form": self.form, "axes": fitted(self.axes_, self)}
        with storage.new_folder(path) as folder:
            self._write(folder, meta, {})
            self.model.write(folder / "model")
        self._saved = (str(Path(path).resolve()), storage.digest(path))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote."""
        meta, _ = storage.read(path, storage.kind_of(cls))
        detector = cls(JetLanguageModel.load(Path(path) / "model"), meta["form"])
        detector.axes_ = meta["axes"]
        detector._recall(meta)
        detector._saved = (str(Path(path).resolve()), storage.digest(path))
        return detector

    def __reduce__(self) -> Any:
        """A saved detector travels to workers as path and digest, and is opened once in each."""
        if self._saved is None or not Path(self._saved[0]).is_dir():
            return super().__reduce__()
        return open_form, (JetDensityDetector, *self._saved, self.form)

    def _values(self, events: ak.Array) -> dict[str, Floats]:
        """Score of each form, (n_jets,) each."""
        one = self.model.density(events)
        found = {"mean": -one.per_term, "sum": -one.log_p, "excess": one.excess}
        if one.by_factor.shape[1] > 1:
            by_factor = np.asarray(-one.by_factor / one.n_terms[:, None])
            found |= dict(zip(FACTORS, by_factor.T, strict=True))
        return found

    def _check(self, form: str) -> None:
        if form not in self.forms:
            raise OptionError(f"score form {form!r} is unknown; there are {', '.join(self.forms)}")

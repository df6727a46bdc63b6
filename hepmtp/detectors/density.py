"""Density of jets as an anomaly score: how surprising a jet is for a language model of background.

The rule: the model is one of background. Beside the whole surprise there are forms that do not grow
with the number of constituents.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, Unpack

import awkward as ak
import numpy as np

from hepmtp.detectors import plain_axis, score_axis, training_events
from hepmtp.detectors.language_scores import MOST, LanguageScore
from hepmtp.errors import TrainingError, fitted
from hepmtp.events.ragged import Floats
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


@dataclass(eq=False)
class JetDensityDetector(LanguageScore):
    """Minus the logarithm of a language model's density, in one of the `FORMS`.

    Parameters
    ----------
    model
        trained with the detector, if it is not yet.
    form
        of the score; those of pt, eta and phi need a model of the product form.
    """

    @property
    def name(self) -> str:
        """``jet_density``, followed by the form unless it is the default one."""
        return "jet_density" if self.form == "mean" else f"jet_density_{self.form}"

    @property
    def description(self) -> str:
        """What this form of the score is, in a sentence."""
        return FORMS[self.form]

    @property
    def forms(self) -> tuple[str, ...]:
        """The forms that the score can have."""
        product = self.model.model.form == "product"
        if self.axes_ is not None:  # a folder of before does not have all of them
            return tuple(self.axes_)
        return tuple(one for one in FORMS if product or one not in FACTORS)

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
        some = training[:: len(training) // MOST + 1]
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

    def _values(self, events: ak.Array) -> dict[str, Floats]:
        """Score of each form, (n_jets,) each."""
        one = self.model.density(events)
        found = {"mean": -one.per_term, "sum": -one.log_p, "excess": one.excess}
        if one.by_factor.shape[1] > 1:
            by_factor = np.asarray(-one.by_factor / one.n_terms[:, None])
            found |= dict(zip(FACTORS, by_factor.T, strict=True))
        return found

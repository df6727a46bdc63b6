"""The DDD-style detector: how much an event looks like distorted background.

The rule: a classifier learns background events against distorted copies of the same events, drawn
anew in every epoch; its score is the logit of "distorted". No signal enters, neither here nor in
the list of distortions (:mod:`hepmtp.events.distortions`).

The method is that of *DDD* (arXiv:2406.18469), whose own list of distortions and network are not
public: numbers from this file are those of a re-implementation and are called "DDD-style".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import awkward as ak
import numpy as np

from hepmtp.detectors.event_classifier import ClassifierDetector
from hepmtp.events.distortions import distort
from hepmtp.models.classifier import Labelled, inputs_of, labelled
from hepmtp.training.classify import Draw

#: Distorted copies of each validation event, so that the loss which stops the training has little
#: noise.
VALIDATION_COPIES = 4


@dataclass(eq=False, kw_only=True)
class DistortionDetector(ClassifierDetector):
    """Logit of "distorted" of a transformer trained on background against distorted background."""

    label: ClassVar[str] = "logit of distorted"

    name: str = "distortion"

    @property
    def description(self) -> str:
        """What the score is, in a sentence."""
        return (
            "DDD-style: logit of a transformer that tells background from distorted background"
            " (scaled, smeared, added, dropped or swapped particles, changed MET)."
        )

    def _sets(self, training: ak.Array, validation: ak.Array) -> tuple[Draw, Labelled]:
        plain = inputs_of(training)

        def draw(rng: np.random.Generator) -> Labelled:
            return labelled(plain, inputs_of(distort(training, rng)))

        return draw, _copies(validation, np.random.default_rng([self.training.seed, 0]))


def _copies(events: ak.Array, rng: np.random.Generator) -> Labelled:
    """These events against `VALIDATION_COPIES` distorted ones of each."""
    zero = inputs_of(events)
    one = inputs_of(distort(events, rng))
    for _ in range(VALIDATION_COPIES - 1):
        one = one.and_(inputs_of(distort(events, rng)))
    return labelled(zero, one)

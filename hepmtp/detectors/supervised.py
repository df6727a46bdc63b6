"""The supervised ceiling: a classifier that was told which events are signal.

The rule: it is no anomaly detector. It has seen the very signal that it is asked for, so the league
shows it apart, as a measure of what labels can reach from these inputs. Another classifier may
reach somewhat more, but an anomaly detector above both points to a leak. Of signal and background
alike only the train and validation parts are used.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import awkward as ak

from hepmtp.detectors.event_classifier import ClassifierDetector
from hepmtp.errors import TrainingError
from hepmtp.events.folds import Fold, with_fold
from hepmtp.events.record import metadata
from hepmtp.events.split import Part, in_one_order, part_of
from hepmtp.models.classifier import Labelled, inputs_of, labelled
from hepmtp.statistics.metrics import balanced_weights
from hepmtp.training.classify import Draw


@dataclass(eq=False)
class SupervisedDetector(ClassifierDetector):
    """Logit of "signal" of a transformer trained with labels: the ceiling, no anomaly detector.

    Every process counts alike within its class, a process being one file's events (their
    ``source``), and both classes count alike.

    Parameters
    ----------
    signal
        events with the role "signal"; needed to fit, and not saved.
    model, training
        shape of the classifier and how it is trained.

    Attributes
    ----------
    supervised
        True: the league shows this detector apart.
    model_, history_
        the trained classifier and its training curve.
    """

    supervised: ClassVar[bool] = True
    label: ClassVar[str] = "logit of signal (supervised)"

    signal: ak.Array | None = field(default=None, repr=False)
    name: str = field(default="supervised", kw_only=True)

    @property
    def description(self) -> str:
        """What the score is, in a sentence."""
        return (
            "Logit of a transformer trained with labels on this signal and the background:"
            " the ceiling, no anomaly detector."
        )

    def in_fold(self, fold: Fold) -> Self:
        """The copy that leaves out this fold of the signal, too."""
        signal = None if self.signal is None else with_fold(self.signal, fold)
        return replace(self, signal=signal)

    def _sets(self, training: ak.Array, validation: ak.Array) -> tuple[Draw, Labelled]:
        return (
            _against(training, _signal_events(self.signal, "train")),
            _against(validation, _signal_events(self.signal, "validation")),
        )


def _signal_events(signal: ak.Array | None, part: Part) -> ak.Array:
    """The signal events of one part, sorted by (source, event): reading order has no effect."""
    if signal is None:
        raise TrainingError(
            "a SupervisedDetector is fitted with labels: give it signal events,"
            " SupervisedDetector(signal)"
        )
    if (found := metadata(signal)).get("role") != "signal":
        raise TrainingError(
            "the signal of a SupervisedDetector is data set"
            f" {found.get('dataset', '(unnamed)')!r} with role {found.get('role')!r}, expected"
            " 'signal'; give the role to make_events, with_metadata or the manifest"
        )
    chosen = part_of(signal, part)
    if len(chosen) == 0:
        raise TrainingError(
            f"none of the {len(signal)} signal events is in the {part} part: give more events"
        )
    return in_one_order(chosen)


def _against(background: ak.Array, signal: ak.Array) -> Labelled:
    """Background (class 0) against signal (1), each process of a class with the same weight."""
    weights = (balanced_weights(ak.to_numpy(events.source)) for events in (background, signal))
    return labelled(inputs_of(background), inputs_of(signal), *weights)

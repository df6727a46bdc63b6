"""That no training of a cross-fitting has learned from the fold that it is to score.

The rule: what nobody can vouch for is refused: a part that is fitted already, a member that does
not know its training events or has left out another fold.
"""

from __future__ import annotations

import awkward as ak

from hepmtp.detectors import Detector
from hepmtp.errors import NotFittedError, OptionError, TrainingError
from hepmtp.events.folds import Fold, fold_from
from hepmtp.events.record import metadata
from hepmtp.events.split import Trained
from hepmtp.tokenizers import Tokenizer


def check_unfitted(detector: Detector, events: ak.Array) -> None:
    """Refuse what :func:`hepmtp.detectors.in_fold` cannot see.

    Raises
    ------
    OptionError
        if the detector's tokenizer is fitted, or the events are those of another's fold.
    """
    tokenizer = getattr(detector, "tokenizer", None)
    if isinstance(tokenizer, Tokenizer) and _encodes(tokenizer, events[:0]):
        raise OptionError(
            f"the tokenizer of {detector.name} is fitted already, to events of all folds: "
            "cross-fitting needs one that is not"
        )
    if fold_from(metadata(events)) is not None:
        raise OptionError(
            f"{detector.name} is cross-fitted within a cross-fitting: the inner one would "
            "learn from the fold that the outer one leaves out; cross-fit once, outside"
        )


def _encodes(tokenizer: Tokenizer, nothing: ak.Array) -> bool:
    """Whether a tokenizer is fitted: one that is not refuses even no events."""
    try:
        tokenizer.encode(nothing)
    except NotFittedError:
        return False
    return True


def left_out(name: str, spans: tuple[Trained, ...] | None, fold: Fold) -> tuple[Trained, ...]:
    """What the member of this fold has seen (`trained_`), if it has left out the fold.

    Raises
    ------
    TrainingError
        if it does not know, or may have seen events of the fold.
    """
    if spans is None:
        raise TrainingError(
            f"{name} does not know which events trained it (trained_): it cannot be that of fold "
            f"{fold.number} of {fold.of}"
        )
    if others := {one.left_out for one in spans} - {fold}:
        found = ", ".join(
            "the one split" if one is None else f"fold {one.number} of {one.of}" for one in others
        )
        raise TrainingError(
            f"{name} has to leave out fold {fold.number} of {fold.of}, but left out {found}: fit "
            "what it is made of within the cross-fitting"
        )
    return spans

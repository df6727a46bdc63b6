"""What a detector says of itself in a line, and in a table of a notebook.

The rule: what nobody knows is left out, and what a detector cannot say before it is fitted, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hepmtp.detectors.card import SCORE_LEVELS, Card
from hepmtp.notebook import facts_table

if TYPE_CHECKING:
    from hepmtp.detectors import Detector

#: More data sets than these are not named in a line.
MOST_NAMES = 4


def line(detector: Detector, *, is_fitted: bool) -> str:
    """Class, name, training and size, as ``print(detector)`` shows them."""
    found = facts(detector, is_fitted=is_fitted)
    parameters = f"{found['parameters']} parameters" if found.get("parameters") else ""
    parts = f"made of {found['made of']}" if found["made of"] else ""
    known = (found["state"], parameters, found["tokenizer"], parts)
    return f"{type(detector).__name__} {detector.name}: {'; '.join(filter(None, known))}"


def table(detector: Detector, *, is_fitted: bool) -> str:
    """All facts as HTML."""
    title = f"{type(detector).__name__} {detector.name}"
    return facts_table(title, facts(detector, is_fitted=is_fitted))


def facts(detector: Detector, *, is_fitted: bool) -> dict[str, str]:
    """Name of each fact -> what it is; those that are not known are left out or empty."""
    card: Card | None = getattr(detector, "card_", None)
    found = {
        "score": detector.description,
        "state": "not fitted",
        "made of": _parts(detector),
        "labels": "signal is used in its training" if detector.supervised else "",
    }
    if not is_fitted:
        return found | {"tokenizer": _tokenizer(detector, is_fitted=False)}
    found["state"] = "fitted" if card is None else f"fitted to {_trained(card)}"
    found["tokenizer"] = _tokenizer(detector, is_fitted=True)
    found["parameters"] = f"{detector.n_parameters:,}" if detector.n_parameters else ""
    found["forms"] = ", ".join(detector.forms)
    if card is not None:
        found["background scores"] = _scores(card, detector.name)
    return found


def _trained(card: Card) -> str:
    """How many events of which data sets."""
    names = list(card.processes)
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"{card.events:,} training events of {', '.join(names[:MOST_NAMES])}{more}"


def _scores(card: Card, name: str) -> str:
    quantiles = dict(zip(SCORE_LEVELS, card.scores.get(name, ()), strict=False))
    return ", ".join(f"{100 * one:g} % below {quantiles[one]:.4g}" for one in quantiles)


def _tokenizer(detector: Detector, *, is_fitted: bool) -> str:
    tokenizer = getattr(detector, "tokenizer", None)
    if tokenizer is None:
        return ""
    size = f" of {tokenizer.vocab_size:,} ids" if is_fitted else ""
    return f"{type(tokenizer).__name__}{size}"


def _parts(detector: Detector) -> str:
    """Names of the detectors that it is made of."""
    members: object = getattr(detector, "members", ())  # of some detectors it is their number
    found = [*members] if isinstance(members, Sequence) else []
    found.append(getattr(detector, "detector", None))
    return ", ".join(one.name for one in found if callable(getattr(one, "score", None)))

"""What all forms of a masked-token detector share: its tails and axes, and what it computed last.

The rule: equal models share what they computed, so that no form and no copy of one does it twice.
"""

from __future__ import annotations

import hashlib
import weakref
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hepmtp.detectors.masked_token.surprise import Surprises
from hepmtp.events.ragged import Floats
from hepmtp.events.tokens import TokenBatch
from hepmtp.statistics.fisher import TailCombination


@dataclass
class Last:
    """What was computed last: the tokens with their surprises, and with the sums of these."""

    found: tuple[TokenBatch, Surprises] | None = None
    sums: tuple[TokenBatch, dict[str, Floats]] | None = None


# by the content of a model, for as long as one of its detectors lives
_lasts: weakref.WeakValueDictionary[str, Last] = weakref.WeakValueDictionary()


def last_of(digest: str) -> Last:
    """That of all detectors of one model, so that two copies of one do not compute it twice."""
    return _lasts.setdefault(digest, Last())


@dataclass
class State:
    """What all forms of a detector share."""

    tails: dict[str, TailCombination] = field(default_factory=dict)
    axes: dict[str, dict[str, Any]] = field(default_factory=dict)
    last: Last = field(default_factory=Last)  # not pickled: it is large

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "last": Last()}


def content_of(weights: dict[str, Any], made_of: str) -> str:
    """Digest of what surprises depend on: equal weights may be those of different models."""
    found = hashlib.sha256(made_of.encode())
    for name in sorted(weights):
        found.update(name.encode() + np.ascontiguousarray(weights[name]).tobytes())
    return found.hexdigest()

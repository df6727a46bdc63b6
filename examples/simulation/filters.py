"""Lepton filters: which events are worth a shower, and how many decays had to be drawn to find one.

The rule: only the decays of a hard event are drawn again, never the event. The fraction of draws
that pass goes into the weight, so that the filter changes the time that a run takes and not the
yields.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pythia8mc
from numpy.typing import ArrayLike, NDArray

#: Draws for one event after which the filter cannot be meant for its process.
MAX_DRAWS = 100_000


def multilepton(positive: ArrayLike, negative: ArrayLike) -> NDArray[np.bool_]:
    """Whether two leptons have the same sign; of three, two always have.

    From the numbers of positive and negative ones.

    Examples
    --------
    >>> multilepton([1, 2, 0, 1], [1, 0, 1, 2]).tolist()
    [False, True, False, True]
    """
    positive, negative = np.asarray(positive), np.asarray(negative)
    return np.asarray((positive >= 2) | (negative >= 2))


def lepton(positive: ArrayLike, negative: ArrayLike) -> NDArray[np.bool_]:
    """Whether there is a lepton."""
    return np.asarray(np.asarray(positive) + np.asarray(negative) >= 1)


#: Requirements by name. They hold for e, mu and tau of the hard decays, and later for reconstructed
#: e and mu.
LEPTONS: dict[str, Callable[[ArrayLike, ArrayLike], NDArray[np.bool_]]] = {
    "multilepton": multilepton,
    "lepton": lepton,
}


class LeptonFilter(pythia8mc.UserHooks):  # type: ignore[misc]
    """Hook of Pythia: decays of resonances are drawn again until the charged leptons pass.

    `draws` and `passed` count; `efficiency` is the fraction that passed.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self._passes = LEPTONS[name]
        self.draws = self.passed = self.failed = self._in_a_row = 0

    def canVetoResonanceDecays(self) -> bool:
        """Tells Pythia to ask."""
        return True

    def doVetoResonanceDecays(self, process: Any) -> bool:
        """Whether the decays of this hard process are to be drawn again."""
        found = [0, 0]
        for i in range(process.size()):
            particle = process[i]
            if particle.idAbs() in (11, 13, 15) and particle.isFinal():
                found[particle.id() > 0] += 1
        passes = bool(self._passes(found[0], found[1]))
        self.draws += 1
        self.passed += passes
        self._in_a_row = 0 if passes else self._in_a_row + 1
        if self._in_a_row > MAX_DRAWS:  # an exception would have to cross Pythia: `check` raises it
            self._in_a_row, self.failed = 0, self.failed + 1
            return False
        return not passes

    def check(self) -> None:
        """Raise ValueError if an event could not be made to pass."""
        if self.failed:
            raise ValueError(
                f"no decay of {MAX_DRAWS} of an event passes the lepton filter: it does not fit "
                "this process"
            )

    @property
    def efficiency(self) -> float:
        """Fraction of the drawn decays that passed."""
        return self.passed / self.draws

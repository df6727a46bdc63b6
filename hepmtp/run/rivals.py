"""What a model of events has to beat: the plain observables, combined without any model."""

from __future__ import annotations

from hepmtp.detectors.combination import Combination
from hepmtp.detectors.observables import Observable


def plain_observables() -> Combination:
    """Fisher's combination of n_jets, n_b, HT and MET, not fitted.

    Examples
    --------
    >>> plain_observables().name
    'observables'
    """
    members = [Observable(name) for name in ("n_jets", "n_b", "ht", "met")]
    return Combination(members, "fisher", "observables")

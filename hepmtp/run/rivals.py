"""The default score, and what a model of events has to beat: the plain observables combined.

The rule: the default was chosen without a look at a signal (docs/studies.md). Everything that it is
made of says how far an event lies in the tail of background, and all of that counts alike.
"""

from __future__ import annotations

from collections.abc import Sequence

from hepmtp.detectors import Detector
from hepmtp.detectors.combination import Combination
from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.detectors.observables import Observable
from hepmtp.detectors.stranger import StrangerDetector

#: The observables that are combined.
PLAIN = ("n_jets", "n_b", "ht", "met")
#: Those of jets as events.
PLAIN_OF_JETS = ("jet_mass", "multiplicity", "jet_width")


def plain_observables(names: Sequence[str] = PLAIN, called: str = "observables") -> Combination:
    """Fisher's combination of n_jets, n_b, HT and MET (or of others), not fitted.

    Examples
    --------
    >>> plain_observables().name
    'observables'
    """
    return Combination([Observable(name) for name in names], "fisher", called)


def anomaly_score(
    masked: MaskedTokenDetector | None, stranger: Detector | None = None, called: str = "anomaly"
) -> Combination:
    """The default score: Fisher's combination of networks, plain observables and masked tokens.

    Parameters
    ----------
    masked
        its form "jets" takes part if it has it, or else the score that it has; None: no masked
        tokens.
    stranger
        by default a `StrangerDetector`; fitted with the combination unless it is already.
    called
        its name.

    Examples
    --------
    >>> [one.name for one in anomaly_score(MaskedTokenDetector()).members]
    ['stranger', 'n_jets', 'n_b', 'ht', 'met', 'masked_token_jets']
    """
    members: list[Detector] = [stranger or StrangerDetector()]
    members += [Observable(name) for name in PLAIN]
    if masked is not None:
        members.append(masked.with_score("jets") if "jets" in masked.forms else masked)
    return Combination(members, "fisher", called)

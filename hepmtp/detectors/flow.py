"""A normalising flow on event features: how improbable an event is in a density learned from background.

The rule: training spreads counts uniformly by half a unit to both sides, and the zeros of features of a particle that is not
there over the gap beside them, so that no density is infinite; in scoring they stand in the middle, so that no score is random.
"""

from __future__ import annotations

from dataclasses import dataclass

import zuko
from torch import Tensor

from hepmtp.detectors.event_network import EventNetwork, NetworkDetector
from hepmtp.errors import TrainingError


class SplineFlow(EventNetwork):
    """zuko's autoregressive neural spline flow; beyond 5 standard deviations it is the identity, so the density stays normal."""

    def __init__(self, n_features: int, hidden: tuple[int, ...], transforms: int, bins: int) -> None:
        super().__init__()
        self.flow = zuko.flows.NSF(n_features, bins=bins, transforms=transforms, hidden_features=hidden).double()

    def loss(self, x: Tensor) -> Tensor:
        """-log p of each event, shape (n_events,)."""
        log_p: Tensor = self.flow().log_prob(x)
        return -log_p

    def score(self, x: Tensor) -> Tensor:
        """The same."""
        return self.loss(x)


@dataclass(eq=False)
class Flow(NetworkDetector):
    """-log p under a neural spline flow (Durkan et al., arXiv:1906.04032), autoregressive (Papamakarios et al., arXiv:1705.07057).

    Parameters
    ----------
    hidden
        widths of the hidden layers of each transform.
    transforms, bins
        number of spline transforms, and of bins of each spline.
    """

    name: str = "flow"
    hidden: tuple[int, ...] = (64, 64)
    transforms: int = 3
    bins: int = 8

    label = "flow score"

    def __post_init__(self) -> None:
        if min(*self.hidden, self.transforms) < 1 or self.bins < 2:
            raise TrainingError(f"hidden and transforms must be 1 or more and bins 2 or more, found {self}")

    @property
    def description(self) -> str:
        """What the score is, in a sentence."""
        return f"-log of the density of {len(self.features)} event features that a normalising flow has learned from background."

    def _network(self) -> SplineFlow:
        return SplineFlow(len(self.features), self.hidden, self.transforms, self.bins)

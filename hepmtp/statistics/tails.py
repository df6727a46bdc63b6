"""What lies above each edge of a score: sums of weights and of their squares.

The rule: flow bins count. Shares are taken only of a sum that is positive beyond its error.
"""

from __future__ import annotations

import numpy as np

from hepmtp.errors import ScoreError
from hepmtp.events.ragged import Floats
from hepmtp.statistics.histograms import Histogram, Names, dataset_names, spectrum
from hepmtp.statistics.uncertainties import cancels


def sums(h: Histogram, names: Names, region: str) -> tuple[Floats, Floats]:
    """Sums of weights and of their squares from each flow bin up, (n_bins + 2,); [0] is all."""
    bins = spectrum(h, names, region).view(flow=True)
    sumw, sumw2 = (np.cumsum(np.asarray(bins[part])[::-1])[::-1] for part in ("value", "variance"))
    return sumw, sumw2


def tails(h: Histogram, names: Names, region: str) -> tuple[Floats, Floats]:
    """`sums` of a region that shares can be taken of; any other raises ScoreError."""
    sumw, sumw2 = sums(h, names, region)
    if sumw[0] <= 0:
        of_whom = ", ".join(dataset_names(h, names))
        if sumw2[0] <= 0:
            raise ScoreError(f"detector {h.name!r}: region {region} holds no events of {of_whom}")
        raise ScoreError(
            f"detector {h.name!r}: the weights of {of_whom} in region {region} sum to "
            f"{sumw[0]:.4g}, and shares need a positive sum: analyse more events, or join the "
            "data sets or regions"
        )
    if cancels(float(sumw[0]), float(sumw2[0])):
        raise ScoreError(
            f"detector {h.name!r}: the weights of {', '.join(dataset_names(h, names))} in region "
            f"{region} have both signs and sum to {sumw[0]:.4g} ± {np.sqrt(sumw2[0]):.4g}, of "
            "which shares mean nothing: analyse more events, or join the data sets or regions"
        )
    return sumw, sumw2

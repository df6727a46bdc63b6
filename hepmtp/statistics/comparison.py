"""Two regions of a score against each other: shapes or yields, bin by bin, with chi2.

The rule: the regions share no event. Weights may be negative; a share is taken only of a positive
sum.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import gammaincc

from hepmtp.events.ragged import Floats
from hepmtp.notebook import rows_table
from hepmtp.statistics.histograms import Histogram, Names, folded, spectrum
from hepmtp.statistics.tails import sums, tails


class Comparison(NamedTuple):
    """Score of two regions bin by bin; arrays (n_bins,), `edges` (n_bins + 1,).

    NaN stands where a bin says nothing.
    """

    edges: Floats
    first: Floats  #: events, or shares of the region if `normalised`
    first_error: Floats
    second: Floats
    second_error: Floats
    ratio: Floats  #: first / second
    ratio_error: Floats
    pull: Floats  #: difference of the (normalised) contents over its error
    chi2: float
    ndof: int
    p_value: float
    regions: tuple[str, str]
    label: str  #: of the score axis
    normalised: bool

    @property
    def verdict(self) -> str:
        """chi2, ndof and p as text; the smallest p are not meant to be read."""
        p_value = f"p = {self.p_value:.2g}" if self.p_value > 1e-4 else "p < 0.0001"
        return f"chi2 / ndof = {self.chi2:.1f} / {self.ndof}, {p_value}"

    def __repr__(self) -> str:
        return f"<Comparison of {self._title}>"

    def _repr_html_(self) -> str:
        first, second = self.regions
        head = ["from", "to", first, "error", second, "error", "ratio", "error", "pull"]
        columns = (
            *(self.edges[:-1], self.edges[1:], self.first, self.first_error, self.second),
            *(self.second_error, self.ratio, self.ratio_error, self.pull),
        )
        rows = zip(*columns, strict=True)
        return rows_table(self._title, head, ([f"{one:.4g}" for one in row] for row in rows))

    @property
    def _title(self) -> str:
        first, second = self.regions
        of = "shapes" if self.normalised else "yields"
        return f"{of} of {self.label}, {first} against {second}: {self.verdict}"


def compare(
    h: Histogram, first: str, second: str, *, datasets: Names = None, normalise: bool = True
) -> Comparison:
    """Compare the score in two regions, e.g. ``compare(h, "SR", "CR", datasets=background)``.

    Parameters
    ----------
    h
        score histogram of one detector.
    first, second
        names of the regions; the ratio is first / second.
    datasets
        data sets to add up; all of them if None.
    normalise
        compare shapes (each region divided by its sum) or yields.

    Notes
    -----
    Flow bins are added to the outer bins, bins that are empty in both regions are dropped. With
    contents w, sums of squared weights s^2 and totals W (1 if not normalised),
    chi2 = sum (W1 w2 - W2 w1)^2 / (W1^2 s2^2 + W2^2 s1^2). It follows a chi2 distribution of
    (used bins - 1 if normalised) degrees of freedom for about ten or more effective events per bin
    (Gagunashvili, arXiv:physics/0605123, weighted against weighted). `rebin` joins bins that hold
    fewer. The regions share no event, so the two are independent.
    """
    (w1, v1), (w2, v2) = (_contents(h, datasets, region, normalise) for region in (first, second))
    used = (v1 > 0) | (v2 > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        pull = np.where(used, (w1 - w2) / np.sqrt(v1 + v2), np.nan)
        ratio = np.where(w2 > 0, w1 / w2, np.nan)
        ratio_error = np.sqrt(v1 + ratio**2 * v2) / np.where(w2 > 0, w2, np.nan)
    chi2, ndof = float(np.nansum(pull**2)), int(used.sum()) - normalise
    axis = h.axes["score"]
    return Comparison(
        edges=np.asarray(axis.edges, dtype=np.float64),
        first=w1,
        first_error=np.sqrt(v1),
        second=w2,
        second_error=np.sqrt(v2),
        ratio=ratio,
        ratio_error=ratio_error,
        pull=pull,
        chi2=chi2,
        ndof=ndof,
        p_value=float(gammaincc(ndof / 2, chi2 / 2)) if ndof > 0 else 1.0,
        regions=(first, second),
        label=str(axis.label),
        normalised=normalise,
    )


def _contents(h: Histogram, names: Names, region: str, normalise: bool) -> tuple[Floats, Floats]:
    """Contents and variances, flow included, shapes (n_bins,)."""
    if normalise or sums(h, names, region)[1][0] <= 0:
        total = float(tails(h, names, region)[0][0])
    else:
        total = 1.0
    values, variances = folded(spectrum(h, names, region))
    return values / total, variances / total**2

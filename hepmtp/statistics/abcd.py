"""ABCD and the transfer factor: backgrounds of a signal region without its simulation.

The rule: both are cross-checks of the simultaneous fit. They hold only if the two variables do not
depend on each other for background: that is measured, and what does not close is an uncertainty or
a refusal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from hepmtp.errors import OptionError
from hepmtp.events.ragged import Floats

#: Non-closure beyond which ABCD is refused: the two variables tell the same.
MOST_NON_CLOSURE = 0.5
#: Shares of the background above the cut on the score, and above that on the second variable.
ABOVE = (0.1, 0.25)


class Closure(NamedTuple):
    """A C/D against B: `ratio` is A D / (B C), 1 where two variables are independent."""

    ratio: float
    error: float

    @property
    def uncertainty(self) -> float:
        """Relative uncertainty of the estimate: the non-closure, at least its own error."""
        if self.ratio == 0:
            return math.inf
        return max(abs(1 / self.ratio - 1), self.error / self.ratio)

    @property
    def distance(self) -> float:
        """Factor between the ratio and 1, at least 1; inf if a region is empty."""
        return math.inf if self.ratio == 0 else max(self.ratio, 1 / self.ratio)


class Estimate(NamedTuple):
    """Background of a region from three others or from one, with its error."""

    value: float
    error: float


def abcd(b: float, c: float, d: float, *, closure: float = 0.0) -> Estimate:
    """Background in A, B C / D, from counts in three regions.

    Parameters
    ----------
    b, c, d
        counts; A and B share one side of the first variable, A and C one of the second.
    closure
        relative uncertainty that the estimate closes.

    Examples
    --------
    >>> found = abcd(1000, 200, 10000, closure=0.2)
    >>> round(found.value, 1), round(found.error, 1)
    (20.0, 4.3)
    """
    if min(b, c, d) <= 0:
        raise OptionError(f"ABCD needs events in B, C and D; found {b}, {c} and {d}")
    value = b * c / d
    relative = np.sqrt(1 / b + 1 / c + 1 / d + closure**2)
    return Estimate(value, float(value * relative))


def abcd_workspace(
    counts: Mapping[str, float], signal: Mapping[str, float], *, closure: float = 0.0
) -> dict[str, Any]:
    """ABCD in plain HistFactory: background free in four regions, with one relation among them.

    Parameters
    ----------
    counts
        observed events in "A", "B", "C" and "D".
    signal
        expected signal in each of them; what is missing is 0.
    closure
        relative uncertainty of the relation, a normsys of A.

    Notes
    -----
    With free factors, D is mu_b, B is mu_b t_B, C is mu_b t_C and A is mu_b t_B t_C. The background
    of each region has the content 1.
    """
    if set(counts) != set("ABCD") or min(counts.values()) <= 0:
        raise OptionError(
            f"ABCD needs events in the four regions A, B, C and D; found {dict(counts)}"
        )
    factors = {"D": ("mu_b",), "B": ("mu_b", "t_B"), "C": ("mu_b", "t_C")}
    factors["A"] = ("mu_b", "t_B", "t_C")
    channels = []
    for name in "ABCD":
        modifiers: list[dict[str, Any]] = [
            {"name": one, "type": "normfactor", "data": None} for one in factors[name]
        ]
        if name == "A" and closure:
            data = {"hi": 1 + closure, "lo": 1 - closure}
            modifiers.append({"name": "closure", "type": "normsys", "data": data})
        mu = [{"name": "mu", "type": "normfactor", "data": None}]
        channels.append(
            {
                "name": name,
                "samples": [
                    {"name": "signal", "data": [float(signal.get(name, 0.0))], "modifiers": mu},
                    {"name": "background", "data": [1.0], "modifiers": modifiers},
                ],
            }
        )
    starts = {"mu_b": counts["D"], "t_B": counts["B"] / counts["D"]}
    starts["t_C"] = counts["C"] / counts["D"]
    parameters = [{"name": "mu", "inits": [1.0], "bounds": [[0.0, 100.0]]}]
    parameters += [
        {"name": name, "inits": [value], "bounds": [[0.0, 100 * value]]}
        for name, value in starts.items()
    ]
    return {
        "channels": channels,
        "observations": [{"name": name, "data": [float(counts[name])]} for name in "ABCD"],
        "measurements": [{"name": "abcd", "config": {"poi": "mu", "parameters": parameters}}],
        "version": "1.0.0",
    }


def closure_of(values: Sequence[float], variances: Sequence[float]) -> Closure:
    """How well ABCD closes in a background: A D / (B C) and its error.

    Parameters
    ----------
    values, variances
        sums of weights and of their squares in A, B, C and D.

    Examples
    --------
    >>> closure_of([20, 1000, 200, 10000], [20, 1000, 200, 10000]).ratio
    1.0
    """
    found = np.asarray(values, dtype=np.float64)
    a, b, c, d = found
    if (found < 0).any() or min(a + b, c + d, a + c, b + d) <= 0:
        raise OptionError(
            "closure of ABCD needs background on both sides of both cuts; found "
            f"{found.tolist()} in A, B, C and D"
        )
    if (found == 0).any():
        return Closure(0.0 if a * d == 0 else math.inf, math.inf)
    relative = np.sqrt((np.asarray(variances) / found**2).sum())
    ratio = float(a * d / (b * c))
    return Closure(ratio, float(ratio * relative))


def four_regions(
    first: Floats, second: Floats, weight: Floats, cuts: tuple[float, float]
) -> tuple[Floats, Floats]:
    """Sums of weights and of their squares in A, B, C and D, (4,) each.

    A is at or above both cuts; B at or above that on the first alone, C that on the second alone.
    """
    above = first >= cuts[0], second >= cuts[1]
    masks = (above[0] & above[1], above[0] & ~above[1], ~above[0] & above[1], ~above[0] & ~above[1])
    return (
        np.array([weight[mask].sum() for mask in masks]),
        np.array([(weight[mask] ** 2).sum() for mask in masks]),
    )


def cuts_of(first: Floats, second: Floats, weight: Floats) -> tuple[float, float]:
    """Cuts of ABCD: shares `ABOVE` of the weight are above those on the two variables."""
    shares = (1 - ABOVE[0], 1 - ABOVE[1])
    return _quantile(first, weight, shares[0]), _quantile(second, weight, shares[1])


def dependence(first: Floats, second: Floats, weight: Floats) -> Closure:
    """How far two variables depend on each other: A D / (B C) at the cuts of `cuts_of`.

    1 is independence; above 1 both are large together.
    """
    cuts = cuts_of(first, second, weight)
    sums, squares = four_regions(first, second, weight, cuts)
    return closure_of(sums.tolist(), squares.tolist())


def second_variable(
    score: Floats, others: Mapping[str, Floats], weight: Floats
) -> tuple[str, dict[str, Closure]]:
    """The variable that depends least on a score, for background events, and all that were tried.

    Parameters
    ----------
    score, weight
        of background events, (n_events,).
    others
        name -> values, (n_events,).

    Raises
    ------
    OptionError
        if every one depends on the score by more than `MOST_NON_CLOSURE`, or holds too few values.
    """
    tried: dict[str, Closure] = {}
    for name, values in others.items():
        try:
            tried[name] = dependence(score, values, weight)
        except OptionError:  # all events on one side of its cut: no second variable
            continue
    if not tried:
        raise OptionError(
            f"none of {', '.join(others) or '(nothing)'} divides the background in two: ABCD needs "
            "a second variable"
        )
    best = min(tried, key=lambda name: tried[name].distance)
    refuse_dependent(best, tried[best])
    return best, tried


def refuse_dependent(name: str, closure: Closure) -> None:
    """Raise OptionError if the estimate closes by no better than `MOST_NON_CLOSURE`."""
    if closure.distance > 1 + MOST_NON_CLOSURE:
        raise OptionError(
            f"the score and {name} depend on each other: A D / (B C) is {closure.ratio:.2f} +- "
            f"{closure.error:.2f} in background, so ABCD would be wrong by that factor. Take a "
            "score that is calibrated in it, or use the simultaneous fit"
        )


def transfer_factor(
    simulated: tuple[float, float],
    simulated_control: tuple[float, float],
    observed: float,
    *,
    closure: float = 0.0,
) -> Estimate:
    """Background of a signal region from the data of a control region.

    Parameters
    ----------
    simulated, simulated_control
        (sum of weights, sum of squares) of the background in the signal and the control region.
    observed
        data in the control region.
    closure
        relative uncertainty of the factor, from a validation region.

    Examples
    --------
    >>> found = transfer_factor((50.0, 5.0), (200.0, 10.0), 220.0)
    >>> round(found.value, 1), round(found.error, 1)
    (55.0, 4.5)
    """
    for what, (value, _) in (("signal", simulated), ("control", simulated_control)):
        if value <= 0:
            raise OptionError(f"a transfer factor needs background in the {what} region")
    if observed <= 0:
        raise OptionError("a transfer factor needs data in the control region; found none")
    value = observed * simulated[0] / simulated_control[0]
    relative = 1 / observed + closure**2
    relative += sum(squares / total**2 for total, squares in (simulated, simulated_control))
    return Estimate(float(value), float(value * np.sqrt(relative)))


def _quantile(values: Floats, weight: Floats, share: float) -> float:
    """Value below which this share of the weight lies."""
    order = np.argsort(values, kind="stable")
    sums = np.cumsum(weight[order])
    return float(values[order][np.searchsorted(sums, share * sums[-1])])

"""The likelihood of a HistFactory workspace, with its derivatives: fits take milliseconds.

The rule: pyhf is the truth. What is computed here is pyhf's main model and constraints (normsys by
its code4, histosys by code4p), compiled into arrays; :mod:`hepmtp.statistics.reference` compares
the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from hepmtp.errors import OptionError
from hepmtp.events.ragged import Bools, Floats

#: A workspace, as pyhf's schema has it.
Workspace = Mapping[str, Any]
#: The parameter of interest: the signal in units of its cross-section.
SIGNAL_STRENGTH = "mu"


class Parameter(NamedTuple):
    """A parameter: its constraint is Gaussian of `sigma` about `centre`, or none (`sigma` inf).

    `kind` is the type of the modifiers that it belongs to; `fixed` ones stay at `centre`.
    """

    name: str
    kind: str
    centre: float
    sigma: float
    low: float
    high: float
    fixed: bool = False


class Shapes(NamedTuple):
    """histosys: differences from the nominal up and down, (n_shapes, n_samples, n_bins)."""

    places: NDArray[np.int64]  # parameters, (n_shapes,)
    up: Floats
    down: Floats


class Rates(NamedTuple):
    """normsys: logarithms of factors up and down, (n_rates, n_samples, n_bins).

    `inside` holds the coefficients of the polynomials between them, (6, ...).
    """

    places: NDArray[np.int64]  # parameters, (n_rates,)
    up: Floats
    down: Floats
    inside: Floats


class Gammas(NamedTuple):
    """staterror: the parameter of each bin, -1 for none, (n_bins,), and the samples it scales."""

    places: NDArray[np.int64]
    mask: Bools  # (n_samples, n_bins)


@dataclass(frozen=True, eq=False)
class Likelihood:
    """Likelihood of the counts of all bins; made by :func:`hepmtp.statistics.compilation.compiled`.

    Attributes
    ----------
    parameters
        in the order of all arrays of parameters, (n_parameters,).
    bins
        (channel, number within it) of each bin.
    samples
        names, in the order of `nominal`.
    nominal
        expected events, (n_samples, n_bins).
    observed
        the workspace's data, (n_bins,).
    """

    parameters: tuple[Parameter, ...]
    bins: tuple[tuple[str, int], ...]
    samples: tuple[str, ...]
    nominal: Floats
    observed: Floats
    poi: str
    shapes: Shapes
    rates: Rates
    factors: tuple[tuple[int, Bools], ...]  #: (parameter, what it multiplies (n_samples, n_bins))
    gammas: tuple[Gammas, ...]

    @property
    def names(self) -> list[str]:
        """Names of the parameters."""
        return [one.name for one in self.parameters]

    @property
    def centre(self) -> Floats:
        """Where the constraints are centred, and 1 for what is free; (n_parameters,)."""
        return np.array([one.centre for one in self.parameters])

    @property
    def sigma(self) -> Floats:
        """Widths of the constraints, inf for what is free; (n_parameters,)."""
        return np.array([one.sigma for one in self.parameters])

    def place(self, name: str) -> int:
        """Where a parameter stands; an unknown one raises OptionError."""
        if name not in self.names:
            raise OptionError(
                f"the workspace has no parameter {name!r}; it has {', '.join(self.names)}"
            )
        return self.names.index(name)

    def with_nominal(self, nominal: Floats) -> Likelihood:
        """The same with other expected events; variations keep their relative size."""
        old = self.nominal
        scale = np.divide(nominal, old, out=np.ones_like(old), where=old > 0)
        shapes = Shapes(self.shapes.places, self.shapes.up * scale, self.shapes.down * scale)
        return replace(self, nominal=np.asarray(nominal, dtype=np.float64), shapes=shapes)

    def by_sample(self, values: Floats) -> Floats:
        """Expected events of each sample in each bin, (n_samples, n_bins)."""
        return self._rates(values)[1]

    def expected(self, values: Floats) -> Floats:
        """Expected events of each bin at these values of the parameters, (n_bins,)."""
        return np.asarray(self.by_sample(values).sum(axis=0))

    def derivatives(self, values: Floats) -> tuple[Floats, Floats]:
        """Expected events (n_bins,), and their derivatives (n_bins, n_parameters)."""
        factor, rates = self._rates(values)
        jacobian = np.zeros((len(self.bins), len(self.parameters)))
        if len(self.shapes.places):
            up, down = _shape_weights(values[self.shapes.places], slope=True)
            slope = up[:, None, None] * self.shapes.up + down[:, None, None] * self.shapes.down
            np.add.at(jacobian.T, self.shapes.places, (slope * factor).sum(axis=1))
        if len(self.rates.places):
            slope = _log_factors(values[self.rates.places], self.rates, slope=True)
            np.add.at(jacobian.T, self.rates.places, (slope * rates).sum(axis=1))
        for place, mask in self.factors:
            if values[place] == 0:  # the rates without this factor are lost in the product
                at_one = values.copy()
                at_one[place] = 1.0
                part = self._rates(at_one)[1]
            else:
                part = rates / values[place]
            jacobian[:, place] += np.where(mask, part, 0.0).sum(axis=0)
        for gammas in self.gammas:
            there = np.flatnonzero(gammas.places >= 0)
            places = gammas.places[there]
            part = np.where(gammas.mask, rates, 0.0).sum(axis=0)[there] / values[places]
            jacobian[there, places] += part
        return rates.sum(axis=0), jacobian

    def nll(
        self,
        values: Floats,
        data: Floats,
        *,
        auxiliary: Floats | None = None,
        used: Bools | None = None,
    ) -> float:
        """Negative logarithm of the likelihood, constraints included; inf where it is zero.

        Parameters
        ----------
        values
            of the parameters, (n_parameters,).
        data
            counts, (n_bins,).
        auxiliary
            where the constraints are centred, (n_parameters,); `centre` by default.
        used
            bins that count, (n_bins,); all by default.
        """
        expected = self.expected(values)
        if used is not None:
            expected, data = expected[used], data[used]
        if not (np.isfinite(expected).all() and (expected > 0).all()):
            return float("inf")
        main = float(np.sum(expected - data * np.log(expected) + gammaln(data + 1)))
        return main + self.constraints(values, auxiliary)

    def constraints(self, values: Floats, auxiliary: Floats | None = None) -> float:
        """Negative logarithm of the constraints alone."""
        sigma = self.sigma
        held = np.isfinite(sigma) & (sigma > 0)
        pull = (values - (self.centre if auxiliary is None else auxiliary))[held] / sigma[held]
        norm = np.log(sigma[held] * np.sqrt(2 * np.pi))
        return float(0.5 * pull @ pull + norm.sum())

    def _rates(self, values: Floats) -> tuple[Floats, Floats]:
        """Product of all factors, and the rates, both (n_samples, n_bins)."""
        shaped = self.nominal
        if len(self.shapes.places):
            up, down = _shape_weights(values[self.shapes.places], slope=False)
            shaped = shaped + np.tensordot(up, self.shapes.up, axes=1)
            shaped += np.tensordot(down, self.shapes.down, axes=1)
        factor = np.ones_like(self.nominal)
        if len(self.rates.places):
            logs = _log_factors(values[self.rates.places], self.rates, slope=False)
            factor = np.exp(logs.sum(axis=0))
        for place, mask in self.factors:
            if values[place] != 1:
                factor = np.where(mask, factor * values[place], factor)
        for gammas in self.gammas:
            factor = np.where(gammas.mask, factor * values[gammas.places], factor)
        return factor, shaped * factor


def _shape_weights(alpha: Floats, *, slope: bool) -> tuple[Floats, Floats]:
    """Weights of the differences up and down of a histosys (pyhf's code4p), or their slopes."""
    if slope:
        even, odd = np.full_like(alpha, 0.5), alpha * (30 - 40 * alpha**2 + 18 * alpha**4) / 16
        beyond = np.ones_like(alpha)
    else:
        even, odd = alpha / 2, alpha**2 * (15 - 10 * alpha**2 + 3 * alpha**4) / 16
        beyond = alpha
    up = np.where(alpha > 1, beyond, np.where(alpha < -1, 0.0, even + odd))
    down = np.where(alpha < -1, beyond, np.where(alpha > 1, 0.0, even - odd))
    return up, down


def _log_factors(alpha: Floats, rates: Rates, *, slope: bool) -> Floats:
    """Logarithms of the factors of normsys (pyhf's code4), or their slopes; as `rates.up`."""
    order = np.arange(1, 7)[:, None]
    near = np.clip(alpha, -1.0, 1.0)
    value = 1 + np.einsum("kr,krsb->rsb", near**order, rates.inside)
    high, low = (alpha > 1)[:, None, None], (alpha < -1)[:, None, None]
    if slope:
        rise = np.einsum("kr,krsb->rsb", order * near ** (order - 1), rates.inside)
        return np.where(high, rates.up, np.where(low, -rates.down, rise / value))
    far = np.abs(alpha)[:, None, None]
    return np.where(high, far * rates.up, np.where(low, far * rates.down, np.log(value)))


def polynomial(log_up: Floats, log_down: Floats) -> Floats:
    """Those of the polynomial that meets value and two derivatives at -1 and 1, (6, ...)."""
    up, down = np.exp(log_up), np.exp(log_down)
    meets = [up - 1, down - 1, log_up * up, -log_down * down, log_up**2 * up, log_down**2 * down]
    return np.tensordot(_INVERSE, np.stack(meets), axes=1)


def _conditions() -> Floats:
    order = range(1, 7)
    rows = []
    for derivative in range(3):
        for at in (1.0, -1.0):
            row = []
            for n in order:
                scale = float(np.prod([n - k for k in range(derivative)]))
                row.append(scale * at ** (n - derivative) if n >= derivative else 0.0)
            rows.append(row)
    return np.array(rows)


_INVERSE: Floats = np.asarray(np.linalg.inv(_conditions()), dtype=np.float64)

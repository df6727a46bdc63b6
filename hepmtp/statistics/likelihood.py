"""The likelihood of a HistFactory workspace, with its derivatives: fits take milliseconds.

The rule: pyhf is the truth. What is computed here is pyhf's main model and constraints (normsys by
its code4, histosys by code4p), compiled into arrays; :mod:`hepmtp.statistics.reference` compares
the two. Modifiers that are not known here are refused, never left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from hepmtp.errors import OptionError
from hepmtp.events.ragged import Bools, Floats

#: A workspace, as pyhf's schema has it.
Workspace = Mapping[str, Any]
#: Types of modifiers that are known here.
MODIFIERS = ("normfactor", "normsys", "histosys", "lumi", "staterror")
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


class _Shapes(NamedTuple):
    """histosys: differences from the nominal up and down, (n_shapes, n_samples, n_bins)."""

    places: NDArray[np.int64]  # parameters, (n_shapes,)
    up: Floats
    down: Floats


class _Rate(NamedTuple):
    """A normsys: logarithms of its factors, and its polynomial between them, (6, ...)."""

    place: int
    up: Floats  # (n_samples, n_bins)
    down: Floats
    inside: Floats


class _Gammas(NamedTuple):
    """staterror: the parameter of each bin, -1 for none, (n_bins,), and the samples it scales."""

    places: NDArray[np.int64]
    mask: Bools  # (n_samples, n_bins)


@dataclass(frozen=True, eq=False)
class Likelihood:
    """Likelihood of the counts of all bins; made by `compiled`.

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
    shapes: _Shapes
    rates: tuple[_Rate, ...]
    factors: tuple[tuple[int, Bools], ...]  #: (parameter, what it multiplies (n_samples, n_bins))
    gammas: tuple[_Gammas, ...]

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
        shapes = _Shapes(self.shapes.places, self.shapes.up * scale, self.shapes.down * scale)
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
        for rate in self.rates:
            jacobian[:, rate.place] += (rates * _log_slope(values[rate.place], rate)).sum(axis=0)
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
        self, values: Floats, data: Floats, *, auxiliary: Floats | None = None,
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
        for rate in self.rates:
            if values[rate.place] != 0:
                factor *= np.exp(_log_factor(values[rate.place], rate))
        for place, mask in self.factors:
            if values[place] != 1:
                factor = np.where(mask, factor * values[place], factor)
        for gammas in self.gammas:
            factor = np.where(gammas.mask, factor * values[gammas.places], factor)
        return factor, shaped * factor


def compiled(workspace: Workspace) -> Likelihood:
    """The likelihood of a workspace with one measurement.

    Raises
    ------
    OptionError
        for a modifier that is not known here; pyhf itself fits such a workspace.

    Examples
    --------
    >>> signal = {"name": "mu", "type": "normfactor", "data": None}
    >>> samples = [{"name": "s", "data": [10.0], "modifiers": [signal]}]
    >>> samples += [{"name": "b", "data": [100.0], "modifiers": []}]
    >>> found = compiled({
    ...     "channels": [{"name": "SR", "samples": samples}],
    ...     "observations": [{"name": "SR", "data": [110.0]}],
    ...     "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
    ... })
    >>> found.expected(found.centre).tolist()
    [110.0]
    """
    config = workspace["measurements"][0]["config"]
    settings = {one["name"]: one for one in config["parameters"]}
    channels = workspace["channels"]
    samples = tuple(dict.fromkeys(one["name"] for c in channels for one in c["samples"]))
    bins = tuple((c["name"], i) for c in channels for i in range(len(c["samples"][0]["data"])))
    shape = (len(samples), len(bins))
    nominal, kinds = np.zeros(shape), {}
    found: dict[tuple[str, str], tuple[NDArray[Any], NDArray[Any]]] = {}
    start = 0
    for channel in channels:
        stop = start + len(channel["samples"][0]["data"])
        for sample in channel["samples"]:
            where = (samples.index(sample["name"]), slice(start, stop))
            nominal[where] = sample["data"]
            for modifier in sample["modifiers"]:
                name, kind = modifier["name"], modifier["type"]
                if kind not in MODIFIERS:
                    raise OptionError(
                        f"channel {channel['name']}, sample {sample['name']}: modifier {name!r} is "
                        f"a {kind}; known are {', '.join(MODIFIERS)}. Fit this workspace with pyhf"
                    )
                kinds.setdefault(name, kind)
                up, down = found.setdefault((name, kind), (np.zeros(shape), np.zeros(shape)))
                up[where], down[where] = _content(modifier, np.asarray(sample["data"]))
        start = stop
    return _assembled(samples, bins, nominal, found, kinds, settings, workspace, config["poi"])


def _content(modifier: Mapping[str, Any], nominal: Floats) -> tuple[Any, Any]:
    """What a modifier says of a sample in a channel: two arrays, or numbers, for up and down."""
    kind, data = modifier["type"], modifier["data"]
    if kind == "histosys":
        return np.asarray(data["hi_data"]) - nominal, nominal - np.asarray(data["lo_data"])
    if kind == "normsys":
        return np.log(data["hi"]), np.log(data["lo"])
    if kind == "staterror":
        return np.asarray(data), 1.0  # the second says that it is there
    return 1.0, 1.0


def _assembled(
    samples: tuple[str, ...],
    bins: tuple[tuple[str, int], ...],
    nominal: Floats,
    found: Mapping[tuple[str, str], tuple[Floats, Floats]],
    kinds: Mapping[str, str],
    settings: Mapping[str, Any],
    workspace: Workspace,
    poi: str,
) -> Likelihood:
    parameters: list[Parameter] = []
    factors: list[tuple[int, Bools]] = []
    gammas: list[_Gammas] = []
    shapes: list[tuple[int, Floats, Floats]] = []
    rates: list[_Rate] = []
    first = [one for one in (poi, *kinds) if kinds[one] != "staterror"]
    for name in dict.fromkeys((*first, *kinds)):  # one per bin stand last
        kind = kinds[name]
        if kind == "staterror":
            _add_gammas(name, found[name, kind], nominal, bins, parameters, gammas)
            continue
        place = len(parameters)
        if (name, "histosys") in found:
            shapes.append((place, *found[name, "histosys"]))
        if (name, "normsys") in found:
            up, down = found[name, "normsys"]
            rates.append(_Rate(place, up, down, _coefficients(up, down)))
        for flat in ("normfactor", "lumi"):
            if (name, flat) in found:
                factors.append((place, found[name, flat][0] > 0))
        parameters.append(_parameter(name, kind, settings.get(name, {})))
    given = {one["name"]: one["data"] for one in workspace["observations"]}
    observed = np.concatenate(
        [np.asarray(given[c["name"]], dtype=np.float64) for c in workspace["channels"]]
    )
    stacked = _Shapes(
        np.array([one[0] for one in shapes], dtype=np.int64),
        np.array([one[1] for one in shapes]).reshape(-1, *nominal.shape),
        np.array([one[2] for one in shapes]).reshape(-1, *nominal.shape),
    )
    return Likelihood(
        tuple(parameters), bins, samples, nominal, observed, poi,
        stacked, tuple(rates), tuple(factors), tuple(gammas),
    )  # fmt: skip


def _add_gammas(
    name: str,
    content: tuple[Floats, Floats],
    nominal: Floats,
    bins: Sequence[tuple[str, int]],
    parameters: list[Parameter],
    layers: list[_Gammas],
) -> None:
    """Add a parameter per bin of a staterror; its error is that of all its samples together."""
    error, there = content
    places = np.full(len(bins), -1, dtype=np.int64)
    mask = there > 0
    for i in np.flatnonzero(mask.any(axis=0)):
        total = float(nominal[mask[:, i], i].sum())
        width = float(np.sqrt((error[:, i] ** 2).sum()) / total) if total > 0 else 0.0
        places[i] = len(parameters)
        full = f"{name}[{bins[i][1]}]"
        parameters.append(Parameter(full, "staterror", 1.0, width, 1e-10, 10.0, width == 0))
    for k, layer in enumerate(layers):  # no bin has two parameters in one layer
        if not (layer.mask & mask).any() and not ((layer.places >= 0) & (places >= 0)).any():
            merged = np.where(places >= 0, places, layer.places)
            layers[k] = _Gammas(merged, layer.mask | mask)
            return
    layers.append(_Gammas(places, mask))


def _parameter(name: str, kind: str, setting: Mapping[str, Any]) -> Parameter:
    fixed = bool(setting.get("fixed", False))
    if kind == "normfactor":
        low, high = setting.get("bounds", [[0.0, 10.0]])[0]
        return Parameter(name, kind, setting.get("inits", [1.0])[0], np.inf, low, high, fixed)
    if kind == "lumi":
        low, high = setting.get("bounds", [[0.5, 1.5]])[0]
        return Parameter(name, kind, setting["auxdata"][0], setting["sigmas"][0], low, high, fixed)
    low, high = setting.get("bounds", [[-5.0, 5.0]])[0]
    return Parameter(name, kind, 0.0, 1.0, low, high, fixed)


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


def _log_factor(alpha: float, rate: _Rate) -> Floats:
    """Logarithm of the factor of a normsys (pyhf's code4)."""
    if abs(alpha) >= 1:
        return alpha * rate.up if alpha > 0 else -alpha * rate.down
    return np.log1p(np.tensordot(alpha ** np.arange(1, 7), rate.inside, axes=1))


def _log_slope(alpha: float, rate: _Rate) -> Floats:
    if abs(alpha) >= 1:
        return rate.up if alpha > 0 else -rate.down
    order = np.arange(1, 7)
    value = 1 + np.tensordot(alpha**order, rate.inside, axes=1)
    slope = np.tensordot(order * alpha ** (order - 1.0), rate.inside, axes=1)
    return np.asarray(slope / value)


def _coefficients(log_up: Floats, log_down: Floats) -> Floats:
    """Those of the polynomial that meets value and two derivatives at -1 and 1, (6, ...)."""
    up, down = np.exp(log_up), np.exp(log_down)
    meets = [up - 1, down - 1, log_up * up, -log_down * down, log_up**2 * up, log_down**2 * down]
    return np.tensordot(_INVERSE, np.stack(meets), axes=1)


def _conditions() -> Floats:
    order: Sequence[int] = range(1, 7)
    rows = []
    for derivative in range(3):
        for at in (1.0, -1.0):
            row = []
            for n in order:
                scale = float(np.prod([n - k for k in range(derivative)]))
                row.append(scale * at ** (n - derivative) if n >= derivative else 0.0)
            rows.append(row)
    return np.array(rows)


_INVERSE: Floats = np.linalg.inv(_conditions())

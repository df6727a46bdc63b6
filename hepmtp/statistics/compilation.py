"""A HistFactory workspace becomes a likelihood: its modifiers become arrays.

The rule: modifiers that are not known here are refused, never left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepmtp.errors import OptionError
from hepmtp.events.ragged import Bools, Floats
from hepmtp.statistics.likelihood import (
    Gammas,
    Likelihood,
    Parameter,
    Rates,
    Shapes,
    Workspace,
    polynomial,
)

#: Types of modifiers that are known here, in the order of their parameters.
MODIFIERS = ("normfactor", "lumi", "normsys", "histosys", "staterror")


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
    nominal = np.zeros(shape)
    kinds: dict[str, str] = {}
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
    gammas: list[Gammas] = []
    shapes: list[tuple[int, Floats, Floats]] = []
    rates: list[tuple[int, Floats, Floats]] = []
    order = sorted(kinds, key=lambda name: (name != poi, MODIFIERS.index(kinds[name]), name))
    for name in [*(one for one in order if kinds[one] != "staterror"),
                 *(one for one in kinds if kinds[one] == "staterror")]:  # fmt: skip
        kind = kinds[name]
        if kind == "staterror":
            _add_gammas(name, found[name, kind], nominal, bins, parameters, gammas)
            continue
        place = len(parameters)
        if (name, "histosys") in found:
            shapes.append((place, *found[name, "histosys"]))
        if (name, "normsys") in found:
            rates.append((place, *found[name, "normsys"]))
        factors += [
            (place, found[name, flat][0] > 0)
            for flat in ("normfactor", "lumi")
            if (name, flat) in found
        ]
        parameters.append(_parameter(name, kind, settings.get(name, {})))
    given = {one["name"]: one["data"] for one in workspace["observations"]}
    observed = np.concatenate(
        [np.asarray(given[c["name"]], dtype=np.float64) for c in workspace["channels"]]
    )
    places, up, down = _stacked(rates, nominal.shape)
    return Likelihood(
        tuple(parameters), bins, samples, nominal, observed, poi,
        Shapes(*_stacked(shapes, nominal.shape)),
        Rates(places, up, down, polynomial(up, down)), tuple(factors), tuple(gammas),
    )  # fmt: skip


def _stacked(
    rows: Sequence[tuple[int, Floats, Floats]], shape: tuple[int, ...]
) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Parameters, and what they do up and down, as arrays (n, n_samples, n_bins)."""
    return (
        np.array([one[0] for one in rows], dtype=np.int64),
        np.array([one[1] for one in rows]).reshape(-1, *shape),
        np.array([one[2] for one in rows]).reshape(-1, *shape),
    )


def _add_gammas(
    name: str,
    content: tuple[Floats, Floats],
    nominal: Floats,
    bins: Sequence[tuple[str, int]],
    parameters: list[Parameter],
    layers: list[Gammas],
) -> None:
    """Add a parameter per bin of a staterror; its error is that of all its samples together."""
    error, there = content
    places = np.full(len(bins), -1, dtype=np.int64)
    mask = there > 0
    for i in np.flatnonzero(mask.any(axis=0)):
        total = float(nominal[mask[:, i], i].sum())
        width = float(np.sqrt((error[:, i] ** 2).sum()) / total) if total > 0 else 0.0
        places[i] = len(parameters)
        full = f"{name}[{bins[int(i)][1]}]"
        parameters.append(Parameter(full, "staterror", 1.0, width, 1e-10, 10.0, width == 0))
    for k, layer in enumerate(layers):  # no bin has two parameters in one layer
        if not (layer.mask & mask).any() and not ((layer.places >= 0) & (places >= 0)).any():
            merged = np.where(places >= 0, places, layer.places)
            layers[k] = Gammas(merged, layer.mask | mask)
            return
    layers.append(Gammas(places, mask))


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

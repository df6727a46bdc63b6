"""Data are blind where a signal could be, unless somebody says otherwise.

The rule: data (role "data") are shown only in regions of the purposes "control" and "validation"
that share no event with a signal region. A region without a purpose, such as a preselection, may
hold the signal region, so it is blind too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hepmtp.events.region_info import RegionInfo
from hepmtp.statistics.histograms import Histogram
from hepmtp.statistics.performance import values_of


def blind_regions(output: Mapping[str, Any], regions: Sequence[RegionInfo]) -> list[str]:
    """Names of the regions in which no data may be shown, in their order.

    What the processor says of overlaps, or columns, tell which regions share events; without either
    the purpose alone decides.
    """
    signal = [one.name for one in regions if one.purpose == "signal"]  # parts of regions, too
    blind = {*signal, *(one.name for one in regions if not one.purpose)}
    for pair in output.get("overlaps", ()):
        if set(pair) & set(signal):
            blind |= set(pair)
    for table in output.get("columns", {}).values():
        masks = {
            one.name: values_of(mask).astype(bool)
            for one in regions
            if (mask := table.get(f"region:{one.name}")) is not None
        }
        within = [masks[name] for name in signal if name in masks]
        if within:
            inside = np.any(within, axis=0)
            blind |= {name for name, mask in masks.items() if np.any(mask & inside)}
    return [one.name for one in sorted(regions) if one.name in blind]


def blinded(output: Mapping[str, Any], data: Sequence[str], blind: Sequence[str]) -> dict[str, Any]:
    """The same output without the data sets `data` in the regions `blind`.

    Their histograms are zero there, and nothing else has an entry of these regions. Columns hold
    the events that pass another region. Counts of events before any region stay. What lacks one cut
    of a region that is shown is not that region: data have none of it.
    """
    out = dict(output)
    if not (data and blind):
        return out
    for kind in ("scores", "variables"):
        if kind in output:
            out[kind] = {name: _emptied(h, data, blind) for name, h in output[kind].items()}
    for kind in ("cutflow", "cuts"):
        if kind in output:
            out[kind] = {
                name: {key: n for key, n in counts.items() if name not in data or key not in blind}
                for name, counts in output[kind].items()
            }
    if "n_minus_one" in output:
        h_of = output["n_minus_one"]
        out["n_minus_one"] = {
            name: _emptied(h, data, list(h.axes["region"])) for name, h in h_of.items()
        }
    if "cuts" in output:
        out["cuts"] = {
            name: {
                key: {"cutflow": one["cutflow"]} if name in data else one for key, one in of.items()
            }
            for name, of in out["cuts"].items()
        }
    for name, kept in output.get("strangest", {}).items():
        shown = {
            dataset: {
                key: one for key, one in of.items() if dataset not in data or key not in blind
            }
            for dataset, of in kept.items()
        }
        out["strangest"] = {**out["strangest"], name: shown}
    if "columns" in output:
        out["columns"] = {
            name: _shown(table, blind) if name in data else table
            for name, table in output["columns"].items()
        }
    return out


def _emptied(h: Histogram, data: Sequence[str], blind: Sequence[str]) -> Histogram:
    """A copy without the content of these data sets in these regions."""
    copy = h.copy()
    rows, columns = (
        [place for place, name in enumerate(h.axes[axis]) if name in names]
        for axis, names in (("dataset", data), ("region", blind))
    )
    for part in ("value", "variance"):
        copy.view(flow=True)[part][np.ix_(rows, columns)] = 0
    return copy


def _shown(table: Mapping[str, Any], blind: Sequence[str]) -> dict[str, Any]:
    """Columns of the events that pass a region that is not blind, without those that are."""
    hidden = {f"region:{name}" for name in blind}
    left = {name: values_of(values) for name, values in table.items() if name not in hidden}
    masks = [values.astype(bool) for name, values in left.items() if name.startswith("region:")]
    length = len(next(iter(left.values()), ()))
    kept = np.any(masks, axis=0) if masks else np.zeros(length, dtype=bool)
    return {name: values[kept] for name, values in left.items()}

"""What makes a run no success, and what its regions and data sets do not allow.

The rule: one sentence each, on what is shown: blind data count for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hepmtp.events.region_info import RegionInfo, named, wholes
from hepmtp.statistics.accounting import Accounting
from hepmtp.statistics.histograms import Histogram, yields
from hepmtp.statistics.performance import detectors, values_of

#: Fewest events that a detector must give one value to be called one that sees nothing: a few
#: events may well have the same number of jets.
LEAST = 10


def holds(h: Histogram, names: Sequence[str], region: str) -> bool:
    """Whether these data sets have an event in the region; one that was not filled has none."""
    found = [name for name in names if name in h.axes["dataset"]]
    return bool(found) and region in h.axes["region"] and yields(h, found, region).error > 0


def problems(
    output: Mapping[str, Any],
    datasets: Sequence[str],
    regions: Sequence[RegionInfo],
    *,
    background: Sequence[str] = (),
    accounting: Accounting | None = None,
) -> list[str]:
    """A sentence for each thing that makes a result empty; none if there is a result.

    Parameters
    ----------
    output
        what a processor gave, without what is blind.
    datasets, regions
        names of the data sets that it ran on, and its regions.
    background
        names of those that are background.
    accounting
        what was read, if that is known.
    """
    cutflow = output["cutflow"]
    found = list(_without_events(cutflow, datasets, accounting or {}))
    passed = any(
        counts.get(one.name, {}).get("raw", 0) > 0 for counts in cutflow.values() for one in regions
    )
    if not passed:
        found.append(f"No event passed a region that is shown. Cutflow: {one_line(cutflow)}.")
    elif background:
        h = next(iter(output["scores"].values()))
        found += _without_background(h, regions, background)
    return found + list(_one_value(output))


def one_line(cutflow: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Raw events of a cutflow in one line.

    Examples
    --------
    >>> one_line({"ttbarW": {"all": {"raw": 40}, "CR": {"raw": 0}}, "4top": {"all": {"raw": 9}}})
    'ttbarW: all 40, CR 0; 4top: all 9'
    """
    return "; ".join(
        f"{name}: " + ", ".join(f"{region} {one['raw']}" for region, one in counts.items())
        for name, counts in cutflow.items()
    )


def remarks(
    h: Histogram, regions: Sequence[RegionInfo], background: Sequence[str]
) -> Iterator[str]:
    """Sentences on what a run's regions and data sets do not allow."""
    nothing = "there are no thresholds and no comparison of regions"
    if not background:
        yield f"No data set of this run is background: {nothing}."
        return
    missing = [purpose for purpose in ("signal", "control") if not named(regions, purpose)]
    if missing:
        yield f"No region of this run has the purpose {' or '.join(missing)}: {nothing}."
    yield from _without_background(h, regions, background)


def twice(columns: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """A sentence on events that are in a run more than once, by source and event.

    Parameters
    ----------
    columns
        data set -> column -> values; events without a source are not looked at.
    """
    tables = {
        name: [values_of(one[key]) for key in ("source", "event")]
        for name, one in columns.items()
        if {"source", "event"} <= one.keys()
    }
    if not tables:
        return
    names = list(tables)
    source, event = (np.concatenate(parts) for parts in zip(*tables.values(), strict=True))
    of = np.repeat(np.arange(len(names)), [len(one[0]) for one in tables.values()])
    order = np.lexsort((event, source))
    source, event, of = source[order], event[order], of[order]
    again = (source[1:] == source[:-1]) & (event[1:] == event[:-1]) & (source[1:] != 0)
    if again.any():
        same = np.unique(np.concatenate([of[1:][again], of[:-1][again]]))
        yield (
            f"{int(again.sum())} events come again (in {', '.join(names[k] for k in same)}): a "
            "file, or a copy of it, is given more than once and counts each time; keep one."
        )


def signs(columns: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """A sentence for each data set with weights below 0, or with weights that are 0.

    Parameters
    ----------
    columns
        data set -> column -> values.
    """
    for name, table in columns.items():
        weight = values_of(table["weight"]) if "weight" in table else np.zeros(0)
        below, zero, n = int(np.sum(weight < 0)), int(np.sum(weight == 0)), len(weight)
        squares = float(np.sum(weight**2))
        if below and squares > 0:
            yield (
                f"{below} of {n} events of {name} have a weight below 0: they count as "
                f"{float(np.sum(weight)) ** 2 / squares:.0f} effective events, and shares may lie "
                "a little below 0 or above 1."
            )
        if zero:
            yield f"{zero} of {n} events of {name} have the weight 0: they count for nothing."


def _without_background(
    h: Histogram, regions: Sequence[RegionInfo], background: Sequence[str]
) -> Iterator[str]:
    empty = [one.name for one in wholes(regions) if not holds(h, background, one.name)]
    if empty:
        yield f"Regions without background events: {', '.join(empty)}."


def _without_events(
    cutflow: Mapping[str, Any], datasets: Sequence[str], accounting: Accounting
) -> Iterator[str]:
    for name in datasets:
        counts = cutflow.get(name, {})
        if max((count["raw"] for count in counts.values()), default=0) > 0:
            continue
        account = accounting.get(name)
        if account is not None and account.events_read > 0:
            yield (
                f"Data set {name} has no event to analyse: {account.events_read} were read, and "
                "none of them is left for the analysis."
            )
        else:
            yield f"Data set {name} has no event to analyse."


def _one_value(output: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each detector that tells no event from another."""
    columns = output.get("columns", {})
    for name in detectors(columns):
        tables = [table[key] for table in columns.values() if (key := f"score:{name}") in table]
        score = np.concatenate([values_of(one) for one in tables])
        if len(score) >= LEAST and np.all(score == score[0]):
            yield (
                f"Detector {name} gives one value, {score[0]:.6g}, to all {len(score)} events: it "
                "separates nothing."
            )

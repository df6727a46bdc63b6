"""What a run says of its regions: names, purposes, cuts on variables, as plain data.

The rule: whatever reads a run asks this; only what fills histograms needs the selections.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any, NamedTuple

from hepmtp.errors import RegionError
from hepmtp.events.cuts import Window
from hepmtp.events.regions import Region


class RegionInfo(NamedTuple):
    """What a run says of one of its regions; `place` is that in the order of its cutflow.

    `controls`, `part_of` and `axis` are those of `Region`. `windows` are its cuts on a variable:
    its name, and what it must lie above and not exceed. Earlier versions wrote fewer of these.
    """

    place: int
    name: str
    label: str
    purpose: str
    controls: str = ""
    part_of: str = ""
    axis: str = ""
    windows: tuple[tuple[str, float | None, float | None], ...] = ()


def described(regions: Iterable[Region]) -> set[RegionInfo]:
    """What a processor says of its regions: a set, so that the sum over chunks says it once."""
    return {
        RegionInfo(
            place, one.name, one.label, one.purpose, one.controls, one.part_of, one.fitted_axis,
            _windows(one),
        )
        for place, one in enumerate(regions)
    }  # fmt: skip


def region_info(plain: Sequence[Any]) -> RegionInfo:
    """One of a file: lists instead of tuples."""
    windows = tuple((str(name), *ends) for name, *ends in (plain[7] if len(plain) > 7 else ()))
    return RegionInfo(*plain[:7])._replace(windows=windows)


def wholes(regions: Iterable[RegionInfo]) -> list[RegionInfo]:
    """The regions that are no part of another, in their order."""
    return [one for one in sorted(regions) if not one.part_of]


def named(regions: Iterable[RegionInfo], *purposes: str) -> list[str]:
    """Names of the regions of these purposes that are no part of another, in their order.

    Examples
    --------
    >>> from hepmtp.events.regions import REGIONS
    >>> named(described(REGIONS), "signal", "")
    ['preselection', 'SR']
    """
    return [one.name for one in wholes(regions) if one.purpose in purposes]


def threshold_regions(regions: Iterable[RegionInfo]) -> list[str]:
    """Names of the control regions that thresholds come from, in their order.

    Examples
    --------
    >>> from hepmtp.events.regions import REGIONS
    >>> threshold_regions(described(REGIONS))
    ['CR']
    """
    controls = [one for one in wholes(regions) if one.purpose == "control"]
    return [one.name for one in controls if not one.controls]


def regions_of(output: Mapping[str, Any]) -> list[RegionInfo]:
    """The regions that a processor's output is about, in their order.

    Those of a processor that does not describe its regions come from its histograms: names alone.

    Raises
    ------
    RegionError
        for a sum of runs that had different regions of one name.
    """
    if "regions" not in output:
        found = dict.fromkeys(name for h in output["scores"].values() for name in h.axes["region"])
        return [RegionInfo(place, name, "", "") for place, name in enumerate(found)]
    regions = sorted(RegionInfo(*one) for one in output["regions"])
    names = [one.name for one in regions]
    if len(set(names)) != len(names):
        raise RegionError(f"runs with different regions were added up: {', '.join(names)}")
    return regions


def _windows(region: Region) -> tuple[tuple[str, float | None, float | None], ...]:
    """Cuts on a variable; an open end is None, so that it is plain data."""
    cuts = [one.select for one in region.cuts if isinstance(one.select, Window)]
    return tuple((one.variable.name, _end(one.above), _end(one.upto)) for one in cuts)


def _end(value: float) -> float | None:
    return value if isfinite(value) else None

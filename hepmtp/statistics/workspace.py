"""A run becomes a HistFactory workspace, as pyhf's schema has it: plain data, one signal each.

The rule: every uncertainty in a workspace is one that somebody asked for: numbers of
`Uncertainties`, variations of the histograms, simulated statistics. What the histograms lack is
said, and nothing is made up for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hepmtp.errors import OptionError
from hepmtp.events.ragged import Floats
from hepmtp.statistics.channels import Channel, contents
from hepmtp.statistics.histograms import Histogram, variations_of
from hepmtp.statistics.likelihood import SIGNAL_STRENGTH
from hepmtp.statistics.samples import Filled

#: Names of the processes whose normalisation is fitted, and the region that does it, in small
#: letters: a background is one of these if its name is.
FREE = {
    "ttW": ("ttbarw", "ttw", "ttwjets"),
    "ttZ": ("ttbarz", "ttz", "ttzjets"),
}
#: Variations that a fit of the shipped regions needs; one that is lacking is said.
MODELLING = ("jet_step", "jet_step7", "b_step", "b_step3", "met_slope", "ht_slope")
LUMINOSITY = "lumi"
#: Names of parameters of cross-sections begin so.
CROSS_SECTION = "xsec_"


@dataclass(frozen=True, kw_only=True)
class Uncertainties:
    """Sizes of what is not in the histograms; all are relative.

    Parameters
    ----------
    cross_section
        of each background whose normalisation is not fitted.
    luminosity
        of all samples; 1.7 % is what ATLAS first quoted for 2015-2018 (ATLAS-CONF-2019-021).
    signal_cross_section
        of the signal; 0 leaves it out, as limits on cross-sections do.
    free
        backgrounds whose normalisation is fitted; by default ttW and ttZ, by their names, where a
        region of the fit can tell.
    variations
        names of variations that are used; all that the histograms have by default.
    """

    cross_section: float = 0.10
    luminosity: float = 0.017
    signal_cross_section: float = 0.0
    free: tuple[str, ...] | None = None
    variations: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("cross_section", "luminosity", "signal_cross_section"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise OptionError(
                    f"uncertainty {name} is {value}: expected a relative one, 0 to 1 (0.1 is 10 %)"
                )


def free_backgrounds(
    background: Sequence[str], channels: Sequence[Channel], asked: Sequence[str] | None
) -> list[str]:
    """Backgrounds whose normalisation is fitted; see `Uncertainties`.

    ttW is free if there is a control region, ttZ if there is one for it.
    """
    if asked is not None:
        if unknown := sorted(set(asked) - set(background)):
            raise OptionError(
                f"{', '.join(unknown)} shall be free, but is no background; these are "
                f"{', '.join(background)}"
            )
        return [name for name in background if name in asked]
    told = {"ttZ": any(one.controls == "ttZ" for one in channels)}
    told["ttW"] = any(one.purpose != "signal" for one in channels)
    known = {name for process, names in FREE.items() if told[process] for name in names}
    return [name for name in background if name.lower() in known]


def lacking_variations(
    histograms: Mapping[str, Histogram], channels: Sequence[Channel]
) -> list[str]:
    """Variations of `MODELLING` that the histograms of these channels do not have."""
    used = {one.histogram for one in channels}
    return [
        name
        for name in MODELLING
        if any(name not in variations_of(histograms[one]) for one in used)
    ]


def make_workspace(
    histograms: Mapping[str, Histogram],
    channels: Sequence[Channel],
    *,
    background: Sequence[str],
    signal: str,
    data: Sequence[str] = (),
    uncertainties: Uncertainties | None = None,
) -> dict[str, Any]:
    """A workspace of one signal, with the data sets as its samples.

    Parameters
    ----------
    histograms
        of all detectors and observables, with their variations.
    channels
        regions and bins; see `choose_channels`.
    background, signal
        names of data sets. The signal strength "mu" is the parameter of interest.
    data
        names of data sets that are observed; without any, the observations are the Asimov data of
        the background alone.
    uncertainties
        by default those of `Uncertainties`.

    Raises
    ------
    OptionError
        if no channel holds any of the signal, or a variation that is asked for does not exist.

    Notes
    -----
    Per channel one staterror covers all backgrounds. A variation is one parameter in all samples
    and channels: a factor on each sample in each channel (normsys), so that several of them
    multiply, and a shape (histosys). One without "down" is mirrored. A data set that a variation
    has no events of is not varied by it. Negative contents become zero, and an empty bin of a
    sample stays empty.
    """
    wanted = uncertainties or Uncertainties()
    if not (background and channels):
        raise OptionError("a fit needs background data sets and channels; found none")
    free = free_backgrounds(background, channels, wanted.free)
    varied = {
        one: _variations(histograms[one], wanted.variations)
        for one in {channel.histogram for channel in channels}
    }
    made, observations, seen = [], [], 0.0
    for channel in channels:
        h = histograms[channel.histogram]
        filled, samples = Filled.of(h, channel), []
        for name in (*background, signal):
            sample = filled.sample(name, varied[channel.histogram], channel.name)
            if name == signal:
                seen += sum(sample["data"])
                sample["modifiers"] += _of_signal(wanted)
            else:
                sample["modifiers"] += _of_background(name, free, wanted)
                sample["modifiers"].append(_statistics(filled, channel, name, sample["data"]))
            samples.append(sample)
        made.append({"name": channel.name, "samples": samples})
        counts = (
            contents(channel, h, data)[0]
            if data
            else np.sum([one["data"] for one in samples[:-1]], axis=0)
        )
        observations.append({"name": channel.name, "data": [float(one) for one in counts]})
    if seen <= 0:
        raise OptionError(
            f"no channel ({', '.join(one.name for one in channels)}) holds any event of {signal}: "
            "nothing can be said of it"
        )
    config = {"poi": SIGNAL_STRENGTH, "parameters": list(_settings(free, wanted))}
    return {
        "channels": made,
        "observations": observations,
        "measurements": [{"name": "hepmtp", "config": config}],
        "version": "1.0.0",
    }


def simulated_variances(
    histograms: Mapping[str, Histogram], channels: Sequence[Channel], samples: Sequence[str]
) -> Floats:
    """Sums of squared weights, (n_samples, n_bins), in the order of a workspace."""
    parts = [
        [contents(one, histograms[one.histogram], [name])[1] for one in channels]
        for name in samples
    ]
    return np.array([np.concatenate(row) for row in parts])


def _variations(h: Histogram, asked: Sequence[str] | None) -> list[str]:
    found = variations_of(h)
    if asked is None:
        return found
    if unknown := [name for name in asked if name not in found]:
        raise OptionError(
            f"the histogram of {h.name} has no variation {', '.join(unknown)}; it has "
            f"{', '.join(found) or 'none'}"
        )
    return list(asked)


def _of_signal(wanted: Uncertainties) -> list[dict[str, Any]]:
    found = [{"name": SIGNAL_STRENGTH, "type": "normfactor", "data": None}, *_luminosity(wanted)]
    if wanted.signal_cross_section:
        found.append(_normsys(f"{CROSS_SECTION}signal", wanted.signal_cross_section))
    return found


def _of_background(name: str, free: Sequence[str], wanted: Uncertainties) -> list[dict[str, Any]]:
    found = _luminosity(wanted)
    if name in free:
        found.append({"name": f"norm_{name}", "type": "normfactor", "data": None})
    elif wanted.cross_section:
        found.append(_normsys(f"{CROSS_SECTION}{name}", wanted.cross_section))
    return found


def _luminosity(wanted: Uncertainties) -> list[dict[str, Any]]:
    return [{"name": LUMINOSITY, "type": "lumi", "data": None}] if wanted.luminosity else []


def _normsys(name: str, size: float) -> dict[str, Any]:
    """A factor 1 + size up and its inverse down, so that it is never negative."""
    return {"name": name, "type": "normsys", "data": {"hi": 1 + size, "lo": 1 / (1 + size)}}


def _statistics(
    filled: Filled, channel: Channel, name: str, nominal: Sequence[float]
) -> dict[str, Any]:
    return {
        "name": f"statistics_{channel.name}",
        "type": "staterror",
        "data": np.where(np.asarray(nominal) > 0, filled.errors(name), 0.0).tolist(),
    }


def _settings(free: Sequence[str], wanted: Uncertainties) -> Iterator[dict[str, Any]]:
    yield {"name": SIGNAL_STRENGTH, "inits": [1.0], "bounds": [[0.0, 100.0]]}
    for name in free:
        yield {"name": f"norm_{name}", "inits": [1.0], "bounds": [[0.0, 10.0]]}
    if wanted.luminosity:
        size = wanted.luminosity
        yield {
            "name": LUMINOSITY,
            "auxdata": [1.0],
            "sigmas": [size],
            "bounds": [[1 - 5 * size, 1 + 5 * size]],
            "inits": [1.0],
        }

"""AnomalyProcessor: events to histograms of every detector's score in every region, with a cutflow.

The rule: what has trained a detector is never seen. Where some of a file has trained, what is left
of it is scaled up to stand for all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from coffea.processor import ProcessorABC, column_accumulator

from hepmtp.detectors import Detector, load_detector, trained_on
from hepmtp.errors import OptionError, RegionError, check_protocol
from hepmtp.events.entering import as_events
from hepmtp.events.ragged import Bools, Floats
from hepmtp.events.record import metadata
from hepmtp.events.regions import REGIONS, Region, described, region_named
from hepmtp.events.split import unseen
from hepmtp.run.chunks import skipped_of
from hepmtp.statistics.histograms import axis_with, book, fill, scale
from hepmtp.statistics.normalisation import Normalisation, normalisation, tally

logger = logging.getLogger(__name__)


class AnomalyProcessor(ProcessorABC):  # type: ignore[misc]
    """Scores events and fills histograms.

    Parameters
    ----------
    detectors
        fitted detectors, or folders that they were saved to; ``FOLDER#form`` names a form of the
        masked-token score.
    regions
        what is filled; default: all of :mod:`hepmtp.events.regions`.
    columns
        also return the scores event by event, for curves without bins. Memory grows with the
        number of events.
    bins
        of the histograms' score axes, instead of the detectors' own; counts keep theirs.
    ranges
        score -> (low, high) of its axis, instead of the detector's own.
    luminosity
        that the weights are scaled to [1/fb]; by default that of each data set.

    Notes
    -----
    ``process`` returns a dictionary that adds up over chunks::

        scores   {detector: Hist(dataset, region, score)}
        cutflow  {dataset: {region: {"raw": int, "sumw": float, "sumw2": float}}},
                 "all" before any region
        regions  {RegionInfo(place, name, label, purpose)}, a set; see `regions_of`
        columns  {dataset: {name: column_accumulator}}, one value per event; the names are
                 source, event, weight, region:<name> and score:<detector>
        normalisation  {dataset: what `tally` gave}

    ``postprocess`` scales weights to events where cross-section and luminosity are known; then
    ``normalisation`` is {dataset: `Normalisation`}. Metadata of events say both
    (:mod:`hepmtp.statistics.normalisation`), and their role.
    """

    def __init__(
        self,
        detectors: Sequence[Detector | str | Path],
        *,
        regions: Sequence[Region] = REGIONS,
        columns: bool = False,
        bins: int | None = None,
        ranges: Mapping[str, tuple[float, float]] | None = None,
        luminosity: float | None = None,
    ) -> None:
        self.detectors = [
            load_detector(one) if isinstance(one, str | Path) else one for one in detectors
        ]
        for one in self.detectors:
            check_protocol(one, Detector)
        self.regions, self.columns = tuple(regions), columns
        for what, names, error in (
            ("detectors", [one.name for one in self.detectors], OptionError),
            ("regions", [one.name for one in self.regions], RegionError),
        ):
            if not names or len(set(names)) != len(names):
                raise error(f"the {what} need a name each and no name twice, found {names}")
        # an unfitted detector fails here, not on a worker
        ranges = dict(ranges or {})
        names = [one.name for one in self.detectors]
        if unknown := sorted(set(ranges) - set(names)):
            raise OptionError(
                f"a range is given for {', '.join(unknown)}; the scores are {', '.join(names)}"
            )
        self.axes = {
            one.name: axis_with(one.axis, bins=bins, range=ranges.get(one.name))
            for one in self.detectors
        }
        self.luminosity = luminosity
        self.trained = trained_on(self.detectors)
        if self.trained is None:
            unknown = [one.name for one in self.detectors if trained_on([one]) is None]
            logger.warning(
                "%s: nobody knows which events trained this: those of each file that the split "
                "gives to training are left out, but a file that had another name then may have "
                "been split differently; train it again",
                ", ".join(unknown),
            )

    def process(self, events: ak.Array) -> dict[str, Any]:
        """Accumulator of one chunk, shape (n_events,); zero events are fine."""
        found = metadata(events)
        dataset = str(found.get("dataset", ""))
        entries = found.get("entrystop", len(events)) - found.get("entrystart", 0)
        events = as_events(events)
        weight = np.asarray(ak.to_numpy(events.weight), dtype=np.float64)
        left_out = skipped_of(str(found.get("filename", "")))
        skipped = 0 if left_out is None else left_out.events
        read = tally(found, weight, events=entries, skipped=skipped)
        keep, factor = unseen(events, self.trained, self._selection)
        read["scaled"] = {bool((factor != 1.0).any())}
        events, weight = events[keep], (weight * factor)[keep]
        masks = {region.name: region.select(events) for region in self.regions}
        everything = {"all": np.ones(len(weight), dtype=bool)}
        cutflow = {name: _count(weight[mask]) for name, mask in (everything | masks).items()}

        kept = np.any(list(masks.values()), axis=0)
        events, weight = events[kept], weight[kept]
        masks = {name: mask[kept] for name, mask in masks.items()}
        scores = {detector.name: detector.score(events) for detector in self.detectors}
        out: dict[str, Any] = {
            "scores": {},
            "cutflow": {dataset: cutflow},
            "regions": described(self.regions),
            "normalisation": {dataset: read},
        }
        for detector in self.detectors:
            h = out["scores"][detector.name] = book(self.axes[detector.name], name=detector.name)
            for name, mask in masks.items():
                score = scores[detector.name][mask]
                fill(h, dataset=dataset, region=name, score=score, weight=weight[mask])
        if self.columns:
            table = {name: ak.to_numpy(events[name]) for name in ("source", "event")}
            table["weight"] = weight
            table |= {f"region:{name}": mask for name, mask in masks.items()}
            table |= {f"score:{name}": score for name, score in scores.items()}
            columns = {name: column_accumulator(np.asarray(one)) for name, one in table.items()}
            out["columns"] = {dataset: columns}
        return out

    def postprocess(self, accumulator: dict[str, Any]) -> dict[str, Any]:
        """The sum of all chunks with its weights scaled to events, where that can be done."""
        found = {
            dataset: normalisation(one, luminosity=self.luminosity)
            for dataset, one in accumulator["normalisation"].items()
            if not isinstance(one, Normalisation)
        }
        for dataset, one in found.items():
            for h in accumulator["scores"].values():
                scale(h, dataset, one.factor)
            for counts in accumulator["cutflow"][dataset].values():
                counts["sumw"] *= one.factor
                counts["sumw2"] *= one.factor**2
            if self.columns:
                columns = accumulator["columns"][dataset]
                columns["weight"] = column_accumulator(columns["weight"].value * one.factor)
        accumulator["normalisation"] |= found
        return accumulator

    def _selection(self, name: str) -> Callable[[ak.Array], Bools]:
        """That of a region of this processor, or of those that hepmtp has."""
        return region_named(name, (*self.regions, *REGIONS)).select


def _count(weight: Floats) -> dict[str, float]:
    return {"raw": len(weight), "sumw": float(weight.sum()), "sumw2": float((weight**2).sum())}

"""AnomalyProcessor: events to histograms of every detector's score in every region, with a cutflow.

The rule: only events of the analysis part are filled, with weights scaled up to stand for all. What
has trained a detector is never seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from coffea.processor import ProcessorABC, column_accumulator

from hepmtp.detectors import Detector, load_detector
from hepmtp.errors import OptionError, RegionError, check_protocol
from hepmtp.events.ragged import Floats
from hepmtp.events.record import metadata
from hepmtp.events.regions import REGIONS, Region, described
from hepmtp.events.split import analysis_scale, part_of
from hepmtp.statistics.histograms import book, fill


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

    Notes
    -----
    ``process`` returns a dictionary that adds up over chunks::

        scores   {detector: Hist(dataset, region, score)}
        cutflow  {dataset: {region: {"raw": int, "sumw": float, "sumw2": float}}},
                 "all" before any region
        regions  {RegionInfo(place, name, label, purpose)}, a set; see `regions_of`
        columns  {dataset: {name: column_accumulator}}, one value per event; the names are
                 source, event, weight, region:<name> and score:<detector>
    """

    def __init__(
        self,
        detectors: Sequence[Detector | str | Path],
        *,
        regions: Sequence[Region] = REGIONS,
        columns: bool = False,
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
        for detector in self.detectors:
            detector.axis  # noqa: B018  an unfitted detector fails here, not on a worker

    def process(self, events: ak.Array) -> dict[str, Any]:
        """Accumulator of one chunk, shape (n_events,); zero events are fine."""
        dataset = str(metadata(events).get("dataset", ""))
        events = part_of(events, "analysis")
        weight = np.asarray(ak.to_numpy(events.weight), dtype=np.float64) * analysis_scale(events)
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
        }
        for detector in self.detectors:
            h = out["scores"][detector.name] = book(detector.axis, name=detector.name)
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
        """Nothing is left to do: sums of chunks are the result."""
        return accumulator


def _count(weight: Floats) -> dict[str, float]:
    return {"raw": len(weight), "sumw": float(weight.sum()), "sumw2": float((weight**2).sum())}

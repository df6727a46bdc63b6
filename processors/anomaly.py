"""AnomalyProcessor: events to histograms of every detector's score in every region, with a cutflow.

The rule: only events of the analysis part are filled, with weights scaled up for it; what has trained a detector is never seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from coffea.processor import ProcessorABC, column_accumulator
from numpy.typing import NDArray

from hepmtp.detectors import Detector, load_detector
from hepmtp.errors import OptionError, RegionError, check_protocol
from hepmtp.events.record import metadata
from hepmtp.events.regions import REGIONS, Region, described
from hepmtp.events.split import analysis_scale, part_of
from hepmtp.statistics.histograms import book, fill


class AnomalyProcessor(ProcessorABC):  # type: ignore[misc]
    """Scores events and fills histograms.

    Parameters
    ----------
    detectors
        fitted detectors, or folders that they were saved to (``FOLDER#form`` for a form of the masked-token score).
    regions
        what is filled; default: all of :mod:`hepmtp.events.regions`.
    columns
        also return the scores event by event, for curves without bins. Memory grows with the number of events.

    Notes
    -----
    ``process`` returns a dictionary that adds up over chunks::

        scores   {detector: Hist(dataset, region, score)}
        cutflow  {dataset: {region: {"raw": int, "sumw": float, "sumw2": float}}}, "all" before any region
        regions  set of RegionInfo: name, label and purpose of each region, for the report
        columns  {dataset: {"source", "event", "weight", "region:<name>", "score:<detector>": column_accumulator}}
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
        cutflow = {
            name: _count(weight[mask])
            for name, mask in {"all": np.ones(len(weight), bool), **masks}.items()
        }

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
                fill(
                    h,
                    dataset=dataset,
                    region=name,
                    score=scores[detector.name][mask],
                    weight=weight[mask],
                )
        if self.columns:
            table = {name: ak.to_numpy(events[name]) for name in ("source", "event")} | {
                "weight": weight
            }
            table |= {f"region:{name}": mask for name, mask in masks.items()}
            table |= {f"score:{name}": score for name, score in scores.items()}
            out["columns"] = {
                dataset: {
                    name: column_accumulator(np.asarray(column)) for name, column in table.items()
                }
            }
        return out

    def postprocess(self, accumulator: dict[str, Any]) -> dict[str, Any]:
        """Nothing is left to do: sums of chunks are the result."""
        return accumulator


def _count(weight: NDArray[np.float64]) -> dict[str, float]:
    return {"raw": len(weight), "sumw": float(weight.sum()), "sumw2": float((weight**2).sum())}

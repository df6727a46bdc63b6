"""AnomalyProcessor: events to histograms of every detector's score in every region, with a cutflow.

The rule: what has trained a detector is never seen. Where some of a file has trained, what is left
of it is scaled up to stand for all. Variations of the events or of their weights fill the same
histograms beside the nominal ones; data have none.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from coffea.processor import ProcessorABC
from numpy.typing import NDArray

from hepmtp.detectors import Detector, load_detector, trained_on
from hepmtp.detectors.strangest import strangest
from hepmtp.errors import OptionError, RegionError, check_protocol
from hepmtp.events.entering import as_events
from hepmtp.events.ragged import Bools, Floats
from hepmtp.events.record import metadata, role_of
from hepmtp.events.region_info import described
from hepmtp.events.regions import REGIONS, Region, region_named
from hepmtp.events.split import unseen
from hepmtp.events.strangest import Strangest
from hepmtp.events.variables import N_B, N_JETS, Variable
from hepmtp.events.variation import Variation
from hepmtp.run.chunks import skipped_of
from hepmtp.run.columns import Column
from hepmtp.run.score_files import with_entries, write_part
from hepmtp.statistics.flatness import fill_replicas
from hepmtp.statistics.histograms import (
    NOMINAL,
    Histogram,
    axis_of,
    axis_with,
    book,
    fill_all,
    scale,
)
from hepmtp.statistics.normalisation import Normalisation, normalisation, tally
from processors.cuts import Cuts, count
from processors.shifts import shifts

logger = logging.getLogger(__name__)

#: The score whose strangest events are kept; without it, that of the first detector.
DEFAULT = "anomaly"


class AnomalyProcessor(ProcessorABC):  # type: ignore[misc]
    """Scores events and fills histograms.

    Parameters
    ----------
    detectors
        fitted detectors, or folders that they were saved to; ``FOLDER#form`` names a form of the
        masked-token score.
    regions
        what is filled; default: all of :mod:`hepmtp.events.regions`.
    variables
        what is filled beside the scores; one that is a detector too is filled as such.
    variations
        of the events or their weights (:mod:`hepmtp.events.variations`), up and down of each.
    columns
        also return the scores event by event, for curves without bins. Memory grows with the
        number of events. Or a folder that all workers see: they write them there, part by part
        (:mod:`hepmtp.run.score_files`), and nothing is held.
    bins
        of the histograms' score axes, instead of the detectors' own; counts keep theirs.
    ranges
        score -> (low, high) of its axis, instead of the detector's own.
    luminosity
        that the weights are scaled to [1/fb]; by default that of each data set.

    Notes
    -----
    ``process`` returns a dictionary that adds up over chunks::

        scores     {detector: Hist(dataset, region, variation, score)}
        variables  {variable: the same}
        replicas   {detector: the same}, background by each replica of a calibration, which are
                   its variations; see :mod:`hepmtp.statistics.flatness`
        n_minus_one  {variable: the same}, all cuts of the region applied but those on it
        cutflow    {dataset: {region: {"raw": int, "sumw": float, "sumw2": float}}},
                   "all" before any region
        cuts       {dataset: {region: {"cutflow", "n_minus_one": {cut: the same}}}}
        regions    {RegionInfo}, a set; see `regions_of`
        overlaps   {(region, region)}, a set: pairs that share an event
        columns    {dataset: {name: Column}}, one value per event; the names are
                   source, event, weight, region:<name> and score:<detector>
        parts      {ScorePart}, a set: the files that were written instead
        strangest  {detector: {dataset: {region: Strangest}}}, of the default score in the signal
                   regions; see :mod:`hepmtp.events.strangest`
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
        variables: Sequence[Variable] = (N_JETS, N_B),
        variations: Sequence[Variation] = (),
        columns: bool | str | Path = False,
        bins: int | None = None,
        ranges: Mapping[str, tuple[float, float]] | None = None,
        luminosity: float | None = None,
    ) -> None:
        self.detectors = [
            load_detector(one) if isinstance(one, str | Path) else one for one in detectors
        ]
        for one in self.detectors:
            check_protocol(one, Detector)
        self.regions, self.columns = tuple(regions), columns is True
        self.parts = None if isinstance(columns, bool) else str(columns)
        for what, names, error in (
            ("detectors", [one.name for one in self.detectors], OptionError),
            ("regions", [one.name for one in self.regions], RegionError),
            ("variables", [one.name for one in variables], OptionError),
            ("variations", [one.name for one in variations], OptionError),
        ):
            some = names or what.startswith("vari")
            if not some or len(set(names)) != len(names):
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
        self.variables = tuple(one for one in variables if one.name not in self.axes)
        self.variations = tuple(variations)
        self.about = next((one for one in self.detectors if one.name == DEFAULT), self.detectors[0])
        self.cuts = Cuts(self.regions)
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
        if self.parts is not None:
            events = with_entries(events, found)
        read = tally(found, weight, events=entries, skipped=skipped)
        keep, factor = unseen(events, self.trained, self._selection)
        read["scaled"] = {bool((factor != 1.0).any())}
        events, weight = events[keep], (weight * factor)[keep]
        packed = self.cuts.packed(events)
        masks = self.cuts.masks(packed)
        everything = {"all": np.ones(len(weight), dtype=bool)}
        cutflow = {name: count(weight[mask]) for name, mask in (everything | masks).items()}
        out: dict[str, Any] = {
            "cutflow": {dataset: cutflow},
            "cuts": {dataset: self.cuts.one_by_one(packed, weight)},
            "regions": described(self.regions),
            "overlaps": {
                (one, other)
                for one, other in itertools.combinations(masks, 2)
                if (masks[one] & masks[other]).any()
            },
            "normalisation": {dataset: read},
            "n_minus_one": self.cuts.n_minus_one(dataset, events, weight, packed),
        }
        out |= self._booked()
        for shifted in shifts(events, weight, masks, variations=self.variations, cuts=self.cuts):
            scored, table = self._fill(out, dataset, *shifted)
            if NOMINAL not in shifted.weights:
                continue
            out["strangest"] = {self.about.name: {dataset: self._strangest(scored, table)}}
            if self.columns:
                columns = {name: Column(np.asarray(one)) for name, one in table.items()}
                out["columns"] = {dataset: columns}
            if self.parts is not None:
                table |= {f"variable:{one.name}": one.values(scored) for one in self.variables}
                out["parts"] = {write_part(self.parts, found, scored, table)}
        return out

    def _strangest(
        self, events: ak.Array, table: Mapping[str, NDArray[Any]]
    ) -> dict[str, Strangest]:
        """The strangest events of each signal region, of events in any region."""
        found = {}
        for one in self.regions:
            if one.purpose == "signal" and not one.part_of:
                inside = table[f"region:{one.name}"]
                score, weight = table[f"score:{self.about.name}"], table["weight"]
                found[one.name] = strangest(
                    self.about, events[inside], score[inside], weight[inside]
                )
        return found

    def _booked(self) -> dict[str, dict[str, Histogram]]:
        """Empty histograms of the scores and the variables."""
        variables = {one.name: book(axis_of(one), name=one.name) for one in self.variables}
        scores = {name: book(axis, name=name) for name, axis in self.axes.items()}
        replicas = {
            one.name: book(self.axes[one.name], name=one.name)
            for one in self.detectors
            if getattr(one, "replicas", None) is not None
        }
        return {"scores": scores, "variables": variables, "replicas": replicas}

    def _fill(
        self,
        out: dict[str, Any],
        dataset: str,
        events: ak.Array,
        masks: Mapping[str, Bools],
        weights: Mapping[str, Floats],
    ) -> tuple[ak.Array, dict[str, NDArray[Any]]]:
        """Fill scores and variables of the events in any region; gives these, and as columns."""
        kept = np.any(list(masks.values()), axis=0)
        events, masks = events[kept], {name: mask[kept] for name, mask in masks.items()}
        weights = {name: one[kept] for name, one in weights.items()}
        scores = {one.name: one.score(events) for one in self.detectors}
        values = {one.name: one.values(events) for one in self.variables}
        for kind, found in (("scores", scores), ("variables", values)):
            for name, of_events in found.items():
                for region, mask in masks.items():
                    fill_all(
                        out[kind][name],
                        dataset=dataset,
                        region=region,
                        score=of_events[mask],
                        weights={key: one[mask] for key, one in weights.items()},
                    )
        if NOMINAL in weights and role_of(metadata(events)) == "background":
            of_replicas: dict[str, Any] = {"regions": masks, "weight": weights[NOMINAL]}
            for one in self.detectors:
                if one.name in out["replicas"]:
                    calibrated: Any = one  # no protocol asks for replicas
                    h, by_each = out["replicas"][one.name], calibrated.replicas(events)
                    fill_replicas(h, by_each, dataset=dataset, **of_replicas)
        table = {name: ak.to_numpy(events[name]) for name in ("source", "event")}
        table |= {"weight": weights[NOMINAL]} if NOMINAL in weights else {}
        table |= {f"region:{name}": mask for name, mask in masks.items()}
        return events, table | {f"score:{name}": score for name, score in scores.items()}

    def postprocess(self, accumulator: dict[str, Any]) -> dict[str, Any]:
        """The sum of all chunks with its weights scaled to events, where that can be done."""
        found = {
            dataset: normalisation(one, luminosity=self.luminosity)
            for dataset, one in accumulator["normalisation"].items()
            if not isinstance(one, Normalisation)
        }
        for dataset, one in found.items():
            for kind in ("scores", "variables", "n_minus_one", "replicas"):
                for h in accumulator[kind].values():
                    if dataset in h.axes["dataset"]:
                        scale(h, dataset, one.factor)
            for of in accumulator["strangest"].values():
                kept = of[dataset].items()
                of[dataset] = {region: strange.scaled(one.factor) for region, strange in kept}
            cuts = accumulator["cuts"][dataset].values()
            tables = [
                accumulator["cutflow"][dataset],
                *(table for of in cuts for table in of.values()),
            ]
            for counts in (one for table in tables for one in table.values()):
                counts["sumw"] *= one.factor
                counts["sumw2"] *= one.factor**2
            if self.columns:
                columns = accumulator["columns"][dataset]
                columns["weight"] = Column(columns["weight"].value * one.factor)
        accumulator["normalisation"] |= found
        return accumulator

    def _selection(self, name: str) -> Callable[[ak.Array], Bools]:
        """That of a region of this processor, or of those that hepmtp has."""
        return region_named(name, (*self.regions, *REGIONS)).select

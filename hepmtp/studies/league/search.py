"""The search that a league's scores make possible: significances of the simultaneous fit.

The rule: a score is fitted in the parts of the signal region, in events that it has not seen. The
control and validation regions are fitted in counts of jets and b-jets, the same for all scores.
Weights vary, events do not: no score is computed twice.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import awkward as ak
import numpy as np

from hepmtp.datasets.manifest import Dataset
from hepmtp.detectors import score_axis
from hepmtp.errors import FitError, OptionError
from hepmtp.events.ragged import Bools, Floats
from hepmtp.events.record import metadata, with_fields
from hepmtp.events.region_info import described
from hepmtp.events.regions import REGIONS, SR, Region
from hepmtp.events.variables import N_B, N_JETS
from hepmtp.events.variation import DIRECTIONS
from hepmtp.events.variations import variations_named
from hepmtp.report.info import RunInfo
from hepmtp.report.run_fit import FitRow, significance
from hepmtp.report.run_workspace import Run
from hepmtp.statistics.histograms import NOMINAL, Histogram, assemble, axis_of, book, fill_all
from hepmtp.statistics.normalisation import Normalisation, events_or_weights
from hepmtp.studies.league.table import Entrant

log = logging.getLogger(__name__)

#: Counts that control and validation regions are fitted in; as entries they are fits of their own.
COUNTS = {one.name: one for one in (N_JETS, N_B)}


class Part(NamedTuple):
    """What a fit needs of the scored events of one data set."""

    inside: Bools  #: events where the score is fitted: in SR or a part of it, shape (n_events,)
    masks: dict[str, Bools]  #: SR or a part of it -> which of these are in it, shape (n_inside,)
    weights: dict[str, Floats]  #: variation, or "nominal" -> their weights, shape (n_inside,)
    normalisation: Normalisation

    @classmethod
    def joined(cls, parts: Sequence[Part]) -> Part:
        """The events of all parts, one after the other; what is joined leaves the parts."""
        first = parts[0]
        return cls(
            np.concatenate([one.inside for one in parts]),
            {key: np.concatenate([one.masks.pop(key) for one in parts]) for key in [*first.masks]},
            {
                key: np.concatenate([one.weights.pop(key) for one in parts])
                for key in [*first.weights]
            },
            first.normalisation,
        )


@dataclass(frozen=True)
class Search:
    """What the fits of a league need of its events.

    Parameters
    ----------
    counts
        histograms of `COUNTS` in all regions, with all variations of the weights.
    parts
        data set -> what is kept of its scored events.
    stop
        events that were read of each file; None for all.
    regions
        of the fit. The score is fitted in the parts of the SR.
    """

    counts: dict[str, Histogram]
    parts: dict[str, Part] = field(default_factory=dict)
    stop: int | None = None
    regions: tuple[Region, ...] = REGIONS

    @classmethod
    def empty(cls, stop: int | None = None, regions: tuple[Region, ...] = REGIONS) -> Search:
        """Without any events."""
        counts = {name: book(axis_of(one), name=name) for name, one in COUNTS.items()}
        return cls(counts, {}, stop, regions)

    def count(
        self, dataset: Dataset, known: Normalisation, chosen: ak.Array, kept: Bools, factor: float
    ) -> Part:
        """Count events of a data set; what is to be kept of them, for `parts`.

        Parameters
        ----------
        known
            what its weights stand for, by all its events.
        chosen
            events that were not fitted on, shape (n_chosen,).
        kept
            whether each of these is scored, shape (n_chosen,).
        factor
            makes the weights of `chosen` stand for all events.
        """
        chosen = with_fields(chosen, {**metadata(chosen), "process": dataset.process})
        nominal = np.asarray(ak.to_numpy(chosen.weight), dtype=np.float64) * factor * known.factor
        weights = {NOMINAL: nominal}
        for variation in variations_named("weights"):
            for way in DIRECTIONS:
                weights[variation.category(way)] = nominal * variation.factors(chosen, way)
        masks = {one.name: one.select(chosen) for one in self.regions}
        for name, variable in COUNTS.items():
            values = variable.values(chosen)
            for region, mask in masks.items():
                fill_all(
                    self.counts[name], dataset=dataset.name, region=region, score=values[mask],
                    weights={key: one[mask] for key, one in weights.items()},
                )  # fmt: skip
        fitted = {one.name: masks[one.name][kept] for one in self.regions if _scored(one)}
        inside = np.any(list(fitted.values()), axis=0)
        return Part(
            inside,
            {name: mask[inside] for name, mask in fitted.items()},
            {key: one[kept][inside] for key, one in weights.items()},
            known,
        )

    def fits(
        self, entrants: Sequence[Entrant], background: Sequence[str], signal: str
    ) -> tuple[dict[str, list[FitRow]], list[str]]:
        """Row of the league -> its fit with each seed, and what to know of them.

        A row of which a fit fails, or has too few events, has none, and that is said.
        """
        found, remarks = {}, []
        for one in entrants:
            try:
                found[one.name] = [
                    self.fit(one.name, fit.scores[one.name], background, signal) for fit in one.fits
                ]  # fmt: skip
            except (FitError, OptionError) as error:  # the latter for too few events
                remarks.append(f"{one.name}, {signal}: no significance: {error}")
                log.warning(remarks[-1])
        return found, remarks

    def fit(
        self,
        row: str,
        score: Mapping[str, Floats],
        background: Sequence[str],
        signal: str,
        *,
        counts: bool = False,
    ) -> FitRow:
        """The simultaneous fit of one score and one signal.

        Parameters
        ----------
        row
            its name.
        score
            data set -> score of its scored events, shape (n_events,).
        counts
            the row is one of `COUNTS`: fitted on its own axis, one bin a number.

        Raises
        ------
        FitError
            if the fit does not converge.
        OptionError
            if the signal region holds no background, or no channel holds signal.
        """
        histograms, detector = dict(self.counts), row
        if not counts:
            detector = f"score of {row}"
            histograms[detector] = self.histogram(detector, score, background, signal)
        info = RunInfo(
            title="league", summary=(), command="", background=list(background), signals=[signal],
            detector=detector, regions=sorted(described(self.regions)), content=self.content,
        )  # fmt: skip
        run = Run(Path("league"), info, histograms)
        return significance(run, signal=signal, detector=detector)

    def histogram(
        self, name: str, score: Mapping[str, Floats], background: Sequence[str], signal: str
    ) -> Histogram:
        """The score in the signal region; the other regions are one bin, their sum of weights."""
        like = self.counts[N_JETS.name]
        fitted = {one: score[one][self.parts[one].inside] for one in (*background, signal)}
        values = [fitted[one][self.parts[one].masks[SR.name]] for one in background]
        axis = score_axis(np.concatenate(values), label=name)
        names = [[*background, signal], list(like.axes["region"]), list(like.axes["variation"])]
        rows = [like.axes["dataset"].index(one) for one in names[0]]
        counts: Any = np.asarray(like.view(flow=True))[rows]
        content = np.zeros((*counts.shape[:-1], axis.size + 2), dtype=counts.dtype)
        for other in (one for one in self.regions if not _scored(one)):
            place = like.axes["region"].index(other.name)
            for part in ("value", "variance"):
                content[part][:, place, :, 1] = counts[part][:, place].sum(axis=-1)
        h = assemble(book(axis, name=name), names, content)
        for dataset in names[0]:
            _, masks, weights, _ = self.parts[dataset]
            for region, mask in masks.items():
                fill_all(
                    h, dataset=dataset, region=region, score=fitted[dataset][mask],
                    weights={key: one[mask] for key, one in weights.items()},
                )  # fmt: skip
        return h

    @property
    def content(self) -> str:
        """What sums of the weights are: "Events", or "Sum of weights"."""
        return events_or_weights(one.normalisation for one in self.parts.values())

    @property
    def remarks(self) -> list[str]:
        """What to know of all significances."""
        said = []
        if self.stop is not None:
            said.append(
                f"At most {self.stop} events of each file were read: significances are those of so "
                "few events, where nothing scales them to a cross-section."
            )
        if self.content != "Events":
            said.append(
                "Weights are not known to be events. The fits take them for events: give "
                "cross-section and luminosity, or the significances mean nothing."
            )
        lumi = {one.normalisation.luminosity_ifb for one in self.parts.values()} - {None}
        if len(lumi) > 1:
            values = ", ".join(f"{one:g}" for one in sorted(filter(None, lumi)))
            said.append(
                f"The data sets stand for different luminosities ({values} /fb): the significances "
                "are those of no experiment."
            )
        return said


def _scored(region: Region) -> bool:
    """Whether the score is fitted here: in the signal region and its parts."""
    return SR.name in (region.name, region.part_of)

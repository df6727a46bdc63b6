"""What a score is worth in the SR: expected significance, and the events that it is judged by.

The rule: what judges has trained nothing. It is a second sample of the same processes; a synthetic
signal is its background made stranger.

The SR has six bins of the score, geometric in the share of background, with at least ten effective
events in the last. Uncertain are each process by 14 % and the simulation by its statistics. A
synthetic signal has 40 events. Errors of differences are standard deviations over bootstraps of
background and signal together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray

import hepmtp as hm
from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import Dataset, embedded
from hepmtp.detectors import training_events
from hepmtp.events.record import concatenate, with_metadata
from hepmtp.events.regions import SR
from hepmtp.events.stranger import OPERATIONS, Recipe, make_stranger

Floats = NDArray[np.float64]
YIELD, UNCERTAINTY, BINS, LEAST_EVENTS, LEAST_SHARE = 40.0, 0.14, 6, 10.0, 0.004
BOOTSTRAPS = 100
#: Kind of strangeness -> how background is made so: each operation alone, and mixtures.
KINDS = {name: Recipe((name,), 1.0) for name in OPERATIONS}
KINDS |= {f"mixture {damp}": Recipe(damp=damp) for damp in (0.3, 0.5, 0.7)}


def edges_of(scores: Floats, weights: Floats) -> Floats:
    """Lower edges of all bins but the first."""
    order = np.argsort(-scores)
    above, squares = np.cumsum(weights[order]), np.cumsum(weights[order] ** 2)
    enough = min(int(np.searchsorted(above**2 / squares, LEAST_EVENTS)), len(order) - 1)
    least = max(above[enough] / above[-1], LEAST_SHARE)
    places = np.searchsorted(above, np.geomspace(1, least, BINS)[1:] * above[-1])
    return np.unique(scores[order][np.minimum(places, len(order) - 1)])


def significance(background: Floats, variance: Floats, signal: Floats) -> float:
    """q0 of the Asimov data set: background (processes, bins), its variance and signal (bins,).

    One parameter a process and one a bin, all constrained; Newton's method finds the minimum.
    """
    some = background.sum(axis=0) > 0
    background, variance, signal = background[:, some], variance[some], signal[some]
    total = background.sum(axis=0)
    data, spread, n = signal + total, np.sqrt(variance) / total, len(background)
    theta = np.zeros(n + len(total))

    def expected() -> tuple[Floats, Floats]:
        by_process = np.maximum((1 + UNCERTAINTY * theta[:n]) @ background, 1e-9)
        by_bin = np.maximum(1 + spread * theta[n:], 1e-6)
        slope = np.hstack(
            [UNCERTAINTY * background.T * by_bin[:, None], np.diag(by_process * spread)]
        )
        return by_process * by_bin, slope

    for _ in range(60):
        found, slope = expected()
        gradient = slope.T @ (1 - data / found) + theta
        curvature = slope.T @ (slope * (data / found**2)[:, None]) + np.eye(len(theta))
        step = np.linalg.solve(curvature, gradient)
        theta -= step / max(1.0, np.abs(step).max())
        if np.abs(step).max() < 1e-8:
            break
    found, _ = expected()
    q = 2 * np.sum(found - data - data * np.log(found / data)) + np.sum(theta**2)
    return float(np.sqrt(max(q, 0.0)))


class Judge:
    """Scores of one candidate as numbers: significances and their paired bootstraps."""

    def __init__(self, weights: Floats, process: NDArray[np.int64]) -> None:
        self.weights, self.process = weights, process

    def __call__(self, background: Floats, signal: Floats, weights: Floats, draw: int = 0) -> float:
        """Significance; the bins stay those of all events in a bootstrap, `draw` > 0."""
        edges = edges_of(background, self.weights)
        copies, others = np.ones(len(background)), np.ones(len(signal))
        if draw:
            rng = np.random.default_rng(draw)
            copies = rng.poisson(1.0, len(background)).astype(float)
            others = rng.poisson(1.0, len(signal)).astype(float)
        place = np.searchsorted(edges, background, side="right")
        n, w = len(edges) + 1, self.weights * copies
        by_process = [
            np.bincount(place[self.process == one], w[self.process == one], n)
            for one in np.unique(self.process)
        ]
        variance = np.bincount(place, w * self.weights, n)
        inside = np.bincount(np.searchsorted(edges, signal, side="right"), weights * others, n)
        return significance(*(np.asarray(one, float) for one in (by_process, variance, inside)))


def judged(background: ak.Array) -> dict[str, ak.Array]:
    """Background of the judge made stranger in each way, in the SR."""
    rng = np.random.default_rng(7)
    made = {name: make_stranger(background, rng, [one]) for name, one in KINDS.items()}
    return {name: events[SR.select(events)] for name, events in made.items()}


def events_of(file: Path, name: str, role: str) -> ak.Array:
    """Events of a file."""
    reader = hm.DarkMachinesCSV()
    events = reader.read(str(file), 0, reader.num_events(str(file)))
    return with_metadata(events, dataset=name, role=role)


def another(dataset: Dataset, folder: Path) -> ak.Array:
    """Events of the same process in a folder."""
    file = next(folder.glob(f"{dataset.name}.csv*"))
    return events_of(file, dataset.name, dataset.role)


class Samples(NamedTuple):
    """What candidates are fitted on and judged by."""

    fitting: ak.Array  #: embedded background, all parts
    sets: dict[str, ak.Array]  #: its "training" part, and what is judged, in the SR
    made: list[str]  #: kinds of background made stranger
    signals: list[str]
    weights: dict[str, Floats]  #: of these and those
    judge: Judge


def samples_of(folder: Path, files: Sequence[Path] = ()) -> Samples:
    """The embedded sample, that of the judge in a folder, and further signals."""
    datasets = embedded()
    background = read([one for one in datasets if one.role == "background"])
    others = {one.name: another(one, folder) for one in datasets}
    names = [one.name for one in datasets if one.role == "background"]
    other = concatenate(others[name] for name in names)
    process = np.repeat(np.arange(len(names)), [len(others[name]) for name in names])
    inside = SR.select(other)
    sets = {"training": training_events(background), "background": other[inside]}
    made = judged(other)
    weights = {name: np.asarray(events.weight) for name, events in made.items()}
    weights = {name: w * YIELD / w.sum() for name, w in weights.items()}
    signals = {
        one.name: concatenate([read([one]), others[one.name]])
        for one in datasets
        if one.role == "signal"
    }
    for file in files:
        name = file.name.partition(".")[0]
        signals[name] = events_of(file, name, "signal")
    for name, events in signals.items():
        # each sample stands for the whole yield with its own weight: 1/weight adds up
        weight = 1 / (1 / np.unique(np.asarray(events.weight))).sum()
        sets[name] = events[SR.select(events)]
        weights[name] = np.full(len(sets[name]), weight)
    judge = Judge(np.asarray(other.weight)[inside], process[inside])
    return Samples(background, sets | made, list(made), list(signals), weights, judge)


def bootstraps(judge: Judge, found: Mapping[str, Floats], name: str, w: Floats) -> Floats:
    """Significance of a score: of the events, then of bootstraps that all scores share."""
    draws = range(BOOTSTRAPS + 1)
    return np.array([judge(found["background"], found[name], w, draw) for draw in draws])


def compared(
    judge: Judge, found: Mapping[str, Floats], other: Mapping[str, Floats], name: str, w: Floats
) -> str:
    """Significance and its difference to another score, with the paired error."""
    if found is other:
        return f"{judge(found['background'], found[name], w):.2f}"
    here, there = (bootstraps(judge, one, name, w) for one in (found, other))
    gain = here - there
    return f"{here[0]:.2f} ({gain[0]:+.2f} ± {np.std(gain[1:]):.2f})"

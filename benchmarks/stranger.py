"""How the default score was chosen: expected significance for background made stranger.

No signal chooses. Detectors are fitted on the embedded background; --judge is a folder with another
sample of the same processes (files as the embedded ones). Its background in the SR, and the same
events made stranger, give an expected significance for each kind of strangeness:

- known: each operation alone, and mixtures, all of which the networks have learned;
- left out: each operation alone, for networks that have not learned that one. This chooses.

True signals are in the last columns, of both samples; --signals names more of them, one file each,
which examples/simulation/generate.py makes.

Significance: the SR in six bins of the score, geometric in the share of background, with at least
ten effective events in the last. Uncertain are each process by 14 % and the simulation by its
statistics. A synthetic signal has 40 events. Differences are to the observables combined, with the
standard deviation over bootstraps of background and signal together.

    python benchmarks/stranger.py --judge FOLDER --signals FILE.csv.gz ... \\
        --folder stranger --out benchmarks/results/stranger.md

Scores are kept in --folder, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

import hepmtp as hm
from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.detectors import training_events
from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.detectors.observables import Observable
from hepmtp.detectors.stranger import StrangerDetector
from hepmtp.events.record import concatenate, with_metadata
from hepmtp.events.regions import SR
from hepmtp.events.stranger import OPERATIONS, Recipe, make_stranger
from hepmtp.models.marginal import MarginalOptions
from hepmtp.run.rivals import PLAIN
from hepmtp.statistics.fisher import TailCombination

Floats = NDArray[np.float64]
#: Name of a candidate -> what its Fisher's combination is of; one alone is that score itself.
CANDIDATES: dict[str, tuple[str, ...]] = {
    "observables": PLAIN,
    "n_jets and n_b": ("n_jets", "n_b"),
    "n_b": ("n_b",),
    "MET": ("met",),
    "masked_token": ("joined",),
    "masked_token_jets": ("jets",),
    "static_jets": ("static_jets",),
    "stranger": ("stranger",),
    "stranger + masked tokens": ("stranger", "jets"),
    "observables + masked tokens": (*PLAIN, "jets"),
    "observables + static": (*PLAIN, "static_jets"),
    "stranger + observables": ("stranger", *PLAIN),
    "stranger + observables + static": ("stranger", *PLAIN, "static_jets"),
    "**anomaly**: stranger + observables + masked tokens": ("stranger", *PLAIN, "jets"),
    "stranger + observables + excess": ("stranger", *PLAIN, "excess"),
}
AGAINST = "observables"
YIELD, UNCERTAINTY, BINS, LEAST_EVENTS, LEAST_SHARE = 40.0, 0.14, 6, 10.0, 0.004
BOOTSTRAPS = 100


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


def parts_of(events: ak.Array, detectors: Mapping[str, Any]) -> dict[str, Floats]:
    """Columns of each part of a candidate, (n_events, n)."""
    return {
        name: one.parts(events) if hasattr(one, "parts") else one.score(events)[:, None]
        for name, one in detectors.items()
    }


def masked_tokens(folder: Path, background: ak.Array) -> dict[str, MaskedTokenDetector]:
    """The default masked-token detector and its static control, kept in the folder."""
    slow = hm.TrainingOptions(epochs=4, learning_rate=0.05, weight_decay=0.0)
    static = hm.MaskedTokenDetector(model=MarginalOptions(), training=slow)
    found = {}
    for name, one in (("masked", hm.MaskedTokenDetector()), ("static", static)):
        if not (folder / name).exists():
            one.fit(background).save(folder / name)
        found[name] = hm.MaskedTokenDetector.load(folder / name)
    return found


def judged(background: ak.Array) -> dict[str, ak.Array]:
    """Background of the judge made stranger by each operation and by mixtures, in the SR."""
    rng = np.random.default_rng(7)
    chosen = {name: Recipe((name,), 1.0) for name in OPERATIONS}
    chosen |= {f"mixture {damp}": Recipe(damp=damp) for damp in (0.3, 0.5, 0.7)}
    made = {name: make_stranger(background, rng, [one]) for name, one in chosen.items()}
    return {name: events[SR.select(events)] for name, events in made.items()}


def main() -> None:
    """Fit what is missing and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--judge", type=Path, required=True)
    parser.add_argument(
        "--signals", type=Path, nargs="*", default=[], help="more of them, a file each"
    )
    parser.add_argument(
        "--signals-only",
        action="store_true",
        help="what the scores reach for signals, without the fits that chose among them",
    )
    parser.add_argument("--folder", type=Path, default=Path("stranger"))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    datasets = embedded()
    background = read([one for one in datasets if one.role == "background"])
    reader = hm.DarkMachinesCSV()
    others = {}
    for one in datasets:
        path = str(next(options.judge.glob(f"{one.name}.csv*")))
        events = reader.read(path, 0, reader.num_events(path))
        others[one.name] = with_metadata(events, dataset=one.name, role=one.role)
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
    for file in options.signals:
        events = reader.read(str(file), 0, reader.num_events(str(file)))
        name = file.name.partition(".")[0]
        signals[name] = with_metadata(events, dataset=name, role="signal")
    for name, events in signals.items():
        # each sample stands for the whole yield with its own weight: 1/weight adds up
        weight = 1 / (1 / np.unique(np.asarray(events.weight))).sum()
        sets[name] = events[SR.select(events)]
        weights[name] = np.full(len(sets[name]), weight)
    sets |= made
    masked = masked_tokens(options.folder, background)
    fixed: dict[str, Any] = {name: Observable(name) for name in PLAIN}
    fixed |= {"joined": masked["masked"], "static_jets": masked["static"].with_score("jets")}
    fixed |= {form: masked["masked"].with_score(form) for form in ("jets", "excess")}
    fixed_parts = {name: parts_of(events, fixed) for name, events in sets.items()}
    judge = Judge(np.asarray(other.weight)[inside], process[inside])
    known: dict[str, dict[str, float]] = {}
    left_out: dict[str, dict[str, float]] = {}
    true: dict[str, list[str]] = {}
    for without in ("", *(() if options.signals_only else OPERATIONS)):
        path = options.folder / f"without_{without or 'nothing'}"
        if not path.exists():
            StrangerDetector(without=without).fit(background).save(path)
        networks = {"stranger": StrangerDetector.load(path)}
        parts = {
            name: fixed_parts[name] | parts_of(events, networks) for name, events in sets.items()
        }
        scores = {name: combined(parts, of) for name, of in CANDIDATES.items()}
        for name, found in scores.items():
            if without:
                left_out.setdefault(name, {})[without] = judge(
                    found["background"], found[without], weights[without]
                )
                continue
            known[name] = {
                kind: judge(found["background"], found[kind], weights[kind]) for kind in made
            }
            true[name] = [
                compared(judge, found, scores[AGAINST], signal, weights[signal])
                for signal in signals
            ]
    words = " --signals FILE ..." * bool(options.signals)
    words += " --signals-only" * options.signals_only
    columns = [*([] if options.signals_only else ["known", "left out"]), *signals]
    table = [
        (
            f"Made by `python benchmarks/stranger.py --judge FOLDER{words}`, "
            f"{int(inside.sum())} background events in the SR of the judge."
        ),
        "",
        "| score | " + " | ".join(columns) + " |",
        "| --- " * (1 + len(columns)) + "|",
    ]
    chosen_by = known if options.signals_only else left_out
    for name in sorted(CANDIDATES, key=lambda name: -np.mean(list(chosen_by[name].values()))):
        means = [] if options.signals_only else [known[name], left_out[name]]
        numbers = [f"{np.mean(list(one.values())):.2f}" for one in means]
        table.append(f"| {' | '.join([name, *numbers, *true[name]])} |")
    text = "\n".join(table) + "\n"
    sys.stdout.write(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


def combined(parts: Mapping[str, Mapping[str, Floats]], of: tuple[str, ...]) -> dict[str, Floats]:
    """Scores of a candidate on all sets; tails are those of training events."""
    columns = {
        name: np.concatenate([one[part] for part in of], axis=1) for name, one in parts.items()
    }
    if columns["training"].shape[1] == 1:
        return {name: one[:, 0] for name, one in columns.items()}
    tails = TailCombination().fit(columns["training"])
    return {name: tails.score(one) for name, one in columns.items()}


def compared(
    judge: Judge, found: Mapping[str, Floats], other: Mapping[str, Floats], name: str, w: Floats
) -> str:
    """Significance and its difference to another score, with the paired error."""
    here, there = (judge(one["background"], one[name], w) for one in (found, other))
    draws = [
        judge(found["background"], found[name], w, draw)
        - judge(other["background"], other[name], w, draw)
        for draw in range(1, BOOTSTRAPS + 1)
    ]
    if found is other:
        return f"{here:.2f}"
    return f"{here:.2f} ({here - there:+.2f} ± {np.std(draws):.2f})"


if __name__ == "__main__":
    main()

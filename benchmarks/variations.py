"""What the shipped variations do, and what they cost.

A masked-token detector is trained on the backgrounds of the embedded sample. Of background that
trained nothing, the table has the share of tokens that move, and the change of the sum of weights
and of the score's quantiles. The time is that of making the varied events or factors; ``--cost``
also compares whole runs with and without weight variations.

    python benchmarks/variations.py --epochs 4 --out benchmarks/results/variations.md
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from outcome import show

from hepmtp.datasets.files import fileset, read
from hepmtp.datasets.manifest import embedded
from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.detectors.observables import OBSERVABLES, Observable
from hepmtp.events.regions import region_named
from hepmtp.events.split import unseen
from hepmtp.events.variation import Variation
from hepmtp.events.variations import VARIATIONS, variations_named
from hepmtp.run.executors import make_executor
from hepmtp.run.runner import HepRunner
from hepmtp.studies.variation_effects import (
    QUANTILES,
    Effect,
    Estimate,
    effects,
    weighted_quantiles,
)
from hepmtp.training.masking import TrainingOptions
from processors.anomaly import AnomalyProcessor

#: A run with weight variations may take so many times the CPU time of one without.
MOST = 1.2


def detector_of(folder: Path | None, options: TrainingOptions) -> MaskedTokenDetector:
    """The detector in the folder; it is trained, and saved there if a folder is named."""
    if folder is not None and folder.is_dir():
        return MaskedTokenDetector.load(folder)
    background = read(one for one in embedded() if one.role == "background")
    detector = MaskedTokenDetector(training=options).fit(background)
    if folder is not None:
        detector.save(folder)
    return detector


def held_back(detector: MaskedTokenDetector) -> list[Any]:
    """Events of each background that trained nothing, weighted to stand for all."""
    parts = []
    for dataset in embedded():
        if dataset.role == "background":
            events = read([dataset])
            keep, factor = unseen(events, detector.trained_)
            events["weight"] = events.weight * factor
            parts.append(events[keep])
    return parts


def seconds(make: Callable[[], Any], rounds: int = 3) -> float:
    """The shortest CPU time of some calls [s]."""
    found = []
    for _ in range(rounds):
        start = time.process_time()
        make()
        found.append(time.process_time() - start)
    return min(found)


def making(variation: Variation, parts: Sequence[Any]) -> float:
    """CPU time of what a variation gives for events, all directions, per 1000 events [ms]."""

    def make() -> None:
        for part in parts:
            for direction in variation.directions:
                if variation.kind == "object":
                    variation.shifted(part, direction)
                else:
                    variation.factors(part, direction)

    return 1e6 * seconds(make) / sum(map(len, parts))


def cost(plain: AnomalyProcessor, varied: AnomalyProcessor, *, rounds: int = 4) -> Estimate:
    """CPU time of runs with `varied` over that of runs with `plain`, on the embedded sample.

    Both take turns on pairs of data sets. A busy machine changes its speed; and no data set comes
    twice in a row, for a detector remembers the last events that it has scored. The ratio is the
    median of those of each data set and round, with the error of a median.
    """
    ratios = []
    with make_executor("iterative", status=False) as executor:
        runner, files = HepRunner(executor), [fileset([dataset]) for dataset in embedded()]
        for _ in range(rounds):
            for at in range(0, len(files), 2):
                pair = files[at : at + 2]
                first, second = (
                    [seconds(partial(runner, some, processor), 1) for some in pair]
                    for processor in (plain, varied)
                )
                ratios += [after / before for before, after in zip(first, second, strict=True)]
    low, middle, high = np.quantile(ratios, [0.16, 0.5, 0.84])
    return Estimate(float(middle), float(1.25 * (high - low) / 2 / np.sqrt(len(ratios))))


def cost_of_weights(detector: MaskedTokenDetector) -> tuple[float, str]:
    """The ratio of a run with all weight variations to one without, and a sentence that says it."""
    some = read((one for one in embedded() if one.role == "background"), stop=2000)
    detectors: list[Any] = [detector, *(Observable(name).fit(some) for name in OBSERVABLES)]
    weights = variations_named(["weights"])
    ratio = cost(AnomalyProcessor(detectors), AnomalyProcessor(detectors, variations=weights))
    return ratio.value, (
        f"A run of {len(detectors)} detectors with {len(weights)} weight variations takes "
        f"{ratio.value:.2f} +- {ratio.error:.2f} times the CPU time of one without (at most "
        f"{MOST:g})."
    )


def percent(found: Estimate | None) -> str:
    """A share or a relative change as text."""
    if found is None:
        return ""
    value = round(100 * found.value, 2) + 0.0  # no -0.00
    return f"{value:+.2f} +- {100 * found.error:.2f}"


def row(effect: Effect, milliseconds: str) -> str:
    """A line of the table."""
    share = percent(effect.moved).removeprefix("+")
    changes = [
        f"{round(one.value, 3) + 0.0:+.3f} +- {one.error:.3f}" for one in effect.quantile_changes
    ]
    columns = [effect.category, share, percent(effect.sum_change), *changes, milliseconds]
    return f"| {' | '.join(columns)} |"


def main() -> None:
    """Print the table; with ``--cost``, exit code 1 if weight variations cost too much."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--region", default="SR")
    parser.add_argument("--detector", type=Path, help="a folder to keep the trained detector in")
    parser.add_argument("--cost", action="store_true", help="also compare two runs")
    parser.add_argument("--out", type=Path, help="also write the table here")
    options = parser.parse_args()
    training = TrainingOptions(epochs=options.epochs, seed=options.seed)
    detector = detector_of(options.detector, training)
    parts, region = held_back(detector), region_named(options.region)
    found = effects(
        detector,
        parts,
        VARIATIONS,
        rng=np.random.default_rng(options.seed),
        region=region,
        tokenizer=detector.tokenizer,
    )
    times = {one.name: making(one, parts) for one in VARIATIONS}
    inside = [part[region.select(part)] for part in parts]
    score = np.concatenate([detector.score(part) for part in inside])
    weight = np.concatenate([np.asarray(part.weight) for part in inside])
    order = np.argsort(score)
    nominal = weighted_quantiles(score[order], weight[order], QUANTILES)
    places = ", ".join(
        f"{100 * one:g} % at {at:.3f}" for one, at in zip(QUANTILES, nominal, strict=True)
    )
    scoring = 1e6 * seconds(lambda: [detector.score(part) for part in parts], 1)
    lines = [
        (
            f"Embedded sample, background of the {region.name} that trained nothing: {len(score)} "
            f"events, {weight.sum():.1f} expected. {options.epochs} epochs, seed {options.seed}. "
            f"Quantiles of the score {detector.name} without a variation: {places}. Scoring takes "
            f"{scoring / sum(map(len, parts)):.0f} ms for 1000 events. Made by `python "
            f"benchmarks/variations.py --epochs {options.epochs} --seed {options.seed}"
            f"{' --cost' if options.cost else ''}`."
        ),
        "",
        (
            "| variation | tokens moved [%] | sum of weights [%] | "
            f"{' | '.join(f'{100 * one:g} % quantile' for one in QUANTILES)} | "
            "ms for 1000 events, all directions |"
        ),
        "|---" * (4 + len(QUANTILES)) + "|",
    ]
    for effect in found:
        name, _, direction = effect.category.rpartition("_")
        lines.append(row(effect, f"{times[name]:.1f}" if direction == "up" else ""))
    ratio = 0.0
    if options.cost:
        ratio, sentence = cost_of_weights(detector)
        lines += ["", sentence]
    show("\n".join(lines) + "\n", options.out)
    sys.exit(ratio > MOST)


if __name__ == "__main__":
    main()

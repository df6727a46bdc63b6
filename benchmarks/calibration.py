"""How flat each way of calibrating a score is, and what calibration costs.

The masked-token score of the embedded background is calibrated on the training part. It is judged
on events that trained nothing: the analysis part, and a second sample if there is one. Ways are
chosen by the first table, which holds background only. The last table shows the signals, once.

    python benchmarks/calibration.py --detector DETECTOR --more FOLDER \\
        --out benchmarks/results/calibration.md

Without a detector (a folder of `hepmtp train`), one is trained as in `hepmtp demo`. FOLDER holds
files of the embedded names that were made with other random numbers.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from calibration_ways import METHODS, Sample
from hist.axis import Regular
from outcome import show

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.detectors import load_detector
from hepmtp.detectors.calibrated.detector import BINS, END, Calibrated
from hepmtp.detectors.calibrated.quantile import conditions
from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.events.ragged import Floats
from hepmtp.events.record import concatenate
from hepmtp.events.regions import PARTS, region_named
from hepmtp.events.split import split_of
from hepmtp.statistics.flatness import UPPER, fill_replicas, flatness, shares
from hepmtp.statistics.histograms import Histogram, book, fill
from hepmtp.statistics.metrics import auc
from hepmtp.statistics.significance import asimov

REGIONS = ("CR", "CR1b", "VR", "SR")
#: Of the SR, by b-jets, whatever MET is.
BY_B = ("SR_2b", "SR_3b")
#: Bins of the significance, in shares of the background, and its uncertainty in each.
BINNING, UNCERTAINTY = (1.0, 0.5, 0.25, 0.12, 0.06, 0.03), 0.1
TOYS = 200


def sample(parts: dict[str, list[tuple[ak.Array, float]]]) -> Sample:
    """Each data set's samples as one: each counts by its effective events."""
    events, weights, names = [], [], []
    for name, several in parts.items():
        found = [ak.to_numpy(one.weight) * scale for one, scale in several]
        effective = np.array([w.sum() ** 2 / (w**2).sum() for w in found])
        for (one, _), w, n in zip(several, found, effective, strict=True):
            events.append(one)
            weights.append(w * n / effective.sum())
            names.append(np.full(len(one), name))
    whole = concatenate(events)
    regions = {name: region_named(name).select(whole) for name in REGIONS}
    for name in BY_B:
        slices = [one.select(whole) for one in PARTS if one.name.startswith(name)]
        regions[name] = np.any(slices, axis=0)
    return Sample(whole, np.concatenate(names), np.concatenate(weights), conditions(whole), regions)


def samples(more: Path | None) -> tuple[Sample, Sample, Sample]:
    """Training background, judging background, signals."""
    training, judging, signals = {}, {}, {}
    for one in embedded():
        found = read([one])
        others = []
        if more is not None:
            path = str(more / Path(one.files[0]).name)
            other = replace(one, files=(path,), sha256=(None,), embedded=False)
            others = [(read([other]), 1.0)]
        if one.role == "signal":
            signals[one.name] = [(found, 1.0), *others]
            continue
        part = split_of(found)
        training[one.name] = [(found[part == "train"], 1.0)]
        judging[one.name] = [(found[part == "analysis"], 1 / 0.3), *others]
    return sample(training), sample(judging), sample(signals)


def histogram(of: Sample, scores: Floats) -> Histogram:
    """Score histogram of every region."""
    h = book(Regular(BINS, 0, END, name="score", label="calibrated"), name="calibrated")
    for name in np.unique(of.dataset):
        for region, mask in of.regions.items():
            chosen = mask & (of.dataset == name)
            fill(h, dataset=name, region=region, score=scores[chosen], weight=of.weight[chosen])
    return h


def cells(h: Histogram, first: str, replicas: Histogram | None = None) -> Iterator[str]:
    """Ratio to the CR and chi2 in each upper part."""
    a, b = (shares(h, one, datasets=None, replicas=replicas) for one in (first, "CR"))
    for upper in UPPER:
        found = flatness(a, b, upper=upper)
        errors = f"{found.error:.2f}"
        if replicas is not None:
            errors += f" ± {found.calibration_error:.2f}"
        p = f", p = {found.p_value:.2g}" if replicas is not None else ""
        yield f"{found.ratio:.2f} ± {errors} ({found.chi2:.0f} / {found.ndof}{p})"


def compared(name: str, seconds: float, h: Histogram) -> list[str]:
    """Rows of a way."""
    regions = ("SR", "VR", "SR_3b")
    return [row(name, f"{seconds:.1f}", f"{one} / CR", *cells(h, one)) for one in regions]


def replicas_of(calibrated: Calibrated, of: Sample) -> Histogram:
    """Histogram of every replica."""
    found, h = calibrated.replicas(of.events), book(calibrated.axis, name="replicas")
    for name in np.unique(of.dataset):
        chosen = of.dataset == name
        regions = {key: mask[chosen] for key, mask in of.regions.items()}
        fill_replicas(h, found[:, chosen], dataset=name, regions=regions, weight=of.weight[chosen])
    return h


def row(*words: str) -> str:
    """A row of a table."""
    return f"| {' | '.join(words)} |\n"


def significance(s: Floats, b: Floats) -> float:
    """Of several bins, each with its own uncertainty of the background."""
    z = [asimov(x, y, sigma_b=UNCERTAINTY * y) for x, y in zip(s, b, strict=True) if y > 0]
    return float(np.sqrt(np.square(z).sum()))


def cost(
    judging: Sample, signals: Sample, scores: dict[str, tuple[Floats, Floats]]
) -> Iterator[str]:
    """A row for each signal and score."""
    inside, rng = judging.regions["SR"], np.random.default_rng(0)
    b_weight = judging.weight[inside]
    for signal in np.unique(signals.dataset):
        chosen = signals.regions["SR"] & (signals.dataset == signal)
        s_weight = signals.weight[chosen]
        for name, (background, of_signal) in scores.items():
            b, s = background[inside], of_signal[chosen]
            order = np.argsort(b)
            above = 1 - np.cumsum(b_weight[order]) / b_weight.sum()
            edges = [-np.inf, *(b[order][np.searchsorted(-above, -one)] for one in BINNING[1:])]
            filled = [
                np.histogram(v, [*edges, np.inf], weights=w**k)[0]
                for v, w in ((s, s_weight), (b, b_weight))
                for k in (1, 2)
            ]
            toys = [
                significance(
                    *(
                        np.maximum(rng.normal(filled[i], np.sqrt(filled[i + 1])), 1e-3)
                        for i in (0, 2)
                    )
                )
                for _ in range(TOYS)
            ]
            found = auc(s, b, signal_weight=s_weight, background_weight=b_weight)
            yield row(
                signal,
                name,
                f"{found.value:.3f} ± {found.error:.3f}",
                f"{significance(filled[0], filled[2]):.2f} ± {np.std(toys):.2f}",
            )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--detector", type=Path, help="folder of a trained detector")
    parser.add_argument("--more", type=Path, help="folder of a second sample")
    parser.add_argument("--out", type=Path, help="also write the tables here")
    options = parser.parse_args()
    known, judging, signals = samples(options.more)
    if options.detector:
        detector: Any = load_detector(options.detector)
    else:
        detector = MaskedTokenDetector().fit(known.events)
    scores, of_judging, of_signals = (
        detector.score(one.events) for one in (known, judging, signals)
    )
    uppers = [f"upper {100 * one:g} %" for one in UPPER]
    lines = [row("way", "fit [s]", "regions", *uppers), "|---|---|---|---|---|---|\n"]
    for name, method in METHODS.items():
        start = time.perf_counter()
        fitted = method(known, scores)
        seconds = time.perf_counter() - start
        lines += compared(name, seconds, histogram(judging, fitted(judging, of_judging)))
    start = time.perf_counter()
    calibrated = Calibrated(detector).fit(ak.with_field(known.events, known.weight, "weight"))
    seconds = time.perf_counter() - start
    ours = calibrated.score(judging.events)
    h, replicas = histogram(judging, ours), replicas_of(calibrated, judging)
    lines += compared("`Calibrated`, scoring and 20 replicas included", seconds, h)
    full = [row("regions", *uppers), "|---|---|---|---|\n"]
    full += [
        row(f"{one} / CR", *cells(h, one, replicas)) for one in (*REGIONS, *BY_B) if one != "CR"
    ]
    both = {
        "masked_token": (of_judging, of_signals),
        "masked_token_calibrated": (ours, calibrated.score(signals.events)),
    }
    costs = [row("signal", "score", "AUC", "significance"), "|---|---|---|---|\n"]
    costs += cost(judging, signals, both)
    text = f"""# Calibrated scores

The masked-token score, calibrated on {len(known.weight)} training events and judged on
{len(judging.weight)} others, background by cross-section. Shares of a region in the upper part of
the score over those of the CR, and in brackets chi2 / ndof of the bins there.

## Ways, with the errors of the judging events alone

{"".join(lines)}
## `Calibrated`, with the error of the calibration as well

The second error, and the chi2, hold the spread of the replicas.

{"".join(full)}
## What calibration costs

Significance of the SR at 139 / fb in {len(BINNING)} bins of the score (background shares
{", ".join(f"{one:g}" for one in BINNING)}), each with {100 * UNCERTAINTY:g} % on its background.

{"".join(costs)}"""
    show(text, options.out)


if __name__ == "__main__":
    main()

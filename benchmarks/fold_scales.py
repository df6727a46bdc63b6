"""How much the trainings of a cross-fitting differ in the scale of their scores, and what helps.

Compared are scores of the same background events, which neither training has learned from, on one
half of them; a map is set on the other half. Then they change places.

    python benchmarks/fold_scales.py --out benchmarks/results/fold_scales.md
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from outcome import show

import hepmtp as hm
from hepmtp.detectors.cross_fitted import CrossFitted
from hepmtp.events.folds import fold_of, never_trains

Floats = NDArray[np.float64]
QUANTILES = (0.5, 0.9, 0.98)
FORMS = ("joined", "sum", "mean")


def linear(mine: Floats, its: Floats) -> Callable[[Floats], Floats]:
    """Factor and shift to the same mean and standard deviation."""
    factor = mine.std() / its.std()
    return lambda scores: factor * scores + (mine.mean() - factor * its.mean())


def quantiles(mine: Floats, its: Floats) -> Callable[[Floats], Floats]:
    """Sorted scores to sorted scores."""
    x, y = np.sort(its), np.sort(mine)
    return lambda scores: np.interp(scores, x, y)


MAPS: dict[str, Callable[[Floats, Floats], Callable[[Floats], Floats]]] = {
    "no map": lambda mine, its: lambda scores: scores,  # noqa: ARG005
    "factor and shift": linear,
    "quantiles": quantiles,
}


def changes(scores: Sequence[Floats], fold: NDArray[np.int64], q: float) -> tuple[str, list[str]]:
    """Statistical error, and rms change of the share above the first training's quantile."""
    found: dict[str, list[float]] = {name: [] for name in MAPS}
    errors = []
    even = np.arange(len(fold)) % 2 == 0
    for index in range(1, len(scores)):
        both = (fold != 0) & (fold != index)
        for half in (even, ~even):
            fit, test = both & half, both & ~half
            above = scores[0][test] > (cut := np.quantile(scores[0][test], q))
            for name, make in MAPS.items():
                mapped = make(scores[0][fit], scores[index][fit])(scores[index][test])
                found[name].append((mapped > cut).mean() / above.mean() - 1)
            other = scores[index][test] > np.quantile(scores[index][test], q)
            errors.append(np.sqrt((above != other).sum()) / above.sum())
    rms = [f"{np.sqrt(np.mean(np.square(one))):.3f}" for one in found.values()]
    return f"{np.mean(errors):.3f}", rms


def main() -> None:
    """Train, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=6000, help="first events of each background")
    parser.add_argument("--detector", type=Path, help="a saved one, instead of training")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    sets = [one for one in hm.embedded() if one.role == "background"]
    events = hm.read(sets, stop=options.events)
    if options.detector is None:
        crossed = hm.CrossFitted(hm.MaskedTokenDetector(), folds=5).fit(events)
    else:
        crossed = CrossFitted.load(options.detector)
    held = events[never_trains(events)]
    about = (
        f"{len(events)} background events, {crossed.folds} folds; {len(held)} train nothing. rms "
        "change, relative, of the share of events above a quantile of the first training's score."
    )
    lines = [
        about,
        "",
        f"| score | share above | statistical error | {' | '.join(MAPS)} | factors |",
        f"|---|---|---|{'---|' * len(MAPS)}---|",
    ]
    for form in FORMS:
        one = crossed.with_score(form)
        scores = [member.score(held) for member in one.members_]
        factors = one.scales_[one.name][:, 0]
        for q in QUANTILES:
            error, rms = changes(scores, fold_of(held, crossed.folds), q)
            lines.append(
                f"| {one.name} | {1 - q:.2f} | {error} | {' | '.join(rms)} | "
                f"{factors.min():.3f} to {factors.max():.3f} |"
            )
    show("\n".join(lines) + "\n", options.out)


if __name__ == "__main__":
    main()

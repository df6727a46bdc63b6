"""The rule by which new scores were tried against the default, `anomaly`.

- The criterion is the mean significance for background made stranger by an operation that the
  networks have not learned, as in stranger.py and on the same events. Best is the largest mean.
  These networks are half as many, trained for a third of the epochs, the same for all candidates.
- The best of what is new, and no other, is judged on the signals. It replaces `anomaly` if it is
  above it by more than the paired error in the criterion, and not below it for a signal.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from outcome import show
from sr_significance import Samples, bootstraps, compared

from hepmtp.detectors.stranger import StrangerDetector, StrangerTraining
from hepmtp.events.stranger import OPERATIONS
from hepmtp.run.rivals import PLAIN

Floats = NDArray[np.float64]
#: Columns by the name of a set of events, and by that of a part or candidate.
Parts = dict[str, dict[str, Floats]]
REFERENCE = "**anomaly**: stranger + observables + masked tokens"
ANOMALY = ("stranger", *PLAIN, "jets")


class ScoresOf(Protocol):
    """Scores of all candidates, on background and some sets, without an operation learned."""

    def __call__(self, sets: Sequence[str], without: str = "") -> Parts: ...


def parser_of(doc: str | None, folder: str) -> argparse.ArgumentParser:
    """What each of these commands is asked."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--judge", type=Path, required=True)
    parser.add_argument("--signals", type=Path, nargs="*", default=[], help="as of stranger.py")
    parser.add_argument("--folder", type=Path, default=Path(folder))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--left-out", nargs="+", default=list(OPERATIONS), choices=list(OPERATIONS))
    return parser


def networks_of(kind: type[StrangerDetector], without: str) -> StrangerDetector:
    """Those of the default, or smaller ones that do not learn an operation."""
    return (
        kind(without=without, members=4, training=StrangerTraining(epochs=8)) if without else kind()
    )


def choose(
    samples: Samples,
    scores_of: ScoresOf,
    today: Collection[str],
    options: argparse.Namespace,
    command: str,
) -> None:
    """Print the tables of all candidates, and of the best on the signals.

    Parameters
    ----------
    today
        candidates that are no news.
    options
        of `parser_of`.
    command
        the benchmark with its own options, as it was called.
    """
    left_out: dict[str, list[Floats]] = {}
    for without in options.left_out:
        for name, one in scores_of([without], without).items():
            w = samples.weights[without]
            left_out.setdefault(name, []).append(bootstraps(samples.judge, one, without, w))
    new = set(left_out) - set(today)
    best = max(new, key=lambda name: float(np.mean(left_out[name], axis=0)[0]))
    if set(options.left_out) != set(OPERATIONS):
        command += f" --left-out {' '.join(options.left_out)}"
    rows = [f"Made by `python benchmarks/{command}`,", *criterion(samples, left_out), ""]
    rows += on_signals(samples, scores_of(samples.signals), best)
    show("\n".join(rows) + "\n", options.out)


def criterion(samples: Samples, left_out: Mapping[str, list[Floats]]) -> Iterator[str]:
    """Rows of the table, the best first.

    Parameters
    ----------
    left_out
        of each candidate, for each operation, what `bootstraps` gives.
    """
    yield f"{len(samples.sets['background'])} background events in the SR of the judge."
    yield ""
    yield "| score | left out | minus *anomaly* |"
    yield "| --- | --- | --- |"
    means = {name: np.mean(found, axis=0) for name, found in left_out.items()}
    for name in sorted(means, key=lambda name: -means[name][0]):
        gain = means[name] - means[REFERENCE]
        error = "" if name == REFERENCE else f"{gain[0]:+.2f} ± {np.std(gain[1:]):.2f}"
        yield f"| {name} | {means[name][0]:.2f} | {error} |"


def on_signals(samples: Samples, scores: Parts, best: str) -> Iterator[str]:
    """Rows of the table of signals, of the reference and the best."""
    yield "| score | " + " | ".join(samples.signals) + " |"
    yield "| --- " * (1 + len(samples.signals)) + "|"
    for name in (REFERENCE, best):
        cells = [
            compared(samples.judge, scores[name], scores[REFERENCE], one, samples.weights[one])
            for one in samples.signals
        ]
        yield f"| {' | '.join([name, *cells])} |"

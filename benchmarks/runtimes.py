"""Scoring by ONNX Runtime and by torch.compile, against hepmtp itself.

One masked-token detector of default size scores the same events in three ways. They are hepmtp
itself, the graph of `hepmtp export` in ONNX Runtime, and the torch module of that graph, compiled.
The last needs a C++ compiler and is left out without one. The graphs take events of one
multiplicity at a time, about 4096 tokens together. All start from particles and end with the score,
in one thread. They run in turns, and the best CPU time of the rounds counts. What a graph takes to
be made ready, once, is in a column of its own.

    python benchmarks/runtimes.py --out benchmarks/results/runtimes.md
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from outcome import show
from timing import seconds

import hepmtp as hm
from hepmtp.detectors.export.folder import columns_of
from hepmtp.detectors.export.graphs import graph_of
from hepmtp.detectors.export.scorer import Scorer
from hepmtp.events.record import concatenate

REQUIRED, TOLERANCE = 1.0, 1e-4
TOKENS = 4096  # about so many at once
#: Scores of the events, (n_events,).
Score = Callable[[], NDArray[np.float64]]


def compiled(graph: torch.nn.Module, columns: dict[str, Any]) -> Score:
    """The graph in machine code, for any number of events and particles."""
    module = torch.compile(graph.eval(), dynamic=True)
    counts = columns["counts"]
    particles, met = (torch.as_tensor(columns[name]) for name in ("particles", "met"))
    first = torch.as_tensor(np.cumsum(counts) - counts)

    @torch.no_grad()
    def score() -> NDArray[np.float64]:
        found = np.empty(len(counts))
        for n in np.unique(counts):
            same = np.flatnonzero(counts == n)
            for some in np.array_split(same, len(same) * (n + 2) // TOKENS + 1):
                rows = first[some][:, None] + torch.arange(n)
                found[some] = module(particles[rows], met[some]).numpy()
        return found

    return score


def timed(ways: dict[str, Score], rounds: int) -> dict[str, float]:
    """Best CPU time of each, in turns."""
    best = dict.fromkeys(ways, np.inf)
    for _ in range(rounds):
        for name, score in ways.items():
            best[name] = min(best[name], seconds(score))
    return best


def main() -> None:
    """Print the table; exit code 1 if another way is faster."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=1000, help="of each data set")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    background = [one for one in hm.embedded() if one.role == "background"]
    detector = hm.MaskedTokenDetector(training=hm.TrainingOptions(epochs=1))
    detector.fit(hm.read(background, stop=1000))
    events = concatenate(hm.read([one], stop=options.events) for one in hm.embedded())
    columns = columns_of(events)
    forget = hm.read(background[:1], stop=1)

    def ours() -> NDArray[np.float64]:
        detector.score(forget)  # a detector remembers what it has found of the last events
        return detector.score(events)

    ways: dict[str, Score] = {"hepmtp": ours}
    ready = {"hepmtp": 0.0}
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        hm.export_detector(detector, Path(folder) / "exported")
        shutil.copytree(Path(folder) / "exported", Path(folder) / "moved")
        scorer = Scorer(Path(folder) / "moved")
        ways["ONNX Runtime"] = lambda: scorer.score(**columns)
        ready["ONNX Runtime"] = time.process_time() - start
    if shutil.which("g++"):
        start = time.process_time()
        ways["torch.compile"] = compiled(graph_of(detector), columns)
        with contextlib.redirect_stderr(sys.stdout):
            ways["torch.compile"]()
        ready["torch.compile"] = time.process_time() - start
    expected = ours()
    spread = np.std(expected)
    for name, score in ways.items():
        worst = np.abs(score() - expected).max() / spread
        if worst > TOLERANCE:
            sys.exit(f"{name} gives other scores: they differ by {worst:.2g} of their spread")
    best = timed(ways, options.rounds)
    made_by = f"benchmarks/runtimes.py --events {options.events} --rounds {options.rounds}"
    versions = f"torch {torch.__version__} and onnxruntime {onnxruntime.__version__}"
    how = f"one thread, best CPU time of {options.rounds} rounds in turns"
    lines = [
        f"{len(events)} embedded events, {how}. Made by `python {made_by}` with {versions}.",
        "",
        "| way | events/s | hepmtp is so many times as fast | to make it ready [CPU s] |",
        "|---|---|---|---|",
    ]
    for name, spent in best.items():
        ratio = spent / best["hepmtp"]
        lines.append(f"| {name} | {len(events) / spent:.0f} | {ratio:.2f} | {ready[name]:.1f} |")
    least = min(spent / best["hepmtp"] for name, spent in best.items() if name != "hepmtp")
    lines += ["", f"Against the faster of the others: {least:.2f} (required {REQUIRED:g})."]
    show("\n".join(lines) + "\n", options.out)
    if least < REQUIRED:
        sys.exit(1)


if __name__ == "__main__":
    main()

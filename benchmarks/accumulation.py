"""Sums of many chunks: all of them are copied once, not again at each sum.

Columns and tokens are added up beside coffea's ``column_accumulator`` and a sum of `TokenBatch`,
chunk by chunk as executors do it. What they need is told in copies: one ``np.concatenate`` of all
chunks, timed in turn. A tenth of the chunks is no measure, for it fits into the cache of the
processor, where a copy costs a twentieth. Then the output of AnomalyProcessor, with as many scores
and variations as are asked for, is added up 10 000 times, in a process whose memory is measured.

    python benchmarks/accumulation.py --out benchmarks/results/accumulation.md
"""

from __future__ import annotations

import argparse
import copy
import itertools
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from coffea.processor import accumulate, column_accumulator
from hist.axis import Regular
from memory import peak_of_this_process
from numpy.typing import NDArray
from outcome import show
from timing import seconds

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.detectors.observables import OBSERVABLES, Observable
from hepmtp.events.regions import REGIONS
from hepmtp.events.tokens import TokenBatch
from hepmtp.run.columns import Column, TokenColumn
from hepmtp.statistics.histograms import book, fill_all
from processors.anomaly import AnomalyProcessor

#: A sum may take so many times as long as one copy; copying at each sum takes about 100.
COPIES = 5.0
#: The sums of all chunks may need so much memory [MiB].
MEMORY = 2048.0
EVENTS, TOKENS = 20_000, 12
#: The best of so many is taken; the first time, a process also waits for its memory.
ROUNDS = 3


def main() -> None:
    """Print the tables; exit code 1 if a sum takes too many copies, or too much memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=200, help="of the columns")
    parser.add_argument("--sums", type=int, default=10_000, help="chunks of histograms")
    parser.add_argument("--detectors", type=int, default=10)
    parser.add_argument("--variations", type=int, default=20)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(*histograms(options.sums, options.detectors, options.variations))
        return
    rng = np.random.default_rng(1)
    numbers = rng.normal(size=EVENTS)
    tokens = TokenBatch.from_counts(rng.integers(0, 500, EVENTS * TOKENS), np.full(EVENTS, TOKENS))
    kinds: dict[str, tuple[Callable[[], Any], Callable[[], Any], NDArray[Any]]] = {
        "column": (lambda: Column(numbers), lambda: column_accumulator(numbers), numbers),
        "tokens": (lambda: TokenColumn(tokens), lambda: tokens, tokens.values),
    }
    lines = [
        "| what | chunks | CPU [s] | one copy [s] | ratio of the two | copied at each sum |",
        "|---|---|---|---|---|---|",
    ]
    ratios = []
    for name, (ours, plain, one) in kinds.items():
        parts = [one] * options.chunks
        pairs = [
            (_seconds(ours, options.chunks), seconds(partial(np.concatenate, parts)))
            for _ in range(ROUNDS)
        ]
        spent, copy_once = (min(column) for column in zip(*pairs, strict=True))
        other = _seconds(plain, options.chunks)
        ratios.append(spent / copy_once)
        lines.append(
            f"| {name} | {options.chunks} of {EVENTS} events | {spent:.3f} | {copy_once:.3f} "
            f"| {ratios[-1]:.1f} | {other:.1f} s, {other / spent:.0f} times as long |"
        )
    command = [sys.executable, __file__, "--measure", "--sums", str(options.sums)]
    command += ["--detectors", str(options.detectors), "--variations", str(options.variations)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    peak, grown, spent = map(float, run.stdout.split())
    sums = (
        f"Columns and tokens take {' and '.join(f'{ratio:.1f}' for ratio in ratios)} copies of "
        f"all (at most {COPIES:g}). {options.sums} chunks of histograms, {options.detectors} "
        f"scores with {options.variations} variations up and down, are added in {spent:.0f} s of "
        f"CPU; peak of the process {peak:.0f} MiB (at most {MEMORY:.0f}), {grown:.0f} MiB more "
        "than before."
    )
    made_by = f"python benchmarks/accumulation.py --chunks {options.chunks} --sums {options.sums}"
    text = "\n".join(
        [
            f"Made by `{made_by}`.",
            "",
            *lines,
            "",
            sums,
        ]
    )
    show(text + "\n", options.out)
    sys.exit(max(ratios) > COPIES or peak > MEMORY)


def _seconds(make: Callable[[], Any], chunks: int) -> float:
    """Time of a sum of so many chunks, and of asking for its value once."""
    outputs = [{"columns": make()} for _ in range(chunks)]
    start = time.process_time()
    total: Any = accumulate(outputs)
    value = getattr(total["columns"], "value", total["columns"])
    spent = time.process_time() - start
    if len(value) != chunks * EVENTS:
        raise RuntimeError(f"{len(value)} of {chunks * EVENTS} events came out")
    return spent


def histograms(sums: int, detectors: int, variations: int) -> tuple[float, float, float]:
    """(peak of this process, what of it came with the sum [MiB], seconds)."""
    datasets = embedded()
    events = read(datasets[:1], stop=200)
    names = list(OBSERVABLES)[:3]
    output = AnomalyProcessor([Observable(name).fit(events) for name in names]).process(events)
    ways = ["nominal", *(f"v{i}_{way}" for i in range(variations) for way in ("up", "down"))]
    rng = np.random.default_rng(1)
    output["scores"] = {}
    for i in range(detectors):
        h = output["scores"][f"score{i}"] = book(Regular(50, 0, 1, name="score"), name=f"score{i}")
        for region in REGIONS:
            fill_all(
                h,
                dataset=datasets[0].name,
                region=region.name,
                score=rng.random(50),
                weights={way: np.ones(50) for way in ways},
            )
    before = peak_of_this_process()
    start = time.process_time()
    accumulate(itertools.chain([copy.deepcopy(output)], itertools.repeat(output, sums - 1)))
    return peak_of_this_process(), peak_of_this_process() - before, time.process_time() - start


if __name__ == "__main__":
    main()

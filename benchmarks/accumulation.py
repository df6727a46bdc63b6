"""Sums of many chunks: their time grows with the number of chunks, not with its square.

Columns and tokens are added up beside coffea's ``column_accumulator`` and a sum of `TokenBatch`,
chunk by chunk as executors do it. Then the output of AnomalyProcessor, with as many scores and
variations as are asked for, is added up 10 000 times, in a process whose memory is measured.

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
from pathlib import Path
from typing import Any

import numpy as np
from coffea.processor import accumulate, column_accumulator
from hist.axis import Regular
from memory import peak_of_this_process
from outcome import show

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.detectors.observables import OBSERVABLES, Observable
from hepmtp.events.regions import REGIONS
from hepmtp.events.tokens import TokenBatch
from hepmtp.run.columns import Column, TokenColumn
from hepmtp.statistics.histograms import book, fill_all
from processors.anomaly import AnomalyProcessor

#: Ten times the chunks may take so many times as long.
LINEAR = 15.0
#: The sums of all chunks may need so much memory [MiB].
MEMORY = 2048.0
EVENTS, TOKENS = 20_000, 12
#: The best of so many is taken.
ROUNDS = 3


def main() -> None:
    """Print the tables; exit code 1 if a sum is not linear, or too large."""
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
    kinds: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "column": (lambda: Column(numbers), lambda: column_accumulator(numbers)),
        "tokens": (lambda: TokenColumn(tokens), lambda: tokens),
    }
    lines = [
        "| what | chunks | CPU [s] | a tenth of them | ratio of the two | copied at each sum |",
        "|---|---|---|---|---|---|",
    ]
    failed = False
    for name, (ours, plain) in kinds.items():
        # the first time, a process also waits for its memory
        few, many = (
            min(_seconds(ours, n) for _ in range(ROUNDS))
            for n in (options.chunks // 10, options.chunks)
        )
        other = _seconds(plain, options.chunks)
        failed |= many / few > LINEAR
        lines.append(
            f"| {name} | {options.chunks} of {EVENTS} events | {many:.2f} | {few:.3f} "
            f"| {many / few:.1f} | {other:.1f} s, {other / many:.0f} times as long |"
        )
    command = [sys.executable, __file__, "--measure", "--sums", str(options.sums)]
    command += ["--detectors", str(options.detectors), "--variations", str(options.variations)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    peak, grown, seconds = map(float, run.stdout.split())
    failed |= peak > MEMORY
    sums = (
        f"{options.sums} chunks of histograms, {options.detectors} scores with "
        f"{options.variations} variations up and down, are added in {seconds:.0f} s of CPU; peak "
        f"of the process {peak:.0f} MiB (at most {MEMORY:.0f}), {grown:.0f} MiB more than before."
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
    sys.exit(failed)


def _seconds(make: Callable[[], Any], chunks: int) -> float:
    """Time of a sum of so many chunks, and of asking for its value once."""
    outputs = [{"columns": make()} for _ in range(chunks)]
    start = time.process_time()
    total: Any = accumulate(outputs)
    value = getattr(total["columns"], "value", total["columns"])
    seconds = time.process_time() - start
    if len(value) != chunks * EVENTS:
        raise RuntimeError(f"{len(value)} of {chunks * EVENTS} events came out")
    return seconds


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

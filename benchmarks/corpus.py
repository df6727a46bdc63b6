"""Training on more events than memory holds: the peak memory of a tenth of an epoch.

The tokens of the embedded background are repeated until there are as many events as are asked for.
From shards, chunks are written as workers do it, then glued and read from files. Else they are
added up in memory. Both train on the same batches, so that their losses must be equal to the last
bit. The model is small, for its size has no part in what is measured.

    python benchmarks/corpus.py --out benchmarks/results/corpus.md
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from coffea.processor import accumulate
from memory import peak_of_this_process
from outcome import show

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.detectors import training_events
from hepmtp.models import build
from hepmtp.models.masked import ModelOptions
from hepmtp.run.columns import Column, TokenColumn
from hepmtp.run.shards import Rows, shards_folder, write_shard
from hepmtp.run.train import PARTS, training_tokens
from hepmtp.tokenizers.lookup import LookupTokenizer
from hepmtp.training.loop import seeded
from hepmtp.training.masking import TrainingOptions, train

#: The largest training may need so much memory [MiB].
MEMORY = 3072.0
#: Events of a chunk, and of a file: so many have one source.
CHUNK, FILE = 20_000, 1_000_000
#: Events of a batch.
BATCH = 4096
#: One of so many events more is one of validation.
VALIDATION = 20


class Enough(Exception):
    """A tenth of an epoch is done."""


def main() -> None:
    """Print a table; exit code 1 if losses differ, or the largest needs more than it may."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000, help="that train, from shards")
    parser.add_argument("--fewer", type=int, default=1_000_000, help="that train in memory, too")
    parser.add_argument("--out", type=Path)
    parser.add_argument(
        "--measure", nargs=3, metavar=("N", "HOW", "FOLDER"), help=argparse.SUPPRESS
    )
    options = parser.parse_args()
    if options.measure:
        print(*measured(int(options.measure[0]), *options.measure[1:]))
        return
    lines = [
        "| tokens | events that train | peak [MiB] | put in order [s] | trained [s] | mean loss |",
        "|---|---|---|---|---|---|",
    ]
    losses, peaks = [], []
    rows = (
        ("in memory", options.fewer),
        ("in shards", options.fewer),
        ("in shards", options.events),
    )
    for how, n in rows:
        with tempfile.TemporaryDirectory() as folder:
            words = ["--measure", str(n), how, folder]
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            command = [sys.executable, __file__, *words]
            run = subprocess.run(
                command, env=environment, stdout=subprocess.PIPE, text=True, check=True
            )
        peak, made, tenth, loss = run.stdout.split()
        losses.append(loss)
        peaks.append(float(peak))
        lines.append(
            f"| {how} | {n:,} | {float(peak):.0f} | {float(made):.0f} | {float(tenth):.0f} "
            f"| {float(loss):.6f} |"
        )
        print(lines[-1], flush=True)
    found = f"Peak of the last: {peaks[-1]:.0f} MiB; must be at most {MEMORY:.0f}. "
    found += f"The first two losses are {'equal' if losses[0] == losses[1] else 'different'}."
    command_line = f"python benchmarks/corpus.py --events {options.events} --fewer {options.fewer}"
    show("\n".join([f"Made by `{command_line}`.", "", *lines, "", found]) + "\n", options.out)
    sys.exit(losses[0] != losses[1] or peaks[-1] > MEMORY)


def measured(n: int, how: str, folder: str) -> tuple[float, float, float, float]:
    """(peak [MiB], seconds until all is in order, seconds of a tenth of an epoch, mean loss)."""
    background = [dataset for dataset in embedded() if dataset.role == "background"]
    events = training_events(read(background, stop=4000))
    tokenizer = LookupTokenizer.preset("no_azimuth").fit(events)
    tokens = tokenizer.encode(events)
    start = time.perf_counter()
    with shards_folder(folder if how == "in shards" else None) as shards:
        corpus: Any = accumulate(
            column(rows) if shards is None else write_shard(shards, rows)
            for rows in chunks(tokens, n)
        )
        parts = training_tokens({"corpus": corpus}, shards)
        del corpus
        middle = time.perf_counter()
        with seeded(0):
            small = ModelOptions(width=16, feedforward=32, layers=1)
            model = build(small, tokenizer.factors, tokenizer.digits)
        last = [0.0]

        def watch(_: int, step: int, steps: int, loss: float) -> None:
            last[0] = loss
            if step >= steps // 10:
                raise Enough

        with contextlib.suppress(Enough):
            train(
                model,
                *parts,
                options=TrainingOptions(epochs=1, batch_events=BATCH),
                checkpoint=Path(folder) / "checkpoint",
                progress=watch,
            )
        return peak_of_this_process(), middle - start, time.perf_counter() - middle, last[0]


def chunks(tokens: Any, n: int) -> Iterator[dict[str, Rows]]:
    """Chunks of events by repetition, the last first: `n` that train, and some of validation."""
    for number in reversed(range(-(-n // CHUNK))):
        event = np.arange(number * CHUNK, min((number + 1) * CHUNK, n))
        some = event[::VALIDATION] + n
        yield {
            name: Rows(tokens.select(one % len(tokens)), one // FILE, one)
            for name, one in zip(PARTS, (event, some), strict=True)
        }


def column(rows: dict[str, Rows]) -> dict[str, Any]:
    """The same as what a processor gives without shards."""
    return {
        name: {
            "tokens": TokenColumn(one.tokens),
            "source": Column(one.source),
            "event": Column(one.event),
        }
        for name, one in rows.items()
    }


if __name__ == "__main__":
    main()

"""A training that two processes share against one process alone: steps per second.

The default masked-token model, the same events and batches. Time is that of the wall, from the
first batch to the last of an epoch, so that starting the processes does not count; best of
interleaved rounds. It says nothing on a machine that has other work, which is refused.

    python benchmarks/shared_training.py --out benchmarks/results/shared_training.md
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
from outcome import show
from timing import idle

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.events.tokens import TokenBatch
from hepmtp.models.masked import MaskedTokenModel
from hepmtp.tokenizers.lookup import LookupTokenizer
from hepmtp.training.masking import TrainingOptions, train

#: What two processes must reach, and events of a batch.
REQUIRED, BATCHES = 1.5, (512, 2048)
ROUNDS = 3


def steps_per_second(tokenizer: LookupTokenizer, tokens: TokenBatch, batch: int, n: int) -> float:
    """Of one epoch, by n processes."""
    torch.manual_seed(1)
    model = MaskedTokenModel(tokenizer.factors, tokenizer.digits)
    options = TrainingOptions(epochs=1, batch_events=batch, processes=n)
    times: list[float] = []
    train(
        model, tokens, tokens.select(np.arange(2)), options=options,
        progress=lambda *_: times.append(time.perf_counter()),
    )  # fmt: skip
    return (len(times) - 1) / (times[-1] - times[0])


def main() -> None:
    """Print the table; the exit code is 1 if the goal is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if not idle():
        raise SystemExit("the machine is busy: wait until it is idle")
    events = read([one for one in embedded() if one.role == "background"], stop=4000)
    tokenizer = LookupTokenizer.preset("no_azimuth").fit(events)
    tokens = tokenizer.encode(events)
    lines, gains = ["| events of a batch | one process | two | gain |\n|---|---|---|---|\n"], []
    for batch in BATCHES:
        found: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(ROUNDS):
            for n, several in found.items():
                several.append(steps_per_second(tokenizer, tokens, batch, n))
        one, two = (max(several) for several in found.values())
        gains.append(two / one)
        lines.append(f"| {batch} | {one:.2f} steps/s | {two:.2f} steps/s | {gains[-1]:.2f} |\n")
    said = ", ".join(f"{one:.2f}" for one in gains)
    lines.append(
        f"\n{len(events)} events, {os.cpu_count()} cores: {said} times the steps/s in batches of "
        f"{' and '.join(map(str, BATCHES))} (required {REQUIRED}).\n"
    )
    show("".join(lines), options.out)
    sys.exit(min(gains) < REQUIRED)


if __name__ == "__main__":
    main()

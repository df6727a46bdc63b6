"""The masked-token score in bfloat16 against that in float32: how much sooner, and what it costs.

A detector of default size is trained on the embedded background. It scores events that it was not
trained on in both precisions, in turns and in one thread. The best CPU time of the rounds counts.
The change of the AUC of each signal is that on the same events, with its error.

    python benchmarks/precision.py --out benchmarks/results/precision.md
"""

from __future__ import annotations

import argparse
import functools
import sys
from pathlib import Path

import numpy as np
import torch
from outcome import show
from timing import seconds

import hepmtp as hm
from hepmtp.events.record import concatenate
from hepmtp.events.split import part_of
from hepmtp.statistics.metrics import auc, auc_difference

#: Times as fast, at least; change of an AUC, at most.
REQUIRED, CHANGE = 1.15, 0.001


def main() -> None:
    """Print the table; exit code 1 if bfloat16 is not worth it, or changes an AUC."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=4000, help="of each data set")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    datasets = hm.embedded()
    background = hm.read((one for one in datasets if one.role == "background"), stop=options.events)
    detector = hm.MaskedTokenDetector(training=hm.TrainingOptions(epochs=options.epochs))
    both = detector.fit(background), detector.with_precision("bfloat16")
    signals = [one for one in datasets if one.role == "signal"]
    parts = [part_of(background, "analysis"), *(hm.read([s], stop=options.events) for s in signals)]
    events, forget = concatenate(parts), background[:1]
    times = []
    for _ in range(options.rounds):
        for one in both:
            one.score(forget)  # a detector remembers what it has found of the last events
            times.append(seconds(functools.partial(one.score, events)))
    ends = np.cumsum([len(part) for part in parts])[:-1]
    plain, low = (np.split(one.score(events), ends) for one in both)
    before, after = np.min(np.reshape(times, (-1, 2)), axis=0)
    rows, changes = [], []
    for signal, s, t in zip(signals, plain[1:], low[1:], strict=True):
        found, change = auc(s, plain[0]), auc_difference((t, s), (low[0], plain[0]))
        changes.append(change.value)
        rows.append(
            f"| {signal.name} | {found.n_signal} and {found.n_background} | {found.value:.4f} +- "
            f"{found.error:.4f} | {change.value:+.6f} +- {change.error:.6f} |"
        )
    shift = np.abs(np.concatenate(low) - np.concatenate(plain)) / np.std(plain[0])
    made_by = f"python benchmarks/precision.py --events {options.events} --epochs {options.epochs}"
    sample = (
        f"Made by `{made_by} --rounds {options.rounds}` with torch {torch.__version__}: "
        f"{len(events)} events, one thread, from particles to the score. Scores move by "
        f"{shift.mean():.4f} of the spread of the background's on average, {shift.max():.3f} at "
        "most."
    )
    head = [
        "| signal | events of it and of the background | AUC in float32 | change in bfloat16 |",
        "|---|---|---|---|",
    ]
    last = (
        f"Scoring in bfloat16 is {before / after:.2f} times as fast (required {REQUIRED:g}) and "
        f"changes an AUC by {np.abs(changes).max():.6f} (at most {CHANGE:g})."
    )
    show("\n".join([sample, "", *head, *rows, "", last]) + "\n", options.out)
    sys.exit(bool(before / after < REQUIRED or np.abs(changes).max() > CHANGE))


if __name__ == "__main__":
    main()

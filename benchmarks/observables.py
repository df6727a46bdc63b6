"""What a chunk asks of its events: computed once, against computed again by each who asks.

Regions with their cuts one by one, variables, the plain observables as detectors, the conditions of
a calibration and the numbers that networks read. Both give the same, bit for bit.

    python benchmarks/observables.py [--out benchmarks/results/observables.md]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import awkward as ak
import numpy as np
from outcome import show

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.detectors.calibrated.quantile import conditions
from hepmtp.detectors.observables import OBSERVABLES, Observable
from hepmtp.events.kinematics import kinematics
from hepmtp.events.observables import event_features
from hepmtp.events.record import behavior
from hepmtp.events.regions import REGIONS
from hepmtp.events.variables import HT, N_B, N_JETS

REQUIRED = 2.5
Asked = list[Callable[[ak.Array], np.ndarray]]


def same(events: ak.Array) -> ak.Array:
    """Events whose observables nobody has computed yet; their columns are not copied."""
    return ak.Array(events.layout.copy(), behavior=behavior)


def main() -> None:
    """Print both times and their ratio; exit code 1 if it is too small or a number differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    background = read(one for one in embedded() if one.role == "background")
    chunk = background[np.random.default_rng(0).permutation(len(background))[: options.events]]
    chunk = ak.to_packed(chunk)
    detectors = [Observable(name).fit(background) for name in OBSERVABLES]
    parts: dict[str, Asked] = {
        "cuts of all regions": [cut.select for one in REGIONS for cut in one.cuts],
        "variables": [one.values for one in (N_JETS, N_B, HT)],
        "observables as detectors": [one.score for one in detectors],
        "conditions of a calibration": [conditions],
        "inputs of a network, alone and in a combination": [kinematics, kinematics],
        "event features": [event_features],
    }
    once: dict[str, list[float]] = {name: [] for name in parts}
    each: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(options.rounds):
        events = same(chunk)
        for name, asked in parts.items():
            start = time.process_time()
            found = [one(events) for one in asked]
            middle = time.process_time()
            again = [one(same(chunk)) for one in asked]
            each[name].append(time.process_time() - middle)
            once[name].append(middle - start)
            if any(x.tobytes() != y.tobytes() for x, y in zip(found, again, strict=True)):
                sys.exit(f"{name}: what was kept differs from what is computed anew")
    rows = [(name, 1e3 * min(once[name]), 1e3 * min(each[name])) for name in parts]
    rows.append(("all", sum(row[1] for row in rows), sum(row[2] for row in rows)))
    ratio = rows[-1][2] / rows[-1][1]
    sample = (
        f"{len(chunk)} background events of the embedded sample, best CPU time of {options.rounds} "
        f"rounds: computed once {ratio:.1f} times as fast (required {REQUIRED:g}), bit for bit the "
        "same."
    )
    lines = [
        sample,
        "",
        "| asked by | once [ms] | each anew [ms] |",
        "|---|---|---|",
        *(f"| {name} | {one:.1f} | {other:.1f} |" for name, one, other in rows),
    ]
    show("\n".join(lines) + "\n", options.out)
    sys.exit(bool(ratio < REQUIRED))


if __name__ == "__main__":
    main()

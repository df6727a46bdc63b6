"""Tokens of events against the searches of bins alone, on the same columns.

The other side has plain columns and calls ``np.digitize``, or ``np.searchsorted``, once for each
variable that is binned: no ids, no order of tokens, no events. Encoding takes columns out of the
events, makes ids of the bins and puts MET behind the particles. Both sides run in turns; CPU time
of this process, the best of the rounds.

    python benchmarks/encode.py
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from timing import seconds

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.tokenizers.lookup import LookupTokenizer

#: Smallest ratio to np.digitize.
REQUIRED = 0.4
#: The published tokens, and those of the default detector.
PRESETS = ("visive2025", "no_azimuth")


def searched(events: ak.Array, tokenizer: LookupTokenizer) -> list[tuple[NDArray, NDArray]]:
    """Each column that a fitted tokenizer bins, with the edges of its bins."""
    particles = ak.flatten(events.Particle)
    pt, eta, phi = (ak.to_numpy(particles[name]) for name in ("pt", "eta", "phi"))
    bins = tokenizer.bins_
    found = [(pt, bins["pt"].edges), (np.abs(eta), bins["eta"].edges)]
    found.append((ak.to_numpy(events.MET.pt), tokenizer.met_.edges))
    angles = (phi, tokenizer.phi_bins), (ak.to_numpy(events.MET.phi), tokenizer.met_phi_bins)
    return found + [(column, np.linspace(-np.pi, np.pi, n + 1)[1:-1]) for column, n in angles if n]


def main() -> None:
    """Print the ratios; exit code 1 if the smallest is below the required one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    background = [one for one in embedded() if one.role == "background"]
    events = read(background, stop=options.events // len(background))
    ratios: list[str] = []
    least = np.inf
    for name in PRESETS:
        tokenizer = LookupTokenizer.preset(name).fit(events)
        pairs = searched(events, tokenizer)
        calls: dict[str, Callable[[], object]] = {
            "encode": lambda tokenizer=tokenizer: tokenizer.encode(events),
            "np.digitize": lambda pairs=pairs: [np.digitize(*pair) for pair in pairs],
            "np.searchsorted": lambda pairs=pairs: [
                np.searchsorted(edges, column, side="right") for column, edges in pairs
            ],
        }
        times = dict.fromkeys(calls, np.inf)
        for _ in range(options.rounds):
            for what, call in calls.items():
                times[what] = min(times[what], seconds(call))
        digitize, search = (times[what] / times["encode"] for what in list(calls)[1:])
        least = min(least, digitize)
        ratios.append(f"{digitize:.2f} and {search:.2f} of {name}")
        tokens = len(tokenizer.encode(events).values)
        for what, spent in times.items():
            print(f"{name}, {what:15} {tokens / spent / 1e6:6.1f} million tokens/s")
    print(f"ratio to np.digitize and np.searchsorted: {', '.join(ratios)} (required {REQUIRED:g})")
    sys.exit(least < REQUIRED)


if __name__ == "__main__":
    main()

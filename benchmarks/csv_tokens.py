"""From a Dark Machines CSV file to tokens, against a Python loop that makes tokens alone.

The loop splits a line at a time and looks each number up in the edges of its bins. It checks
nothing and keeps nothing but ids. Both make the published tokens of the same plain file, in turns,
and must agree. The file is made of the embedded sample. CPU time of this process, the best of the
rounds.

    python benchmarks/csv_tokens.py
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from bisect import bisect_right
from pathlib import Path

from csv_reading import sample
from timing import seconds

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.events.particles import PARTICLE_TYPES
from hepmtp.events.tokens import TokenBatch
from hepmtp.readers.darkmachines.reader import DarkMachinesCSV
from hepmtp.tokenizers.lookup import LookupTokenizer

REQUIRED = 6.0


def token_loop(path: str, tokenizer: LookupTokenizer) -> list[list[int]]:
    """Ids of each event: its particles, MET and METphi."""
    pt_edges, eta_edges = (tokenizer.bins_[name].edges.tolist() for name in ("pt", "eta"))
    met_edges = tokenizer.met_.edges.tolist()
    n_pt, n_eta, n_phi = len(pt_edges) + 1, len(eta_edges) + 1, tokenizer.phi_bins
    first = len(PARTICLE_TYPES) * n_pt * n_eta * n_phi
    behind = first + len(met_edges) + 1
    per_angle, per_met_angle = (n / (2 * math.pi) for n in (n_phi, tokenizer.met_phi_bins))
    types = {label: i for i, label in enumerate(PARTICLE_TYPES)}
    found = []
    with Path(path).open() as file:
        for line in file:
            _, _, _, met, met_phi, *groups = line.rstrip(";\n").split(";")
            event = []
            for group in groups:
                label, _, pt, eta, phi = group.split(",")
                one = types[label] * n_pt + bisect_right(pt_edges, float(pt) / 1000)
                one = one * n_eta + bisect_right(eta_edges, abs(float(eta)))
                angle = math.ceil((float(phi) + math.pi) * per_angle) - 1
                event.append(one * n_phi + angle % n_phi)
            event.append(first + bisect_right(met_edges, float(met) / 1000))
            angle = math.ceil((float(met_phi) + math.pi) * per_met_angle) - 1
            event.append(behind + angle % tokenizer.met_phi_bins)
            found.append(event)
    return found


def tokens(path: str, tokenizer: LookupTokenizer) -> TokenBatch:
    """The same by hepmtp."""
    return tokenizer.encode(DarkMachinesCSV().read(path))


def main() -> None:
    """Print the speeds and their ratio; exit code 1 if it is below the required one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--copies", type=int, default=1, help="how often the embedded sample is repeated"
    )
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    background = (one for one in embedded() if one.role == "background")
    tokenizer = LookupTokenizer().fit(read(background, stop=4000))
    with tempfile.TemporaryDirectory() as folder:
        path = sample(folder, options.copies)
        ours, theirs = tokens(path, tokenizer), token_loop(path, tokenizer)  # numba starts here
        if ours.to_awkward().to_list() != theirs:
            raise SystemExit("the loop makes other tokens")
        n = len(theirs)
        del theirs
        times = [
            (seconds(lambda: tokens(path, tokenizer)), seconds(lambda: token_loop(path, tokenizer)))
            for _ in range(options.rounds)
        ]
    fast, slow = (min(column) for column in zip(*times, strict=True))
    print(f"{n} events, {len(ours.values)} tokens, best of {options.rounds} rounds, CPU time")
    print(f"loop of tokens  {n / slow:9.0f} events/s")
    print(f"hepmtp          {n / fast:9.0f} events/s")
    print(f"ratio {slow / fast:.1f} (required {REQUIRED:g})")
    sys.exit(slow / fast < REQUIRED)


if __name__ == "__main__":
    main()

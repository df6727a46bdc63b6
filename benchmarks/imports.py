"""CPU time of imports: the package, its command line, the demo; and the libraries beneath it alone.

Each is imported in a process of its own, in turns; best of the rounds.

    python benchmarks/imports.py [--out benchmarks/results/imports.md]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from outcome import show

#: At most so many times as long as the libraries that it needs.
MOST = 1.5
#: `import hepmtp` and the command line wait for no library: at most so many seconds.
MOST_ALONE = 1.0
LIBRARIES = "torch, coffea.processor, coffea.nanoevents, distributed, hist, mplhep, numba, uproot"
STATEMENTS = {
    "nothing": "pass",
    "hepmtp": "import hepmtp",
    "its command line": "import hepmtp.cli",
    "libraries of a run": f"import {LIBRARIES}",
    "the demo": "import hepmtp.cli.demo",
}


def seconds(statement: str) -> float:
    """CPU time of a process that runs a statement."""
    before = os.times()
    subprocess.run([sys.executable, "-c", statement], check=True)
    after = os.times()
    return (after.children_user - before.children_user) + (
        after.children_system - before.children_system
    )


def main() -> None:
    """Print the times; exit code 1 if the package takes too long beside its libraries."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    times: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    for _ in range(options.rounds):
        for name, statement in STATEMENTS.items():
            times[name].append(seconds(statement))
    nothing = min(times.pop("nothing"))
    best = {name: min(found) - nothing for name, found in times.items()}
    ratio = best["the demo"] / best["libraries of a run"]
    rows = [f"| {name} | {spent:.2f} |" for name, spent in best.items()]
    lines = [
        f"Best of {options.rounds} processes each; the libraries are {LIBRARIES}.",
        "",
        "| import of | CPU [s] |",
        "|---|---|",
        *rows,
        "",
        f"The demo against its libraries alone: {ratio:.2f} (at most {MOST:g}).",
    ]
    show("\n".join(lines) + "\n", options.out)
    sys.exit(ratio > MOST or best["its command line"] > MOST_ALONE)


if __name__ == "__main__":
    main()

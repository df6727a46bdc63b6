"""All benchmarks that can fail, one after the other, and one table of what they say.

The last line of each is its result; its exit code says whether what is required holds. A folder
of real files adds those that read some. Names choose some of them.

    python benchmarks/all.py [NAME ...] [--real FOLDER] [--out benchmarks/results/all.md]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from outcome import show

HERE = Path(__file__).parent
#: Name of each benchmark -> its arguments: short runs.
ALONE: dict[str, list[str]] = {
    "csv_reading": ["--copies", "1"],
    "observables": [],
    "training": ["--events", "400"],
    "scoring": ["--events", "100", "--rounds", "3"],
    "one_pass": ["--epochs", "0", "--events", "100", "--rounds", "10"],
    "runner_overhead": ["--rounds", "2"],
    "checks": [],
    "variations": ["--cost"],
    "accumulation": ["--sums", "1000"],
    "memory": ["--repeats", "1"],
    "scaling": ["--chunks", "2"],
    "imports": [],
}
#: The same of those that need the folder of real files first.
OF_REAL_FILES: dict[str, list[str]] = {
    "readers": ["--events", "20000", "--chunk", "20000", "--rounds", "3"],
    "events_from": [],
}


def result(command: list[str]) -> tuple[bool, str, float]:
    """Whether a benchmark passed, its last line, and the CPU seconds that it took."""
    before = os.times()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    after = os.times()
    spent = after.children_user + after.children_system
    spent -= before.children_user + before.children_system
    said = [line for line in (done.stdout.strip() or done.stderr).splitlines() if line.strip()]
    last = said[-1].strip(" |").replace(" | ", ": ") if said else ""
    return done.returncode == 0, last, spent


def main() -> None:
    """Print the table; exit code 1 if one of them fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--real", type=Path, help="folder of real files")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    chosen = dict(ALONE)
    if options.real is not None:
        chosen |= {name: [str(options.real), *more] for name, more in OF_REAL_FILES.items()}
    if unknown := set(options.names) - set(chosen):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(chosen)}")
    rows, failed = [], False
    for name in options.names or chosen:
        arguments = chosen[name]
        good, said, spent = result([sys.executable, str(HERE / f"{name}.py"), *arguments])
        failed |= not good
        command = " ".join([f"{name}.py", *arguments])
        holds = "holds" if good else "**fails**"
        rows.append(f"| `{command}` | {said} | {holds} | {spent:.0f} |")
        print(rows[-1], file=sys.stderr)
    head = ["| benchmark | result | what is required | CPU [s] |", "|---|---|---|---|"]
    show("\n".join([*head, *rows]) + "\n", options.out)
    sys.exit(failed)


if __name__ == "__main__":
    main()

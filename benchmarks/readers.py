"""Speed of the readers of ROOT files against plain uproot, and their peak memory.

Real events (of the folder given, see its README) are repeated into a file of the branches that the
reader needs (repeated_events.py).

Both read the whole file in chunks of the same size, opened once, in turns; CPU time of this
process, the best of the rounds. Plain uproot is ``tree.arrays`` of the same branches and nothing
else: no check, no energy, no selection. Each peak is that of a process of its own, of this file and
of one a tenth as large. Both are read in chunks of half the size, so that the small file has two.

    python benchmarks/readers.py ../shared/data/real --out benchmarks/results/readers.md
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import uproot
from repeated_events import FORMATS, Format, write
from timing import seconds

from hepmtp.readers.convert import iterate
from hepmtp.readers.formats import load_reader

REQUIRED_SPEED, AIM, LARGEST_GROWTH = 0.5, 0.85, 1.2


def main() -> None:
    """Print and write the table; exit code 1 if a reader is too slow or its memory grows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("real", type=Path, help="folder with the real files")
    parser.add_argument("--events", type=int, default=20_000, help="events in the small file")
    parser.add_argument("--chunk", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=list(FORMATS))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--measure", nargs=2, metavar=("READER", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(peak_of_this_process(*options.measure, chunk=options.chunk))
        return
    lines = [
        (
            "| format | events | branches | MB | uproot [ev/s] | reader [ev/s] | ratio "
            "| peak of a tenth [MiB] | peak [MiB] | ratio |"
        ),
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    speeds, growths = [], []
    for name in options.only:
        with tempfile.TemporaryDirectory() as folder:
            line, speed, growth = measure(name, FORMATS[name], Path(folder), options)
        lines.append(line)
        speeds.append(speed)
        growths.append(growth)
        print(line, flush=True)
    command = f"--events {options.events} --chunk {options.chunk} --rounds {options.rounds}"
    goal = (
        f"The ratio of the speeds must be at least {REQUIRED_SPEED:g}, that of the peaks at most "
        f"{LARGEST_GROWTH:g}."
    )
    text = "\n".join(
        [
            f"Made by `python benchmarks/readers.py ../shared/data/real {command}`.",
            "",
            *lines,
            "",
            goal,
        ]
    )
    if options.out:
        options.out.write_text(text + "\n")
    print(
        f"ratio of speeds {min(speeds):.2f} to {max(speeds):.2f} (required {REQUIRED_SPEED:g}, aim "
        f"{AIM:g}), of peaks at most {max(growths):.2f} (required {LARGEST_GROWTH:g})"
    )
    sys.exit(min(speeds) < REQUIRED_SPEED or max(growths) > LARGEST_GROWTH)


def measure(
    name: str, form: Format, folder: Path, options: argparse.Namespace
) -> tuple[str, float, float]:
    """A line of the table, the ratio of speeds, and that of peaks."""
    columns = form.columns(options.real)
    small, large = folder / "small.root", folder / "large.root"
    write(small, form, columns, options.events)
    events = write(large, form, columns, 10 * options.events)
    reader, path = load_reader(form.reader), str(large)
    times = [
        (
            seconds(lambda: sum(len(one) for one in iterate(reader, path, options.chunk))),
            seconds(lambda: plain(path, form.tree, list(columns), options.chunk)),
        )
        for _ in range(options.rounds)
    ]
    ours, theirs = (min(column) for column in zip(*times, strict=True))
    peaks = [peak(form.reader, one, options) for one in (small, large)]
    cells = [
        name,
        f"{events}",
        f"{len(columns)}",
        f"{large.stat().st_size / 1e6:.0f}",
        f"{events / theirs:.0f}",
    ]
    cells += [
        f"{events / ours:.0f}",
        f"{theirs / ours:.2f}",
        *(f"{one:.0f}" for one in peaks),
        f"{peaks[1] / peaks[0]:.2f}",
    ]
    return f"| {' | '.join(cells)} |", theirs / ours, peaks[1] / peaks[0]


def plain(path: str, tree: str, names: list[str], chunk: int) -> None:
    """The same branches in the same chunks by uproot alone."""
    with uproot.open(path, array_cache=None) as file:
        found = file[tree]
        for start in range(0, found.num_entries, chunk):
            found.arrays(
                names,
                entry_start=start,
                entry_stop=min(start + chunk, found.num_entries),
                library="ak",
            )


def peak(reader: str, path: Path, options: argparse.Namespace) -> float:
    """Peak memory [MiB] of reading a file in a fresh process."""
    command = [
        sys.executable,
        __file__,
        str(options.real),
        "--chunk",
        str(options.chunk // 2),
        "--measure",
        reader,
        str(path),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return float(
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    )


def peak_of_this_process(reader: str, path: str, *, chunk: int) -> float:
    """Peak memory [MiB] after reading the file chunk by chunk."""
    for _ in iterate(load_reader(reader), path, chunk):
        pass
    # not getrusage: a process begins with the peak of the one that started it
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main()

"""Events per second of DarkMachinesCSV against the per-line split loop that today's readers use.

Both read the same plain file, made of the embedded sample, in turns; CPU time of this process, the
best of the rounds.

    python benchmarks/csv_reading.py
"""

from __future__ import annotations

import argparse
import gzip
import sys
import tempfile
import time
from pathlib import Path

from timing import seconds

from hepmtp.datasets.files import check_files
from hepmtp.datasets.manifest import embedded
from hepmtp.events.particles import PARTICLE_TYPES
from hepmtp.readers.darkmachines.reader import DarkMachinesCSV

REQUIRED, AIM = 8.0, 18.0


def split_loop(path: str) -> int:
    """One line at a time into lists of numbers, with no check of anything."""
    head, particles = [], []
    with Path(path).open() as file:
        for line in file:
            groups = line.rstrip(";\n").split(";")
            head.append((float(groups[2]), float(groups[3]), float(groups[4])))
            event = []
            for group in groups[5:]:
                label, *numbers = group.split(",")
                event.append((PARTICLE_TYPES.index(label), *(float(number) for number in numbers)))
            particles.append(event)
    return len(head)


def sample(folder: str, copies: int) -> str:
    """Path of a new plain file: the embedded sample again and again."""
    path = Path(folder) / "sample.csv"
    packed = [file for files in check_files(embedded()).values() for file in files]
    with path.open("wb") as file:
        for _ in range(copies):
            file.writelines(gzip.decompress(Path(one).read_bytes()) for one in packed)
    return str(path)


def main() -> None:
    """Print the speeds and their ratio; exit code 1 if it is below the required one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--copies", type=int, default=2, help="how often the embedded sample is repeated"
    )
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = sample(folder, options.copies)
        reader = DarkMachinesCSV()
        n, size = reader.num_events(path), Path(path).stat().st_size
        start = time.process_time()
        reader.read(path, stop=1)
        first = time.process_time() - start
        times = [
            (seconds(lambda: reader.read(path)), seconds(lambda: split_loop(path)))
            for _ in range(options.rounds)
        ]
    fast, slow = (min(column) for column in zip(*times, strict=True))
    print(f"{n} events, {size / 1e6:.0f} MB, best of {options.rounds} rounds, CPU time of one core")
    print(f"split loop      {n / slow:9.0f} events/s  {size / slow / 1e6:6.1f} MB/s")
    print(f"DarkMachinesCSV {n / fast:9.0f} events/s  {size / fast / 1e6:6.1f} MB/s")
    print(f"first event     {first:9.2f} s, numba included")
    print(f"ratio {slow / fast:.1f} (required {REQUIRED:g}, aim {AIM:g})")
    sys.exit(slow / fast < REQUIRED)


if __name__ == "__main__":
    main()

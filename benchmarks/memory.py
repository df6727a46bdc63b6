"""Peak memory of scoring a CSV file and one ten times as large: it must not grow with the file.

Each measurement is a process of its own: HepRunner, AnomalyProcessor, iterative executor, a saved
detector of default size.

    python benchmarks/memory.py --out benchmarks/results/memory.md
"""

from __future__ import annotations

import argparse
import gzip
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from outcome import show

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.run.executors import make_executor
from hepmtp.run.runner import HepRunner
from hepmtp.training.masking import TrainingOptions
from processors.anomaly import AnomalyProcessor

LIMIT = 1.2


def main() -> None:
    """Make the files and the detector, measure both, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--repeats",
        type=int,
        default=1,
        help="how often the background sample is in the small file",
    )
    parser.add_argument("--chunksize", type=int, default=HepRunner.chunksize)
    parser.add_argument(
        "--forms", nargs="+", default=["joined", "sum"], help="forms of the score, filled together"
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--measure", nargs=2, metavar=("FILE", "DETECTOR"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(*score(*options.measure, chunksize=options.chunksize, forms=options.forms))
        return
    lines = [
        "| file | events scored (analysis part) | MB | peak [MiB] | seconds |",
        "|---|---|---|---|---|",
    ]
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        detector = Path(folder) / "detector"
        background = [dataset for dataset in embedded() if dataset.role == "background"]
        MaskedTokenDetector(training=TrainingOptions(epochs=1)).fit(
            read(background, stop=1000)
        ).save(detector)
        for name, times in (
            ("small", options.repeats),
            ("ten times as large", 10 * options.repeats),
        ):
            path = Path(folder) / f"{name.replace(' ', '_')}.csv"
            write(path, [file for dataset in background for file in dataset.files], times)
            events, peak, seconds = measure(path, detector, options)
            peaks.append(peak)
            size = path.stat().st_size / 1e6
            lines.append(f"| {name} | {events} | {size:.0f} | {peak:.0f} | {seconds:.0f} |")
            print(lines[-1], flush=True)
    ratio = peaks[1] / peaks[0]
    found = f"Ratio of the peaks: {ratio:.2f}; must be at most {LIMIT}."
    command = f"--repeats {options.repeats} --chunksize {options.chunksize}"
    command += f" --forms {' '.join(options.forms)}"
    text = "\n".join([f"Made by `python benchmarks/memory.py {command}`.", "", *lines, "", found])
    show(text + "\n", options.out)
    if ratio > LIMIT:
        sys.exit(1)


def write(path: Path, files: list[str], times: int) -> None:
    """The unpacked lines of all files, one after the other, so many times."""
    with path.open("wb") as out:
        for _ in range(times):
            for file in files:
                with gzip.open(file) as data:
                    out.writelines(data)


def measure(path: Path, detector: Path, options: argparse.Namespace) -> tuple[int, float, float]:
    """(events, peak [MiB], seconds) of scoring a file in a fresh process."""
    how = ["--chunksize", str(options.chunksize), "--forms", *options.forms]
    command = [sys.executable, __file__, *how, "--measure", str(path), str(detector)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    events, peak, seconds = run.stdout.split()
    return int(events), float(peak), float(seconds)


def score(
    path: str, detector: str, *, chunksize: int, forms: list[str]
) -> tuple[int, float, float]:
    """(analysis events, peak of this process [MiB], seconds)."""
    start = time.perf_counter()
    processor = AnomalyProcessor([f"{detector}#{form}" for form in forms])
    fileset = {"sample": {"files": [path], "metadata": {"role": "background"}}}
    with make_executor("iterative", status=False) as executor:
        output = HepRunner(executor, chunksize=chunksize)(fileset, processor)
    return (
        int(output["cutflow"]["sample"]["all"]["raw"]),
        peak_of_this_process(),
        time.perf_counter() - start,
    )


def peak_of_this_process() -> float:
    """Peak memory [MiB]; on Linux not of getrusage, which starts at what the parent held."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)  # macOS counts bytes


if __name__ == "__main__":
    main()

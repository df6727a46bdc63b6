"""Peak memory of a CSV file and of one ten times as large: it must not grow with the file.

They are scored (HepRunner, AnomalyProcessor, iterative executor, a saved detector of default size)
and converted to ROOT and parquet. Each measurement is a process of its own. What grows by design is
not here: a league holds its events, and a training its tokens or, with --scratch, maps their file
(benchmarks/corpus.py).

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
from hepmtp.readers.convert import convert
from hepmtp.run.executors import make_executor
from hepmtp.run.runner import HepRunner
from hepmtp.training.masking import TrainingOptions
from processors.anomaly import AnomalyProcessor

LIMIT = 1.2
WORK = ("scored", "converted to root", "converted to parquet")


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
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        work, path, detector = options.measure
        start = time.perf_counter()
        if work == "scored":
            events = score(path, detector, chunksize=options.chunksize, forms=options.forms)
        else:
            events = convert(path, f"{path}.{work.split()[-1]}", chunk=options.chunksize)
        print(events, peak_of_this_process(), time.perf_counter() - start)
        return
    lines = ["| work | file | events | MB | peak [MiB] | seconds |", "|---|---|---|---|---|---|"]
    peaks: dict[str, list[float]] = {work: [] for work in WORK}
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
            size = path.stat().st_size / 1e6
            for work, found in peaks.items():
                events, peak, seconds = measure(work, path, detector, options)
                found.append(peak)
                lines.append(
                    f"| {work} | {name} | {events} | {size:.0f} | {peak:.0f} | {seconds:.0f} |"
                )
                print(lines[-1], flush=True)
    ratios = {work: large / small for work, (small, large) in peaks.items()}
    said = ", ".join(f"{ratio:.2f} ({work})" for work, ratio in ratios.items())
    command = f"--repeats {options.repeats} --chunksize {options.chunksize}"
    command += f" --forms {' '.join(options.forms)}"
    text = [
        f"Made by `python benchmarks/memory.py {command}`.",
        *("", *lines, ""),
        "Of what is scored, events are those of the analysis part.",
        f"Ratios of the peaks: {said}; must be at most {LIMIT}.",
    ]
    show("\n".join(text) + "\n", options.out)
    if max(ratios.values()) > LIMIT:
        sys.exit(1)


def write(path: Path, files: list[str], times: int) -> None:
    """The unpacked lines of all files, one after the other, so many times."""
    with path.open("wb") as out:
        for _ in range(times):
            for file in files:
                with gzip.open(file) as data:
                    out.writelines(data)


def measure(
    work: str, path: Path, detector: Path, options: argparse.Namespace
) -> tuple[int, float, float]:
    """(events, peak [MiB], seconds) of some work on a file in a fresh process."""
    how = ["--chunksize", str(options.chunksize), "--forms", *options.forms]
    command = [sys.executable, __file__, *how, "--measure", work, str(path), str(detector)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    events, peak, seconds = run.stdout.split()[-3:]
    return int(events), float(peak), float(seconds)


def score(path: str, detector: str, *, chunksize: int, forms: list[str]) -> int:
    """The number of analysis events that were scored."""
    processor = AnomalyProcessor([f"{detector}#{form}" for form in forms])
    fileset = {"sample": {"files": [path], "metadata": {"role": "background"}}}
    with make_executor("iterative", status=False) as executor:
        output = HepRunner(executor, chunksize=chunksize)(fileset, processor)
    return int(output["cutflow"]["sample"]["all"]["raw"])


def peak_of_this_process() -> float:
    """Peak memory [MiB]; on Linux not of getrusage, which starts at what the parent held."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)  # macOS counts bytes


if __name__ == "__main__":
    main()

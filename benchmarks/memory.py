"""Peak memory of some events and of ten times as many: most work must not need more for that.

A CSV file is scored (HepRunner, AnomalyProcessor, iterative executor, a saved detector of default
size), converted to ROOT and parquet, and trained on, with tokens in memory or in shards. Small
networks are trained for one epoch, for their size has no part in what is measured. Ten times the
events are ten times the file, or ten files. A league is one of small detectors, cross-fitted. Each
measurement is a process of its own.

    python benchmarks/memory.py --out benchmarks/results/memory.md
    python benchmarks/memory.py --work trained "trained from shards" \\
        --out benchmarks/results/memory_training.md
    python benchmarks/memory.py --work "trained from shards, files" \\
        --out benchmarks/results/memory_files.md
    python benchmarks/memory.py --work league --out benchmarks/results/memory_league.md
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from outcome import show

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import Dataset, embedded
from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.detectors.stranger import StrangerDetector, StrangerTraining
from hepmtp.models.masked import ModelOptions
from hepmtp.readers.convert import convert
from hepmtp.readers.darkmachines.reader import DarkMachinesCSV
from hepmtp.run.executors import make_executor
from hepmtp.run.runner import HepRunner
from hepmtp.run.train import train_detectors
from hepmtp.studies.league.entries import choose
from hepmtp.studies.league.run import run_league
from hepmtp.training.masking import TrainingOptions
from processors.anomaly import AnomalyProcessor
from processors.corpus import CorpusProcessor

LIMIT = 1.2
#: What is done -> how often the sample is in the small file, and whether memory may not grow.
WORK = {
    "scored": (1, True),
    "converted to root": (1, True),
    "converted to parquet": (1, True),
    "trained": (2, False),
    "trained from shards": (2, True),
    "trained from shards, files": (2, True),
    "league": (1, True),
}
#: Small detectors of the league.
ENTRIES = ("observables", "stranger", "masked_token")
FOLDS = 3


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
    parser.add_argument("--work", nargs="+", choices=list(WORK), default=list(WORK)[:3])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        work, path, beside = options.measure
        start = time.perf_counter()
        if work == "scored":
            events = score(path, beside, chunksize=options.chunksize, forms=options.forms)
        elif work.startswith("trained"):
            events = trained(path, beside if "shards" in work else None)
        elif work == "league":
            events = league(path, beside)
        else:
            events = convert(path, f"{path}.{work.split()[-1]}", chunk=options.chunksize)
        print(events, peak_of_this_process(), time.perf_counter() - start)
        return
    lines = ["| work | sample | events | peak [MiB] | seconds |", "|---|---|---|---|---|"]
    ratios, growth = {}, {}
    for work in options.work:
        (few, least, _), (many, most, _) = found = [
            measured(work, times, options) for times in (1, 10)
        ]
        for name, (events, peak, seconds) in zip(
            ("small", "ten times as large"), found, strict=True
        ):
            lines.append(f"| {work} | {name} | {events} | {peak:.0f} | {seconds:.0f} |")
            print(lines[-1], flush=True)
        ratios[work], growth[work] = most / least, (most - least) / (many - few) * 1e5
    grown = ", ".join(
        f"{ratio:.2f} ({work}: {growth[work]:.0f} MiB for 100,000 events)"
        for work, ratio in ratios.items()
    )
    flat = [work for work in options.work if WORK[work][1]]
    must = f"{', '.join(flat)}: must be at most {LIMIT}." if flat else ""
    words = " ".join(f'"{work}"' if " " in work else work for work in options.work)
    command = f"--work {words} --repeats {options.repeats} --chunksize {options.chunksize}"
    command += f" --forms {' '.join(options.forms)}" if "scored" in options.work else ""
    text = [
        f"Made by `python benchmarks/memory.py {command}`.",
        *("", *lines, ""),
        "Of what is scored, events are those of the analysis part.",
        f"Ratios of the peaks: {grown}. {must}".rstrip(),
    ]
    show("\n".join(text) + "\n", options.out)
    if any(ratios[work] > LIMIT for work in flat):
        sys.exit(1)


def measured(work: str, times: int, options: argparse.Namespace) -> tuple[int, float, float]:
    """(events, peak [MiB], seconds) of some work on the sample so many times as large."""
    samples = embedded()
    background = [one for one in samples if one.role == "background"]
    repeats = WORK[work][0] * options.repeats
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        path, beside = folder / "background.csv", folder / "beside.csv"
        if work == "scored":
            training = TrainingOptions(epochs=1)
            MaskedTokenDetector(training=training).fit(read(background, stop=1000)).save(beside)
        if work == "league":
            write(beside, [one for one in samples if one.role == "signal"], times * repeats)
        if work.endswith("files"):
            path = folder / "background*.csv"
            for i in range(times):  # each another one
                write(folder / f"background{i}.csv", background, repeats, skip=i)
        else:
            write(path, background, times * repeats)
        return measure(work, path, beside, options)


def write(path: Path, datasets: list[Dataset], times: int, *, skip: int = 0) -> None:
    """The unpacked lines of all files, one after the other, so many times; not the first ones."""
    with path.open("wb") as out:
        for _ in range(times):
            for file in (file for one in datasets for file in one.files):
                with gzip.open(file) as data:
                    out.writelines(itertools.islice(data, skip, None))


def measure(
    work: str, path: Path, beside: Path, options: argparse.Namespace
) -> tuple[int, float, float]:
    """(events, peak [MiB], seconds) of some work on a file in a fresh process."""
    how = ["--chunksize", str(options.chunksize), "--forms", *options.forms]
    command = [sys.executable, __file__, *how, "--measure", work, str(path), str(beside)]
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


def trained(path: str, scratch: str | None) -> int:
    """The number of events that were given to train on."""
    detector = MaskedTokenDetector(
        model=ModelOptions(width=16, feedforward=32, layers=1), training=TrainingOptions(epochs=1)
    )
    datasets = [Dataset(name="sample", process="sample", role="background", files=(path,))]
    with make_executor("iterative", status=False) as executor:
        train_detectors(
            datasets,
            detector,
            corpus=CorpusProcessor,
            executor=executor,
            stranger=StrangerDetector(members=2, training=StrangerTraining(epochs=1)),
            scratch=scratch,
        )
    return sum(one.stop - one.start for one in detector.trained_ or ())


def league(background: str, signal: str) -> int:
    """The number of events of a league."""
    datasets = [
        Dataset(name=role, process=role, role=role, files=(path,))
        for role, path in (("background", background), ("signal", signal))
    ]
    entries = choose(only=ENTRIES, quick=True)
    with tempfile.TemporaryDirectory() as folder:
        run_league(folder, datasets, entries, seeds=[0], folds=FOLDS, figures=False)
    return sum(DarkMachinesCSV().num_events(one) for one in (background, signal))


def peak_of_this_process() -> float:
    """Peak memory [MiB]; on Linux not of getrusage, which starts at what the parent held."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)  # macOS counts bytes


if __name__ == "__main__":
    main()

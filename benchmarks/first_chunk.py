"""How long one waits for the first chunk: a process with each executor, from its start.

Each is a new process that imports what it needs, starts its executor, and scores one chunk by a
masked-token detector. "futures" starts two processes, "dask" a local cluster of two workers. The
clock stops when the chunk's result is there; then everything is closed. Time is that of the wall,
best of the rounds, in turns: on a machine with other work it says little.

    python benchmarks/first_chunk.py
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hepmtp.datasets.files import fileset, read
from hepmtp.datasets.manifest import embedded
from hepmtp.detectors import load_detector
from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.run.executors import make_executor
from hepmtp.run.runner import HepRunner
from hepmtp.training.masking import TrainingOptions
from processors.anomaly import AnomalyProcessor

#: At most so many times as long as the iterative one.
MOST = 4.0
EXECUTORS = ("iterative", "futures", "dask")
CHUNK = 2_000


def first_chunk(name: str, folder: str) -> float:
    """Time at which the first chunk is done."""
    workers = None if name == "iterative" else 2
    with make_executor(name, workers=workers, status=False) as executor:
        run = HepRunner(executor, chunksize=CHUNK, maxchunks=1)
        datasets = [one for one in embedded() if one.name == "ttbarW"]
        out = run(fileset(datasets), AnomalyProcessor([load_detector(folder)]))
        done = time.time()
    if not out["cutflow"]["ttbarW"]["all"]["raw"]:
        raise SystemExit("the chunk has no event")
    return done


def main() -> None:
    """Print the times; exit code 1 if one is above what is allowed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--one", nargs=2, metavar=("EXECUTOR", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(first_chunk(*options.one))
        return
    times: dict[str, list[float]] = {name: [] for name in EXECUTORS}
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "detector"
        background = read((one for one in embedded() if one.role == "background"), stop=400)
        MaskedTokenDetector(training=TrainingOptions(epochs=1)).fit(background).save(saved)
        for _ in range(options.rounds):
            for name, found in times.items():
                command = [sys.executable, __file__, "--one", name, str(saved)]
                start = time.time()
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                found.append(float(done.stdout.split()[-1]) - start)
    best = {name: min(found) for name, found in times.items()}
    for name, spent in best.items():
        print(f"{name:10} {spent:5.1f} s until the first chunk is done")
    ratios = {name: spent / best["iterative"] for name, spent in best.items()}
    said = ", ".join(f"{name} {ratio:.1f}" for name, ratio in list(ratios.items())[1:])
    print(f"ratio to iterative: {said} (at most {MOST:g})")
    sys.exit(max(ratios.values()) > MOST)


if __name__ == "__main__":
    main()

"""Events per second of AnomalyProcessor through HepRunner against the bare loop over chunks.

Both read two unpacked files of the embedded sample in the same chunks and score with the same
masked-token detector, in turns. Measured is CPU time of this process, the best of the rounds. The
detector is trained for one epoch, which does not change its speed.

    python benchmarks/runner_overhead.py
"""

from __future__ import annotations

import argparse
import gzip
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from coffea.processor import accumulate

from hepmtp.datasets.files import fileset, read
from hepmtp.datasets.manifest import Dataset, embedded
from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.detectors.observables import Observable
from hepmtp.events.record import with_metadata
from hepmtp.readers.darkmachines.reader import DarkMachinesCSV
from hepmtp.run.executors import make_executor
from hepmtp.run.runner import HepRunner
from hepmtp.training.masking import TrainingOptions
from processors.anomaly import AnomalyProcessor

REQUIRED = 0.85
CHUNK = 5_000


def unpacked(datasets: list[Dataset], folder: str) -> dict[str, Any]:
    """Fileset of plain CSV files."""
    found = fileset(datasets)
    for entry in found.values():
        for i, path in enumerate(entry["files"]):
            plain = Path(folder) / Path(path).name.removesuffix(".gz")
            plain.write_bytes(gzip.decompress(Path(path).read_bytes()))
            entry["files"][i] = str(plain)
    return found


def bare_loop(files: dict[str, Any], processor: AnomalyProcessor) -> Any:
    """What somebody would write without coffea."""
    reader = DarkMachinesCSV()
    return accumulate(
        processor.process(with_metadata(events, dataset=name, role=entry["metadata"]["role"]))
        for name, entry in files.items()
        for path in entry["files"]
        for events in reader.iterate(path, CHUNK)
    )


def raw(out: Any) -> dict[str, int]:
    """Raw events of each data set."""
    return {name: int(regions["all"]["raw"]) for name, regions in sorted(out["cutflow"].items())}


def main() -> None:
    """Print the speeds and their ratio; exit code 1 if it is below the required one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--light",
        action="store_true",
        help="plain observables alone: the overhead with nothing to score",
    )
    options = parser.parse_args()
    datasets = [one for one in embedded() if one.name in ("4top", "ttbarW")]
    background = read(one for one in datasets if one.role == "background")
    detectors: list[Any] = [Observable("ht").fit(background)]
    if not options.light:
        detectors.append(MaskedTokenDetector(training=TrainingOptions(epochs=1)).fit(background))
    processor = AnomalyProcessor(detectors)
    bare: list[float] = []
    runner: list[float] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        make_executor("iterative", status=False) as executor,
    ):
        files = unpacked(datasets, folder)
        run = HepRunner(executor, chunksize=CHUNK)
        for _ in range(options.rounds):
            start = time.process_time()
            by_hand = bare_loop(files, processor)
            middle = time.process_time()
            by_runner = run(files, processor)
            bare.append(middle - start)
            runner.append(time.process_time() - middle)
            assert raw(by_hand) == raw(by_runner)
        n = sum(
            DarkMachinesCSV().num_events(path)
            for entry in files.values()
            for path in entry["files"]
        )
    ratio = min(bare) / min(runner)
    print(f"{n} events in chunks of {CHUNK}, best of {options.rounds} rounds, CPU time of one core")
    print(f"bare loop {n / min(bare):9.0f} events/s")
    print(f"HepRunner {n / min(runner):9.0f} events/s")
    print(f"ratio {ratio:.2f} (required {REQUIRED:g})")
    sys.exit(ratio < REQUIRED and not options.light)


if __name__ == "__main__":
    main()

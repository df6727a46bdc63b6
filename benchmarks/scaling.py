"""How a run grows: events per second of a core, ten times the events, one worker and two.

Events of the embedded sample are repeated and scored as `hepmtp run` does, with a masked-token
detector of default size and HT. Speed and growth are CPU time. Workers need wall time, which says
nothing on a machine that has other work: there they are left out. What 10^8 and
10^9 events need follows from the numbers.

    python benchmarks/scaling.py --out benchmarks/results/scaling.md
"""

from __future__ import annotations

import argparse
import gzip
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import lz4.frame
from outcome import show
from timing import idle

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.detectors.observables import Observable
from hepmtp.run.executors import make_executor
from hepmtp.run.runner import HepRunner
from hepmtp.training.masking import TrainingOptions
from processors.anomaly import AnomalyProcessor
from processors.corpus import CorpusProcessor

#: Ten times the events may take so many times as long, and two workers must be so many times as
#: fast as one.
GROWTH, GAIN = 10.5, 1.8
#: Events of a chunk here, and of a chunk of a real run.
CHUNK, REAL = 2_000, HepRunner.chunksize
EXAMPLES = (10**8, 10**9)


def main() -> None:
    """Print the tables; exit code 1 if something grows faster than it may."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=2, help="and ten times as many")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        lines, last, failed = measured(Path(name), options.chunks * CHUNK)
    command = f"python benchmarks/scaling.py --chunks {options.chunks}"
    show("\n".join([f"Made by `{command}`.", "", *lines]) + "\n", options.out)
    print(last)
    sys.exit(failed)


def measured(folder: Path, n: int) -> tuple[list[str], str, bool]:
    """Lines of the tables, the result, and whether something grows faster than it may."""
    known = {one.name: one for one in embedded()}
    background = read([known["ttbarZ"]], stop=1000)
    detector = MaskedTokenDetector(training=TrainingOptions(epochs=1)).fit(background)
    detector.save(folder / "detector")
    detectors = [detector, Observable("ht").fit(background)]
    with gzip.open(known["ttbarW"].files[0]) as file:
        text = [line for line, _ in zip(file, range(CHUNK), strict=False)]

    def files(events: int) -> dict[str, Any]:
        paths = [folder / f"{i}.csv" for i in range(-(-events // CHUNK))]
        for i, path in enumerate(paths):  # each in another order: a detector knows its last events
            path.write_bytes(b"".join(text[i:] + text[:i]))
        meta = {"role": "signal"}  # so that all events are analysed
        return {"sample": {"files": list(map(str, paths)), "metadata": meta}}

    processor = AnomalyProcessor(detectors, columns=True)
    with make_executor("iterative", status=False) as executor:
        run = HepRunner(executor, chunksize=CHUNK)
        run(files(2 * CHUNK), processor)  # what is done once in a process; ends with other events
        few, _ = cpu(lambda: run(files(n), processor))
        many, output = cpu(lambda: run(files(10 * n), processor))
        again, _ = cpu(lambda: run(files(n), processor))
        few = (few + again) / 2  # the machine may have become slower or faster
        one = run(files(CHUNK), processor)
        without = run(files(CHUNK), AnomalyProcessor(detectors, columns=False))
    with tempfile.TemporaryDirectory(dir=folder) as shards:
        corpus = CorpusProcessor(detector.tokenizer, shards=shards)
        counts = corpus.process(background)["cutflow"]["ttbarZ"]
        stored = sum(one.stat().st_size for one in Path(shards).iterdir())
    stored /= counts["train"] + counts["validation"]
    speed = 10 * n / many
    answers = sent(without)
    per_event = (sent(one) - answers) / CHUNK
    lines = [
        "| what | measured | at most |",
        "|---|---|---|",
        f"| events/s of a core, in CPU time | {speed:,.0f} | |",
        f"| CPU time of {10 * n:,} events, to that of {n:,} | {many / few:.1f} | {GROWTH} |",
        f"| bytes of an event in CSV | {len(b''.join(text)) / CHUNK:.0f} | |",
        f"| bytes of an event's columns, as a worker sends them | {per_event:.0f} | |",
        f"| bytes of a chunk's histograms, as a worker sends them | {answers:,} | |",
        f"| bytes of a trained event in a shard | {stored:.0f} | |",
    ]
    if output["cutflow"]["sample"]["all"]["raw"] != 10 * n:
        raise RuntimeError(f"not all of {10 * n} events were scored")
    failed = many / few > GROWTH
    last = f"ten times the events take {many / few:.1f} times the CPU time (at most {GROWTH})"
    if idle():
        gain = wall(1, files(10 * n), processor) / wall(2, files(10 * n), processor)
        lines.append(f"| two workers to one, events/s | {gain:.2f} | at least {GAIN} |")
        failed |= gain < GAIN
        last += f"; two workers are {gain:.2f} times as fast (at least {GAIN})"
    else:
        lines += ["", "Workers were not compared: the machine is busy. Use an idle one."]
        last += "; workers were not compared, the machine is busy"
    return [*lines, "", *worked_out(speed, per_event, answers, stored)], last, failed


def worked_out(speed: float, per_event: float, answers: int, stored: float) -> Iterator[str]:
    """A table of what large samples need."""
    heads = [f"10<sup>{len(str(n)) - 1}</sup>" for n in EXAMPLES]
    yield f"| events | {' | '.join(heads)} |"
    yield f"|---|{'---|' * len(heads)}"
    rows: dict[str, Callable[[int], str]] = {
        "hours of a core, to score": lambda n: f"{n / speed / 3600:,.0f}",
        "hours of 100 cores": lambda n: f"{n / speed / 360_000:.1f}",
        f"chunks of {REAL:,}": lambda n: f"{n // REAL:,}",
        "histograms sent [GB]": lambda n: f"{n / REAL * answers / 1e9:.1f}",
        "columns sent [GB]": lambda n: f"{n * per_event / 1e9:.1f}",
        "shards of those that train, 70 % [GB]": lambda n: f"{0.7 * n * stored / 1e9:.1f}",
        "order of an epoch in memory [GB]": lambda n: f"{0.6 * n * 8 / 1e9:.1f}",
    }
    for name, value in rows.items():
        yield f"| {name} | {' | '.join(map(value, EXAMPLES))} |"


def cpu(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU time of this process [s], and what the work gave."""
    start = time.process_time()
    found = work()
    return time.process_time() - start, found


def sent(output: Any) -> int:
    """Bytes of an answer, packed as coffea does."""
    return len(lz4.frame.compress(cloudpickle.dumps(output), compression_level=1))


def wall(workers: int, files: dict[str, Any], processor: AnomalyProcessor) -> float:
    """Seconds that so many workers take, once they have started and scored something."""
    with make_executor("futures", workers=workers, status=False) as executor:
        run = HepRunner(executor, chunksize=CHUNK)
        run(files, processor)
        start = time.perf_counter()
        run(files, processor)
        return time.perf_counter() - start


if __name__ == "__main__":
    main()

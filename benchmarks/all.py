"""All benchmarks that can fail, one after the other, and one table of what they say.

The last line of each is its result; its exit code says whether what is required holds. A folder
of real files adds those that read some. Names choose some of them, whose rows replace theirs in a
table that is there.

    python benchmarks/all.py [NAME ...] [--real FOLDER] [--out benchmarks/results/all.md]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from outcome import show

HERE = Path(__file__).parent


class Benchmark(NamedTuple):
    """A short run of a script, and what it says."""

    what: str
    against: str
    words: str = ""
    #: Whether the folder of real files comes before the words.
    real: bool = False
    #: Whether it measures time of the wall, which says little on a machine with other work.
    wall: bool = False

    def arguments(self, folder: Path | None) -> list[str]:
        """What the script is told."""
        return [*([str(folder)] if self.real else []), *self.words.split()]


BENCHMARKS = {
    "csv_reading": Benchmark(
        "reading Dark Machines CSV", "a loop that splits each line", "--copies 1"
    ),
    "csv_tokens": Benchmark(
        "tokens from Dark Machines CSV", "a loop over lines that makes the same tokens alone"
    ),
    "readers": Benchmark(
        "reading Delphes, NanoAOD, PHYSLITE and the Dark Machines ntuple",
        "uproot alone, the same branches",
        "--events 20000 --chunk 20000 --rounds 3",
        real=True,
    ),
    "nanoaod_tokens": Benchmark(
        "tokens from NanoAOD", "coffea's NanoEvents and np.digitize, with fewer steps", real=True
    ),
    "encode": Benchmark("encoding events", "the searches of bins alone, of plain columns"),
    "events_from": Benchmark(
        "`events_from` on NanoEvents", "scoring the same events", real=True
    ),
    "observables": Benchmark(
        "what a chunk asks of its events: regions, variables, detectors, calibration",
        "each computing jets, b-jets, HT and masses by itself",
    ),
    "training": Benchmark(
        "training without padding",
        "the same transformer in a padded `nn.TransformerEncoder` loop; every token in one pass",
        "--events 400",
    ),
    "shared_training": Benchmark(
        "training shared by two processes", "one process", wall=True
    ),
    "scoring": Benchmark(
        "scoring in one pass, and with each token hidden in turn",
        "`nn.TransformerEncoder`, padded, each token hidden in turn",
        "--events 200 --rounds 4",
    ),
    "precision": Benchmark("scoring in bfloat16", "scoring in float32, the same events"),
    "one_pass": Benchmark(
        "leave-one-out predictions in one pass",
        "the same size of model, each token hidden in turn",
        "--epochs 0 --events 200 --rounds 6",
    ),
    "runtimes": Benchmark(
        "scoring by hepmtp",
        "the same detector in ONNX Runtime, and compiled by torch.compile",
        "--events 400 --rounds 3",
    ),
    "runner_overhead": Benchmark(
        "scoring through `HepRunner`", "the bare loop over the same chunks", "--rounds 2"
    ),
    "first_chunk": Benchmark(
        "the first chunk of two processes, and of a local Dask cluster",
        "of the iterative executor; each from the start of a new process",
        wall=True,
    ),
    "checks": Benchmark(
        "all checks of a run: events, identity, what has trained, accounting", "the whole run"
    ),
    "variations": Benchmark(
        "a run with all 10 weight variations, 6 detectors", "the same run without", "--cost"
    ),
    "accumulation": Benchmark(
        "columns and tokens of 200 chunks, added up",
        "one copy of them; coffea's `column_accumulator`",
        "--sums 1000",
    ),
    "scaling": Benchmark(
        "scoring ten times the events; two workers", "the events; one worker", "--chunks 6",
        wall=True,
    ),
    "memory": Benchmark(
        "peak memory of scoring and of converting a CSV of 144 MB", "one of 14 MB", "--repeats 1"
    ),
    "corpus": Benchmark(
        "peak memory of training from shards, and the loss",
        "training in memory",
        "--events 60000 --fewer 20000",
    ),
    "imports": Benchmark(
        "`import hepmtp.cli.demo`", "the libraries of a run alone"
    ),
    "small_run": Benchmark("imports and figures of a small `hepmtp run`", "the whole run"),
    "fuzz": Benchmark(
        "damaged files", "an error that names file and place", "--inputs 60 --out /dev/null"
    ),
}  # fmt: skip


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


def verdict(benchmark: Benchmark, good: bool) -> str:
    """Whether what is required holds; of time of the wall, with the load of the machine."""
    if good:
        return "holds"
    load = f" (time of the wall, load {os.getloadavg()[0]:.1f})" if benchmark.wall else ""
    return f"**fails**{load}"


def rows_of(table: Path | None) -> dict[str, str]:
    """The rows of a table that this has written, by the names of their benchmarks."""
    text = table.read_text(encoding="utf-8") if table and table.exists() else ""
    return {row.split("`")[-2].split(".py")[0]: row for row in text.splitlines()[2:]}


def main() -> None:
    """Print the table; exit code 1 if one of them fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--real", type=Path, help="folder of real files")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    chosen = {
        name: one for name, one in BENCHMARKS.items() if options.real is not None or not one.real
    }
    if unknown := set(options.names) - set(chosen):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(chosen)}")
    rows, failed = rows_of(options.out) if options.names else {}, False
    for name in options.names or chosen:
        one = chosen[name]
        arguments = one.arguments(options.real)
        good, said, spent = result([sys.executable, str(HERE / f"{name}.py"), *arguments])
        failed |= not good
        words = ["REAL" if one.real else "", one.words]
        command = " ".join([f"{name}.py", *filter(None, words)])
        cells = (one.what, one.against, said, verdict(one, good), f"{spent:.0f}", f"`{command}`")
        rows[name] = f"| {' | '.join(cells)} |"
        print(rows[name], file=sys.stderr)
    head = "| what | against | result | what is required | CPU [s] | benchmark |"
    shown = [rows[name] for name in BENCHMARKS if name in rows]
    show("\n".join([head, "|---|---|---|---|---|---|", *shown]) + "\n", options.out)
    sys.exit(failed)


if __name__ == "__main__":
    main()

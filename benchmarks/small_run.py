"""What a small `hepmtp run` spends on imports and figures, and what PDFs add.

Two data sets of the embedded sample are scored by one observable, in a new process. Imports are
all that the outermost import statements take. Figures are all that `draw_scores` takes but for
imports. Only with ``--pdf`` are there PDFs. CPU time; best of the rounds.

    python benchmarks/small_run.py
"""

from __future__ import annotations

import argparse
import builtins
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

#: Largest shares of the run's CPU time, of imports and of figures; how many times as much CPU time
#: a run with PDFs may take.
IMPORTS, FIGURES, PDF = 0.7, 0.4, 1.5
DATASETS = ("ttbarW", "4top")


class Clock:
    """CPU time of imports, and of a function without the imports in it."""

    def __init__(self) -> None:
        self.imports = self.figures = 0.0
        self.depth = 0
        self.importing = builtins.__import__

    def imported(self, *args: Any, **kwargs: Any) -> Any:
        """Import, timed if no other import is going on."""
        self.depth += 1
        start = time.process_time()
        try:
            return self.importing(*args, **kwargs)
        finally:
            self.depth -= 1
            if not self.depth:
                self.imports += time.process_time() - start

    def drawn(self, draw: Any) -> Any:
        """A function that draws, timed."""

        def call(*args: Any, **kwargs: Any) -> Any:
            start, before = time.process_time(), self.imports
            found = draw(*args, **kwargs)
            self.figures += time.process_time() - start - (self.imports - before)
            return found

        return call


def inside(words: list[str]) -> None:
    """Run the command of these words in this process, and print where its CPU time went."""
    clock = Clock()
    builtins.__import__ = clock.imported
    from hepmtp import cli  # noqa: PLC0415 (timed)
    from hepmtp.report import folder  # noqa: PLC0415

    folder.draw_scores = clock.drawn(folder.draw_scores)
    try:
        cli.main(words)
    except SystemExit as end:
        if end.code:
            raise
    total = time.process_time()
    print(json.dumps({"imports": clock.imports, "figures": clock.figures, "total": total}))


def main() -> None:
    """Print the shares; exit code 1 if one is above what is allowed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--inside", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        inside(options.inside)
        return
    best: dict[bool, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        words = ["run", *DATASETS, "--detectors", str(Path(folder) / "ht"), "--overwrite"]
        words += ["--output", str(Path(folder) / "results")]
        make = (
            "import sys, hepmtp as hm; from hepmtp.detectors.observables import Observable; "
            "background = hm.read((one for one in hm.embedded() if one.role == 'background'), "
            "stop=400); Observable('ht').fit(background).save(sys.argv[1])"
        )
        subprocess.run(
            [sys.executable, "-c", make, words[words.index("--detectors") + 1]], check=True
        )
        for _ in range(options.rounds):
            for pdf in (False, True):
                command = [sys.executable, __file__, "--inside", *words, *["--pdf"] * pdf]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                found = json.loads(done.stdout.splitlines()[-1])
                if not found["figures"]:
                    raise SystemExit("the run has drawn nothing")
                best[pdf] = min(best.get(pdf, found), found, key=lambda one: one["total"])
    plain, pdf_ratio = best[False], best[True]["total"] / best[False]["total"]
    shares = {name: plain[name] / plain["total"] for name in ("imports", "figures")}
    print(f"{plain['total']:.1f} s of CPU time, {best[True]['total']:.1f} s with PDFs")
    print(
        f"imports {shares['imports']:.0%} of it (at most {IMPORTS:.0%}), figures "
        f"{shares['figures']:.0%} (at most {FIGURES:.0%}), with PDFs {pdf_ratio:.2f} times as much "
        f"(at most {PDF:g})"
    )
    sys.exit(shares["imports"] > IMPORTS or shares["figures"] > FIGURES or pdf_ratio > PDF)


if __name__ == "__main__":
    main()

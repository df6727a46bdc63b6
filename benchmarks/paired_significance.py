"""Differences of the significances of a league, with paired errors.

The scores of a league stand for the same events, so the error of a difference is smaller than those
of its two terms say. It is the standard deviation over bootstraps. Each event counts as often as a
Poisson number of mean 1 says, in all scores and regions alike, and everything is fitted again.

    python benchmarks/league.py --seeds 1 --folds 5 --folder league
    python benchmarks/paired_significance.py --league league --out benchmarks/results/paired.md

--signals names more of them, one file each, which examples/simulation/generate.py makes. Bootstraps
that are done are kept in --kept, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from outcome import show
from sr_significance import events_of

from hepmtp import storage
from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import Dataset, embedded
from hepmtp.detectors import load_detector
from hepmtp.events.ragged import Bools, Floats
from hepmtp.events.regions import PRESELECTION, SR
from hepmtp.studies.league.search import COUNTS, Search

CHOSEN = "anomaly"
RIVALS = (
    *("n_jets", "met", "observables", "static_jets", "masked_token_jets", "stranger"),
    *("anomaly_static", "anomaly_without_tokens"),
)
#: Row of the league -> the detector that makes it, and its form.
ENTRY = {"static_jets": ("static", "jets"), "masked_token_jets": ("masked_token", "jets")}
BOOTSTRAPS = 40

#: Data set, its events, and which of them have a score.
Sample = tuple[Dataset, ak.Array, Bools]
#: Row of the league -> data set -> scores.
Scores = dict[str, dict[str, Floats]]


def samples(files: Sequence[Path]) -> Iterator[Sample]:
    """All events of the embedded sample, as a cross-fitted league judges them, and signals."""
    read_from = [(dataset, read([dataset])) for dataset in embedded()]
    for file in files:
        name = file.name.partition(".")[0]
        read_from.append((Dataset(name, name, "signal", ()), events_of(file, name, "signal")))
    for dataset, events in read_from:
        yield dataset, events, PRESELECTION.select(events) | SR.select(events)


def scores_of(league: Path, of: list[Sample]) -> Scores:
    """The scores that a league has kept, and those of more signals by its detectors."""
    found: Scores = {}
    for folder in sorted((league / "scores").glob("*-0")):
        _, arrays = storage.read(folder, "hepmtp league scores")
        for key, values in arrays.items():
            row, _, dataset = key.partition("/")
            found.setdefault(row, {})[dataset] = values
    for dataset, events, kept in of:
        for name in (CHOSEN, *RIVALS):
            if dataset.name not in found[name]:
                stored, form = ENTRY.get(name, (name, ""))
                detector: Any = load_detector(league / "detectors" / f"{stored}-0")
                detector = detector.with_score(form) if form else detector
                found[name][dataset.name] = detector.score(events[kept])
    return found


def significances(of: list[Sample], scores: Scores, draw: int) -> dict[str, dict[str, float]]:
    """Signal -> score -> significance, of the events or, with `draw` > 0, of a bootstrap."""
    search, rng = Search.empty(), np.random.default_rng(draw)
    for dataset, events, kept in of:
        copies: Any = rng.poisson(1.0, len(events)) if draw else 1.0
        weight = ak.to_numpy(events.weight) * copies
        drawn = ak.with_field(events, weight, "weight")
        search.add(dataset, events, drawn, kept, 1.0)
    background = [one.name for one, _, _ in of if one.role == "background"]
    return {
        one.name: {
            name: search.fit(name, scores[name], background, one.name, counts=name in COUNTS).z
            for name in (CHOSEN, *RIVALS)
        }
        for one, _, _ in of
        if one.role == "signal"
    }


def table(found: list[dict[str, dict[str, float]]]) -> Iterator[str]:
    """Rows of the table; the first of `found` is of the events themselves."""
    for signal, z in found[0].items():
        for name in RIVALS:
            differences = [one[signal][CHOSEN] - one[signal][name] for one in found]
            error = np.std(differences[1:], ddof=1)
            yield f"| {signal} | {name} | {z[name]:.2f} | {differences[0]:+.2f} ± {error:.2f} |\n"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--league", type=Path, required=True)
    parser.add_argument("--signals", type=Path, nargs="*", default=[], help="a file each")
    parser.add_argument("--bootstraps", type=int, default=BOOTSTRAPS)
    parser.add_argument("--kept", type=Path, default=Path("paired.jsonl"))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    lines = options.kept.read_text().splitlines() if options.kept.exists() else []
    found = [json.loads(line) for line in lines]
    of = list(samples(options.signals))
    scores = scores_of(options.league, of)
    for draw in range(len(found), options.bootstraps + 1):
        found.append(significances(of, scores, draw))
        with options.kept.open("a") as kept:
            kept.write(json.dumps(found[-1]) + "\n")
    words = (
        "Made by `python benchmarks/paired_significance.py --league FOLDER"
        f"{' --signals FILE ...' * bool(options.signals)}`: the significance of {CHOSEN} in the "
        f"simultaneous fit less that of others; {options.bootstraps} bootstraps.\n\n"
        f"| signal | score | significance | {CHOSEN} is above by |\n|---|---|---|---|\n"
    )
    show(words + "".join(table(found)), options.out)


if __name__ == "__main__":
    main()

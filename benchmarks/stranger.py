"""How the default score was chosen: expected significance for background made stranger.

No signal chooses. Detectors are fitted on the embedded background; --judge is a folder with another
sample of the same processes (files as the embedded ones). Its background in the SR, and the same
events made stranger, give an expected significance for each kind of strangeness:

- known: each operation alone, and mixtures, all of which the networks have learned;
- left out: each operation alone, for networks that have not learned that one. This chooses.

True signals are in the last columns, of both samples; --signals names more of them, one file each,
which examples/simulation/generate.py makes.

Differences are to the observables combined; sr_significance.py says what a significance is.

    python benchmarks/stranger.py --judge FOLDER --signals FILE.csv.gz ... \\
        --folder stranger --out benchmarks/results/stranger.md

Scores are kept in --folder, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from sr_significance import compared, samples_of

import hepmtp as hm
from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.detectors.observables import Observable
from hepmtp.detectors.stranger import StrangerDetector
from hepmtp.events.stranger import OPERATIONS
from hepmtp.models.marginal import MarginalOptions
from hepmtp.run.rivals import PLAIN
from hepmtp.statistics.fisher import TailCombination

Floats = NDArray[np.float64]
D = TypeVar("D", MaskedTokenDetector, StrangerDetector)
#: Name of a candidate -> what its Fisher's combination is of; one alone is that score itself.
CANDIDATES: dict[str, tuple[str, ...]] = {
    "observables": PLAIN,
    "n_jets and n_b": ("n_jets", "n_b"),
    "n_b": ("n_b",),
    "MET": ("met",),
    "masked_token": ("joined",),
    "masked_token_jets": ("jets",),
    "static_jets": ("static_jets",),
    "stranger": ("stranger",),
    "stranger + masked tokens": ("stranger", "jets"),
    "observables + masked tokens": (*PLAIN, "jets"),
    "observables + static": (*PLAIN, "static_jets"),
    "stranger + observables": ("stranger", *PLAIN),
    "stranger + observables + static": ("stranger", *PLAIN, "static_jets"),
    "**anomaly**: stranger + observables + masked tokens": ("stranger", *PLAIN, "jets"),
    "stranger + observables + excess": ("stranger", *PLAIN, "excess"),
}
AGAINST = "observables"


def parts_of(events: ak.Array, detectors: Mapping[str, Any]) -> dict[str, Floats]:
    """Columns of each part of a candidate, (n_events, n)."""
    return {
        name: one.parts(events) if hasattr(one, "parts") else one.score(events)[:, None]
        for name, one in detectors.items()
    }


def kept(path: Path, detector: D, background: ak.Array) -> D:
    """The detector of a folder, which is fitted and saved there if it is not yet."""
    if not path.exists():
        detector.fit(background).save(path)
    return type(detector).load(path)


def masked_tokens(folder: Path, background: ak.Array) -> dict[str, MaskedTokenDetector]:
    """The default masked-token detector and its static control, kept in the folder."""
    slow = hm.TrainingOptions(epochs=4, learning_rate=0.05, weight_decay=0.0)
    static = hm.MaskedTokenDetector(model=MarginalOptions(), training=slow)
    found = {}
    for name, one in (("masked", hm.MaskedTokenDetector()), ("static", static)):
        found[name] = kept(folder / name, one, background)
    return found


def main() -> None:
    """Fit what is missing and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--judge", type=Path, required=True)
    parser.add_argument(
        "--signals", type=Path, nargs="*", default=[], help="more of them, a file each"
    )
    parser.add_argument(
        "--signals-only",
        action="store_true",
        help="what the scores reach for signals, without the fits that chose among them",
    )
    parser.add_argument("--folder", type=Path, default=Path("stranger"))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    samples = samples_of(options.judge, options.signals)
    background, sets, made, signals, weights, judge = samples
    masked = masked_tokens(options.folder, background)
    fixed: dict[str, Any] = {name: Observable(name) for name in PLAIN}
    fixed |= {"joined": masked["masked"], "static_jets": masked["static"].with_score("jets")}
    fixed |= {form: masked["masked"].with_score(form) for form in ("jets", "excess")}
    fixed_parts = {name: parts_of(events, fixed) for name, events in sets.items()}
    known: dict[str, dict[str, float]] = {}
    left_out: dict[str, dict[str, float]] = {}
    true: dict[str, list[str]] = {}
    for without in ("", *(() if options.signals_only else OPERATIONS)):
        path = options.folder / f"without_{without or 'nothing'}"
        networks = {"stranger": kept(path, StrangerDetector(without=without), background)}
        parts = {
            name: fixed_parts[name] | parts_of(events, networks) for name, events in sets.items()
        }
        scores = {name: combined(parts, of) for name, of in CANDIDATES.items()}
        for name, found in scores.items():
            if without:
                left_out.setdefault(name, {})[without] = judge(
                    found["background"], found[without], weights[without]
                )
                continue
            known[name] = {
                kind: judge(found["background"], found[kind], weights[kind]) for kind in made
            }
            true[name] = [
                compared(judge, found, scores[AGAINST], signal, weights[signal])
                for signal in signals
            ]
    words = " --signals FILE ..." * bool(options.signals)
    words += " --signals-only" * options.signals_only
    columns = [*([] if options.signals_only else ["known", "left out"]), *signals]
    table = [
        (
            f"Made by `python benchmarks/stranger.py --judge FOLDER{words}`, "
            f"{len(sets['background'])} background events in the SR of the judge."
        ),
        "",
        "| score | " + " | ".join(columns) + " |",
        "| --- " * (1 + len(columns)) + "|",
    ]
    chosen_by = known if options.signals_only else left_out
    for name in sorted(CANDIDATES, key=lambda name: -np.mean(list(chosen_by[name].values()))):
        means = [] if options.signals_only else [known[name], left_out[name]]
        numbers = [f"{np.mean(list(one.values())):.2f}" for one in means]
        table.append(f"| {' | '.join([name, *numbers, *true[name]])} |")
    text = "\n".join(table) + "\n"
    sys.stdout.write(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


def combined(parts: Mapping[str, Mapping[str, Floats]], of: tuple[str, ...]) -> dict[str, Floats]:
    """Scores of a candidate on all sets; tails are those of training events."""
    columns = {
        name: np.concatenate([one[part] for part in of], axis=1) for name, one in parts.items()
    }
    if columns["training"].shape[1] == 1:
        return {name: one[:, 0] for name, one in columns.items()}
    tails = TailCombination().fit(columns["training"])
    return {name: tails.score(one) for name, one in columns.items()}


if __name__ == "__main__":
    main()

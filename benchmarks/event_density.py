"""A density of the whole event, and numbers of pairs: two tries at a better default score.

Written down before the first number was seen:

- Candidates are those of `CANDIDATES`, Fisher's combinations as `anomaly` is. Some have answers of
  a density (chain_density.py) in the place of the masked tokens, or beside them. The answers are
  its -log p, whole, or of composition and kinematics apart. Or they are how seldom each number is
  larger, given what comes before it. "Either" takes the larger surprise: given that, or in itself.
- --pairs adds candidates whose networks read pairs of particles, too (pairwise.py).
- The criterion chooses: the mean significance for background made stranger by an operation that the
  networks have not learned, as in stranger.py and on the same events. Best is the largest mean.
  These networks are half as many, trained for a third of the epochs, the same for all candidates.
- The best of what is new, and no other, is judged on the signals. It replaces `anomaly` if it is
  above it by more than the paired error in the criterion, and not below it for a signal.
- "Static" is the same density with what comes before not read: whether the transformer pays.

    python benchmarks/event_density.py --judge FOLDER --folder event_density \\
        --out benchmarks/results/event_density.md

--judge is that of stranger.py. What is fitted is kept in --folder, so that an interrupted run goes
on. --left-out names some of the operations only.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import awkward as ak
import numpy as np
from chain_density import Chain
from numpy.typing import NDArray
from outcome import show
from pairwise import PairwiseDetector
from sr_significance import Samples, bootstraps, compared, samples_of
from stranger import combined, masked_tokens, parts_of

from hepmtp.detectors.observables import Observable
from hepmtp.detectors.stranger import StrangerDetector, StrangerTraining
from hepmtp.events.stranger import OPERATIONS
from hepmtp.run.rivals import PLAIN
from hepmtp.statistics.fisher import TailCombination

Floats = NDArray[np.float64]
Parts = dict[str, dict[str, Floats]]
NETWORKS = {"stranger": StrangerDetector, "pairs": PairwiseDetector}
#: Answers of the density to what the masked-token score of jets asks for.
ONE_SIDED = ("t_n_b", "t_pt", "t_met")
#: Conditional answers, in the order of the `PLAIN` numbers whose tail is beside them in "either".
CONDITIONAL = ("t_n_jets", "t_n_b", "t_hard", "t_met")
REFERENCE = "**anomaly**: stranger + observables + masked tokens"
OLD = (REFERENCE, "stranger + observables", "stranger")
CANDIDATES: dict[str, tuple[str, ...]] = {
    REFERENCE: ("stranger", *PLAIN, "jets"),
    "stranger + observables": ("stranger", *PLAIN),
    "stranger + observables + density": ("stranger", *PLAIN, "p"),
    "stranger + observables + composition + kinematics": (
        *("stranger", *PLAIN),
        *("p_composition", "p_kinematics"),
    ),
    "stranger + observables + one-sided": ("stranger", *PLAIN, *ONE_SIDED),
    "stranger + observables + conditional": ("stranger", *PLAIN, *CONDITIONAL),
    "stranger + either": ("stranger", "either"),
    "stranger + observables + one-sided static": (
        *("stranger", *PLAIN),
        *(f"static_{name}" for name in ONE_SIDED),
    ),
    "anomaly + one-sided": ("stranger", *PLAIN, "jets", *ONE_SIDED),
    "density": ("p",),
    "one-sided": ONE_SIDED,
    "one-sided static": tuple(f"static_{name}" for name in ONE_SIDED),
}
OF_PAIRS = {
    "pairs": ("pairs",),
    "pairs + observables + masked tokens": ("pairs", *PLAIN, "jets"),
    "pairs + observables + one-sided": ("pairs", *PLAIN, *ONE_SIDED),
    "stranger": ("stranger",),
}


def densities(folder: Path, background: ak.Array) -> dict[str, Chain]:
    """The density and its static control, by what their answers' names begin with."""
    found = {}
    for prefix, static in (("", False), ("static_", True)):
        chain, path = Chain(static=static), folder / f"{prefix}chain.safetensors"
        if not path.exists():
            chain.fit(background).save(path)
        found[prefix] = chain.load(path)
    return found


def fixed_parts(folder: Path, samples: Samples) -> Parts:
    """All parts but those of networks, of each of the sets."""
    masked = masked_tokens(folder, samples.fitting)["masked"].with_score("jets")
    detectors = {name: Observable(name) for name in PLAIN} | {"jets": masked}
    chains = densities(folder, samples.fitting)
    parts: Parts = {}
    for name, events in samples.sets.items():
        if name.startswith("mixture"):
            continue
        parts[name] = parts_of(events, detectors)
        for prefix, chain in chains.items():
            answers = chain.answers(events)
            parts[name] |= {prefix + answer: column for answer, column in answers.items()}
    return with_either(parts)


def with_either(parts: Parts) -> Parts:
    """Beside them the larger surprise of each number: in itself, or given the rest."""
    columns = {
        name: np.concatenate([one[part] for part in (*PLAIN, *CONDITIONAL)], axis=1)
        for name, one in parts.items()
    }
    tails = TailCombination().fit(columns["training"])
    for name, one in columns.items():
        surprises = tails.surprises(one)
        parts[name]["either"] = np.maximum(surprises[:, : len(PLAIN)], surprises[:, len(PLAIN) :])
    return parts


def networks_of(kind: type[StrangerDetector], without: str) -> StrangerDetector:
    """Those of the default, or smaller ones that do not learn an operation."""
    return (
        kind(without=without, members=4, training=StrangerTraining(epochs=8)) if without else kind()
    )


def with_networks(
    folder: Path,
    samples: Samples,
    parts: Parts,
    without: str,
    kinds: Mapping[str, type[StrangerDetector]],
) -> Parts:
    """The parts of these sets with the answers of networks that have not learned an operation."""
    networks = {}
    for name, kind in kinds.items():
        path = folder / f"{name}_without_{without}" if without else folder / name
        if not path.exists():
            networks_of(kind, without).fit(samples.fitting).save(path)
        networks[name] = kind.load(path)
    return {name: one | parts_of(samples.sets[name], networks) for name, one in parts.items()}


def criterion(samples: Samples, left_out: Mapping[str, list[Floats]]) -> Iterator[str]:
    """Rows of the table, the best first.

    Parameters
    ----------
    left_out
        of each candidate, for each operation, what `bootstraps` gives.
    """
    yield f"{len(samples.sets['background'])} background events in the SR of the judge."
    yield ""
    yield "| score | left out | minus *anomaly* |"
    yield "| --- | --- | --- |"
    means = {name: np.mean(found, axis=0) for name, found in left_out.items()}
    for name in sorted(means, key=lambda name: -means[name][0]):
        gain = means[name] - means[REFERENCE]
        error = "" if name == REFERENCE else f"{gain[0]:+.2f} ± {np.std(gain[1:]):.2f}"
        yield f"| {name} | {means[name][0]:.2f} | {error} |"


def on_signals(samples: Samples, scores: Parts, best: str) -> Iterator[str]:
    """Rows of the table of signals, of the reference and the best."""
    yield "| score | " + " | ".join(samples.signals) + " |"
    yield "| --- " * (1 + len(samples.signals)) + "|"
    for name in (REFERENCE, best):
        cells = [
            compared(samples.judge, scores[name], scores[REFERENCE], one, samples.weights[one])
            for one in samples.signals
        ]
        yield f"| {' | '.join([name, *cells])} |"


def main() -> None:
    """Fit what is missing and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--judge", type=Path, required=True)
    parser.add_argument("--signals", type=Path, nargs="*", default=[], help="as of stranger.py")
    parser.add_argument("--folder", type=Path, default=Path("event_density"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--left-out", nargs="+", default=list(OPERATIONS), choices=list(OPERATIONS))
    parser.add_argument("--pairs", action="store_true")
    options = parser.parse_args()
    candidates = CANDIDATES | (OF_PAIRS if options.pairs else {})
    networks = NETWORKS if options.pairs else {"stranger": StrangerDetector}
    samples = samples_of(options.judge, options.signals)
    parts = fixed_parts(options.folder, samples)

    def scores_of(sets: Sequence[str], names: Iterable[str], without: str = "") -> Parts:
        some = {name: parts[name] for name in ("training", "background", *sets)}
        some = with_networks(options.folder, samples, some, without, networks)
        return {name: combined(some, candidates[name]) for name in names}

    left_out: dict[str, list[Floats]] = {name: [] for name in candidates}
    for without in options.left_out:
        found = scores_of([without], candidates, without)
        for name, one in found.items():
            w = samples.weights[without]
            left_out[name].append(bootstraps(samples.judge, one, without, w))
    new = set(candidates) - set(OLD)
    best = max(new, key=lambda name: float(np.mean(left_out[name], axis=0)[0]))
    words = " --pairs" * options.pairs
    if set(options.left_out) != set(OPERATIONS):
        words += f" --left-out {' '.join(options.left_out)}"
    rows = [f"Made by `python benchmarks/event_density.py --judge FOLDER{words}`,"]
    rows += criterion(samples, left_out)
    scores = scores_of(samples.signals, (REFERENCE, best))
    rows += ["", *on_signals(samples, scores, best)]
    show("\n".join(rows) + "\n", options.out)


if __name__ == "__main__":
    main()

"""A density of the whole event, and numbers of pairs: two tries at a better default score.

Written down before the first number was seen:

- Candidates are those of `CANDIDATES`, Fisher's combinations as `anomaly` is. Some have answers of
  a density (chain_density.py) in the place of the masked tokens, or beside them. The answers are
  its -log p, whole, or of composition and kinematics apart. Or they are how seldom each number is
  larger, given what comes before it. "Either" takes the larger surprise: given that, or in itself.
- --pairs adds candidates whose networks read pairs of particles, too (pairwise.py).
- Criterion and rule are those of choosing.py.
- "Static" is the same density with what comes before not read: whether the transformer pays.

    python benchmarks/event_density.py --judge FOLDER --folder event_density \\
        --out benchmarks/results/event_density.md

--judge is that of stranger.py. What is fitted is kept in --folder, so that an interrupted run goes
on. --left-out names some of the operations only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import awkward as ak
import numpy as np
from chain_density import Chain
from choosing import ANOMALY, REFERENCE, Parts, choose, networks_of, parser_of
from pairwise import PairwiseDetector
from sr_significance import Samples, samples_of
from stranger import combined, kept, masked_tokens, parts_of

from hepmtp.detectors.observables import Observable
from hepmtp.detectors.stranger import StrangerDetector
from hepmtp.run.rivals import PLAIN
from hepmtp.statistics.fisher import TailCombination

NETWORKS = {"stranger": StrangerDetector, "pairs": PairwiseDetector}
#: Answers of the density to what the masked-token score of jets asks for.
ONE_SIDED = ("t_n_b", "t_pt", "t_met")
#: Conditional answers, in the order of the `PLAIN` numbers whose tail is beside them in "either".
CONDITIONAL = ("t_n_jets", "t_n_b", "t_hard", "t_met")
OLD = (REFERENCE, "stranger + observables", "stranger")
CANDIDATES: dict[str, tuple[str, ...]] = {
    REFERENCE: ANOMALY,
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
        networks[name] = kept(path, networks_of(kind, without), samples.fitting)
    return {name: one | parts_of(samples.sets[name], networks) for name, one in parts.items()}


def main() -> None:
    """Fit what is missing and print the tables."""
    parser = parser_of(__doc__, "event_density")
    parser.add_argument("--pairs", action="store_true")
    options = parser.parse_args()
    candidates = CANDIDATES | (OF_PAIRS if options.pairs else {})
    networks = NETWORKS if options.pairs else {"stranger": StrangerDetector}
    samples = samples_of(options.judge, options.signals)
    parts = fixed_parts(options.folder, samples)

    def scores_of(sets: Sequence[str], without: str = "") -> Parts:
        some = {name: parts[name] for name in ("training", "background", *sets)}
        some = with_networks(options.folder, samples, some, without, networks)
        return {name: combined(some, which) for name, which in candidates.items()}

    words = " --pairs" * options.pairs
    choose(samples, scores_of, OLD, options, f"event_density.py --judge FOLDER{words}")


if __name__ == "__main__":
    main()

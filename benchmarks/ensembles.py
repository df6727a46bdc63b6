"""Ensembles over seeds and tokenizers: a try at a better default score.

Written down before the first number was seen:

- Candidates are those of `CANDIDATES`, Fisher's combinations as `anomaly` is. In the place of one
  training of the masked tokens, or of the networks, stands the mean of several. What is averaged
  are surprises, -ln of the share of background that is at least as strange.
- Criterion and rule are those of choosing.py.

    python benchmarks/ensembles.py --judge FOLDER --folder ensembles \\
        --out benchmarks/results/ensembles.md

--judge is that of stranger.py. What is fitted is kept in --folder, so that an interrupted run goes
on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from choosing import ANOMALY, REFERENCE, Parts, choose, networks_of, parser_of
from sr_significance import Samples, samples_of
from stranger import combined, kept, parts_of

import hepmtp as hm
from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.detectors.observables import Observable
from hepmtp.detectors.stranger import StrangerDetector
from hepmtp.run.rivals import PLAIN
from hepmtp.statistics.fisher import TailCombination

#: Name of a training of the masked tokens -> its tokenizer and seed.
TRAININGS = {
    "jets": ("no_azimuth", 0),
    "jets_seed1": ("no_azimuth", 1),
    "jets_seed2": ("no_azimuth", 2),
    "jets_tails": ("tails", 0),
    "jets_fine": ("fine", 0),
}
#: The same of the networks -> seed.
NETWORKS = {"stranger": 0, "stranger_seed1": 1, "stranger_seed2": 2}
#: Name of an ensemble -> its members.
ENSEMBLES = {
    "jets_seeds": ("jets", "jets_seed1", "jets_seed2"),
    "jets_tokenizers": ("jets", "jets_tails", "jets_fine"),
    "jets_all": tuple(TRAININGS),
    "stranger_seeds": tuple(NETWORKS),
}
CANDIDATES: dict[str, tuple[str, ...]] = {
    REFERENCE: ANOMALY,
    "masked tokens of three seeds": ("stranger", *PLAIN, "jets_seeds"),
    "masked tokens of three tokenizers": ("stranger", *PLAIN, "jets_tokenizers"),
    "masked tokens of all five": ("stranger", *PLAIN, "jets_all"),
    "networks of three seeds": ("stranger_seeds", *PLAIN, "jets"),
    "networks of three seeds, masked tokens of all five": ("stranger_seeds", *PLAIN, "jets_all"),
    "stranger": ("stranger",),
    "stranger, three seeds": ("stranger_seeds",),
    "masked_token_jets": ("jets",),
    "masked_token_jets, three seeds": ("jets_seeds",),
    "masked_token_jets, three tokenizers": ("jets_tokenizers",),
    "masked_token_jets, all five": ("jets_all",),
}
#: Those that are there today.
TODAY = (REFERENCE, "stranger", "masked_token_jets")


def masked_tokens(folder: Path, samples: Samples) -> dict[str, MaskedTokenDetector]:
    """Each training of the masked tokens."""
    found = {}
    for name, (preset, seed) in TRAININGS.items():
        one = MaskedTokenDetector(
            hm.LookupTokenizer.preset(preset), training=hm.TrainingOptions(seed=seed)
        )
        found[name] = kept(folder / name, one, samples.fitting).with_score("jets")
    return found


def networks(folder: Path, samples: Samples, without: str) -> dict[str, StrangerDetector]:
    """Each training of networks that have not learned an operation; "": of the default ones."""
    found = {}
    for name, seed in NETWORKS.items():
        path = folder / f"{name}_without_{without or 'nothing'}"
        one = networks_of(StrangerDetector, without)
        one.training = replace(one.training, seed=seed)
        found[name] = kept(path, one, samples.fitting)
    return found


def with_ensembles(parts: Parts) -> Parts:
    """Beside the members of each ensemble the mean of their surprises."""
    more: Parts = {name: dict(one) for name, one in parts.items()}
    for ensemble, members in ENSEMBLES.items():
        tails = {name: TailCombination().fit(parts["training"][name]) for name in members}
        for name, one in parts.items():
            means = [tails[member].surprises(one[member]) for member in members]
            more[name][ensemble] = np.mean(means, axis=0)
    return more


def main() -> None:
    """Fit what is missing and print the tables."""
    options = parser_of(__doc__, "ensembles").parse_args()
    samples = samples_of(options.judge, options.signals)
    detectors = {name: Observable(name) for name in PLAIN} | masked_tokens(options.folder, samples)
    wanted = ["training", "background", *options.left_out, *samples.signals]
    parts = {name: parts_of(samples.sets[name], detectors) for name in wanted}

    def scores_of(sets: Sequence[str], without: str = "") -> Parts:
        of = networks(options.folder, samples, without)
        some = {
            name: parts[name] | parts_of(samples.sets[name], of)
            for name in ("training", "background", *sets)
        }
        some = with_ensembles(some)
        return {name: combined(some, which) for name, which in CANDIDATES.items()}

    choose(samples, scores_of, TODAY, options, "ensembles.py --judge FOLDER")


if __name__ == "__main__":
    main()

"""What the density of jets sees beyond mass, multiplicity and width: combined and decorrelated.

The rule: jets of the validation part of the background fit the tails of each number, and its mean
and spread in bins of mass. Jets of the analysis part judge, and signals fit nothing.

    python benchmarks/jet_scores.py lm/qcd QCD=QCDJets.root top:signal=TTBar_Tbqq.root \\
        --out benchmarks/results/jet_scores.md
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import awkward as ak
import numpy as np
from outcome import show

from hepmtp.cli.jet_files import read_jets
from hepmtp.events.constituents import constituents
from hepmtp.events.ragged import Floats
from hepmtp.events.split import in_one_order, part_of
from hepmtp.jets.language_model import JetLanguageModel
from hepmtp.jets.observables import observables
from hepmtp.statistics.fisher import TailCombination
from hepmtp.statistics.metrics import auc, auc_difference

#: Bins of mass, of as many jets each, in which a score is decorrelated.
BINS = 20
#: Window of mass [GeV] in which mass itself says little.
WINDOW = (140.0, 200.0)
FACTORS, PLAIN = ("pt", "eta", "phi"), ("mass", "multiplicity", "width")
#: Fisher's combinations: name -> what is combined.
COMBINED = {
    "factors": FACTORS,
    "factors and -log p per term": (*FACTORS, "-log p per term"),
    "plain": PLAIN,
    "plain and -log p per term": (*PLAIN, "-log p per term"),
    "plain and factors": (*PLAIN, *FACTORS),
    "plain and decorrelated -log p": (*PLAIN, "-log p per term, decorrelated"),
}
#: Each of these has a row without what mass says of it.
DECORRELATED = ("-log p per term", "excess", "multiplicity", "width")
#: Others are set beside this one, on the same jets.
REFERENCE = "plain"

Numbers = dict[str, Floats]


def numbers(model: JetLanguageModel, jets: ak.Array) -> Numbers:
    """Scores and observables of jets, (n_jets,) each; larger is stranger."""
    density, plain = model.density(jets), observables(constituents(jets))
    by_factor = -density.by_factor / density.n_terms[:, None]
    return {
        "-log p per term": -density.per_term,
        "excess": density.excess,
        **dict(zip(FACTORS, by_factor.T, strict=True)),
        **{name: plain[name] for name in PLAIN},
    }


def decorrelated(values: Floats, mass: Floats, fit: Numbers, name: str) -> Floats:
    """A score less its mean in background of that mass, over its spread there."""
    edges = np.quantile(fit["mass"], np.linspace(0, 1, BINS + 1))[1:-1]
    of_fit = np.searchsorted(edges, fit["mass"])
    groups = [fit[name][of_fit == one] for one in range(BINS)]
    mean = np.array([one.mean() for one in groups])
    spread = np.array([one.std() for one in groups])
    place = np.searchsorted(edges, mass)
    return np.asarray((values - mean[place]) / spread[place])


def completed(some: Numbers, fit: Numbers) -> Numbers:
    """With decorrelated scores."""
    apart = {
        f"{name}, decorrelated": decorrelated(some[name], some["mass"], fit, name)
        for name in DECORRELATED
    }
    return some | apart


def combined(some: Numbers, fit: Numbers) -> Numbers:
    """With Fisher's combinations."""
    found = {}
    for name, members in COMBINED.items():
        tails = TailCombination().fit(np.stack([fit[one] for one in members], axis=1))
        found[name] = tails.score(np.stack([some[one] for one in members], axis=1))
    return some | found


def rows(judged: dict[str, Numbers], background: str) -> list[str]:
    """AUC of each score against background, in all jets, and in the window of mass."""
    others = [name for name in judged if name != background]
    heads = [f"{name}{where}" for name in others for where in ("", ", less plain", ", in window")]
    lines = [f"| score | r(mass) | {' | '.join(heads)} |", f"|---|{'---|' * (len(heads) + 1)}"]
    inside = {
        name: (one["mass"] > WINDOW[0]) & (one["mass"] < WINDOW[1]) for name, one in judged.items()
    }
    zero = judged[background]
    for score in zero:
        columns = [f"{np.corrcoef(zero[score], zero['mass'])[0, 1]:.2f}"]
        for name in others:
            one = judged[name]
            area = auc(one[score], zero[score])
            gap = auc_difference((one[score], one[REFERENCE]), (zero[score], zero[REFERENCE]))
            window = auc(one[score][inside[name]], zero[score][inside[background]])
            columns += [f"{each.value:.3f} ± {each.error:.3f}" for each in (area, gap, window)]
        lines.append(f"| {score} | {' | '.join(columns)} |")
    counts = ", ".join(f"{int(one.sum())} {name}" for name, one in inside.items())
    return [*lines, "", f"In the window of {WINDOW[0]:g} to {WINDOW[1]:g} GeV: {counts}."]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="language model of the background")
    parser.add_argument("datasets", nargs="+", help="background first, then signals")
    parser.add_argument("--jets", type=int, default=4000, help="at most so many of each that judge")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    start = time.process_time()
    model = JetLanguageModel.load(given.model)
    found = read_jets(given.datasets, "background", None, None)
    background = next(iter(found))
    fit = numbers(model, in_one_order(part_of(found[background], "validation")))
    fit = completed(fit, fit)
    judged = {}
    for name, jets in found.items():
        some = in_one_order(part_of(jets, "analysis"))[: given.jets]
        judged[name] = combined(completed(numbers(model, some), fit), fit)
    sizes = ", ".join(f"{len(one['mass'])} {name}" for name, one in judged.items())
    spent = time.process_time() - start
    about = (
        f"AUC against {background}. Model of {model.dataset_}, {len(model.history_)} epochs; "
        f"{len(fit['mass'])} validation jets of {background} fit tails and means; judged: {sizes}. "
        f"{spent:.0f} s of CPU."
    )
    text = "\n".join([about, "", *rows(judged, background)])
    show(f"{text}\n", given.out)


if __name__ == "__main__":
    main()

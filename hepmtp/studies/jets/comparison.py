"""True jets against those that a model has made: distances with their floors, and a classifier.

The rule: both sides are decoded from tokens in the same way, at random in their bins. A distance of
two samples is never 0: its floor is that of true jets and as many other true jets.
"""

from __future__ import annotations

from typing import NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from scipy.stats import wasserstein_distance

from hepmtp.errors import TrainingError
from hepmtp.events.constituents import Constituents, constituents
from hepmtp.events.ragged import Bools, Floats, Ints, owner, ragged_arange, starts
from hepmtp.events.tokens import TokenBatch
from hepmtp.jets.observables import OBSERVABLES, observables
from hepmtp.statistics.metrics import Auc, auc
from hepmtp.studies.jets.trees import cross_validated
from hepmtp.tokenizers.constituents import ConstituentTokenizer

#: Names of the distances and their units; "log_pt" and "share" are of constituents.
QUANTITIES: dict[str, str] = {
    "log_pt": "",
    "share": "",
    **{
        name: OBSERVABLES[name].unit
        for name in ("mass", "mass_over_pt", "multiplicity", "pt", "e2")
    },
}
#: Fewer jets than these on each side say nothing.
FEWEST = 50


class Distance(NamedTuple):
    """First Wasserstein distance of made and true jets, and that of true and true ones."""

    quantity: str
    unit: str
    w: float
    w_error: float  #: spread over the draws
    floor: float
    floor_error: float
    n_jets: int  #: on each side

    @property
    def ratio(self) -> float:
        """w / floor."""
        return self.w / self.floor


class Told(NamedTuple):
    """AUC of cross-validated trees; 0.5: they cannot tell one side from the other."""

    sides: str
    auc: float
    error: float
    n_jets: int  #: on each side


class Measured(NamedTuple):
    """Constituents and observables of jets, decoded from tokens."""

    jets: Constituents
    observables: dict[str, Floats]

    @classmethod
    def of(
        cls, tokens: TokenBatch, tokenizer: ConstituentTokenizer, rng: np.random.Generator
    ) -> Measured:
        """Of tokens, at random in their bins."""
        return cls.of_constituents(
            constituents(tokenizer.decode(tokens, rng=rng), angle=tokenizer.angle)
        )

    @classmethod
    def of_constituents(cls, jets: Constituents) -> Measured:
        """Of constituents as they are."""
        return cls(jets, observables(jets))

    @property
    def table(self) -> Floats:
        """All observables, (n_jets, n_observables)."""
        return np.stack(list(self.observables.values()), axis=1)

    def values(self, quantity: str, some: Ints) -> Floats:
        """A quantity of jets at these indices, one number each, or one for each constituent."""
        if quantity in self.observables:
            return np.asarray(self.observables[quantity][some])
        counts = self.jets.counts
        rows = ragged_arange(counts[some], starts(counts)[some])
        if quantity == "log_pt":
            return np.asarray(self.jets.log_pt[rows])
        scalar = np.bincount(owner(counts), np.exp(self.jets.log_pt), minlength=len(counts))
        return np.asarray(np.exp(self.jets.log_pt[rows]) / np.repeat(scalar[some], counts[some]))


def distances(
    true: Measured, made: Measured, rng: np.random.Generator, *, draws: int = 10
) -> list[Distance]:
    """Each of `QUANTITIES`, of as many true as made jets.

    In each draw true jets are halved: one half is compared with as many made jets, and with the
    other half for the floor.

    Parameters
    ----------
    draws
        means and spreads are over so many.

    Raises
    ------
    TrainingError
        if there are too few jets.
    """
    n = min(len(true.jets.counts) // 2, len(made.jets.counts))
    if n < FEWEST:
        raise TrainingError(
            f"{len(true.jets.counts)} true and {len(made.jets.counts)} made jets are too few to be "
            f"compared: give {2 * FEWEST} and {FEWEST} at least"
        )
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in QUANTITIES}
    for _ in range(draws):
        first, second = np.split(rng.permutation(len(true.jets.counts))[: 2 * n], 2)
        third = rng.permutation(len(made.jets.counts))[:n]
        for name, pairs in found.items():
            here = true.values(name, first)
            pairs.append(
                (
                    wasserstein_distance(made.values(name, third), here),
                    wasserstein_distance(true.values(name, second), here),
                )
            )
    out = []
    for name, pairs in found.items():
        w, floor = np.array(pairs).T
        spread = [float(one.std(ddof=1)) if draws > 1 else 0.0 for one in (w, floor)]
        out.append(
            Distance(
                name,
                QUANTITIES[name],
                float(w.mean()),
                spread[0],
                float(floor.mean()),
                spread[1],
                n,
            )
        )
    return out


def told_apart(
    true: Measured, made: Measured, *, seed: int = 0, folds: int = 5, draws: int = 10
) -> list[Told]:
    """Trees on all observables: made against true jets, and true ones against each other.

    True jets are halved at random. The area of the two halves is a mean over draws, and its error
    the spread of one draw. It must be 0.5. Of few jets that spread is larger than the error of a
    fixed classifier: folds share what they have learned. So the area of made jets has no smaller
    error.

    Parameters
    ----------
    draws
        ways of halving true jets; made jets are compared with half of the first.
    """
    n = min(len(true.jets.counts) // 2, len(made.jets.counts))
    areas = []
    for draw in range(draws):
        order = np.random.default_rng([seed, 12, draw]).permutation(len(true.jets.counts))
        halves = true.table[order[:n]], true.table[order[n : 2 * n]]
        areas.append(_area(halves[1], halves[0], seed, folds).value)
        if draw == 0:
            found = _area(made.table[:n], halves[0], seed, folds)
    spread = float(np.std(areas, ddof=1)) if draws > 1 else found.error
    return [
        Told("made, true", found.value, max(found.error, spread), n),
        Told("true, true", float(np.mean(areas)), spread, n),
    ]


def _area(one: Floats, other: Floats, seed: int, folds: int) -> Auc:
    """Of cross-validated trees."""
    x, label = np.concatenate([one, other]), np.repeat([1, 0], [len(one), len(other)])
    score = cross_validated(x, label, seed=seed, folds=folds)
    return auc(score[label == 1], score[label == 0])


def markdown(found: list[Distance], told: list[Told]) -> str:
    """Both tables."""
    lines = ["| quantity | W | floor | W / floor | jets |", "|---|---|---|---|---|"]
    for one in found:
        unit = f" [{one.unit}]" if one.unit else ""
        lines.append(
            f"| {one.quantity}{unit} | {one.w:.3g} ± {one.w_error:.1g} "
            f"| {one.floor:.3g} ± {one.floor_error:.1g} | {one.ratio:.1f} | {one.n_jets} |"
        )
    lines += ["", "| trees on observables | AUC | jets a side |", "|---|---|---|"]
    lines += [f"| {one.sides} | {one.auc:.3f} ± {one.error:.3f} | {one.n_jets} |" for one in told]
    return "\n".join(lines)


def in_common(jets: ak.Array, others: ak.Array) -> Bools:
    """Which jets are among the others, by file and entry or by their content, (n_jets,).

    Jets that agree in their number of constituents and, to six digits, in their leading and their
    summed pt are the same, whatever file they are in.
    """
    (source, entry), (from_, of_others) = (
        [ak.to_numpy(some[name]) for name in ("source", "event")] for some in (jets, others)
    )
    found = np.isin(_contents(jets), _contents(others))
    for one in np.intersect1d(source, from_):
        found |= (source == one) & np.isin(entry, of_others[from_ == one])
    return np.asarray(found)


def _contents(events: ak.Array) -> NDArray[np.str_]:
    """What tells jets apart, as text, (n_jets,)."""
    pt = events.Particle.pt
    columns = (ak.num(pt), ak.fill_none(ak.max(pt, axis=1), 0.0), ak.sum(pt, axis=1))
    texts = [np.char.mod("%.5e ", ak.to_numpy(one)) for one in columns]
    return np.char.add(np.char.add(texts[0], texts[1]), texts[2])


def measured_events(
    events: ak.Array, tokenizer: ConstituentTokenizer, rng: np.random.Generator
) -> Measured:
    """Of jets, through their tokens."""
    return Measured.of(tokenizer.encode(events), tokenizer, rng)

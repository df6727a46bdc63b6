"""What a language model says of jets of several data sets: densities, and what they go along with.

The rule: jets that trained the model are left out. Plain observables are judged on the same jets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import awkward as ak
import numpy as np

from hepmtp.errors import OptionError, TrainingError
from hepmtp.events.constituents import constituents
from hepmtp.events.ragged import Floats
from hepmtp.events.split import unseen
from hepmtp.jets.density import JetDensity
from hepmtp.jets.language_model import JetLanguageModel
from hepmtp.jets.observables import observables
from hepmtp.statistics.metrics import auc

#: Observables that stand beside the densities.
BESIDE = ("mass", "multiplicity", "width", "pt")


class Judged(NamedTuple):
    """Unseen jets of a data set: what the model says of them, and their observables."""

    density: JetDensity
    observables: dict[str, Floats]

    @property
    def surprises(self) -> dict[str, Floats]:
        """Scores, larger = stranger: of the whole jet, per term, in space, and the excess."""
        one = self.density
        return {
            "-log p": -one.log_p,
            "-log p per term": -one.per_term,
            "-log p in space": -one.log_p_physical,
            "excess": one.excess,
        }


def judge(model: JetLanguageModel, events: ak.Array, *, name: str) -> Judged:
    """Of the jets that did not train the model.

    Raises
    ------
    TrainingError
        if all of them did.
    """
    keep, _ = unseen(events, model.trained_)
    if not keep.any():
        raise TrainingError(
            f"{name}: none of {len(events)} jets is left, for all have trained the model of "
            f"{model.dataset_}: give other files"
        )
    some = events[keep]
    found = observables(constituents(some))
    return Judged(model.density(some), {name: found[name] for name in BESIDE})


def density_table(judged: Mapping[str, Judged]) -> str:
    """Means of each data set, with the errors of the means, as a table."""
    lines = [
        "| data set | jets | log p | log p per term | log p in space | outside |",
        "|---|---|---|---|---|---|",
    ]
    for name, one in judged.items():
        density = one.density
        columns = [_mean(each) for each in (density.log_p, density.per_term)]
        columns.append(_mean(density.log_p_physical[~density.outside]))
        lines.append(
            f"| {name} | {len(density.log_p)} | {' | '.join(columns)} "
            f"| {int(density.outside.sum())} |"
        )
    return "\n".join(lines)


def correlation_table(judged: Mapping[str, Judged]) -> str:
    """Linear correlation of log p, and of log p per term, with observables."""
    lines = [
        f"| data set, of | {' | '.join(BESIDE)} |",
        f"|---|{'---|' * len(BESIDE)}",
    ]
    for name, one in judged.items():
        for what, values in (("log p", one.density.log_p), ("per term", one.density.per_term)):
            r = [np.corrcoef(values, one.observables[each])[0, 1] for each in BESIDE]
            lines.append(f"| {name}, {what} | {' | '.join(f'{each:.2f}' for each in r)} |")
    return "\n".join(lines)


def separation_table(judged: Mapping[str, Judged], background: str) -> str:
    """AUC of each other data set against one, of the densities and of plain observables.

    An observable that is smaller for the other data set is turned round, and has a minus.
    """
    if background not in judged:
        raise OptionError(f"{background} is none of {', '.join(judged)}")
    others = [name for name in judged if name != background]
    lines = [f"| against {background} | {' | '.join(others)} |", f"|---|{'---|' * len(others)}"]
    for what in (*judged[background].surprises, *BESIDE):
        found = []
        for other in others:
            scores = [
                (one.surprises | one.observables)[what]
                for one in (judged[other], judged[background])
            ]
            one = auc(*scores)
            turned = what in BESIDE and one.value < 0.5
            value = 1 - one.value if turned else one.value
            found.append(f"{'-' if turned else ''}{value:.3f} ± {one.error:.3f}")
        lines.append(f"| {what} | {' | '.join(found)} |")
    return "\n".join(lines)


def _mean(values: Floats) -> str:
    if not len(values):
        return "none"
    error = values.std() / np.sqrt(len(values))
    return f"{values.mean():.4g} ± {error:.1g}"

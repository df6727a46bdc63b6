"""Information that is lost by binning: one classifier, on continuous values and on decoded tokens.

The rule: both have the same jets, folds and trees, so that their difference is paired. Edges are
fitted on background jets that train, and jets of the analysis part are judged.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import awkward as ak
import numpy as np

from hepmtp.events.constituents import Angle, constituents
from hepmtp.events.ragged import Floats, Ints
from hepmtp.events.split import in_one_order, part_of
from hepmtp.jets.observables import observables
from hepmtp.plotting.style import OWN_FILES, Caption
from hepmtp.statistics.metrics import auc, auc_difference
from hepmtp.studies.jets.bench import Bench
from hepmtp.studies.jets.comparison import Measured
from hepmtp.studies.jets.figures import rows_of_points
from hepmtp.studies.jets.found import Found
from hepmtp.studies.jets.pieces import Piece
from hepmtp.studies.jets.scale import BINS
from hepmtp.studies.jets.trees import cross_validated
from hepmtp.tokenizers.constituents import ConstituentTokenizer


class Row(NamedTuple):
    """AUC of trees on observables before and after tokenising."""

    bins: str
    ids: int
    continuous: float
    continuous_error: float
    tokens: float
    tokens_error: float
    lost: float
    lost_error: float  #: paired
    outside: float  #: jets with a constituent beyond the training range [%]
    in_outer_bins: float | None  #: constituents beyond the first or last edge of an angle [%]
    n_background: int
    n_signal: int
    cpu_seconds: float


def run(bench: Bench, caption: Caption = OWN_FILES) -> Found:
    """Each of the bins."""
    names = bench.name(0), bench.name(1)
    rows = [
        Row(
            **bench.pieces.get(
                f"binning {name}",
                (options, bench.scale.judged),
                partial(_piece, bench, name, options),
            )
        )
        for name, options in BINS.items()
    ]
    title = f"Information loss by binning, {names[1]} against {names[0]}"
    remarks = [
        "Trees on observables, five-fold cross-validated. In rapidity both sides are in rapidity.",
        "Outside: jets with a constituent beyond the training range [%].",
        "In outer bins: constituents beyond the first or the last edge of eta or phi [%].",
    ]
    lost = {one.bins: (one.lost, one.lost_error) for one in rows}
    figure = rows_of_points(
        lost, xlabel="AUC lost", title=f"{names[1]} against {names[0]}", caption=caption
    )
    return Found(title, {"Trees on observables": rows}, remarks, {"binning": figure})


def _piece(bench: Bench, name: str, options: dict[str, Any]) -> Piece:
    """A row as plain data; the CPU time comes with it."""
    bench.said(f"trees for the bins {name}")
    background, signal = bench.name(0), bench.name(1)
    tokenizer = ConstituentTokenizer(**options)
    tokenizer.fit(in_one_order(part_of(bench.samples[background], "train")))
    sides = [bench.analysis(one) for one in (background, signal)]
    rng = np.random.default_rng([bench.seed, 6])
    tables = {
        "continuous": [_table(one, tokenizer.angle) for one in sides],
        "tokens": [Measured.of(tokenizer.encode(one), tokenizer, rng).table for one in sides],
    }
    label = np.repeat([0.0, 1.0], [len(one) for one in sides])
    scores = {}
    for key, both in tables.items():
        found = cross_validated(np.concatenate(both), label, seed=bench.seed)
        scores[key] = found[label == 1], found[label == 0]
    areas = [auc(*scores[key]) for key in tables]
    gap = auc_difference(*zip(scores["continuous"], scores["tokens"], strict=True))
    digits = np.concatenate([_digits(tokenizer, one) for one in sides])
    last = np.array([size - 1 for _, size in tokenizer.factors[1:]])
    outer = ((digits[:, 1:] == 0) | (digits[:, 1:] == last)).any(axis=1)
    equal_width = tokenizer.spacing == "equal_width"  # others have as many jets in every bin
    return {
        "bins": name,
        "ids": tokenizer.vocab_size,
        "continuous": areas[0].value,
        "continuous_error": areas[0].error,
        "tokens": areas[1].value,
        "tokens_error": areas[1].error,
        "lost": gap.value,
        "lost_error": gap.error,
        "outside": 100 * float(np.concatenate([tokenizer.outside(one) for one in sides]).mean()),
        "in_outer_bins": 100 * float(outer.mean()) if equal_width else None,
        "n_background": len(sides[0]),
        "n_signal": len(sides[1]),
    }


def _table(events: ak.Array, angle: Angle) -> Floats:
    """Observables of continuous constituents, (n_jets, n_observables)."""
    return np.stack(list(observables(constituents(events, angle=angle)).values()), axis=1)


def _digits(tokenizer: ConstituentTokenizer, events: ak.Array) -> Ints:
    return tokenizer.digits[tokenizer.encode(events).values]

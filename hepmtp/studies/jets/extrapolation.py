"""Extrapolation in multiplicity: models of the leading constituents, asked about whole jets.

The rule: a jet that was cut has no term for its stop, in training and validation alike. Jets that
have not stopped by `hepmtp.jets.generation.MAX_CONSTITUENTS` are kept, and counted.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.stats import wasserstein_distance

from hepmtp.events.ragged import Floats, Ints
from hepmtp.jets.generation import MAX_CONSTITUENTS
from hepmtp.plotting.style import OWN_FILES, Caption
from hepmtp.studies.jets.bench import Bench, Trained
from hepmtp.studies.jets.figures import Points, against
from hepmtp.studies.jets.found import Found
from hepmtp.studies.jets.pieces import Piece

#: Published: leading constituents -> W(multiplicity), mean abs(log p_n - log p_100).
PUBLISHED: dict[int, tuple[float, float]] = {
    10: (49.1, 147.7),
    20: (4.50, 43.3),
    30: (1.75, 5.21),
    40: (0.63, 1.16),
    50: (0.50, 0.31),
    70: (0.45, 0.033),
    100: (0.29, 0.0),
}
DRAWS = 10


class Row(NamedTuple):
    """A model of the leading constituents of jets."""

    constituents: str
    w_multiplicity: float
    w_multiplicity_error: float
    floor_multiplicity: float
    floor_multiplicity_error: float
    mean_difference: float
    mean_difference_error: float
    not_stopped: float  #: [%]
    jets: int  #: made and true ones, on each side
    steps: int | None  #: None, like the time, of a given model
    cpu_seconds: float | None
    published_w: float | None
    published_difference: float | None


def run(bench: Bench, caption: Caption = OWN_FILES) -> Found:
    """Each length, and all constituents."""
    name = bench.name(0)
    whole = bench.language_model(name)
    rows = []
    for n in (*bench.scale.lengths, None):
        one = whole
        if n is not None:
            one = bench.language_model(name, f"{name}, leading {n}", max_constituents=n)
        piece = bench.pieces.get(
            f"extrapolation {n or 'all'}",
            (one.digest, whole.digest, bench.scale.made, bench.scale.judged),
            partial(_piece, bench, one, whole),
        )
        w, difference = PUBLISHED.get(n or 100, (None, None))
        numbers = {each: piece[each] for each in Row._fields if each in piece}
        numbers |= {"constituents": "all" if n is None else str(n)}
        numbers |= {"steps": one.steps or None, "cpu_seconds": one.cpu_seconds or None}
        rows.append(Row(**numbers, published_w=w, published_difference=difference))
    places = [*bench.scale.lengths, int(bench.tokens(name).counts.max())]
    figures = {
        "extrapolation_w": against(
            {
                "W": _points(places, rows, "w_multiplicity"),
                "true against true": _points(places, rows, "floor_multiplicity"),
            },
            xlabel="leading constituents that trained",
            ylabel="W(multiplicity)",
            title=name,
            logx=True,
            logy=True,
            caption=caption,
        ),
        "extrapolation_log_p": against(
            {"": _points(places[:-1], rows[:-1], "mean_difference")},
            xlabel="leading constituents that trained",
            ylabel="mean |log p - log p of all|",
            title=name,
            logx=True,
            logy=True,
            caption=caption,
        ),
    }
    remarks = [
        "The row 'all' stands beside the published model of 100 constituents, the longest there.",
        f"Jets without stop end after {MAX_CONSTITUENTS} constituents and count with that number.",
    ]
    return Found(f"Extrapolation in multiplicity, {name}", {"Models": rows}, remarks, figures)


def _piece(bench: Bench, one: Trained, whole: Trained) -> Piece:
    name = bench.name(0)
    bench.said(f"jets of a model of {one.model.max_constituents or 'all'} constituents")
    true = bench.tokens(name)
    made = one.model.sample(bench.scale.made, seed=bench.seed, keep_unstopped=True)
    distance = np.abs(_log_p(one, bench) - _log_p(whole, bench)) if one is not whole else 0.0
    apart = np.broadcast_to(distance, len(true))
    w, floor = _distances(true.counts, made.counts, np.random.default_rng([bench.seed, 7]))
    return {
        "w_multiplicity": float(w.mean()),
        "w_multiplicity_error": float(w.std(ddof=1)),
        "floor_multiplicity": float(floor.mean()),
        "floor_multiplicity_error": float(floor.std(ddof=1)),
        "mean_difference": float(apart.mean()),
        "mean_difference_error": float(apart.std() / np.sqrt(len(apart))),
        "not_stopped": 100 * float((made.counts >= MAX_CONSTITUENTS).mean()),
        "jets": min(len(true) // 2, len(made)),
    }


def _log_p(one: Trained, bench: Bench) -> Floats:
    return np.asarray(one.model.log_prob(bench.tokens(bench.name(0))).sum(axis=1))


def _distances(true: Ints, made: Ints, rng: np.random.Generator) -> Floats:
    """W of made and true, and of true and true jets, as many on each side, (2, DRAWS)."""
    n = min(len(true) // 2, len(made))
    found = []
    for _ in range(DRAWS):
        first, second = np.split(rng.permutation(true)[: 2 * n], 2)
        some = rng.permutation(made)[:n]
        found.append((wasserstein_distance(some, first), wasserstein_distance(second, first)))
    return np.array(found).T


def _points(x: list[int], rows: list[Row], column: str) -> Points:
    values = [(getattr(one, column), getattr(one, f"{column}_error")) for one in rows]
    return Points([float(one) for one in x], *zip(*values, strict=True))

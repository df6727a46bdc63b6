"""Whether a language model of jets puts its probability where constituents are, by their place.

The rule: falling pt is a ratchet. A model that expects the next bin of pt a little too low makes
jets too short and too soft, for errors add up. So after every training the bins and stops of
held-out jets are set beside what the model expects.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hepmtp.events.ragged import ragged_arange
from hepmtp.models.autoregressive import AutoregressiveModel
from hepmtp.models.groups import sort_by_multiplicity
from hepmtp.training.loop import device_of
from hepmtp.training.next_token import Jets, batches

#: First place of each row of the table; the last has no end.
PLACES = (1, 2, 6, 16, 31, 61)


class Calibration(NamedTuple):
    """Constituents at places `first` to `last` of jets: what there was, and what was expected."""

    first: int
    last: int | None
    n: int  #: constituents, and stops of whole jets
    bin_offset: float  #: mean of (bin of pt - expected bin), where there was a constituent
    bin_offset_error: float
    stops: float  #: share of the rows that were a stop
    stops_error: float
    stops_expected: float


def calibration(model: AutoregressiveModel, jets: Jets) -> list[Calibration]:
    """One row for each range of places that these jets have, the first being 1."""
    n = model.n_first
    bins = np.arange(n)
    columns: list[list[NDArray[Any]]] = [[], [], [], []]
    for some in batches(jets.tokens):
        batch = jets.select(some[sort_by_multiplicity(jets.tokens.counts[some])[0]])
        tokens, rows = batch.tokens, batch.tokens.counts + 1
        with torch.no_grad():
            p = model.first_digits(
                *(
                    torch.as_tensor(one, device=device_of(model))
                    for one in (tokens.values, tokens.offsets)
                )
            ).numpy(force=True)
        is_stop = np.zeros(len(p), dtype=bool)
        is_stop[np.cumsum(rows) - 1] = True
        known = ~is_stop | np.repeat(batch.whole, rows)
        digit = np.zeros(len(p))
        digit[~is_stop] = model.digits.numpy(force=True)[tokens.values, 0]
        here = p[:, :n]
        mean = here @ bins / np.maximum(here.sum(axis=1), 1e-30)
        found = (ragged_arange(rows) + 1, digit - mean, is_stop, p[:, n])
        for column, one in zip(columns, found, strict=True):
            column.append(one[known])
    place, offset, is_stop, stop = (np.concatenate(one) for one in columns)
    out = []
    for first, after in zip(PLACES, (*PLACES[1:], np.inf), strict=True):
        inside = (place >= first) & (place < after)
        if not inside.any():
            continue
        offsets, m = offset[inside & ~is_stop], int(inside.sum())
        stops = float(is_stop[inside].mean())
        last = None if np.isinf(after) else int(after) - 1
        mean = float(offsets.mean()) if len(offsets) else 0.0
        error = float(offsets.std() / np.sqrt(max(len(offsets), 1))) if len(offsets) else 0.0
        spread = float(np.sqrt(stops * (1 - stops) / m))
        out.append(
            Calibration(first, last, m, mean, error, stops, spread, float(stop[inside].mean()))
        )
    return out


def table(rows: list[Calibration]) -> str:
    """The rows as text.

    Examples
    --------
    >>> print(table([Calibration(2, 5, 400, 0.13, 0.02, 0.0025, 0.0025, 0.004)]))
    constituents  bin of pt - expected      stops            expected
    2-5           0.130 +- 0.020            0.0025 +- 0.0025 0.0040
    """
    lines = [f"{'constituents':13} {'bin of pt - expected':25} {'stops':16} expected"]
    for one in rows:
        where = f"{one.first}-{one.last}" if one.last != one.first else f"{one.first}"
        where = f"{one.first} on" if one.last is None else where
        offset = f"{one.bin_offset:.3f} +- {one.bin_offset_error:.3f}"
        stops = f"{one.stops:.4f} +- {one.stops_error:.4f}"
        lines.append(f"{where:13} {offset:25} {stops:16} {one.stops_expected:.4f}")
    return "\n".join(lines)

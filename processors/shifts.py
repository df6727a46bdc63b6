"""Events as each systematic variation makes them, and the weights that they are filled with.

The rule: first the nominal events with all variations of their weight, then each variation of the
events, selected anew. What does not act on a data set fills it unchanged; data are never varied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import awkward as ak
import numpy as np
from coffea.analysis_tools import Weights

from hepmtp.events.ragged import Bools, Floats
from hepmtp.events.record import metadata, role_of
from hepmtp.events.variation import Variation
from hepmtp.statistics.histograms import NOMINAL
from processors.cuts import Cuts


class Shifted(NamedTuple):
    """Events that are filled together."""

    events: ak.Array
    masks: Mapping[str, Bools]  #: region -> which of them it selects, each (n_events,)
    weights: Mapping[str, Floats]  #: variation, or `NOMINAL` -> weights, each (n_events,)


def shifts(
    events: ak.Array,
    weight: Floats,
    masks: Mapping[str, Bools],
    *,
    variations: Sequence[Variation],
    cuts: Cuts,
) -> Iterator[Shifted]:
    """The nominal events, then those of each variation of the events, up and down.

    Parameters
    ----------
    events, weight
        shapes (n_events,).
    masks
        what each region selects of the nominal events; `cuts` give those of the others.
    """
    asked = variations if role_of(metadata(events)) != "data" else ()
    weights, same = Weights(len(events)), []
    weights.add(NOMINAL, weight)
    for one in asked:
        if not one.acts_on(events):
            same.append(one)
        elif one.kind == "weight":
            up, down = (one.factors(events, way) for way in ("up", "down"))
            weights.add(one.name, np.ones(len(events)), up, down)
    of_variation = {NOMINAL: weights.weight()}
    for one in asked:
        for way in one.directions:
            if one in same:
                of_variation[f"{one.name}_{way}"] = of_variation[NOMINAL]
            elif one.kind == "weight":
                shifted = weights.weight(f"{one.name}{way.capitalize()}")
                of_variation[f"{one.name}_{way}"] = shifted
    yield Shifted(events, masks, of_variation)
    for one in asked:
        if one.kind == "object" and one not in same:
            for way in one.directions:
                shifted = one.shifted(events, way)
                inside = cuts.masks(cuts.packed(shifted))
                yield Shifted(shifted, inside, {f"{one.name}_{way}": of_variation[NOMINAL]})

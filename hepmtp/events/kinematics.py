"""More numbers of an event: what of it could be too much, from counts to masses.

The rule: 0 where there is nothing to measure, and finite for every legal event.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np

from hepmtp.events.observables import (
    EVENT_FEATURES,
    Feature,
    b_jets,
    ht,
    jets,
    leptons,
    or_0,
    pt_of,
)
from hepmtp.events.once import once
from hepmtp.events.pairs import masses, transverse_masses
from hepmtp.events.ragged import Floats

#: pt above which a jet is called hard [GeV].
HARD = 100.0
#: Events that are measured at a time: what is computed of pairs is large.
BLOCK = 20_000


@dataclass(frozen=True)
class Summary:
    """A number of an event made of many, such as the largest mass of all pairs.

    Parameters
    ----------
    of
        events -> numbers, n_events * var; computed once for all summaries of the same.
    by
        these -> a number of each event, shape (n_events,).
    """

    of: Callable[[ak.Array], ak.Array]
    by: Callable[[ak.Array], Floats]

    def __call__(self, events: ak.Array) -> Floats:
        return self.by(self.of(events))


def _smallest(values: ak.Array) -> Floats:
    return or_0(ak.min(values, axis=1))


def _largest(values: ak.Array) -> Floats:
    return or_0(ak.max(values, axis=1))


def _mean(values: ak.Array) -> Floats:
    return np.asarray(or_0(ak.sum(values, axis=1)) / np.maximum(ak.to_numpy(ak.num(values)), 1))


def _jet_masses(events: ak.Array) -> ak.Array:
    return masses(jets(events))


def _b_masses(events: ak.Array) -> ak.Array:
    return masses(b_jets(events))


def _lepton_mts(events: ak.Array) -> ak.Array:
    return transverse_masses(leptons(events), events.MET)


def _significance(events: ak.Array) -> Floats:
    return np.asarray(ak.to_numpy(events.MET.pt) / np.sqrt(np.maximum(ht(events), 1.0)))


def _n_hard(events: ak.Array) -> Floats:
    return np.asarray(ak.sum(jets(events).pt > HARD, axis=1), dtype=np.float64)


def _jet_ht(events: ak.Array) -> Floats:
    return np.asarray(ak.sum(jets(events).pt, axis=1), dtype=np.float64)


_SMALLEST_MT, _LARGEST_MT = (Summary(_lepton_mts, one) for one in (_smallest, _largest))

#: What of an event could be too much: the larger, the stranger, but for `FALLING`.
KINEMATICS: dict[str, Feature] = {
    name: EVENT_FEATURES[name]
    for name in ("n_jets", "n_b", "n_leptons", "n_photons", "ht", "met", "jet_abs_eta")
} | {
    **{
        f"jet_pt_{i}": Feature(pt_of(jets, i), "GeV", f"pt of jet {i}, by falling pt")
        for i in range(1, 7)
    },
    **{
        f"b_pt_{i}": Feature(pt_of(b_jets, i), "GeV", f"pt of b-jet {i}, by falling pt")
        for i in range(1, 5)
    },
    **{
        f"lepton_pt_{i}": Feature(pt_of(leptons, i), "GeV", f"pt of lepton {i}, by falling pt")
        for i in (1, 2)
    },
    "jet_ht": Feature(_jet_ht, "GeV", "scalar sum of pt over the jets"),
    "n_hard_jets": Feature(_n_hard, "", "number of jets above 100 GeV"),
    "met_significance": Feature(_significance, "sqrt(GeV)", "MET over the square root of HT"),
    "smallest_mt": Feature(
        Summary(_lepton_mts, _smallest), "GeV", "smallest transverse mass of a lepton and MET"
    ),
    "largest_mt": Feature(
        Summary(_lepton_mts, _largest), "GeV", "largest transverse mass of a lepton and MET"
    ),
    "largest_mass": Feature(Summary(_jet_masses, _largest), "GeV", "largest mass of two jets"),
    "mean_mass": Feature(Summary(_jet_masses, _mean), "GeV", "mean mass of two jets"),
    "largest_b_mass": Feature(Summary(_b_masses, _largest), "GeV", "largest mass of two b-jets"),
}

#: Of these a small value is the stranger one: heavy things are produced at rest.
FALLING = ("jet_abs_eta",)


@once
def kinematics(events: ak.Array) -> Floats:
    """The numbers `KINEMATICS` of each event, shape (n_events, n_features), `FALLING` negative.

    The larger, the stranger.

    Examples
    --------
    >>> from hepmtp.events import make_events
    >>> events = make_events(
    ...     counts=[2, 0], pt=[50.0, 40.0], eta=[0.1, 0.3], phi=[0.0, 3.0], energy=[60.0, 45.0],
    ...     type=[1, 1], met=[20.0, 30.0], met_phi=[0.0, 1.0],
    ... )
    >>> found = dict(zip(KINEMATICS, kinematics(events).T.round(1).tolist(), strict=True))
    >>> found["largest_b_mass"], found["jet_abs_eta"], found["met"]
    ([102.9, 0.0], [-0.2, -0.0], [20.0, 30.0])
    """
    if len(events) > BLOCK:
        blocks = (events[first : first + BLOCK] for first in range(0, len(events), BLOCK))
        return np.concatenate([kinematics(block) for block in blocks])
    measured: dict[Any, ak.Array] = {}
    columns = []
    for name, (function, _, _) in KINEMATICS.items():
        if isinstance(function, Summary):
            if function.of not in measured:
                measured[function.of] = function.of(events)
            found = function.by(measured[function.of])
        else:
            found = np.asarray(function(events), dtype=np.float64)
        columns.append(-found if name in FALLING else found)
    return np.stack(columns, axis=1)

"""More numbers of an event: what of it could be too much, from counts to masses.

The rule: 0 where there is nothing to measure, and finite for every legal event.
"""

from __future__ import annotations

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
from hepmtp.events.ragged import Floats

#: pt above which a jet is called hard [GeV].
HARD = 100.0


def _masses(particles: ak.Array) -> ak.Array:
    """Masses of all pairs [GeV], n_events * var."""
    first, second = ak.unzip(ak.combinations(particles, 2))
    # rounding must not make a mass imaginary
    squared = (first.energy + second.energy) ** 2 - sum(
        (getattr(first, name) + getattr(second, name)) ** 2 for name in ("px", "py", "pz")
    )
    return np.sqrt(np.maximum(squared, 0.0))


def _transverse_masses(events: ak.Array) -> ak.Array:
    """Of each lepton with MET [GeV], n_events * var."""
    lepton = leptons(events)
    return np.sqrt(2 * lepton.pt * events.MET.pt * (1 - np.cos(lepton.phi - events.MET.phi)))


def _smallest_mt(events: ak.Array) -> Floats:
    return or_0(ak.min(_transverse_masses(events), axis=1))


def _largest_mt(events: ak.Array) -> Floats:
    return or_0(ak.max(_transverse_masses(events), axis=1))


def _largest_mass(events: ak.Array) -> Floats:
    return or_0(ak.max(_masses(jets(events)), axis=1))


def _mean_mass(events: ak.Array) -> Floats:
    masses = _masses(jets(events))
    return np.asarray(or_0(ak.sum(masses, axis=1)) / np.maximum(ak.to_numpy(ak.num(masses)), 1))


def _largest_b_mass(events: ak.Array) -> Floats:
    return or_0(ak.max(_masses(b_jets(events)), axis=1))


def _significance(events: ak.Array) -> Floats:
    return np.asarray(ak.to_numpy(events.MET.pt) / np.sqrt(np.maximum(ht(events), 1.0)))


def _n_hard(events: ak.Array) -> Floats:
    return np.asarray(ak.sum(jets(events).pt > HARD, axis=1), dtype=np.float64)


def _jet_ht(events: ak.Array) -> Floats:
    return np.asarray(ak.sum(jets(events).pt, axis=1), dtype=np.float64)


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
    "smallest_mt": Feature(_smallest_mt, "GeV", "smallest transverse mass of a lepton and MET"),
    "largest_mt": Feature(_largest_mt, "GeV", "largest transverse mass of a lepton and MET"),
    "largest_mass": Feature(_largest_mass, "GeV", "largest mass of two jets"),
    "mean_mass": Feature(_mean_mass, "GeV", "mean mass of two jets"),
    "largest_b_mass": Feature(_largest_b_mass, "GeV", "largest mass of two b-jets"),
}

#: Of these a small value is the stranger one: heavy things are produced at rest.
FALLING = ("jet_abs_eta",)


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
    columns = [
        np.asarray(feature.function(events), dtype=np.float64) * (-1 if name in FALLING else 1)
        for name, feature in KINEMATICS.items()
    ]
    return np.stack(columns, axis=1)

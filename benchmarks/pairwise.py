"""More numbers of pairs for the networks of `stranger`: masses and where MET points.

The rule: as :mod:`hepmtp.events.kinematics`, 0 where there is no pair. Those with MET's direction
see that background made stranger has lost the balance of momenta, which no signal has.
"""

from __future__ import annotations

from dataclasses import dataclass

import awkward as ak
import numpy as np

from hepmtp.detectors.stranger import StrangerDetector
from hepmtp.events.kinematics import kinematics
from hepmtp.events.observables import b_jets, jets, leptons, or_0
from hepmtp.events.pairs import masses, transverse_masses
from hepmtp.events.ragged import Floats

#: Names of the columns of `pairs`.
PAIRS = (
    "smallest mass of two jets",
    "smallest mass of two b-jets",
    "largest mass of two leptons",
    "smallest mass of a lepton and a b-jet",
    "largest mass of a lepton and a b-jet",
    "smallest transverse mass of a b-jet and MET",
    "largest transverse mass of a b-jet and MET",
    "largest transverse mass of a jet and MET",
    "smallest azimuth between MET and a jet",
    "largest azimuth between MET and a jet",
    "azimuth between MET and the leading jet",
)


def pairs(events: ak.Array) -> Floats:
    """Numbers of pairs of each event, (n_events, len(PAIRS))."""
    j, b, lepton = jets(events), b_jets(events), leptons(events)
    first, second = ak.unzip(ak.cartesian([lepton, b]))
    lepton_b = np.maximum((first + second).mass, 0.0)
    b_mt, azimuth = transverse_masses(b, events.MET), np.abs(j.deltaphi(events.MET))
    columns = [
        ak.min(masses(j), axis=1),
        ak.min(masses(b), axis=1),
        ak.max(masses(lepton), axis=1),
        ak.min(lepton_b, axis=1),
        ak.max(lepton_b, axis=1),
        ak.min(b_mt, axis=1),
        ak.max(b_mt, axis=1),
        ak.max(transverse_masses(j, events.MET), axis=1),
        ak.min(azimuth, axis=1),
        ak.max(azimuth, axis=1),
        ak.firsts(azimuth[ak.argmax(j.pt, axis=1, keepdims=True)]),
    ]
    return np.stack([or_0(column) for column in columns], axis=1)


@dataclass(eq=False, kw_only=True)
class PairwiseDetector(StrangerDetector):
    """As `StrangerDetector`, with the numbers of `pairs` beside its own."""

    name: str = "stranger_pairs"

    def _numbers(self, events: ak.Array) -> Floats:
        return np.concatenate([kinematics(events), pairs(events)], axis=1)

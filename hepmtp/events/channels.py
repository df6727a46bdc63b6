"""Dark Machines channels as regions: the selections of arXiv:2105.14027.

The rule: these describe what the files of a channel hold, so they overlap, and a run takes one. HT
is ours, over all particles: it is never below that of the jets alone, so that no event of a
channel's file is lost by it.
"""

from __future__ import annotations

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp.events.cuts import Cut, window
from hepmtp.events.observables import jets
from hepmtp.events.particles import B_JET
from hepmtp.events.ragged import Bools
from hepmtp.events.regions import Region
from hepmtp.events.variables import HT, MET, Variable


def _met_share(events: ak.Array) -> Bools:
    return np.asarray(MET.values(events) >= 0.2 * HT.values(events))


def _hard_jets(events: ak.Array) -> Bools:
    """At least 4 jets above 50 GeV, one of them above 200 GeV."""
    pt = jets(events).pt
    return np.asarray((ak.sum(pt > 50, axis=1) >= 4) & ak.any(pt > 200, axis=1))


def _n_leptons_15(events: ak.Array) -> NDArray[np.int64]:
    kind = events.Particle["type"]
    lepton = (kind > B_JET) & (kind < B_JET + 5) & (events.Particle.pt > 15)
    return np.asarray(ak.sum(lepton, axis=1), dtype=np.int64)


_LEPTONS = Variable.count("n_leptons_15", "leptons above 15 GeV", _n_leptons_15, upto=9)

#: Channels 1, 2a, 2b and 3, each the signal region of a search of its own.
CHANNELS: tuple[Region, ...] = (
    Region(
        "chan1",
        r"channel 1: $H_T > 600$, MET > 200 GeV, MET/$H_T \geq 0.2$, $\geq 4$ jets",
        (
            window("HT > 600 GeV", HT, above=600),
            window("MET > 200 GeV", MET, above=200),
            Cut("MET/HT at least 0.2", _met_share),
            Cut("4 jets above 50 GeV, 1 above 200 GeV", _hard_jets),
        ),
        "signal",
    ),
    Region(
        "chan2a",
        r"channel 2a: MET > 50 GeV, $\geq 3$ leptons",
        (
            window("MET > 50 GeV", MET, above=50),
            window("at least 3 leptons above 15 GeV", _LEPTONS, above=2.5),
        ),
        "signal",
    ),
    Region(
        "chan2b",
        r"channel 2b: MET > 50, $H_T > 50$ GeV, $\geq 2$ leptons",
        (
            window("MET > 50 GeV", MET, above=50),
            window("HT > 50 GeV", HT, above=50),
            window("at least 2 leptons above 15 GeV", _LEPTONS, above=1.5),
        ),
        "signal",
    ),
    Region(
        "chan3",
        r"channel 3: $H_T > 600$, MET > 100 GeV",
        (window("HT > 600 GeV", HT, above=600), window("MET > 100 GeV", MET, above=100)),
        "signal",
    ),
)

"""Regions of jets by their mass: the window of the top, and what lies below it.

The rule: they are `Region` objects as all others, and share no jet but with "inclusive".
"""

from __future__ import annotations

import numpy as np

from hepmtp.events.cuts import window
from hepmtp.events.regions import Region
from hepmtp.events.variables import Variable
from hepmtp.jets.observables import jet_mass, jet_pt, jet_width, multiplicity

MASS = Variable("jet_mass", "jet mass [GeV]", jet_mass, 60, 0.0, 300.0)
MULTIPLICITY = Variable("multiplicity", "constituents", multiplicity, 50, -0.5, 249.5)
PT = Variable("jet_pt", "jet $p_T$ [GeV]", jet_pt, 50, 500.0, 1000.0)
WIDTH = Variable("jet_width", "width", jet_width, 50, 0.0, 0.5)

#: What jets are described by.
JET_VARIABLES: tuple[Variable, ...] = (MASS, MULTIPLICITY, PT, WIDTH)

#: The regions, in the order of a cutflow.
JET_REGIONS: tuple[Region, ...] = (
    Region("inclusive", "all jets", (window("any mass", MASS, above=-np.inf),)),
    Region("CR", "CR: mass below 110 GeV", (window("mass <= 110 GeV", MASS, upto=110),), "control"),
    Region(
        "VR",
        "VR: mass of 110 to 140 GeV",
        (window("110 < mass <= 140 GeV", MASS, above=110, upto=140),),
        "validation",
    ),
    Region(
        "SR",
        "SR: mass of 140 to 200 GeV",
        (window("140 < mass <= 200 GeV", MASS, above=140, upto=200),),
        "signal",
    ),
)

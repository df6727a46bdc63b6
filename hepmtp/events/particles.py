"""Particle types: their order, labels and charges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Dark Machines labels; a particle's ``type`` is its index here. ``m`` is a muon, ``g`` a photon.
PARTICLE_TYPES: tuple[str, ...] = ("j", "b", "e+", "e-", "m+", "m-", "g")
JET, B_JET, POSITRON, ELECTRON, ANTIMUON, MUON, PHOTON = range(7)

#: Leptons of both charges, positive ones first; their types lie side by side.
ELECTRONS, MUONS = (POSITRON, ELECTRON), (ANTIMUON, MUON)
LEPTONS = (*ELECTRONS, *MUONS)


#: GeV (PDG 2024).
ELECTRON_MASS, MUON_MASS = 0.00051099895, 0.1056583755


#: The same types as text for axes and tables.
PARTICLE_NAMES: tuple[str, ...] = ("jet", "b-jet", "e+", "e-", "mu+", "mu-", "photon")


#: Charge of each type (jets and photons 0).
CHARGES: NDArray[np.int8] = np.array([0, 0, 1, -1, 1, -1, 0], dtype=np.int8)


#: What a jet is made of: the same types, and hadrons. An index means the same in both, so that
#: events with hadrons can be told from those of a detector's particles, and nothing that knows the
#: seven types takes a hadron for one of them. Constituents that a model has made have no type.
CONSTITUENT_TYPES: tuple[str, ...] = (*PARTICLE_TYPES, "h+", "h-", "h0", "unspecified")
UNSPECIFIED = CONSTITUENT_TYPES.index("unspecified")

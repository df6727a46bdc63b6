"""Events: an event as particles or as tokens, and what may be asked of it.

The rule: GeV and radians, one row an event; `record` says what an event holds. Names are imported
from here or from their modules.
"""

from __future__ import annotations

from hepmtp.events.observables import (
    ht,
    jets,
    lepton_charge,
    n_b,
    n_jets,
    n_leptons,
    particle_types,
)
from hepmtp.events.particles import CHARGES, CONSTITUENT_TYPES, PARTICLE_NAMES, PARTICLE_TYPES
from hepmtp.events.record import (
    PARTICLE_FIELDS,
    PHI_ROUNDING,
    ROLES,
    Role,
    behavior,
    check_events,
    concatenate,
    make_events,
    metadata,
    source_id,
    with_metadata,
)

__all__ = [
    "CHARGES",
    "CONSTITUENT_TYPES",
    "PARTICLE_FIELDS",
    "PARTICLE_NAMES",
    "PARTICLE_TYPES",
    "PHI_ROUNDING",
    "ROLES",
    "Role",
    "behavior",
    "check_events",
    "concatenate",
    "ht",
    "jets",
    "lepton_charge",
    "make_events",
    "metadata",
    "n_b",
    "n_jets",
    "n_leptons",
    "particle_types",
    "source_id",
    "with_metadata",
]

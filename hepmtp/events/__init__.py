"""Events: an event as particles or as tokens, and what may be asked of it.

The rule: GeV and radians, one row an event; `record` says what an event holds. Names are imported
from here or from their modules.
"""

from __future__ import annotations

from hepmtp.events.legal import PHI_ROUNDING as PHI_ROUNDING
from hepmtp.events.observables import (
    ht as ht,
    jets as jets,
    lepton_charge as lepton_charge,
    n_b as n_b,
    n_jets as n_jets,
    n_leptons as n_leptons,
    particle_types as particle_types,
)
from hepmtp.events.particles import (
    CHARGES as CHARGES,
    CONSTITUENT_TYPES as CONSTITUENT_TYPES,
    PARTICLE_NAMES as PARTICLE_NAMES,
    PARTICLE_TYPES as PARTICLE_TYPES,
)
from hepmtp.events.record import (
    PARTICLE_FIELDS as PARTICLE_FIELDS,
    ROLES as ROLES,
    Role as Role,
    behavior as behavior,
    check_events as check_events,
    concatenate as concatenate,
    make_events as make_events,
    metadata as metadata,
    role_of as role_of,
    with_metadata as with_metadata,
)
from hepmtp.events.source import source_id as source_id

"""Jets of events as events of their own, for tokenizers, models and detectors of jets.

The rule: every jet is one event and its constituents are the particles, in the order of the events.
A jet of no constituents is one, too.
"""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np

from hepmtp.errors import EventError
from hepmtp.events.particles import CONSTITUENT_TYPES, UNSPECIFIED
from hepmtp.events.ragged import Floats, wrap_phi
from hepmtp.events.record import Role, behavior, make_events

_MOMENTUM = ("pt", "eta", "phi", "energy")


def jets_from(
    constituents: ak.Array,
    jets: ak.Array | None = None,
    *,
    dataset: str = "",
    role: Role | None = None,
) -> ak.Array:
    """All jets of some events, as events.

    They have no name: their ``event`` counts from 0 here, and nobody can tell which have trained.

    Parameters
    ----------
    constituents
        ``n_events * var * var * Momentum4D``: of each jet of each event; GeV and radians. Their
        ``type``, if they have one, is an index of `hepmtp.events.particles.CONSTITUENT_TYPES`.
    jets
        ``n_events * var * Momentum4D``, the axes of the jets; by default the sums of their
        constituents, which are others where some of these are missing.
    dataset, role
        metadata of what is given back.

    Returns
    -------
    ak.Array
        shape (n_jets,); constituents without type are "unspecified", and there is a field ``Jet``
        if `jets` are given.

    Raises
    ------
    EventError
        if a dimension, a field or a value is missing, or `jets` are others.

    Examples
    --------
    >>> one = {"pt": 30.0, "eta": 0.1, "phi": 0.2, "energy": 31.0}
    >>> events = ak.Array([[[one, one], [one]], [[one]]])
    >>> ak.num(jets_from(events).Particle).to_list()
    [2, 1, 1]
    """
    if constituents.ndim != 3:
        raise EventError(
            f"constituents have {constituents.ndim} dimensions, expected three: events, their "
            "jets, and the constituents of each"
        )
    flat = ak.flatten(constituents, axis=1)
    counts = np.asarray(ak.to_numpy(ak.num(flat)), dtype=np.int64)
    particles = ak.flatten(flat)
    columns = {name: _column("constituents", particles, name) for name in _MOMENTUM}
    types: Any = np.full(len(particles), UNSPECIFIED)
    if "type" in particles.fields:
        types = _column("constituents", particles, "type")
    nothing = np.zeros(len(counts))
    events = make_events(
        counts=counts,
        **columns,
        type=types,
        met=nothing,
        met_phi=nothing,
        types=CONSTITUENT_TYPES,
        dataset=dataset,
        role=role,
    )
    if jets is None:
        return events
    if jets.ndim != 2 or ak.any(ak.num(jets) != ak.num(constituents)):
        raise EventError("jets are not those of the constituents: expected as many in each event")
    axis = {name: _column("jets", ak.flatten(jets), name) for name in _MOMENTUM}
    return ak.with_field(events, ak.zip(axis, with_name="Momentum4D", behavior=behavior), "Jet")


def _column(what: str, momenta: ak.Array, name: str) -> Floats:
    """A field, or a component of four-vectors of whatever components these are made."""
    given = name in momenta.fields
    values: Any = momenta[name] if given else getattr(momenta, name, None)
    if values is None:
        raise EventError(
            f"{what} have no {name} (found: {', '.join(momenta.fields)}): give vectors, "
            "ak.zip(..., with_name='Momentum4D')"
        )
    if ak.any(ak.is_none(values)):
        raise EventError(f"{name} of {what} is missing in places: leave these out by a cut")
    found = np.asarray(ak.to_numpy(values), dtype=np.float64)
    return np.asarray(wrap_phi(found)) if name == "phi" else found

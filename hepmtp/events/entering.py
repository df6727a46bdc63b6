"""Events as they enter a processor or a detector: checked, and put right where they mean it.

The rule: a particle that was masked is left out, as by a cut. Whatever else is missing, or stands
for "none", is refused with the remedy, for each would give another score without a word.
"""

from __future__ import annotations

import weakref
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp.errors import EventError
from hepmtp.events.legal import MAX_ETA, refuse_values
from hepmtp.events.ragged import owner
from hepmtp.events.record import (
    RECORD,
    check_fields,
    check_flat,
    flat_particles,
    metadata,
    with_fields,
)

# what `as_events` has found to be right; changed events have another content
_checked: weakref.WeakSet[Any] = weakref.WeakSet()


def as_events(events: ak.Array) -> ak.Array:
    """The same events, checked, as the processor and every detector take them.

    Particles that were masked (``ak.mask``) are left out, as they would be by a cut.
    Types that allow missing values are dropped if none is missing. All else is refused.

    Raises
    ------
    EventError
        naming the first event with a missing value, a value that breaks the record (see
        `check_events`), or a particle that is none: without energy, or far outside any detector.

    Examples
    --------
    >>> from hepmtp.events.record import make_events
    >>> events = make_events(
    ...     counts=[2], pt=[50.0, 9.0], eta=[0.1, 2.0], phi=[1.0, 2.0], energy=[60.0, 40.0],
    ...     type=[1, 0], met=[20.0], met_phi=[0.0],
    ... )
    >>> hard = ak.mask(events.Particle, events.Particle.pt > 20)
    >>> as_events(ak.with_field(events, hard, "Particle")).Particle.pt.to_list()
    [[50.0]]
    """
    if isinstance(events, ak.Record):
        raise EventError("this is a single event, expected an array: take events[i : i + 1]")
    layout = events.layout
    if layout in _checked:
        return events
    check_fields(events)
    if (depth := events.Particle.ndim) != 2:
        raise EventError(
            f"Particle has {depth} dimension{'s' * (depth != 1)}, expected a list in each event: "
            "one particle of each is events.Particle[:, :1]"
        )
    if any(may_miss(_field(layout.form, name)) for name in RECORD):
        events = _without_options(events)
    counts, particles = flat_particles(events)
    check_flat(events, counts, particles)
    energy, eta = particles["energy"], particles["eta"]
    if len(eta) and not (energy.min() > 0 and np.abs(eta).max() <= MAX_ETA):
        for bad, values, name, expected in (
            (energy <= 0, energy, "energy", "above 0, as that of any particle"),
            (np.abs(eta) > MAX_ETA, eta, "eta", f"at most {MAX_ETA:g} in size"),
        ):
            refuse_values(bad, values, f"Particle.{name}", counts, expected)
    if events.layout is layout:
        _checked.add(layout)
    return events


def _field(form: Any, name: str) -> Any:
    """The form of a field, or of all fields if the events may be missing themselves."""
    while form.is_indexed and not form.is_option:
        form = form.content
    return form.content(name) if form.is_record else form


def may_miss(form: Any) -> bool:
    """Whether a type allows missing values; coffea hides that in the text of the type."""
    if form.is_option:
        return True
    if form.is_record or form.is_union:
        return any(map(may_miss, form.contents))
    return not form.is_numpy and hasattr(form, "content") and may_miss(form.content)


def _without_options(events: ak.Array) -> ak.Array:
    """The same events of a type that allows nothing to be missing."""
    packed = ak.to_packed(events)
    layout, fields = packed.layout, metadata(events)
    if layout.is_option:
        if n := int(layout.mask_as_bool(valid_when=False).sum()):
            raise EventError(
                f"{n} of {len(events)} events are missing (masked, not cut): leave them out with "
                "events[~ak.is_none(events, axis=0)]"
            )
        layout = layout.project()
    layout = _plain(layout)
    columns = {
        name: _present(layout.content(name), name) if name in RECORD else layout.content(name)
        for name in layout.fields
    }
    lists = columns["Particle"].to_ListOffsetArray64(True)
    counts, particles = np.diff(lists.offsets.data), lists.content
    if particles.is_option:  # masked particles
        is_there = particles.mask_as_bool(valid_when=True)[: counts.sum()]
        counts = np.bincount(owner(counts)[is_there], minlength=len(counts))
        particles = particles.project()
    particles = _plain(particles)
    rows = _whole(particles, "Particle", owner(counts))
    arrays = {name: ak.Array(column) for name, column in columns.items()}
    arrays["Particle"] = ak.unflatten(rows, counts)
    arrays["MET"] = _whole(columns["MET"], "MET", np.arange(len(events)))
    return with_fields(ak.zip(arrays, depth_limit=1), fields)


def _present(layout: Any, name: str) -> Any:
    """A column of events, none of which is missing."""
    if not layout.is_option:
        return _plain(layout)
    if (absent := layout.mask_as_bool(valid_when=False)).any():
        raise EventError(
            f"event {int(absent.argmax())}: {name} is missing ({int(absent.sum())} such events); "
            f"leave them out with events[~ak.is_none(events.{name}, axis=0)]"
        )
    return _plain(layout.project())


def _plain(layout: Any) -> Any:
    """The same content without an index before it."""
    return layout.project() if layout.is_indexed else layout


def _whole(layout: Any, name: str, event_of: NDArray[np.int64]) -> ak.Array:
    """A record none of whose fields has a missing value; such a value is refused."""
    found = {}
    for field in layout.fields:
        column = layout.content(field)
        if column.is_option:
            absent = column.mask_as_bool(valid_when=False)
            if absent.any():
                raise EventError(
                    f"event {event_of[int(absent.argmax())]}: {name}.{field} is missing, but not "
                    "the rest of it; leave such out with a cut, or fill in what it is"
                )
            column = column.project()
        found[field] = ak.Array(column)
    return ak.zip(found, with_name=layout.parameter("__record__"), depth_limit=1)

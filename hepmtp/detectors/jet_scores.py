"""Scores of the jets of events, as a column of the jets.

The rule: every jet has a number, in its place. Whether a jet has trained is not known here: score
what has not.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import awkward as ak

from hepmtp.detectors import Detector, load_detector
from hepmtp.errors import OptionError
from hepmtp.events.jet_events import jets_from
from hepmtp.events.record import metadata, role_of


def jet_scores(
    events: ak.Array,
    constituents: ak.Array,
    models: Detector | str | Path | Sequence[Detector | str | Path],
    *,
    jets: ak.Array | None = None,
) -> ak.Array:
    """Score of each jet of each event.

    Parameters
    ----------
    events
        shape (n_events,), of any schema: for the name of the data set.
    constituents
        ``n_events * var * var * Momentum4D``, GeV: those of each jet.
    models
        a detector of jets as events, or the folder of one (``FOLDER#form`` is one of its forms); or
        several.
    jets
        ``n_events * var * Momentum4D``, the axes of the jets; by default the sums of constituents.

    Returns
    -------
    ak.Array
        ``n_events * var * float64``, larger = stranger; of several detectors a record with a field
        for each.

    Raises
    ------
    EventError
        for what :func:`hepmtp.events.jet_events.jets_from` refuses, or a constituent of pt 0.
    OptionError
        for other events, or two detectors of one name.
    """
    if len(events) != len(constituents):
        raise OptionError(
            f"there are {len(events)} events and constituents of {len(constituents)}: give those "
            "of the same events"
        )
    several = isinstance(models, Sequence) and not isinstance(models, str)
    given: Any = models if several else [models]
    detectors: list[Detector] = [
        load_detector(m) if isinstance(m, str | Path) else m for m in given
    ]
    names = [m.name for m in detectors]
    if not names or len(set(names)) < len(names):
        raise OptionError(f"detectors need different names, found {names}")
    found = metadata(events)
    flat = jets_from(constituents, jets, dataset=str(found.get("dataset", "")), role=role_of(found))
    counts = ak.num(constituents)
    columns = {m.name: ak.unflatten(m.score(flat), counts) for m in detectors}
    return ak.zip(columns) if several else columns[names[0]]

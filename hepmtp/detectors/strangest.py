"""What makes the strangest events of a detector strange: the surprise of each particle.

The rule: surprises are those of the masked-token model that a detector is made of. Of others there
are none, and the events are kept all the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import awkward as ak
import numpy as np

from hepmtp.detectors import Detector
from hepmtp.detectors.cross_fitted import CrossFitted
from hepmtp.errors import OptionError
from hepmtp.events.folds import fold_of
from hepmtp.events.ragged import Floats
from hepmtp.events.strangest import MOST, PARTICLE, StrangeEvent, Strangest

#: Form of the masked-token score whose parts are the surprises, -ln p of each particle.
FORM = "sum"


def strangest(detector: Detector, events: ak.Array, score: Floats, weight: Floats) -> Strangest:
    """The events of the largest score, with their surprises.

    Parameters
    ----------
    detector
        that gave the scores.
    events, score, weight
        shape (n_events,).
    """
    source, event = (ak.to_numpy(events[name]) for name in ("source", "event"))
    chosen = np.lexsort((event, source, -score))[:MOST]
    some = events[chosen]
    surprises = surprises_of(detector, some)
    found = []
    for i, one in zip(chosen, range(len(some)), strict=True):
        particles = ak.drop_none(some.Particle[one])
        why = None if surprises is None else surprises[one]
        met = None if why is None or "MET" not in why.fields else float(why.MET)
        found.append(
            StrangeEvent(
                float(score[i]),
                int(source[i]),
                int(event[i]),
                float(weight[i]),
                float(some.MET.pt[one]),
                float(some.MET.phi[one]),
                {name: ak.to_list(particles[name]) for name in PARTICLE},
                None if why is None else ak.to_list(why.Particle),
                met,
            )
        )
    return Strangest(tuple(found))


def surprises_of(detector: Detector, events: ak.Array) -> ak.Array | None:
    """-ln p of each particle, and of MET, by the masked-token model that a detector is made of.

    Returns
    -------
    ak.Array or None
        as :func:`hepmtp.detectors.masked_token.why.particle_surprises` gives them, of the training
        that leaves an event out where there are several. None if there is no such model, or if its
        tokens are not those of the particles.
    """
    if isinstance(detector, CrossFitted):
        fold = fold_of(events, detector.folds)
        parts = [surprises_of(one, events[fold == i]) for i, one in enumerate(detector.members_)]
        if any(one is None for one in parts):
            return None
        back = np.argsort(np.argsort(fold, kind="stable"), kind="stable")
        return ak.concatenate(parts)[back]
    if FORM in detector.forms:
        # torch only for those who score by it
        from hepmtp.detectors.masked_token.detector import MaskedTokenDetector  # noqa: PLC0415
        from hepmtp.detectors.masked_token.why import particle_surprises  # noqa: PLC0415

        if isinstance(detector, MaskedTokenDetector):
            try:
                return particle_surprises(detector.with_score(FORM), events)
            except OptionError:
                return None
    members: object = getattr(detector, "members", ())  # of some detectors it is their number
    parts_of = [*members] if isinstance(members, Sequence) else []
    for one in (*reversed(parts_of), getattr(detector, "detector", None)):
        if one is not None and (found := surprises_of(one, events)) is not None:
            return found
    return None

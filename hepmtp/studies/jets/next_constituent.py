"""A figure of where a language model expects the next constituents of one jet.

The rule: the jet has not trained the model.
"""

from __future__ import annotations

from collections.abc import Sequence

import awkward as ak
import numpy as np

from hepmtp.events.constituents import Constituents, constituents
from hepmtp.events.split import unseen
from hepmtp.jets.expectation import expected_next
from hepmtp.jets.language_model import JetLanguageModel
from hepmtp.plotting.jets import Step, next_constituents
from hepmtp.plotting.style import OWN_FILES, Caption, StyledFigure

#: Constituents after which the model is asked.
PLACES = (0, 1, 4, 20)


def next_figure(
    model: JetLanguageModel,
    events: ak.Array,
    *,
    places: Sequence[int] = PLACES,
    caption: Caption = OWN_FILES,
) -> StyledFigure | None:
    """Of the first jet that did not train the model and is long enough; None if there is none.

    Parameters
    ----------
    events
        jets, shape (n_jets,).
    places
        constituents that are known, in rising order.
    """
    keep, _ = unseen(events, model.trained_)
    enough = keep & (ak.to_numpy(ak.num(events.Particle)) > max(places))
    if not enough.any():
        return None
    jet = events[int(enough.argmax()) :][:1]
    found = constituents(jet, angle=model.tokenizer.angle)
    steps = [
        Step(one.by_angle, one.stop, _rows(found, 0, one.place), _rows(found, one.place, 1))
        for one in expected_next(model, model.tokenizer.encode(jet), places)
    ]
    edges = model.tokenizer.edges_ or ()
    return next_constituents(steps, edges=(edges[1], edges[2]), caption=caption)


def _rows(jet: Constituents, first: int, n: int) -> Constituents:
    """So many constituents of a jet, from one on."""
    log_pt, eta, phi = (one[first : first + n] for one in (jet.log_pt, jet.eta, jet.phi))
    return Constituents(log_pt, eta, phi, np.array([len(log_pt)]))

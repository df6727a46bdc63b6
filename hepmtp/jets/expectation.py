"""Where a language model of jets expects the next constituent.

The rule: nothing is drawn at random. It is what the model says of all ids and of stop, summed over
what is not asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from hepmtp.errors import OptionError
from hepmtp.events.ragged import Floats
from hepmtp.events.tokens import TokenBatch
from hepmtp.jets.language_model import JetLanguageModel
from hepmtp.training.loop import device_of
from hepmtp.training.threads import torch_threads


class Expected(NamedTuple):
    """What a model expects after so many constituents of a jet."""

    place: int  #: constituents before
    by_angle: Floats  #: probability of each bin of eta and phi, (n_eta, n_phi)
    by_pt: Floats  #: of each bin of pt, (n_pt,)
    stop: float  #: that the jet ends; with either of the others it sums to 1


def expected_next(
    model: JetLanguageModel, jet: TokenBatch, places: Sequence[int]
) -> list[Expected]:
    """What comes next in a jet, after the leading 0, 1, ... constituents.

    Parameters
    ----------
    jet
        tokens of one jet.
    places
        how many constituents are known, in rising order.

    Raises
    ------
    OptionError
        if there is not one jet, or it has fewer constituents.
    """
    if len(jet) != 1:
        raise OptionError(f"one jet is looked at, found {len(jet)}: select one")
    n = len(jet.values)
    if list(places) != sorted(set(places)) or not all(0 <= one <= n for one in places):
        raise OptionError(
            f"places are rising numbers of constituents from 0 to {n}, found {list(places)}"
        )
    network = model.fitted_model
    sizes = [size for _, size in model.tokenizer.factors]
    values = torch.as_tensor(jet.values, device=device_of(network))
    found = []
    with torch_threads(1), torch.no_grad():
        state = network.begin(1)
        for place in range(max(places, default=-1) + 1):
            if place in places:
                p = network.next_ids(state)[0].double().exp().numpy(force=True)
                box = p[:-1].reshape(sizes)
                by_angle, by_pt = box.sum(axis=0), box.sum(axis=(1, 2))
                found.append(Expected(place, by_angle, np.asarray(by_pt), float(p[-1])))
            if place < n:
                state = network.step(values[place : place + 1], state)
    return found

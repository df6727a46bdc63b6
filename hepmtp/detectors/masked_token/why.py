"""Why an event is strange: what each of its particles adds to the masked-token score.

The rule: a particle counts with its own token, given all others of its event. The parts are those
that the form of the score adds up before it asks how rare the sums are.
"""

from __future__ import annotations

import awkward as ak
import numpy as np

from hepmtp.detectors import Detector
from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.detectors.masked_token.forms import (
    JOINED,
    heads_of,
    jets_among,
    questions,
    token_parts,
)
from hepmtp.errors import OptionError
from hepmtp.events.entering import as_events
from hepmtp.events.ragged import Bools
from hepmtp.events.tokens import TokenBatch
from hepmtp.tokenizers import Tokenizer

#: Digits of the tokens that are no particles.
OF_EVENT = ("MET", "METphi")
#: Forms that weigh the sum of an event's surprises: their parts are those of the sum.
OF_SUM = ("mean", "excess")


def particle_surprises(detector: Detector, events: ak.Array) -> ak.Array:
    """What each particle, and MET, adds to the score of a fitted masked-token detector.

    Parameters
    ----------
    detector
        a :class:`~hepmtp.detectors.masked_token.detector.MaskedTokenDetector`. Its form says what
        is added. For "joined" and "jets" it is the answers to all of their questions; for "mean"
        and "excess" the surprises, as for "sum"; for all others the form itself.
    events
        shape (n_events,).

    Returns
    -------
    ak.Array
        shape (n_events,), records of ``Particle`` (a number for each particle, in their order) and,
        if there are tokens of it, ``MET``. Larger is stranger.

    Raises
    ------
    OptionError
        if the detector is of another class, or its tokens are not those of the particles.
    NotFittedError
        before `fit`.

    Examples
    --------
    >>> import hepmtp as hm
    >>> events = hm.read([one for one in hm.embedded() if one.name == "ttbarW"], stop=500)
    >>> small = hm.ModelOptions(width=8, layers=1, heads=1, feedforward=8)
    >>> once = hm.TrainingOptions(epochs=1)
    >>> detector = hm.MaskedTokenDetector(model=small, training=once, form="sum").fit(events)
    >>> found = particle_surprises(detector, events)
    >>> bool(ak.all(ak.num(found.Particle) == ak.num(events.Particle)))
    True
    >>> np.allclose(ak.sum(found.Particle, axis=1) + found.MET, detector.score(events))
    True
    """
    detector = masked_token_detector(detector)
    model, events = detector.fitted_model, as_events(events)
    tokens = detector.tokenizer.encode(events)
    is_particle = _of_particles(tokens, detector.tokenizer)
    counts = ak.to_numpy(ak.num(events.Particle))
    if not np.array_equal(counts, np.bincount(tokens.owner[is_particle], minlength=len(tokens))):
        raise OptionError(
            f"{type(detector.tokenizer).__name__} does not make one token of each particle, so "
            "that no surprise belongs to one: look at the surprises of the tokens instead"
        )
    heads = heads_of(model)
    is_jet = jets_among(tokens, detector.tokenizer, model)
    parts = token_parts(detector.surprises(tokens), heads, is_jet)
    form = "sum" if detector.form in OF_SUM else detector.form
    added = questions(parts, heads, form).sum(axis=1) if form in JOINED else parts[form]
    found = {"Particle": ak.unflatten(added[is_particle], counts)}
    if set(OF_EVENT) & {name for name, _ in detector.tokenizer.factors}:
        rest = np.where(is_particle, 0.0, added)
        found["MET"] = ak.Array(np.bincount(tokens.owner, rest, minlength=len(tokens)))
    return ak.zip(found, depth_limit=1)


def masked_token_detector(detector: Detector) -> MaskedTokenDetector:
    """The detector itself; raises OptionError if it is none of masked tokens."""
    if not isinstance(detector, MaskedTokenDetector):
        raise OptionError(
            f"{type(detector).__name__} does not predict particles: give the MaskedTokenDetector "
            "that it is made of, such as members[-1] of a Combination"
        )
    return detector


def _of_particles(tokens: TokenBatch, tokenizer: Tokenizer) -> Bools:
    """Whether each token is a particle: it has a digit that is not one of MET, (n_tokens,)."""
    columns = [i for i, (name, _) in enumerate(tokenizer.factors) if name not in OF_EVENT]
    return np.asarray((tokenizer.digits[tokens.values][:, columns] >= 0).any(axis=1))

"""Forms of the masked-token score: how the surprises of an event's tokens become one number.

The rule: every form is larger for stranger events. With s the surprise -log p of a hidden token's
digit, t the tail surprise -log P(d or more), H and V expected value and variance of s under the
model's own prediction (:mod:`hepmtp.detectors.masked_token.surprise`):

- ``"sum"``: all s of the event; grows with the particle count by itself;
- ``"mean"``: the sum over the number of tokens;
- ``"excess"``: (sum s - sum H) / sqrt(sum V), over all factors: centred and scaled;
- a factor's name (``"type"``, ``"pt"``, ``"eta"``, ``"MET"``, ...): the sum of that factor alone, of t
  for pt and MET, where new physics lies above and not below what is expected, of s for the others;
- ``"joined"``, the default: three questions, each answered by the share of background that is at
  least as strange, and Fisher's combination of the three
  (:mod:`hepmtp.detectors.masked_token.tails`). What the particles are (sum of s of the type), how hard
  they are (sum of t of pt), and what is missing (t of MET). Directions (eta, phi, METphi) are not
  asked for: nothing says where new physics would point. What has no such name (a code, a joint
  token) is asked for by its s as one question.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hepmtp.detectors.masked_token.surprise import Surprises
from hepmtp.events.ragged import Floats
from hepmtp.events.tokens import TokenBatch

#: Factors of which only a large value is strange.
UPWARDS = ("pt", "MET")
#: Factors that the joined score does not ask for: directions.
NOT_ASKED = ("eta", "phi", "METphi")
#: Forms that every model has; each of its heads is one more.
COMMON_FORMS = ("joined", "sum", "mean", "excess")

_MEANINGS = {
    "joined": (
        "How badly a model, trained on background, predicts what the particles are, how hard they "
        "are and what is missing from the rest of the event: for each of the three the share of "
        "background that is at least as strange, and Fisher's combination of these."
    ),
    "sum": (
        "Sum of -log p over everything that the model predicts; grows with the particle count by "
        "itself."
    ),
    "mean": "The sum divided by the number of tokens.",
    "excess": "The sum minus what the model expects, over the spread that it expects.",
}


def describe(form: str) -> str:
    """What a form of the score is, in a sentence."""
    above = "a value as large or larger" if form in UPWARDS else "the value"
    return _MEANINGS.get(
        form, f"Sum of -log of the probability that the model gives to {above} of {form}."
    )


def label(form: str) -> str:
    """Label of the axis of a form."""
    return "masked-token score" if form == "joined" else f"masked-token score ({form})"


def parts_of(found: Surprises, tokens: TokenBatch, heads: Sequence[str]) -> dict[str, Floats]:
    """Every form but the joined one, and the questions of that.

    Parameters
    ----------
    found, tokens
        the surprises of these tokens.
    heads
        names of the columns of the surprises.

    Returns
    -------
    dict
        form -> (n_events,); and "questions" -> (n_events, n_questions).
    """

    def total(part: Floats) -> Floats:
        return np.bincount(tokens.owner, part, minlength=len(tokens)).astype(np.float64)

    s, expected, variance = (
        total(part.sum(axis=1)) for part in (found.surprise, found.expected, found.variance)
    )
    parts = {"sum": s, "mean": s / np.maximum(tokens.counts, 1)}
    parts["excess"] = (s - expected) / np.sqrt(np.maximum(variance, 1e-9))
    for column, name in enumerate(heads):
        parts[name] = total((found.tail if name in UPWARDS else found.surprise)[:, column])
    named = [parts[name] for name in heads if name in ("type", *UPWARDS)]
    other = [parts[name] for name in heads if name not in ("type", *UPWARDS, *NOT_ASKED)]
    parts["questions"] = np.stack([*named, *([np.sum(other, axis=0)] if other else [])], axis=1)
    return parts

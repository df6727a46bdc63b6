"""Forms of the masked-token score: the surprises of an event's tokens become one number.

The rule: every form is larger for stranger events. The surprise s of a hidden token's digit, its
tail surprise t, and expected value H and variance V of s are those of
:mod:`hepmtp.detectors.masked_token.surprise`. The forms are

- ``"sum"``: all s of the event; grows with the particle count by itself;
- ``"mean"``: the sum over the number of tokens;
- ``"excess"``: (sum s - sum H) / sqrt(sum V), over all heads of the model;
- the name of a head (``"type"``, ``"pt"``, ``"eta"``, ``"MET"``, ...): its own sum, of s. For pt
  and MET it is the sum of t: new physics lies above what is expected;
- ``"joined"``, the default: three questions, each answered by the share of background that is at
  least as strange, and Fisher's combination of the three
  (:mod:`hepmtp.statistics.fisher`).

The questions are what the particles are (sum of s of the type), how hard they are (sum of t of pt),
and what is missing (t of MET). Directions (eta, phi, METphi) are not asked for: nothing says where
new physics would point. All heads with other names (a code, a joint token) are one question, the
sum of their s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hepmtp.detectors.masked_token.surprise import Surprises
from hepmtp.events.ragged import Floats
from hepmtp.events.tokens import TokenBatch

#: Heads of which only a large value is strange.
UPWARDS = ("pt", "MET")
#: Heads that the joined score does not ask for: directions.
NOT_ASKED = ("eta", "phi", "METphi")
#: Forms that every model has, and what they are.
DESCRIPTIONS = {
    "joined": "How badly a model, trained on background, predicts what the particles are, "
    "how hard they are and what is missing from the rest of the event: for each of the three the "
    "share of background that is at least as strange, and Fisher's combination of these.",
    "sum": "Sum of -log p over everything that the model predicts; grows with the particle "
    "count by itself.",
    "mean": "The sum divided by the number of tokens.",
    "excess": "The sum minus what the model expects, over the spread that it expects.",
}


def description(form: str) -> str:
    """What this form of the score is, in a sentence."""
    what = "a value as large or larger" if form in UPWARDS else "the value"
    return DESCRIPTIONS.get(
        form,
        f"Sum of -log of the probability that the model gives to {what} of {form}.",
    )


def label(form: str) -> str:
    """Label of the axis of this form."""
    return "masked-token score" if form == "joined" else f"masked-token score ({form})"


def sums(found: Surprises, tokens: TokenBatch, heads: Sequence[str]) -> dict[str, Floats]:
    """Every form but the joined one, each (n_events,)."""

    def total(part: Floats) -> Floats:
        return np.bincount(tokens.owner, part, minlength=len(tokens)).astype(np.float64)

    s, expected, variance = (
        total(part.sum(axis=1)) for part in (found.surprise, found.expected, found.variance)
    )
    forms = {"sum": s, "mean": s / np.maximum(tokens.counts, 1)}
    forms["excess"] = (s - expected) / np.sqrt(np.maximum(variance, 1e-9))
    for column, name in enumerate(heads):
        forms[name] = total((found.tail if name in UPWARDS else found.surprise)[:, column])
    return forms


def questions(forms: Mapping[str, Floats], heads: Sequence[str]) -> Floats:
    """What the joined form asks for, (n_events, n_questions), of what `sums` gives."""
    asked = ("type", *UPWARDS)
    columns = [forms[name] for name in heads if name in asked]
    other = [forms[name] for name in heads if name not in (*asked, *NOT_ASKED)]
    return np.stack([*columns, *([np.sum(other, axis=0)] if other else [])], axis=1)

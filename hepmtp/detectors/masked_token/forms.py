"""Forms of the masked-token score: the surprises of an event's tokens become one number.

The rule: every form is larger for stranger events. The surprise s of a hidden token's digit, its
tail surprise t, and expected value H and variance V of s are those of
:mod:`hepmtp.detectors.masked_token.surprise`. The forms are

- ``"sum"``: all s of the event; grows with the particle count by itself;
- ``"mean"``: the sum over the number of tokens;
- ``"excess"``: (sum s - sum H) / sqrt(sum V), over all heads of the model;
- the name of a head (``"type"``, ``"pt"``, ``"eta"``, ``"MET"``, ...): its own sum, of s. For pt
  and MET it is the sum of t: new physics lies above what is expected;
- ``"jet_type"``, ``"jet_pt"``: s of the type and t of the pt, summed over jets and b-jets alone;
- ``"jets"``: Fisher's combination of these two and of t of MET. Leptons are what a selection asks
  for; how odd they are says little of what is new;
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

import awkward as ak
import numpy as np

from hepmtp.detectors.masked_token.surprise import Surprises, in_blocks, predictor_of, surprises
from hepmtp.errors import OptionError
from hepmtp.events.particles import B_JET, JET, PARTICLE_TYPES
from hepmtp.events.ragged import Bools, Floats
from hepmtp.events.tokens import TokenBatch
from hepmtp.models import TokenModel
from hepmtp.models.one_pass import Precision
from hepmtp.tokenizers import Tokenizer

#: Events whose surprises are in memory together in scoring.
BLOCK = 20_000
#: So many events are looked at by `check_types`.
CHECKED = 2000
#: Heads of which only a large value is strange.
UPWARDS = ("pt", "MET")
#: Heads that the joined score does not ask for: directions.
NOT_ASKED = ("eta", "phi", "METphi")
#: Forms that are Fisher's combination of others.
JOINED = ("joined", "jets")
#: What the form "jets" joins: of models that predict type, pt and MET apart.
JETS = ("jet_type", "jet_pt", "MET")
#: Forms that every model has, and what they are; "jets" and its parts where they can be had.
DESCRIPTIONS = {
    "joined": "How badly a model, trained on background, predicts what the particles are, "
    "how hard they are and what is missing from the rest of the event: for each of the three the "
    "share of background that is at least as strange, and Fisher's combination of these.",
    "jets": "How badly a model, trained on background, predicts which jets are b-jets, how hard "
    "jets are and what is missing from the rest of the event: Fisher's combination of the three.",
    "jet_type": "Sum over the jets of -log of the probability that the model gives to their type.",
    "jet_pt": "Sum over the jets of -log of the probability that the model gives to a pt as large "
    "or larger.",
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


def forms_of(heads: Sequence[str]) -> tuple[str, ...]:
    """The forms of a model with these heads."""
    jets = ("jets", *JETS[:2])
    can = {"type", "pt", "MET"} <= set(heads)
    return (*(form for form in DESCRIPTIONS if can or form not in jets), *heads)


def check_form(form: str, forms: Sequence[str]) -> None:
    """Raise OptionError for a form that is none of these."""
    if form not in forms:
        raise OptionError(f"score form {form!r} is unknown; there are {', '.join(forms)}")


def token_parts(found: Surprises, heads: Sequence[str], is_jet: Bools) -> dict[str, Floats]:
    """What each token adds to every form that is a plain sum, (n_tokens,) each.

    Parameters
    ----------
    is_jet
        whether each token is a jet, b-jets included, shape (n_tokens,).
    """
    parts = {"sum": found.surprise.sum(axis=1)}
    for column, name in enumerate(heads):
        parts[name] = (found.tail if name in UPWARDS else found.surprise)[:, column]
    if "jets" in forms_of(heads):
        parts["jet_type"] = found.surprise[:, heads.index("type")] * is_jet
        parts["jet_pt"] = found.tail[:, heads.index("pt")] * is_jet
    return parts


def sums(
    found: Surprises, tokens: TokenBatch, heads: Sequence[str], is_jet: Bools
) -> dict[str, Floats]:
    """Every form but those that are joined, each (n_events,); `is_jet` as in `token_parts`."""

    def total(part: Floats) -> Floats:
        return np.bincount(tokens.owner, part, minlength=len(tokens)).astype(np.float64)

    forms = {name: total(part) for name, part in token_parts(found, heads, is_jet).items()}
    s, expected, variance = (
        forms["sum"],
        total(found.expected.sum(axis=1)),
        total(found.variance.sum(axis=1)),
    )
    forms["mean"] = s / np.maximum(tokens.counts, 1)
    forms["excess"] = (s - expected) / np.sqrt(np.maximum(variance, 1e-9))
    return forms


def sums_in_blocks(
    model: TokenModel, tokenizer: Tokenizer, tokens: TokenBatch, precision: Precision
) -> dict[str, Floats]:
    """`sums` of any number of events, each (n_events,); surprises of `BLOCK` are in memory."""
    forms: dict[str, Floats] = {}
    predict = predictor_of(model, tokens, precision)
    for events in in_blocks(model, tokens, BLOCK):
        some = tokens.select(events)
        is_jet = jets_among(some, tokenizer, model)
        found = sums(surprises(model, some, predict=predict), some, heads_of(model), is_jet)
        for form, values in found.items():
            forms.setdefault(form, np.zeros(len(tokens)))[events] = values
    return forms


def jets_among(tokens: TokenBatch, tokenizer: Tokenizer, model: TokenModel) -> Bools:
    """Whether each token is a jet, b-jets included, (n_tokens,); none is if no head has types."""
    heads = heads_of(model)
    if "type" not in heads:
        return np.zeros(len(tokens.values), dtype=bool)
    types = getattr(tokenizer, "types", PARTICLE_TYPES)
    jets = [types.index(PARTICLE_TYPES[kind]) for kind in (JET, B_JET)]
    return np.isin(model.targets[tokens.values, heads.index("type")], jets)


def check_types(tokenizer: Tokenizer, events: ak.Array) -> None:
    """OptionError unless digits of a factor "type" are the types that `jets_among` takes them for.

    Parameters
    ----------
    tokenizer
        fitted.
    events
        any; the first `CHECKED` of them are encoded, shape (n_events,).
    """
    names = [name for name, _ in tokenizer.factors]
    if "type" not in names:
        return
    events = events[:CHECKED]
    digits = tokenizer.digits[tokenizer.encode(events).values, names.index("type")]
    types = getattr(tokenizer, "types", PARTICLE_TYPES)
    found = {types[digit]: int((digits == digit).sum()) for digit in np.unique(digits[digits >= 0])}
    kinds, counts = np.unique(ak.to_numpy(ak.flatten(events.Particle["type"])), return_counts=True)
    there = {PARTICLE_TYPES[kind]: int(n) for kind, n in zip(kinds, counts, strict=True)}
    if found != there:
        raise OptionError(
            f"the factor 'type' of {type(tokenizer).__name__} counts {found}, the events hold "
            f"{there}: number its digits as PARTICLE_TYPES does, give it an attribute `types` with "
            "their names in its order, or call the factor something else"
        )


def heads_of(model: TokenModel) -> list[str]:
    """Names of what a model predicts."""
    return [name for name, _ in model.heads]


def questions(forms: Mapping[str, Floats], heads: Sequence[str], form: str) -> Floats:
    """What "joined" or "jets" asks for, (n_events, n_questions), of what `sums` gives.

    Of what `token_parts` gives: what each token adds to them, (n_tokens, n_questions).
    """
    if form == "jets":
        return np.stack([forms[name] for name in JETS], axis=1)
    asked = ("type", *UPWARDS)
    columns = [forms[name] for name in heads if name in asked]
    other = [forms[name] for name in heads if name not in (*asked, *NOT_ASKED)]
    return np.stack([*columns, *([np.sum(other, axis=0)] if other else [])], axis=1)

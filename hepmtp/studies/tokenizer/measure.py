"""What a tokenizer keeps of an event.

Ids in use, residuals, correlations, and how well signal can still be told from background.

The rule: everything is measured on analysis events, which neither the tokenizer nor the classifiers
have seen. The classifiers read decoded events, so that tokens and continuous inputs are judged by
the same observables of the same events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import awkward as ak
import numpy as np

from hepmtp.errors import OptionError, TokenError, TrainingError
from hepmtp.events.observables import EVENT_FEATURES, event_features, jets
from hepmtp.events.particles import PARTICLE_TYPES
from hepmtp.events.ragged import Floats, Ints, wrap_phi
from hepmtp.events.split import check_background
from hepmtp.studies.tokenizer.separation import CLASSIFIERS, Parts, Separation, separation
from hepmtp.tokenizers import Tokenizer

#: Axis of each residual: range (the outer bins take what lies beyond), and label.
AXES: dict[str, tuple[float, float, str]] = {
    "pt": (-1.0, 1.5, "pt after / before - 1"),
    "eta": (-3.0, 3.0, "eta after - before"),
    "abs_eta": (-1.5, 1.5, "abs(eta) after - before"),
    "phi": (-np.pi, np.pi, "phi after - before"),
    "met": (-1.0, 1.5, "MET after / before - 1"),
    "met_phi": (-np.pi, np.pi, "METphi after - before"),
}


BINS = 61  # odd, so that 0 lies within a bin


#: Observables whose correlations are compared, those of `hepmtp.events.observables` and the
#: distance of the two leading jets.
CORRELATED = (
    "jet_pt_1",
    "jet_pt_2",
    "jet_pt_3",
    "ht",
    "met",
    "largest_mass",
    "min_delta_phi_met",
    "delta_r_12",
)


class Residual(NamedTuple):
    """How far decoded values lie from the true ones."""

    median: float
    half_width: float  #: half of the range that holds the central 68 %
    counts: Ints  #: (n_bins,), the outer bins with all beyond
    edges: Floats  #: (n_bins + 1,)


@dataclass(frozen=True, eq=False)
class TokenizerReport:
    """What `tokenizer_report` measures; all of it on the analysis part.

    Parameters
    ----------
    name, vocab_size
        of the tokenizer.
    supervised
        whether the tokenizer has seen signal in its training.
    n_events, n_tokens
        background events and their tokens.
    in_use, perplexity
        share of the ids that occur in background, and exp(entropy) of their frequencies.
    residuals
        of particles' pt (relative), eta, abs(eta) and phi, and of MET (relative) and METphi where
        there are such tokens.
    type_confusion
        particles of each type (row) that are decoded as each type (column), shape (7, 7).
    correlation_before, correlation_after
        of `CORRELATED`, over background events with two jets before and after; nan where an
        observable is the same in all events.
    token_counts
        how often each id occurs, shape (vocab_size,), in "background" and in each signal.
    separations
        one for each signal and classifier.
    """

    name: str
    supervised: bool
    vocab_size: int
    n_events: int
    n_tokens: int
    in_use: float
    perplexity: float
    residuals: Mapping[str, Residual]
    type_confusion: Ints
    correlation_before: Floats
    correlation_after: Floats
    token_counts: Mapping[str, Ints]
    separations: tuple[Separation, ...]


def tokenizer_report(
    tokenizer: Tokenizer,
    background: ak.Array,
    signals: Mapping[str, ak.Array] | None = None,
    *,
    name: str = "",
    classifiers: Sequence[str] = ("trees",),
    max_events: int | None = None,
    seed: int = 0,
) -> TokenizerReport:
    """Measure what a fitted tokenizer keeps of events.

    Parameters
    ----------
    tokenizer
        fitted on (the training part of) background.
    background, signals
        all events, shape (n_events,), the signals by name; their parts are taken here: train (and
        validation) for the classifiers, analysis for everything that is reported.
    name
        of the tokenizer in tables; its class if not given.
    classifiers
        "trees" (gradient-boosted trees on `hepmtp.events.observables.event_features`),
        "transformer" (`hepmtp.models.classifier.EventClassifier` on all particles and MET;
        minutes).
    max_events
        at most so many events of each part of background and of each signal, drawn at random, for a
        quick look.
    seed
        of classifiers and draws.

    Raises
    ------
    TrainingError
        if the background is not of role background or has no analysis events.
    OptionError
        if a classifier is unknown.
    TokenError
        if decoding does not give one particle for each one.
    """
    check_background(background)
    if unknown := set(classifiers) - set(CLASSIFIERS):
        raise OptionError(
            f"classifiers {sorted(unknown)} are unknown; there are {', '.join(CLASSIFIERS)}"
        )
    before = Parts.of(background, max_events, seed)
    shown = before["analysis"]
    if not ak.any(ak.num(shown.Particle)):
        raise TrainingError(
            f"none of the {len(background)} events is an analysis event with particles: give more"
        )
    tokens = tokenizer.encode(shown)
    decoded = tokenizer.decode(tokens)
    if ak.to_list(ak.num(decoded.Particle)) != ak.to_list(ak.num(shown.Particle)):
        raise TokenError(
            "decoding gave other numbers of particles than there were: they cannot be compared"
        )
    counts = {"background": np.bincount(tokens.values, minlength=tokenizer.vocab_size)}
    separations = []
    after = before.through(tokenizer) if signals else before
    for signal, events in (signals or {}).items():
        parts = Parts.of(events, max_events, seed)
        values = tokenizer.encode(parts["analysis"]).values
        counts[signal] = np.bincount(values, minlength=tokenizer.vocab_size)
        pairs = (before, parts), (after, parts.through(tokenizer))
        separations += [separation(signal, one, *pairs, seed) for one in classifiers]
    share = counts["background"][counts["background"] > 0] / len(tokens.values)
    both = _correlations(shown, decoded)
    return TokenizerReport(
        name=name or type(tokenizer).__name__,
        supervised=tokenizer.supervised,
        vocab_size=tokenizer.vocab_size,
        n_events=len(shown),
        n_tokens=len(tokens.values),
        in_use=len(share) / tokenizer.vocab_size,
        perplexity=float(np.exp(-np.sum(share * np.log(share)))),
        residuals=residuals(shown, decoded),
        type_confusion=type_confusion(shown, decoded),
        correlation_before=both[0],
        correlation_after=both[1],
        token_counts=counts,
        separations=tuple(separations),
    )


def residuals(before: ak.Array, after: ak.Array) -> dict[str, Residual]:
    """Residuals of the same particles, one to one, and of MET and METphi.

    Those of MET are left out if `after` has none but 0.

    Values of 0 have no relative residual and are left out.
    """
    found = {}
    for name in ("pt", "eta", "abs_eta", "phi"):
        column = name.removeprefix("abs_")
        pair = [ak.to_numpy(ak.flatten(one.Particle[column])) for one in (before, after)]
        found[name] = _residual(name, *(map(np.abs, pair) if name == "abs_eta" else pair))
    for name, column in (("met", "pt"), ("met_phi", "phi")):
        pair = [ak.to_numpy(one.MET[column]) for one in (before, after)]
        if np.any(pair[1]):
            found[name] = _residual(name, *pair)
    return found


def _residual(name: str, before: Floats, after: Floats) -> Residual:
    low, high, _ = AXES[name]
    relative = name in ("pt", "met")
    values = after[before > 0] / before[before > 0] - 1 if relative else after - before
    if name.endswith("phi"):
        values = wrap_phi(values)
    edges = np.linspace(low, high, BINS + 1)
    counts = np.histogram(np.clip(values, low, high), edges)[0]
    lower, median, upper = np.quantile(values, (0.16, 0.5, 0.84))
    return Residual(float(median), float(upper - lower) / 2, counts, edges)


def type_confusion(before: ak.Array, after: ak.Array) -> Ints:
    """Particles of each type (row) that have become each type (column), shape (7, 7)."""
    n = len(PARTICLE_TYPES)
    rows, columns = (
        ak.to_numpy(ak.flatten(one.Particle["type"])).astype(np.int64) for one in (before, after)
    )
    return np.bincount(rows * n + columns, minlength=n * n).reshape(n, n)


def _correlations(before: ak.Array, after: ak.Array) -> tuple[Floats, Floats]:
    two = np.asarray((ak.num(jets(before)) >= 2) & (ak.num(jets(after)) >= 2))
    found = []
    for events in (before[two], after[two]):
        by_pt = jets(events)[ak.argsort(jets(events).pt, axis=1, ascending=False, stable=True)]
        first, second = by_pt[:, 0], by_pt[:, 1]
        d_phi = np.abs(wrap_phi(first.phi - second.phi))
        distance = {"delta_r_12": np.hypot(ak.to_numpy(first.eta - second.eta), ak.to_numpy(d_phi))}
        known = dict(zip(EVENT_FEATURES, event_features(events).T, strict=True)) | distance
        with np.errstate(
            divide="ignore", invalid="ignore"
        ):  # an observable that never varies has no correlation: nan
            found.append(np.corrcoef(np.stack([known[name] for name in CORRELATED])))
    return found[0], found[1]

"""What a tokenizer keeps of an event: ids in use, residuals, correlations, and how well signal can still be told from background.

The rule: everything is measured on analysis events, which neither the tokenizer nor the classifiers have seen; the classifiers
read decoded events, so that tokens and continuous inputs are judged by the same observables of the same events.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from hepmtp.errors import TokenError, TrainingError
from hepmtp.events import PARTICLE_NAMES, PARTICLE_TYPES, jets
from hepmtp.features import EVENT_FEATURES, event_features
from hepmtp.metrics import auc, auc_difference
from hepmtp.models.classifier import (
    ClassifierOptions,
    ClassifierTraining,
    inputs_of,
    labelled,
    new_classifier,
    train_classifier,
)
from hepmtp.split import FRACTIONS, Part, check_background, part_of
from hepmtp.storage import new_file
from hepmtp.tables import Cells, markdown, rounded
from hepmtp.threads import torch_threads
from hepmtp.tokenizers import Tokenizer

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
#: Scores of the analysis part of background and signal, from a classifier trained on their other parts.
Scores = tuple[Floats, Floats]

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
#: Observables whose correlations are compared, those of `hepmtp.features` and the distance of the two leading jets.
CORRELATED = ("jet_pt_1", "jet_pt_2", "jet_pt_3", "ht", "met", "max_dijet_mass", "min_delta_phi_met", "delta_r_12")


class Residual(NamedTuple):
    """How far decoded values lie from the true ones."""

    median: float
    half_width: float  #: half of the range that holds the central 68 %
    counts: Counts  #: (n_bins,), the outer bins with all beyond
    edges: Floats  #: (n_bins + 1,)


class Separation(NamedTuple):
    """AUC of a classifier with labels on continuous inputs and on tokens, and the difference on the same events."""

    signal: str
    classifier: str
    continuous: float
    continuous_error: float
    tokens: float
    tokens_error: float
    lost: float  #: continuous - tokens
    lost_error: float
    n_signal: int
    n_background: int


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
        of particles' pt (relative), eta, abs(eta) and phi, and of MET (relative) and METphi where there are such tokens.
    type_confusion
        particles of each type (row) that are decoded as each type (column), shape (7, 7).
    correlation_before, correlation_after
        of `CORRELATED`, over background events with two jets before and after; nan where an observable is the same in all events.
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
    type_confusion: Counts
    correlation_before: Floats
    correlation_after: Floats
    token_counts: Mapping[str, Counts]
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
        all events, shape (n_events,), the signals by name; their parts are taken here: train (and validation) for the classifiers,
        analysis for everything that is reported.
    name
        of the tokenizer in tables; its class if not given.
    classifiers
        "trees" (gradient-boosted trees on `hepmtp.features.event_features`), "transformer"
        (`hepmtp.models.classifier.EventClassifier` on all particles and MET; minutes).
    max_events
        at most so many events of each part of background and of each signal, drawn at random, for a quick look.
    seed
        of classifiers and draws.

    Raises
    ------
    TrainingError
        if the background is not of role background or has no analysis events.
    TokenError
        if decoding does not give one particle for each one.
    """
    check_background(background)
    if unknown := set(classifiers) - set(CLASSIFIERS):
        raise TrainingError(f"classifiers {sorted(unknown)} are unknown; there are {', '.join(CLASSIFIERS)}")
    before = _Parts.of(background, max_events, seed)
    shown = before["analysis"]
    if not ak.any(ak.num(shown.Particle)):
        raise TrainingError(f"none of the {len(background)} events is an analysis event with particles: give more")
    tokens = tokenizer.encode(shown)
    decoded = tokenizer.decode(tokens)
    if ak.to_list(ak.num(decoded.Particle)) != ak.to_list(ak.num(shown.Particle)):
        raise TokenError("decoding gave other numbers of particles than there were: they cannot be compared")
    counts = {"background": np.bincount(tokens.values, minlength=tokenizer.vocab_size)}
    separations = []
    after = before.through(tokenizer) if signals else before
    for signal, events in (signals or {}).items():
        parts = _Parts.of(events, max_events, seed)
        values = tokenizer.encode(parts["analysis"]).values
        counts[signal] = np.bincount(values, minlength=tokenizer.vocab_size)
        pairs = (before, parts), (after, parts.through(tokenizer))
        separations += [_separation(signal, one, *pairs, seed) for one in classifiers]
    share = counts["background"][counts["background"] > 0] / len(tokens.values)
    both = _correlations(shown, decoded)
    return TokenizerReport(
        name=name or type(tokenizer).__name__,
        supervised=bool(getattr(tokenizer, "supervised", False)),
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
    """Residuals of the same particles, one to one, and of MET and METphi if `after` has any that is not 0.

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
        values = (values + np.pi) % (2 * np.pi) - np.pi
    edges = np.linspace(low, high, BINS + 1)
    counts = np.histogram(np.clip(values, low, high), edges)[0]
    lower, median, upper = np.quantile(values, (0.16, 0.5, 0.84))
    return Residual(float(median), float(upper - lower) / 2, counts, edges)


def type_confusion(before: ak.Array, after: ak.Array) -> Counts:
    """Particles of each type (row) that have become each type (column), shape (7, 7)."""
    n = len(PARTICLE_TYPES)
    rows, columns = (ak.to_numpy(ak.flatten(one.Particle["type"])).astype(np.int64) for one in (before, after))
    return np.bincount(rows * n + columns, minlength=n * n).reshape(n, n)


def _correlations(before: ak.Array, after: ak.Array) -> tuple[Floats, Floats]:
    two = np.asarray((ak.num(jets(before)) >= 2) & (ak.num(jets(after)) >= 2))
    found = []
    for events in (before[two], after[two]):
        by_pt = jets(events)[ak.argsort(jets(events).pt, axis=1, ascending=False, stable=True)]
        first, second = by_pt[:, 0], by_pt[:, 1]
        d_phi = np.abs((first.phi - second.phi + np.pi) % (2 * np.pi) - np.pi)
        distance = {"delta_r_12": np.hypot(ak.to_numpy(first.eta - second.eta), ak.to_numpy(d_phi))}
        known = dict(zip(EVENT_FEATURES, event_features(events).T, strict=True)) | distance
        with np.errstate(divide="ignore", invalid="ignore"):  # an observable that never varies has no correlation: nan
            found.append(np.corrcoef(np.stack([known[name] for name in CORRELATED])))
    return found[0], found[1]


class _Parts:
    """The parts of some events, and their observables, computed once."""

    def __init__(self, parts: dict[Part, ak.Array]) -> None:
        self.parts = parts
        self.known: dict[Part, Floats] = {}

    @classmethod
    def of(cls, events: ak.Array, max_events: int | None, seed: int) -> _Parts:
        """Each part cut to a number of events at random."""
        parts: dict[Part, ak.Array] = {}
        for part in FRACTIONS:
            chosen = part_of(events, part)
            if max_events is not None and len(chosen) > max_events:
                chosen = chosen[np.sort(np.random.default_rng(seed).permutation(len(chosen))[:max_events])]
            parts[part] = chosen
        return cls(parts)

    def through(self, tokenizer: Tokenizer) -> _Parts:
        """The same events after encoding and decoding."""
        return _Parts({part: tokenizer.decode(tokenizer.encode(events)) for part, events in self.parts.items()})

    def __getitem__(self, part: Part) -> ak.Array:
        return self.parts[part]

    def observables(self, part: Part) -> Floats:
        """Those of `hepmtp.features`, shape (n_events, n_features)."""
        if part not in self.known:
            self.known[part] = event_features(self.parts[part])
        return self.known[part]


Pair = tuple[_Parts, _Parts]


def _separation(signal: str, classifier: str, before: Pair, after: Pair, seed: int) -> Separation:
    score = CLASSIFIERS[classifier]
    (b_before, s_before), (b_after, s_after) = score(before, seed), score(after, seed)
    continuous, tokens = auc(s_before, b_before), auc(s_after, b_after)
    lost = auc_difference((s_before, s_after), (b_before, b_after))
    return Separation(signal, classifier, *continuous[:2], *tokens[:2], lost.value, lost.error, *tokens[2:])


def _trees(pair: Pair, seed: int) -> Scores:
    x = [events.observables("train") for events in pair]
    label = np.repeat([0, 1], [len(one) for one in x])
    model = HistGradientBoostingClassifier(
        max_iter=200, max_leaf_nodes=15, class_weight="balanced", early_stopping=False, random_state=seed
    )
    model.fit(np.concatenate(x), label)
    background, signal = (model.decision_function(events.observables("analysis")) for events in pair)
    return background, signal


def _transformer(pair: Pair, seed: int) -> Scores:
    training, validation = (labelled(*(inputs_of(one[part]) for one in pair)) for part in ("train", "validation"))
    model = new_classifier(ClassifierOptions(), seed)
    with torch_threads(1):
        train_classifier(model, training, validation, options=ClassifierTraining(seed=seed))
        background, signal = (model.logits(inputs_of(one["analysis"])) for one in pair)
    return background, signal


#: The classifiers by name.
CLASSIFIERS: dict[str, Callable[[Pair, int], Scores]] = {"trees": _trees, "transformer": _transformer}


def report_markdown(report: TokenizerReport) -> str:
    """The report as text with tables; numbers with their errors and the raw events behind them."""
    seen = " It has seen signal in its training: all here is supervised." if report.supervised else ""
    lines = [
        f"# Tokenizer report: {report.name}\n",
        f"Measured on {report.n_events} background events with {report.n_tokens} tokens, none of which was trained on.{seen}\n",
        f"- {report.vocab_size} ids, of which {100 * report.in_use:.1f} % occur",
        f"- perplexity {report.perplexity:.1f}\n",
        "## What decoding gives back\n",
        markdown(Cells(["residual", "median", "half of the central 68 %"], [
            [AXES[name][2], f"{one.median:z.3f}", f"{one.half_width:.3f}"] for name, one in report.residuals.items()
        ])),
        _types(report.type_confusion),
        "\n## Correlations\n",
        f"Of {', '.join(CORRELATED)} in background events with two jets: largest change {_largest_change(report)}.\n",
    ]  # fmt: skip
    if report.separations:
        rows = [
            [one.signal, one.classifier, rounded(one.continuous, one.continuous_error),
             rounded(one.tokens, one.tokens_error), rounded(one.lost, one.lost_error), f"{one.n_signal} / {one.n_background}"]
            for one in report.separations
        ]  # fmt: skip
        header = ["signal", "classifier with labels", "AUC continuous", "AUC tokens", "lost", "events (s / b)"]
        lines += ["## Signal against background\n", markdown(Cells(header, rows))]
    return "\n".join(lines)


def _types(confusion: Counts) -> str:
    wrong = confusion.sum() - np.trace(confusion)
    if not wrong:
        return "Every particle keeps its type.\n"
    kept = np.diag(confusion) / np.maximum(confusion.sum(axis=1), 1)
    each = ", ".join(f"{name} {100 * share:.1f} %" for name, share in zip(PARTICLE_NAMES, kept, strict=True))
    return f"{100 * wrong / confusion.sum():.1f} % of the particles change their type; kept: {each}.\n"


def _largest_change(report: TokenizerReport) -> str:
    change = np.abs(report.correlation_after - report.correlation_before)
    if np.isnan(change).all():
        return "unknown"
    row, column = np.unravel_index(np.nanargmax(change), change.shape)
    before, after = report.correlation_before[row, column], report.correlation_after[row, column]
    return f"{before:.2f} to {after:.2f} ({CORRELATED[row]} and {CORRELATED[column]})"


def write_report(folder: str | Path, report: TokenizerReport) -> list[Path]:
    """Write ``report.md`` and ``report.json`` (all numbers; nan is null) into a folder."""
    plain = {field.name: _plain(getattr(report, field.name)) for field in fields(report)}
    texts = {"report.md": report_markdown(report), "report.json": json.dumps(plain, indent=1, allow_nan=False) + "\n"}
    paths = [Path(folder) / name for name in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        with new_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return paths


def _plain(value: Any) -> Any:
    """Numbers, lists and mappings that json knows."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, (tuple, list)):
        return [_plain(one) for one in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not np.isfinite(value) else value

"""Figures of what a masked-token detector reads and learns: training curve, tokens, predictions.

The rule: shown on analysis events, which trained nothing; each figure comes with the words that a
reader needs.
"""

from __future__ import annotations

from pathlib import Path

import awkward as ak
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hepmtp import plotting
from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.events.split import part_of
from hepmtp.events.tokens import TokenBatch
from hepmtp.plotting import UNKNOWN, Caption
from hepmtp.plotting.names import PARTICLES, words
from hepmtp.report.drawn_figures import shortly
from hepmtp.report.info import FigureText


def draw_tokens(
    folder: str | Path,
    detector: MaskedTokenDetector,
    background: ak.Array,
    signal: ak.Array,
    *,
    max_events: int = 3000,
    pdf: bool = False,
    caption: Caption = UNKNOWN,
) -> list[FigureText]:
    """Draw the figures into the run's folder ``figures`` and return their words.

    Parameters
    ----------
    background, signal
        events, shape (n_events,); the first `max_events` of the analysis part of each are shown.
    pdf
        also write them as PDF.
    """
    both = {"background": background, "signal": signal}
    shown = {name: part_of(events, "analysis")[:max_events] for name, events in both.items()}
    tokens = {name: detector.tokenizer.encode(events) for name, events in shown.items()}
    figures: list[tuple[str, Figure, str]] = [
        (
            "training_curve",
            plotting.training_curve(detector.history_, caption=caption),
            (
                "Loss per hidden token in training and validation events, both background; the "
                "model of the best epoch is kept."
            ),
        ),
        *_occupancies(detector, tokens, caption),
        *_confusions(detector, tokens, caption),
        (
            "tokens_before_after",
            plotting.tokens_before_after(
                shown["background"],
                detector.tokenizer.decode(tokens["background"]),
                caption=caption,
            ),
            "Background before and after encoding and decoding: what the bins keep of an event.",
        ),
    ]
    texts = []
    for name, figure, text in figures:
        plotting.save(figure, Path(folder) / "figures", name, pdf=pdf)
        texts.append(FigureText(name, text, shortly(text)))
    return texts


def confusion_matrix(
    detector: MaskedTokenDetector, tokens: TokenBatch, head: str
) -> NDArray[np.int64]:
    """How often each true class of a head is predicted as each class, when its token is hidden.

    Rows are true and columns are predicted classes, shape (size, size).
    """
    heads = detector.fitted_model.heads
    column = [name for name, _ in heads].index(head)
    true = detector.fitted_model.targets[tokens.values, column]
    has, size = true >= 0, heads[column][1]
    predicted = detector.surprises(tokens).predicted[has, column]
    return np.bincount(true[has] * size + predicted, minlength=size**2).reshape(size, size)


def _occupancies(
    detector: MaskedTokenDetector, tokens: dict[str, TokenBatch], caption: Caption
) -> list[tuple[str, Figure, str]]:
    digits = detector.tokenizer.digits
    found = []
    for factor, (name, size) in enumerate(detector.tokenizer.factors):
        if name not in ("type", "pt"):
            continue
        column = {key: digits[batch.values, factor] for key, batch in tokens.items()}
        counts = [np.bincount(values[values >= 0], minlength=size) for values in column.values()]
        types = getattr(detector.tokenizer, "types", None)
        labels = (
            [PARTICLES.get(one, one) for one in types]
            if name == "type" and types
            else [str(i) for i in range(size)]
        )
        figure = plotting.token_occupancy(
            counts[0], counts[1], labels=labels, xlabel=f"{words(name)} bin", caption=caption
        )
        text = (
            f"How often each {words(name)} bin occurs among the particles of background and of "
            "signal, with the ratio."
        )
        found.append((f"occupancy_{name}", figure, text))
    counts = [np.bincount(batch.values, minlength=len(digits)) for batch in tokens.values()]
    figure = plotting.token_occupancy(counts[0], counts[1], xlabel="Token id", caption=caption)
    return [
        *found,
        (
            "occupancy_tokens",
            figure,
            "How often each token occurs in background and in signal, with the ratio.",
        ),
    ]


def _confusions(
    detector: MaskedTokenDetector, tokens: dict[str, TokenBatch], caption: Caption
) -> list[tuple[str, Figure, str]]:
    found = []
    heads = [name for name, _ in detector.fitted_model.heads if name in ("MET", "METphi")]
    # the outer loop is over batches: the surprises of one are computed once for all heads
    for kind, batch in tokens.items():
        for head in heads:
            matrix = confusion_matrix(detector, batch, head)
            figure = plotting.confusion(
                matrix, title=f"{words(head)} tokens, {kind}", caption=caption
            )
            text = (
                f"{words(head)} tokens of {kind}: true bin against the most probable one when the "
                f"token is hidden, rows add up to one; {matrix.sum()} events, right in "
                f"{100 * np.trace(matrix) / matrix.sum():.1f} %."
            )
            found.append((f"confusion_{head}_{kind}", figure, text))
    return found

"""A tokenizer's report as markdown and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from hepmtp.events.particles import PARTICLE_NAMES
from hepmtp.events.ragged import Ints
from hepmtp.notebook import in_markdown
from hepmtp.report.tables import Cells, markdown, rounded
from hepmtp.storage import new_file
from hepmtp.studies.tokenizer.measure import AXES, CORRELATED, TokenizerReport


def report_markdown(report: TokenizerReport) -> str:
    """The report as text with tables; numbers with their errors and the raw events behind them."""
    seen = (
        " It has seen signal in its training: all here is supervised." if report.supervised else ""
    )
    lines = [
        f"# Tokenizer report: {in_markdown(report.name)}\n",
        (f"Measured on {report.n_events} background events with {report.n_tokens} tokens, none of "
        f"which was trained on.{seen}\n"),
        f"- {report.vocab_size} ids, of which {100 * report.in_use:.1f} % occur",
        f"- perplexity {report.perplexity:.1f}\n",
        "## What decoding gives back\n",
        markdown(Cells(["residual", "median", "half of the central 68 %"], [
            [AXES[name][2], f"{one.median:z.3f}", f"{one.half_width:.3f}"]
            for name, one in report.residuals.items()
        ])),
        _types(report.type_confusion),
        "\n## Correlations\n",
        (f"Of {', '.join(CORRELATED)} in background events with two jets: largest change "
        f"{_largest_change(report)}.\n"),
    ]  # fmt: skip
    if report.separations:
        rows = [
            [one.signal, one.classifier, rounded(one.continuous, one.continuous_error),
             rounded(one.tokens, one.tokens_error), rounded(one.lost, one.lost_error),
             f"{one.n_signal} / {one.n_background}"]
            for one in report.separations
        ]  # fmt: skip
        header = [
            "signal",
            "classifier with labels",
            "AUC continuous",
            "AUC tokens",
            "lost",
            "events (s / b)",
        ]
        lines += ["## Signal against background\n", markdown(Cells(header, rows))]
    return "\n".join(lines)


def _types(confusion: Ints) -> str:
    wrong = confusion.sum() - np.trace(confusion)
    if not wrong:
        return "Every particle keeps its type.\n"
    kept = np.diag(confusion) / np.maximum(confusion.sum(axis=1), 1)
    each = ", ".join(
        f"{name} {100 * share:.1f} %" for name, share in zip(PARTICLE_NAMES, kept, strict=True)
    )
    return (
        f"{100 * wrong / confusion.sum():.1f} % of the particles change their type; kept: {each}.\n"
    )


def _largest_change(report: TokenizerReport) -> str:
    change = np.abs(report.correlation_after - report.correlation_before)
    if np.isnan(change).all():
        return "unknown"
    row, column = np.unravel_index(np.nanargmax(change), change.shape)
    before, after = report.correlation_before[row, column], report.correlation_after[row, column]
    return f"{before:.2f} to {after:.2f} ({CORRELATED[row]} and {CORRELATED[column]})"


def write_text(folder: str | Path, report: TokenizerReport) -> list[Path]:
    """Write ``report.md`` and ``report.json`` (all numbers; nan is null) into a folder."""
    plain = {field.name: _plain(getattr(report, field.name)) for field in fields(report)}
    texts = {
        "report.md": report_markdown(report),
        "report.json": json.dumps(plain, indent=1, allow_nan=False) + "\n",
    }
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

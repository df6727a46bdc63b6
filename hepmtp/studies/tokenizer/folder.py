"""A tokenizer's report as a folder, and the tokenizer that a word names.

The rule: what was saved is taken as it is, anything else is fitted on the training part of the
background. Whether a saved one has seen the events of the report cannot be known here. It must have
been fitted by hepmtp's split on the same files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak

from hepmtp import plotting, storage
from hepmtp.detectors import training_events
from hepmtp.errors import OptionError, StorageError
from hepmtp.plotting import UNKNOWN, Caption
from hepmtp.plugins import resolve
from hepmtp.studies.tokenizer import figures
from hepmtp.studies.tokenizer.measure import TokenizerReport, tokenizer_report
from hepmtp.studies.tokenizer.text import write_text
from hepmtp.tokenizers import Tokenizer
from hepmtp.tokenizers.lookup import PRESETS, LookupTokenizer


def tokenizer_of(word: str, background: ak.Array) -> tuple[str, Tokenizer]:
    """Name of a tokenizer, and the tokenizer, fitted.

    Parameters
    ----------
    word
        folder of a saved tokenizer, or of a saved detector that has one; the name of a look-up
        table (`PRESETS`); or ``pkg.module:Class``, called without options.
    background
        events, shape (n_events,), whose training part fits what was not saved.

    Raises
    ------
    OptionError
        if the word names no tokenizer.
    StorageError
        if the folder holds something else.
    """
    if (Path(word) / storage.META).is_file():
        found = storage.load(word)
        tokenizer = found if isinstance(found, Tokenizer) else getattr(found, "tokenizer", None)
        if not isinstance(tokenizer, Tokenizer):
            raise StorageError(
                f"{word} holds a {storage.kind_of(found)!r}, expected a tokenizer or a detector "
                "with one"
            )
        return Path(word).name, tokenizer
    made = LookupTokenizer.preset(word) if word in PRESETS else _made(word)
    return word.rpartition(":")[2], made.fit(training_events(background))


def _made(word: str) -> Tokenizer:
    try:
        made = resolve(word)()
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise OptionError(
            f"{word!r} is neither the folder of a saved tokenizer or detector, nor a look-up table "
            f"({', '.join(PRESETS)}), nor a pkg.module:Class that makes a tokenizer from nothing: "
            f"{error}"
        ) from None
    if not isinstance(made, Tokenizer):
        raise OptionError(f"{word} makes a {storage.kind_of(made)!r}, expected a tokenizer")
    return made


def write_tokenizer_report(
    folder: str | Path,
    tokenizer: Tokenizer,
    background: ak.Array,
    signals: dict[str, ak.Array],
    *,
    pdf: bool = False,
    caption: Caption = UNKNOWN,
    **options: Any,
) -> TokenizerReport:
    """Measure a tokenizer and write report.md, report.json and ``figures``.

    Parameters
    ----------
    tokenizer, background, signals, options
        of :func:`hepmtp.studies.tokenizer.measure.tokenizer_report`.
    pdf
        write the figures as PDF, beside the PNG.
    """
    report = tokenizer_report(tokenizer, background, signals, **options)
    write_text(folder, report)
    for draw in (
        figures.residuals,
        figures.type_confusion,
        figures.correlations,
        figures.token_histogram,
    ):
        figure = draw(report, caption=caption)
        plotting.save(figure, Path(folder) / "figures", draw.__name__, pdf=pdf)
    return report

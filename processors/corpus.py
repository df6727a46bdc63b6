"""CorpusProcessor: background events to the tokens that a model is trained on, with a cutflow.

The rule: train and validation parts of background data sets only, or of a sideband of data that is
named. A signal raises TrainingError on the first chunk.
:func:`hepmtp.run.train.training_tokens` makes the training's input of its output.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from coffea.processor import ProcessorABC

from hepmtp.events.entering import as_events
from hepmtp.events.folds import Fold, with_fold
from hepmtp.events.record import metadata
from hepmtp.events.regions import Region, sideband_of
from hepmtp.events.split import check_background, split_of, trained_by
from hepmtp.run.columns import Column, TokenColumn
from hepmtp.run.shards import Rows, write_shard
from hepmtp.run.train import PARTS, training_tokens
from hepmtp.tokenizers import Tokenizer

__all__ = ["PARTS", "CorpusProcessor", "training_tokens"]


class CorpusProcessor(ProcessorABC):  # type: ignore[misc]
    """Tokenises the events that may train.

    Parameters
    ----------
    tokenizer
        fitted on background training events; the features that it may give go with the tokens.
    sideband
        region of data that may train; by default data may not.
    fold
        fold that is left out, of a cross-fitting; by default events are split as ever.
    shards
        folder that all workers see, for tokens of more events than memory holds; by default the
        tokens are in the output.

    Notes
    -----
    ``process`` returns a dictionary that adds up over chunks::

        corpus   {part: {"tokens": TokenColumn, "source" and "event": Column}}, or with a folder
                 for shards {part: {Piece}}, a set; see `hepmtp.run.shards`
        cutflow  {dataset: {part: raw number of events}}
        trained  what was given to train on, a set of :class:`hepmtp.events.split.Trained`
        normalisation  {dataset: {"weight": sum of the weights of all events that were read}}
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        sideband: Region | None = None,
        fold: Fold | None = None,
        shards: str | Path | None = None,
    ) -> None:
        self.tokenizer, self.sideband, self.fold, self.shards = tokenizer, sideband, fold, shards

    def process(self, events: ak.Array) -> dict[str, Any]:
        """Accumulator of one chunk, shape (n_events,); zero events are fine."""
        events = as_events(events)
        read = {"weight": float(ak.sum(events.weight))}
        if self.sideband is not None:
            events = sideband_of(events, self.sideband)
        if self.fold is not None:
            events = with_fold(events, self.fold)
        check_background(events)
        part = split_of(events)
        rows = {name: self._rows(events[part == name]) for name in PARTS}
        corpus: Any = {
            name: {
                "tokens": TokenColumn(one.tokens),
                "source": Column(one.source),
                "event": Column(one.event),
            }
            for name, one in rows.items()
        }
        if self.shards is not None:
            corpus = write_shard(self.shards, rows)
        counts = {name: int((part == name).sum()) for name in (*PARTS, "analysis")}
        dataset = str(metadata(events).get("dataset", ""))
        return {
            "corpus": corpus,
            "cutflow": {dataset: counts},
            "trained": set(trained_by(events)),
            "normalisation": {dataset: read},
        }

    def _rows(self, events: ak.Array) -> Rows:
        names = (np.asarray(ak.to_numpy(events[key])) for key in ("source", "event"))
        return Rows(self.tokenizer.encode(events), *names)

    def postprocess(self, accumulator: dict[str, Any]) -> dict[str, Any]:
        """Nothing is left to do: sums of chunks are the result."""
        return accumulator

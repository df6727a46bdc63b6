"""CorpusProcessor: background events to the tokens that a model is trained on, with a cutflow.

The rule: train and validation parts of background data sets only; a signal raises TrainingError on the first chunk.
"""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
from coffea.processor import ProcessorABC, column_accumulator

from hepmtp.errors import TrainingError
from hepmtp.events import metadata
from hepmtp.split import check_background, split_of
from hepmtp.tokenizers import Tokenizer
from hepmtp.tokens import TokenBatch

PARTS = ("train", "validation")


class CorpusProcessor(ProcessorABC):  # type: ignore[misc]
    """Tokenises the events that may train.

    Parameters
    ----------
    tokenizer
        fitted on background training events; the features that it may give go with the tokens.

    Notes
    -----
    ``process`` returns a dictionary that adds up over chunks::

        corpus   {part: {"tokens": TokenBatch, "source": column_accumulator, "event": column_accumulator}}
        cutflow  {dataset: {part: raw number of events}}
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    def process(self, events: ak.Array) -> dict[str, Any]:
        """Accumulator of one chunk, shape (n_events,); zero events are fine."""
        check_background(events)
        part = split_of(events)
        corpus = {}
        for name in PARTS:
            chosen = events[part == name]
            columns = {key: column_accumulator(np.asarray(ak.to_numpy(chosen[key]))) for key in ("source", "event")}
            corpus[name] = {"tokens": self.tokenizer.encode(chosen), **columns}
        counts = {name: int((part == name).sum()) for name in (*PARTS, "analysis")}
        return {"corpus": corpus, "cutflow": {str(metadata(events).get("dataset", "")): counts}}

    def postprocess(self, accumulator: dict[str, Any]) -> dict[str, Any]:
        """Nothing is left to do: sums of chunks are the result."""
        return accumulator


def training_tokens(output: dict[str, Any]) -> tuple[TokenBatch, TokenBatch]:
    """(training, validation) tokens of a run, sorted by (source, event): the same on every executor.

    Raises
    ------
    TrainingError
        if the same event came twice, for instance from a file and its converted copy.
    """
    batches = []
    for name in PARTS:
        rows = output["corpus"][name]
        key = np.stack([rows["source"].value, rows["event"].value])
        if np.unique(key, axis=1).shape[1] != key.shape[1]:
            raise TrainingError(
                f"some {name} events were read twice: give each file once, either raw or converted; two files with the"
                " same name count as one"
            )
        batches.append(rows["tokens"].select(np.lexsort(key[::-1])))
    return batches[0], batches[1]

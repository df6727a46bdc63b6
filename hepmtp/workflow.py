"""Files to trained detectors: the training half of the main job, as the command line and the demo run it.

The rule: tokens are made by the same runner and executors that later score; only tokens and a sample of events are in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from hepmtp.detectors import Detector, training_events
from hepmtp.detectors.masked_token import MaskedTokenDetector
from hepmtp.detectors.observables import OBSERVABLES, Observable
from hepmtp.detectors.token_rarity import TokenRarity
from hepmtp.manifest import Dataset, fileset, read
from hepmtp.run import HepRunner
from hepmtp.training import Progress


def train_detectors(
    datasets: Sequence[Dataset],
    detector: MaskedTokenDetector,
    *,
    executor: Any,
    chunksize: int = 20_000,
    sample_events: int = 100_000,
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
) -> list[Detector]:
    """Train the masked-token detector, and fit token rarity and the plain observables that it is compared with.

    Parameters
    ----------
    datasets
        background only; anything else raises TrainingError.
    detector
        not trained yet.
    executor
        of :func:`hepmtp.run.make_executor`.
    sample_events
        bin edges, token frequencies and ranges of axes are fitted on the first events of each file, at most so many.
    checkpoint, progress
        of :func:`hepmtp.training.train`.
    """
    sample = read(datasets, stop=sample_events)
    detector.tokenizer.fit(training_events(sample))
    corpus = "processors.corpus"
    processor = resolve_name(f"{corpus}:CorpusProcessor")(detector.tokenizer)
    output = HepRunner(executor, chunksize=chunksize)(fileset(datasets), processor)
    training, validation = resolve_name(f"{corpus}:training_tokens")(output)
    detector.fit_tokens(training, validation, checkpoint=checkpoint, progress=progress)
    plain: list[Detector] = [TokenRarity(detector.tokenizer), *(Observable(name) for name in OBSERVABLES)]
    return [detector, *(one.fit(sample) for one in plain)]

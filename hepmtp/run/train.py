"""Files to trained detectors, as the command line and the demo train them.

The rule: tokens are made by the runner and executors that later score. Only tokens, or not even
these, and a sample of the events are in memory.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from hepmtp.datasets.files import fileset
from hepmtp.datasets.manifest import Dataset
from hepmtp.detectors import BaseDetector, Detector, training_events
from hepmtp.detectors.calibrated.detector import Calibrated
from hepmtp.detectors.calibrated.quantile import FEWEST
from hepmtp.detectors.cross_fitted import CrossFitted, checkpoint_of
from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.detectors.masked_token.forms import check_types
from hepmtp.detectors.observables import OBSERVABLES, Observable
from hepmtp.detectors.stranger import StrangerDetector, StrangerTraining
from hepmtp.detectors.token_rarity import TokenRarity
from hepmtp.errors import TrainingError
from hepmtp.events.folds import Fold, folds as folds_of, with_fold
from hepmtp.events.regions import Region, sideband_of
from hepmtp.events.split import joined
from hepmtp.events.stored_tokens import Tokens
from hepmtp.run.checkpoint import KeptChunks
from hepmtp.run.checkpoints import told_of_skips
from hepmtp.run.proportions import MOST_EVENTS, fair_stop, first_events, in_proportion
from hepmtp.run.rivals import anomaly_score, plain_observables
from hepmtp.run.runner import HepRunner
from hepmtp.run.shards import TWICE, glued, shards_folder
from hepmtp.statistics.accounting import incomplete
from hepmtp.tokenizers import Tokenizer
from hepmtp.training.loop import Progress

logger = logging.getLogger(__name__)

#: Parts of the events that may train, as a corpus processor names them.
PARTS = ("train", "validation")


def train_detectors(
    datasets: Sequence[Dataset],
    detector: MaskedTokenDetector,
    *,
    corpus: Callable[..., Any],
    executor: Any,
    stranger: StrangerDetector | None = None,
    chunksize: int = 20_000,
    most_events: int = MOST_EVENTS,
    sideband: Region | None = None,
    folds: int = 1,
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
    skip_bad: bool = False,
    scratch: str | Path | None = None,
    kept: str | Path | None = None,
) -> list[Detector]:
    """Train the masked-token detector and the default score, and fit what they are compared with.

    The default score, `hepmtp.run.rivals.anomaly_score`, comes first, and the masked-token detector
    next. Then come token rarity, the plain observables and their combination, and the calibrated
    masked-token score; all of them cross-fitted if there are folds. Too few events for a
    calibration are said, and there is none.

    Parameters
    ----------
    datasets
        background only, or data only with a sideband; anything else raises TrainingError.
    detector
        not trained yet.
    corpus
        makes a processor of the tokenizer (and of the sideband, the fold and the folder of shards,
        as keywords, if there are such):
        :class:`processors.corpus.CorpusProcessor`, or one with the same output.
    executor
        of :func:`hepmtp.run.executors.make_executor`.
    stranger
        the networks of the default score, not trained yet; by default those of a
        `StrangerDetector` with the seed, threads and device of `detector`.
    most_events
        first events, of all files together, that bin edges, token frequencies, ranges of axes, the
        networks and the calibration are fitted on. It is the same number of each file that has as
        many (:func:`hepmtp.run.proportions.fair_stop`). They are in memory, up to 2 kB each.
    sideband
        region of data that may train, said explicitly; its name is remembered.
    folds
        of a cross-fitting: so many trainings, 3 or more, each without another fold, so that all
        events can be analysed; 1 or 0 for one training on the one split.
    checkpoint, progress
        of :func:`hepmtp.training.loop.train`, for the masked-token model; each fold has a folder
        within that of the checkpoint. The networks, which take a minute, begin anew.
    skip_bad
        leave out files that cannot be read.
    scratch
        folder that all workers see, for tokens of more events than memory holds: workers write them
        there, and the training reads them from there. The numbers are the same. It is left empty.
    kept
        folder of this training alone, where finished chunks and, without a `checkpoint`, the model
        after each epoch are kept: what an interrupted one has left there is gone on from. It has to
        be another one for other files, options or code (:func:`hepmtp.run.checkpoint.key_of`).
        Chunks of a `scratch` folder are not kept.
    """
    if sideband is not None and all(one.role != "data" for one in datasets):
        raise TrainingError(
            f"the sideband {sideband.name} is one of data, and none of "
            f"{', '.join(one.name for one in datasets)} has the role data: leave it out, or give "
            "that role"
        )
    left_out = folds_of(folds) if folds > 1 else ()
    files = fileset(datasets, missing_ok=skip_bad)
    stop = fair_stop(datasets, most=most_events, skip_bad=skip_bad)
    first = first_events(datasets, stop=stop, skip_bad=skip_bad)
    sample = first.events
    options: dict[str, Any] = {}
    if sideband is not None:
        sample, options = sideband_of(sample, sideband), {"sideband": sideband}
    runner = HepRunner(executor, chunksize=chunksize, skipbadfiles=skip_bad)
    if checkpoint is None and kept is not None:
        checkpoint = Path(kept) / "model"

    def tokens(tokenizer: Tokenizer, **more: Any) -> Any:
        chunks = None
        if kept is not None and scratch is None:
            fold: Fold | None = more.get("fold")
            name = "chunks" if fold is None else f"chunks{fold.number}of{fold.of}"
            chunks = told_of_skips(KeptChunks(kept, name, resume=True))
        runner.checkpointer = chunks
        output = runner(files, corpus(tokenizer, **options, **more))
        for sentence in incomplete(runner.accounting):
            logger.warning("%s", sentence)
        return output

    def mixture(fold: Fold | None = None) -> ak.Array:
        mixed = in_proportion(first, datasets, runner.accounting)
        mixed = mixed if sideband is None else sideband_of(mixed, sideband)
        return mixed if fold is None else with_fold(mixed, fold)

    if stranger is None:
        same = {name: getattr(detector.training, name) for name in ("seed", "threads", "device")}
        stranger = StrangerDetector(training=StrangerTraining(**same))
    if not left_out:
        known = origin(datasets)
        trained = _trained(
            detector, stranger, sample, tokens, mixture, checkpoint, progress, scratch
        )
        return [_of_known_origin(one, known) for one in trained]
    trainings = [
        _trained(
            copy.deepcopy(detector),
            copy.deepcopy(stranger),
            with_fold(sample, fold),
            partial(tokens, fold=fold),
            partial(mixture, fold),
            None if checkpoint is None else checkpoint_of(checkpoint, fold),
            progress,
            scratch,
        )
        for fold in left_out
    ]
    known = origin(datasets)
    # one that a training had too few events for, the last, is then left out of all
    crossed = [CrossFitted.of(members, sample) for members in zip(*trainings, strict=False)]
    return [_of_known_origin(one, known) for one in crossed]


def _trained(
    detector: MaskedTokenDetector,
    stranger: StrangerDetector,
    sample: ak.Array,
    tokens: Callable[..., Any],
    mixture: Callable[[], ak.Array],
    checkpoint: str | Path | None,
    progress: Progress | None,
    scratch: str | Path | None,
) -> list[Detector]:
    """All detectors of one training, on what the metadata of the sample leave for it.

    `mixture` gives the sample with weights in proportion, once the tokens have been made.
    """
    detector.tokenizer.fit(training_events(sample))
    check_types(detector.tokenizer, training_events(sample))
    with shards_folder(scratch) as shards:
        output = tokens(detector.tokenizer, **({} if shards is None else {"shards": shards}))
        training, validation = training_tokens(output, shards)
        detector.fit_tokens(training, validation, checkpoint=checkpoint, progress=progress)
    detector.trained_ = joined(output["trained"]) if "trained" in output else None
    detector.describe(training_events(sample))
    if (card := detector.card_) is not None:  # it has learned from all events, not from a sample
        counts = {name: one["train"] for name, one in output.get("cutflow", {}).items()}
        detector.card_ = card.with_origin(
            {
                name: {"events": n, "weight": None}
                for name, n in counts.items()
                if n != card.processes.get(name, {}).get("events")
            }
        )
    mixed = mixture()
    default = anomaly_score(detector, stranger.fit(mixed)).fit(mixed)
    plain: list[Detector] = [
        TokenRarity(detector.tokenizer),
        *(Observable(name) for name in OBSERVABLES),
        plain_observables(),
    ]
    fits = [one.fit(sample) for one in plain]
    return [default, detector, *fits, *calibrated(detector, mixed)]


def origin(datasets: Sequence[Dataset]) -> dict[str, dict[str, Any]]:
    """What a card says of data sets: role, DOI, licence and digests of the files, where known."""
    found = {
        one.name: {
            "role": one.role,
            "doi": one.doi,
            "licence": one.licence,
            "sha256": [digest for digest in one.sha256 if digest],
        }
        for one in datasets
    }
    return {
        name: {key: value for key, value in one.items() if value} for name, one in found.items()
    }


def _of_known_origin(detector: Detector, known: Mapping[str, Mapping[str, Any]]) -> Detector:
    if isinstance(detector, BaseDetector) and detector.card_ is not None:
        detector.card_ = detector.card_.with_origin(known)
    return detector


def calibrated(detector: Detector, events: ak.Array) -> list[Detector]:
    """The calibrated detector, fitted on background events with weights in proportion.

    None, with a warning, if the training part of them is too small.
    """
    n = len(training_events(events))
    if n < FEWEST:
        logger.warning(
            "%d training events are too few for the calibrated score of %s, which needs %d: it is "
            "left out",
            n,
            detector.name,
            FEWEST,
        )
        return []
    return [Calibrated(detector).fit(events)]


def training_tokens(
    output: Mapping[str, Any], shards: str | Path | None = None
) -> tuple[Tokens, Tokens]:
    """(training, validation) tokens of a run, sorted by (source, event), as executors differ.

    Parameters
    ----------
    output
        what a corpus processor gave: ``{"corpus": {part: {"tokens", "source", "event"}}}``,
        columns that have a ``value``, or the pieces of shards.
    shards
        folder of the shards, if there are such; they are gone then.

    Raises
    ------
    TrainingError
        if the same event came twice, for instance from a file and its converted copy.
    """
    if shards is not None:
        corpus = output["corpus"]
        stored = [glued(shards, name, corpus[name]) for name in PARTS]
        for shard in {piece.shard for name in PARTS for piece in corpus[name]}:
            (Path(shards) / shard).unlink()
        return stored[0], stored[1]
    batches = []
    for name in PARTS:
        rows = output["corpus"][name]
        key = np.stack([rows["source"].value, rows["event"].value])
        order = np.lexsort(key[::-1])
        if (key[:, order[1:]] == key[:, order[:-1]]).all(axis=0).any():
            raise TrainingError(TWICE.format(part=name))
        batches.append(rows["tokens"].value.select(order))
    return batches[0], batches[1]

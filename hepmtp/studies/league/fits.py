"""Fits of a league: each entry's detector fitted and scored, or taken from the folder.

The rule: a detector is fitted on background outside the analysis part, and scored on the analysis
part, which it never gets to see in ``fit``. With folds that holds for each training and its fold,
and all events are scored.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from hepmtp import storage
from hepmtp.detectors import Detector, load_detector, trained_on
from hepmtp.detectors.cross_fitted import CrossFitted
from hepmtp.errors import (
    HepmtpError,
    OptionError,
    ScoreError,
    StorageError,
    TrainingError,
    check_protocol,
)
from hepmtp.events.ragged import Floats
from hepmtp.plugins import allow_class
from hepmtp.studies.league.entry import Entry
from hepmtp.studies.league.league_events import LeagueEvents
from hepmtp.studies.league.table import Fit


@dataclass(frozen=True)
class Fitting:
    """Fits entries, unless their scores are in the folder already."""

    folder: Path
    events: LeagueEvents
    registry: Mapping[str, Entry]

    def fit(self, entry: Entry, seed: int, signal: str = "", *, as_part: bool = False) -> Fit:
        """The scores of one entry, from the folder if they are there.

        As a part of another entry, its detector has to be there as well.
        """
        names = [*self.events.background, signal] if signal else list(self.events.held_out)
        detector = self.make(entry, seed, signal)
        mark = self.mark(entry, detector, seed, signal)
        place = self.place(entry, seed, signal)
        path = self.folder / "scores" / place
        held_out = [self.events.digests[f"held out {name}"] for name in names]
        stored = self.folder / "detectors" / place
        kept = _kept(path, mark)
        saved = kept is not None and _same(stored, kept[0]["detector"])
        if kept is not None and (saved or not as_part):
            meta, arrays = kept
            if (meta["held_out"], meta["rows"]) == (held_out, list(entry.rows)):
                table = {
                    row: {name: arrays[f"{row}/{name}"] for name in names} for row in entry.rows
                }
                return Fit(
                    table, meta["fit_seconds"], meta["events_per_second"], meta["parameters"]
                )
        seconds = None if kept is None else kept[0]["fit_seconds"]
        if saved:
            detector = load_detector(
                stored
            )  # other regions or forms: score again, do not fit again
        elif not entry.fitted:
            with _missing_library(entry):
                start = time.perf_counter()
                detector.fit(self.events.training)
                seconds = time.perf_counter() - start
        if entry.kind != "supervised" and detector.supervised:
            raise TrainingError(
                f"entry {entry.name!r} has learned from signal: its kind must be 'supervised'"
            )
        detector.save(stored)
        table, speed = _score(entry, detector, {name: self.events.held_out[name] for name in names})
        meta = {
            "mark": mark,
            "held_out": held_out,
            "rows": list(entry.rows),
            "detector": storage.digest(stored),
            "fit_seconds": seconds,
            "events_per_second": speed,
            "parameters": detector.n_parameters or None,
        }
        arrays = {
            f"{row}/{name}": one for row, found in table.items() for name, one in found.items()
        }
        with storage.new_folder(path) as temporary:
            storage.write(temporary, _KIND, meta, arrays)
        return Fit(table, seconds, speed, meta["parameters"])

    def make(self, entry: Entry, seed: int, signal: str) -> Detector:
        """The entry's detector, not fitted; its parts are. With folds it is cross-fitted."""
        given: dict[str, Any] = {"signal": self.events.signal(signal)} if signal else {}
        if entry.parts:
            if unknown := [name for name in entry.parts if name not in self.registry]:
                raise OptionError(
                    f"entry {entry.name!r} is made from {', '.join(unknown)}, which is not in this "
                    "league"
                )
            parts = [self.registry[name] for name in entry.parts]
            given["detectors"] = [self.part(part, seed) for part in parts]
        with _missing_library(entry):
            detector = entry.make(seed, **given)
        allow_class(storage.kind_of(detector))  # as its saved fits are opened again
        check_protocol(detector, Detector)
        if self.events.folds <= 1:
            return detector
        if not entry.fitted:
            return CrossFitted(detector, self.events.folds)
        if trained_on([detector]) != ():
            raise OptionError(
                f"entry {entry.name!r} was fitted before, and not cross-fitted: it may have "
                "trained on events that it would be judged on; take --folds 1, or a detector of "
                "hepmtp train --folds"
            )
        return detector

    def part(self, entry: Entry, seed: int) -> Detector:
        """A fitted detector that another entry is made from."""
        self.fit(entry, seed, as_part=True)
        return load_detector(self.folder / "detectors" / self.place(entry, seed))

    def mark(self, entry: Entry, detector: Detector, seed: int, signal: str) -> str:
        """Says what would be fitted.

        Another class, option, seed, event or hepmtp gives another mark.
        """
        what = re.sub(r" at 0x[0-9a-f]+", "", repr(detector))
        used = [
            self.events.digests["training"],
            *([self.events.signal_digests[signal]] if signal else []),
        ]
        parts = [
            storage.digest(self.folder / "detectors" / self.place(self.registry[one], seed))
            for one in entry.parts
        ]
        saved = [entry.note] if entry.fitted else []
        words = [
            importlib.metadata.version("hepmtp"),
            storage.kind_of(detector),
            what,
            str(seed),
            *used,
            *parts,
            *saved,
        ]
        return hashlib.sha256(json.dumps(words).encode()).hexdigest()

    @staticmethod
    def place(entry: Entry, seed: int, signal: str = "") -> str:
        """Folder of a fit."""
        seed = seed if entry.seeded else 0
        return storage.file_name(f"{entry.name}-{seed}{f'-{signal}' if signal else ''}")


_KIND = "hepmtp league scores"


def _kept(path: Path, mark: str) -> tuple[dict[str, Any], dict[str, Floats]] | None:
    """Scores in the folder, if they are of the same fit; damaged ones are none."""
    try:
        meta, arrays = storage.read(path, _KIND)
    except StorageError:
        return None
    return (meta, arrays) if meta["mark"] == mark else None


def _same(path: Path, digest: str) -> bool:
    try:
        return storage.digest(path) == digest
    except StorageError:
        return False


def _score(
    entry: Entry, detector: Detector, held_out: Mapping[str, Iterable[ak.Array]]
) -> tuple[dict[str, dict[str, Floats]], float]:
    """Scores of every row of an entry, and events per second of the detector's own form.

    Events of a data set come some at a time.
    """
    forms = {
        row: detector.with_score(form) if form else detector for row, form in entry.rows.items()
    }
    parts: dict[tuple[str, str], list[Floats]] = {}
    seconds, n = 0.0, 0
    for name, chunks in held_out.items():
        for events in chunks:  # one after the other: forms share what the last one has computed
            n += len(events)
            for row, one in forms.items():
                start = time.perf_counter()
                found = np.asarray(one.score(events), dtype=np.float64)
                seconds += (time.perf_counter() - start) * (row == entry.name)
                if found.shape != (len(events),) or not np.isfinite(found).all():
                    raise ScoreError(
                        f"entry {row!r} does not give each of {len(events)} events of {name} a "
                        "finite score"
                    )
                parts.setdefault((row, name), []).append(found)
    scores = {row: {name: np.concatenate(parts[row, name]) for name in held_out} for row in forms}
    return scores, n / seconds


@contextlib.contextmanager
def _missing_library(entry: Entry) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise HepmtpError(
            f"entry {entry.name!r} needs {error.name}, which is not installed: run pip install "
            '"hepmtp[league]", or choose others with --only'
        ) from None

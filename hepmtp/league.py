"""The league: every detector against every signal in every region, on the same events, with errors and plain rivals.

The rule: an entrant is fitted on background that is not of the analysis part, and scored on the analysis part, which no
entrant ever gets to see in ``fit``. A detector with labels is the ceiling: it is shown apart and is nobody's rival.

What is written::

    league.csv .json .md    the table: one row per detector, signal and region
    challenge.csv           the same in the form of the Dark Machines challenge
    figures/                roc, sic and auc of each signal and region
    detectors/NAME-SEED     the fitted detectors, for `hepmtp run`
    scores/NAME-SEED        their scores: a league that was interrupted goes on from these

All events are held in memory.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp import plotting, storage
from hepmtp.challenge import ChallengeRow, Place, challenge_table, places
from hepmtp.detectors import Detector, load_detector
from hepmtp.errors import HepmtpError, ScoreError, TrainingError
from hepmtp.events import PARTICLE_FIELDS, concatenate
from hepmtp.league_entries import ENTRIES, Entry, learned_from_signal, tiny
from hepmtp.league_table import Entrant, Fit, Floats, LeagueRow, challenge_mean, enter, league_rows, tables
from hepmtp.manifest import Dataset, read
from hepmtp.plotting import OWN_FILES, SIMULATION, Caption
from hepmtp.plotting.league import KINDS, Bar, auc_bars
from hepmtp.regions import Region, region_named
from hepmtp.report import versions
from hepmtp.split import analysis_scale, split_of
from hepmtp.tables import Cells, markdown, write_csv

log = logging.getLogger(__name__)

#: Called before each fit with what comes now, how many are done and how many there are.
Progress = Callable[[str, int, int], None]


class League(NamedTuple):
    """What a league found: rows and tables, rows in the challenge's form, and the places of those without labels among published ones."""

    folder: Path
    rows: list[LeagueRow]
    tables: list[tuple[str, Cells]]
    challenge: list[ChallengeRow]
    places: list[Place]


def run_league(
    folder: str | Path,
    datasets: Sequence[Dataset],
    entries: Sequence[Entry],
    *,
    seeds: Sequence[int] = (0, 1, 2),
    regions: Sequence[str] = ("preselection", "SR"),
    stop: int | None = None,
    published: Sequence[ChallengeRow] = (),
    command: str = "",
    against: str = "",
    quick: bool = False,
    figures: bool = True,
    progress: Progress | None = None,
) -> League:
    """Fit and score every entry, compare them, and write tables and figures.

    Parameters
    ----------
    folder
        if it holds a league of the same events and options, what that has fitted is not fitted again.
    datasets
        background and signals; all events are held in memory.
    entries
        who takes part.
    stop
        only the first `stop` events of each file.
    published
        rows of the challenge to be compared with (:func:`hepmtp.challenge.read_challenge`).
    command
        command line that makes this league again, for the reader.
    against
        name of an entry that all others are compared with, too; its form of the score is theirs, if it has that.
    quick
        `parts` of entries that take no part themselves are tiny ones.
    figures
        draw them: it takes some seconds for each signal and region.

    Raises
    ------
    HepmtpError
        if a library is missing, names repeat, nobody is called `against`, or there is no background or no signal in any of the regions.
    """
    folder = Path(folder)
    _check(entries, seeds, against)
    events = _Events.read(datasets, [region_named(name) for name in regions], stop)
    known = {name: tiny(entry) if quick else entry for name, entry in ENTRIES.items()}
    registry = {**known, **{entry.name: entry for entry in entries}}
    runs = [
        (entry, signal, seed)
        for entry in entries
        for signal in (events.signals if entry.kind == "supervised" else ("",))
        for seed in (seeds if entry.seeded else seeds[:1])
    ]
    fits: dict[tuple[str, str], list[Fit]] = {}
    for done, (entry, signal, seed) in enumerate(runs):
        if progress:
            progress(f"{entry.name}, seed {seed}{f', {signal}' if signal else ''}", done, len(runs))
        fit = _Fitting(folder, events, registry).fit(entry, seed, signal)
        fits.setdefault((entry.name, signal), []).append(fit)
    rows, challenge, search = [], [], []
    for signal in events.signals:
        for region in regions:
            if not events.holds(signal, region):
                log.warning("region %s holds no events of %s or of the background: no table", region, signal)
                continue
            entrants = enter(entries, fits, events.columns, background=events.background, signal=signal, region=region)
            found = league_rows(entrants, against=against)
            rows += found
            challenge += [challenge_mean(one) for one in entrants]
            search += [challenge_mean(one) for one in entrants if one.entry.kind != "supervised"]
            if figures:
                caption = SIMULATION if all(dataset.embedded for dataset in datasets) else OWN_FILES
                draw_league(folder, entrants, found, caption=caption)
    if not rows:
        raise HepmtpError(f"no event of a signal and of the background in {', '.join(regions)}: give more events")
    league = League(folder, rows, tables(rows), challenge, places(search, published))
    _write(league, events, entries, seeds, command)
    return league


def _check(entries: Sequence[Entry], seeds: Sequence[int], against: str) -> None:
    names = [row for entry in entries for row in entry.rows]
    if not names or len(set(names)) != len(names):
        raise HepmtpError(f"a league needs entries, each with a name of its own; found {', '.join(names) or 'none'}")
    if against and against not in {*names, *(row for entry in ENTRIES.values() for row in entry.rows)}:
        raise HepmtpError(f"there is no entry {against!r} to compare with; there are {', '.join(names)}")
    if not seeds or len(set(seeds)) != len(seeds):
        raise HepmtpError(f"a league needs seeds, each once; found {list(seeds)}")
    absent = {
        entry.name: missing
        for entry in entries
        if (missing := [name for name in entry.libraries if importlib.util.find_spec(name) is None])
    }
    if absent:
        raise HepmtpError(
            f"{', '.join(absent)}: {', '.join(sorted({one for names in absent.values() for one in names}))} not installed; "
            'run pip install "hepmtp[league]", or choose others with --only'
        )


@dataclass(frozen=True)
class _Events:
    """The events of a league; nothing of the analysis part is in `training` and `signals`."""

    training: ak.Array
    signals: dict[str, ak.Array]
    held_out: dict[str, ak.Array]  # analysis part, in any of the regions
    columns: dict[str, dict[str, NDArray[Any]]]  # "weight" and "region:<name>" of the held-out events
    background: list[str]

    @classmethod
    def read(cls, datasets: Sequence[Dataset], regions: Sequence[Region], stop: int | None) -> _Events:
        """Read and split; data sets of other roles are left out."""
        parts: dict[str, dict[str, ak.Array]] = {"background": {}, "signal": {}}
        held_out, columns = {}, {}
        for dataset in (one for one in datasets if one.role in parts):
            events = read([dataset], stop=stop)
            analysis = split_of(events) == "analysis"
            parts[dataset.role][dataset.name] = events[~analysis]
            chosen = events[analysis]
            masks = {f"region:{region.name}": region.select(chosen) for region in regions}
            kept = np.any(list(masks.values()), axis=0)
            weight = np.asarray(ak.to_numpy(chosen.weight), dtype=np.float64) * analysis_scale(chosen)
            held_out[dataset.name] = chosen[kept]
            columns[dataset.name] = {"weight": weight[kept]} | {name: mask[kept] for name, mask in masks.items()}
        if missing := [role for role, found in parts.items() if not found]:
            raise HepmtpError(
                f"a league needs background and signal: no data set with role {missing[0]} among "
                f"{', '.join(dataset.name for dataset in datasets) or 'none'}"
            )
        training = concatenate(parts["background"].values())
        return cls(training, parts["signal"], held_out, columns, list(parts["background"]))

    def holds(self, signal: str, region: str) -> bool:
        """Whether the region has events of the signal and of the background."""
        inside = {name: bool(one[f"region:{region}"].any()) for name, one in self.columns.items()}
        return inside[signal] and any(inside[name] for name in self.background)

    @functools.cached_property
    def digests(self) -> dict[str, str]:
        """Of the training events, and of each signal's and held-out data set's."""
        signals = {f"signal {name}": _digest(one) for name, one in self.signals.items()}
        held_out = {f"held out {name}": _digest(one) for name, one in self.held_out.items()}
        return {"training": _digest(self.training), **signals, **held_out}


@dataclass(frozen=True)
class _Fitting:
    """Fits entries, or takes up what an earlier call has fitted."""

    folder: Path
    events: _Events
    registry: Mapping[str, Entry]

    def fit(self, entry: Entry, seed: int, signal: str = "", *, as_part: bool = False) -> Fit:
        """The scores of one entry, from the folder if they are there (and its detector, if it is to be a part)."""
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
                table = {row: {name: arrays[f"{row}/{name}"] for name in names} for row in entry.rows}
                return Fit(table, meta["fit_seconds"], meta["events_per_second"], meta["parameters"])
        seconds = None if kept is None else kept[0]["fit_seconds"]
        if saved:
            detector = load_detector(stored)  # other regions or forms: score again, do not fit again
        elif not entry.fitted:
            with _missing_library(entry):
                start = time.perf_counter()
                detector.fit(self.events.training)
                seconds = time.perf_counter() - start
        if entry.kind != "supervised" and learned_from_signal(detector):
            raise TrainingError(f"entry {entry.name!r} has learned from signal: its kind must be 'supervised'")
        detector.save(stored)
        table, speed = _score(entry, detector, {name: self.events.held_out[name] for name in names})
        meta = {
            "mark": mark,
            "held_out": held_out,
            "rows": list(entry.rows),
            "detector": storage.digest(stored),
            "fit_seconds": seconds,
            "events_per_second": speed,
            "parameters": _parameters(detector),
        }
        arrays = {f"{row}/{name}": one for row, found in table.items() for name, one in found.items()}
        with storage.new_folder(path) as temporary:
            storage.write(temporary, _KIND, meta, arrays)
        return Fit(table, seconds, speed, meta["parameters"])

    def make(self, entry: Entry, seed: int, signal: str) -> Detector:
        """The entry's detector, not fitted; its parts are."""
        given: dict[str, Any] = {"signal": self.events.signals[signal]} if signal else {}
        if entry.parts:
            if unknown := [name for name in entry.parts if name not in self.registry]:
                raise HepmtpError(
                    f"entry {entry.name!r} is made from {', '.join(unknown)}, which is not in this league"
                )
            parts = [self.registry[name] for name in entry.parts]
            given["detectors"] = [self.part(part, seed) for part in parts]
        with _missing_library(entry):
            return entry.make(seed, **given)

    def part(self, entry: Entry, seed: int) -> Detector:
        """A fitted detector that another entry is made from."""
        self.fit(entry, seed, as_part=True)
        return load_detector(self.folder / "detectors" / self.place(entry, seed))

    def mark(self, entry: Entry, detector: Detector, seed: int, signal: str) -> str:
        """Says what would be fitted: another class, option, seed, event or hepmtp gives another mark."""
        what = re.sub(r" at 0x[0-9a-f]+", "", repr(detector))
        used = [self.events.digests["training"], *([self.events.digests[f"signal {signal}"]] if signal else [])]
        parts = [
            storage.digest(self.folder / "detectors" / self.place(self.registry[one], seed)) for one in entry.parts
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
        return f"{entry.name}-{seed if entry.seeded else 0}{f'-{signal}' if signal else ''}"


_KIND = "hepmtp league scores"


def _digest(events: ak.Array) -> str:
    columns = [ak.num(events.Particle), *(ak.flatten(events.Particle[name]) for name in PARTICLE_FIELDS)]
    columns += [events.MET.pt, events.MET.phi, events.weight, events.event, events.source]
    total = hashlib.sha256()
    for column in columns:
        total.update(np.ascontiguousarray(ak.to_numpy(column)).tobytes())
    return total.hexdigest()


def _kept(path: Path, mark: str) -> tuple[dict[str, Any], dict[str, Floats]] | None:
    """Scores that an earlier call has left, if they are of the same fit; damaged ones are none."""
    try:
        meta, arrays = storage.read(path, _KIND)
    except ScoreError:
        return None
    return (meta, arrays) if meta["mark"] == mark else None


def _same(path: Path, digest: str) -> bool:
    try:
        return storage.digest(path) == digest
    except ScoreError:
        return False


def _score(
    entry: Entry, detector: Detector, held_out: Mapping[str, ak.Array]
) -> tuple[dict[str, dict[str, Floats]], float]:
    """Scores of every row of an entry, and events per second of the detector's own form."""
    forms = {row: detector.with_score(form) if form else detector for row, form in entry.rows.items()}  # type: ignore[attr-defined]
    found: dict[str, dict[str, Floats]] = {row: {} for row in forms}
    seconds = 0.0
    for name, events in held_out.items():  # data set by data set: forms share what the last one has computed
        for row, one in forms.items():
            start = time.perf_counter()
            found[row][name] = np.asarray(one.score(events), dtype=np.float64)
            seconds += (time.perf_counter() - start) * (row == entry.name)
            if found[row][name].shape != (len(events),) or not np.isfinite(found[row][name]).all():
                raise ScoreError(f"entry {row!r} does not give each of {len(events)} events of {name} a finite score")
    return found, sum(map(len, held_out.values())) / seconds


def _parameters(detector: Detector) -> int | None:
    """Number of fitted parameters; None where it means nothing."""
    known = getattr(detector, "n_parameters", None)
    if known is not None:
        return int(known) or None
    weights = getattr(getattr(detector, "model_", None), "parameters", None)
    return sum(one.numel() for one in weights()) if callable(weights) else None


@contextlib.contextmanager
def _missing_library(entry: Entry) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise HepmtpError(
            f'entry {entry.name!r} needs {error.name}, which is not installed: run pip install "hepmtp[league]", or choose '
            "others with --only"
        ) from None


_LEGEND = (
    "± is the statistical error of one seed, 'over seeds' the standard deviation over trainings. 'Over the best other' and "
    "'over the best observable' are differences of the balanced AUC on the same events to the best background-only entry and "
    "the best plain observable that are not the row's own, 'over the chosen one' to an entry named beforehand; 'of the ceiling' is (AUC - 0.5) / (AUC with labels - 0.5). Working "
    "points and SIC are weighted by cross-section and given where at least 25 raw background events pass."
)


_BESIDE = (
    "**Beside the published rows of the same signals** (arXiv:2105.14027): the place that each would have by AUC, weighted by "
    "cross-section. That is no contest: those models saw other events, other cuts and another detector simulation."
)


def _places(found: Sequence[Place]) -> Cells:
    header = ["Signal", "Region", "Detector", "AUC", "Channel", "Place", "Best published", "Its AUC"]
    return Cells(header, [
        [one.row.signal, one.row.chan, one.row.model, f"{one.row.auc:.3f}", one.chan, f"{one.place} of {one.of}",
         one.best.model, f"{one.best.auc:.3f}"]
        for one in found
    ])  # fmt: skip


def _write(league: League, events: _Events, entries: Sequence[Entry], seeds: Sequence[int], command: str) -> None:
    """Tables of a league into its folder."""
    write_csv(league.folder / "league.csv", league.rows)
    counts = {name: len(one) for name, one in events.held_out.items()}
    content = {
        "command": command,
        "versions": versions(),
        "seeds": list(seeds),
        "training events": len(events.training),
        "held-out events": counts,
        "entries": [{"name": one.name, "kind": one.kind, "note": one.note} for one in entries],
        "rows": [row._asdict() for row in league.rows],
    }
    lines = [f"Made by `{command}`.", ""] if command else []
    size = f"{len(events.training)} background events, scored on {sum(counts.values())} others"
    lines += [f"Trained on {size}; means over {len(seeds)} seed(s); best first. {_LEGEND}", ""]
    for heading, table in league.tables:
        lines += [*(["---", ""] if heading.endswith("ceiling") else []), f"**{heading}**", "", markdown(table)]
    if league.places:
        lines += [_BESIDE, "", markdown(_places(league.places))]
    if notes := [f"- {one.name}: {one.note}" for one in entries if one.note]:
        lines += ["What the entries are:", "", *notes, ""]
    texts = {
        "league.json": json.dumps(content, indent=1, ensure_ascii=False) + "\n",
        "league.md": "\n".join(lines),
        "challenge.csv": challenge_table(league.challenge),
    }
    for name, text in texts.items():
        with storage.new_file(league.folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def draw_league(
    folder: Path, entrants: Sequence[Entrant], rows: Sequence[LeagueRow], *, caption: Caption = SIMULATION
) -> None:
    """Draw ROC and SIC of the best of each kind and of the one compared with (first seed), and the AUC of all."""
    signal, region = rows[0].signal, rows[0].region
    title = f"{plotting.process_style([signal])[signal][0]}, {region}"
    best = {kind: [row.detector for row in rows if row.kind == kind] for kind in KINDS}
    compared = [row.against for row in rows if row.against][:1]
    shown = [*best["supervised"][:1], *best["background-only"][:3], *best["observable"][:1], *compared]
    of_name = {one.name: one for one in entrants}
    curves = {name: of_name[name].scores[0].roc() for name in shown}
    bars = [
        Bar(row.detector, row.kind, row.auc_balanced, row.auc_balanced_error, row.auc_balanced_spread) for row in rows
    ]
    for kind, figure in (
        ("roc", plotting.roc(curves, title=title, caption=caption)),
        ("sic", plotting.sic(curves, title=title, caption=caption)),
        ("auc", auc_bars(bars, title=title, caption=caption)),
    ):
        plotting.save(figure, folder / "figures", f"{kind}_{signal}_{region}")

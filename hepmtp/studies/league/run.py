"""Run a league: fit and score all entries, compare them, and write the result.

The rule: a detector trained with labels is an upper bound, shown apart; no other detector is
compared with it. The signal region is fitted, and its rows are ordered by the significance; other
regions are ordered by AUC. In memory are the events that detectors are fitted on, and of all others
the scores; these events are on disk.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hepmtp.datasets.manifest import Dataset
from hepmtp.errors import HepmtpError, OptionError
from hepmtp.events.folds import folds as folds_of
from hepmtp.events.regions import SR, region_named
from hepmtp.plotting import OWN_FILES, SIMULATION
from hepmtp.report.run_fit import FitRow
from hepmtp.run.proportions import MOST_EVENTS
from hepmtp.run.scratch import scratch_folder
from hepmtp.statistics.agreement import Agreement, agreements
from hepmtp.studies.league.challenge import ChallengeRow, places
from hepmtp.studies.league.entries import ENTRIES
from hepmtp.studies.league.entry import Entry, tiny
from hepmtp.studies.league.fits import Fitting
from hepmtp.studies.league.folder import League, draw_league, write_league
from hepmtp.studies.league.league_events import LeagueEvents
from hepmtp.studies.league.table import Fit, challenge_mean, enter, league_rows
from hepmtp.studies.league.text import tables

log = logging.getLogger(__name__)


#: Folds of a full league.
FOLDS = 5

#: Called before each fit with what comes now, how many are done and how many there are.
FitProgress = Callable[[str, int, int], None]


def run_league(
    folder: str | Path,
    datasets: Sequence[Dataset],
    entries: Sequence[Entry],
    *,
    seeds: Sequence[int] = (0, 1, 2),
    regions: Sequence[str] = ("preselection", "SR"),
    folds: int = 1,
    stop: int | None = None,
    most_events: int = MOST_EVENTS,
    published: Sequence[ChallengeRow] = (),
    command: str = "",
    against: str = "",
    quick: bool = False,
    figures: bool = True,
    pdf: bool = False,
    progress: FitProgress | None = None,
) -> League:
    """Fit and score every entry, compare them, and write tables and figures.

    Parameters
    ----------
    folder
        if it holds a league of the same events and options, what that has fitted is not fitted
        again.
    datasets
        background and signals.
    entries
        who takes part.
    folds
        trainings of each entry and seed (3 or more), cross-fitted, so that all events are scored.
        1 or 0: one training on 70 % of the background, scored on 30 % of all.
    stop
        only the first `stop` events of each file; significances are then those of so few.
    most_events
        detectors are fitted on the first events of each file, so many of the background in all
        (:func:`hepmtp.run.proportions.fair_stop`). What learns from a signal gets as many of it.
        They take up to 2 kB each in memory. All events are scored.
    published
        rows of the challenge to be compared with
        (:func:`hepmtp.studies.league.challenge.read_challenge`).
    command
        command line that makes this league again, for the reader.
    against
        name of an entry that all others are compared with, too; its form of the score is theirs, if
        it has that.
    quick
        `parts` of entries that take no part themselves are tiny ones.
    figures
        draw them: it takes some seconds for each signal and region.
    pdf
        write them as PDF, beside the PNG.

    Raises
    ------
    HepmtpError
        if a library is missing, or no region has events of a signal and of the background.
    ManifestError
        if there is no data set of background or of signal.
    OptionError
        if names or seeds repeat or are missing, no entry is called `against`, or the folds are two.
    """
    folder = Path(folder)
    _check(entries, seeds, against)
    if folds > 1:
        _ = folds_of(folds)  # an impossible number is refused before events are read
    judged = [region_named(name) for name in regions]
    known = {name: tiny(entry) if quick else entry for name, entry in ENTRIES.items()}
    registry = {**known, **{entry.name: entry for entry in entries}}
    with _scratch(folder) as scratch:
        events = LeagueEvents.read(datasets, judged, stop, folds, scratch, most=most_events)
        fits = _fits(Fitting(folder, events, registry), entries, seeds, progress)
    rows, challenge, search = [], [], []
    agreement: dict[tuple[str, str, float], Agreement] = {}
    remarks = events.search.remarks
    for signal in events.signals:
        for region in regions:
            if not events.holds(signal, region):
                log.warning(
                    "region %s holds no events of %s or of the background: no table", region, signal
                )
                continue
            entrants = enter(
                entries,
                fits,
                events.columns,
                background=events.background,
                signal=signal,
                region=region,
            )
            fitted: dict[str, list[FitRow]] = {}
            if region == SR.name:  # the score is fitted there
                fitted, said = events.search.fits(entrants, events.background, signal)
                remarks += said
                for one in entrants:
                    where = {"score": one.name, "region": region, "signal": signal}
                    of_seeds = agreements(one.scores, **where)
                    agreement |= {(row.score, row.sample, row.upper): row for row in of_seeds}
            found = league_rows(entrants, against=against, folds=events.folds, fits=fitted)
            rows += found
            means = [challenge_mean(one) for one in entrants]
            challenge += means
            kinds = (one.entry.kind for one in entrants)
            search += [one for one, kind in zip(means, kinds, strict=True) if kind != "supervised"]
            if figures:
                caption = SIMULATION if all(dataset.embedded for dataset in datasets) else OWN_FILES
                draw_league(folder, entrants, found, pdf=pdf, caption=caption)
    if not rows:
        raise HepmtpError(
            f"no event of a signal and of the background in {', '.join(regions)}: give more events"
        )
    remarks = remarks if any(row.region == SR.name for row in rows) else []
    league = League(
        folder, rows, tables(rows), challenge, places(search, published), remarks,
        list(agreement.values()),
    )  # fmt: skip
    write_league(league, events, entries, seeds, command)
    return league


@contextlib.contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A place for events in a league's folder, which is not made for events that are refused."""
    was_there = folder.exists()
    try:
        with scratch_folder("league", folder) as scratch:
            yield scratch
    finally:
        if not was_there:
            with contextlib.suppress(OSError):  # not empty: there is a league
                folder.rmdir()


def _fits(
    fitting: Fitting,
    entries: Sequence[Entry],
    seeds: Sequence[int],
    progress: FitProgress | None,
) -> dict[tuple[str, str], list[Fit]]:
    """(entry, signal) -> one per seed; the signal is "" for entries that know none."""
    runs = [
        (entry, signal, seed)
        for entry in entries
        for signal in (fitting.events.signals if entry.kind == "supervised" else ("",))
        for seed in (seeds if entry.seeded else seeds[:1])
    ]
    fits: dict[tuple[str, str], list[Fit]] = {}
    for done, (entry, signal, seed) in enumerate(runs):
        if progress:
            progress(f"{entry.name}, seed {seed}{f', {signal}' if signal else ''}", done, len(runs))
        fits.setdefault((entry.name, signal), []).append(fitting.fit(entry, seed, signal))
    return fits


def _check(entries: Sequence[Entry], seeds: Sequence[int], against: str) -> None:
    names = [row for entry in entries for row in entry.rows]
    if not names or len(set(names)) != len(names):
        raise OptionError(
            "a league needs entries, each with a name of its own; found "
            f"{', '.join(names) or 'none'}"
        )
    if against and against not in {
        *names,
        *(row for entry in ENTRIES.values() for row in entry.rows),
    }:
        raise OptionError(
            f"there is no entry {against!r} to compare with; there are {', '.join(names)}"
        )
    if not seeds or len(set(seeds)) != len(seeds):
        raise OptionError(f"a league needs seeds, each once; found {list(seeds)}")
    absent = {
        entry.name: missing
        for entry in entries
        if (missing := [name for name in entry.libraries if importlib.util.find_spec(name) is None])
    }
    if absent:
        libraries = ", ".join(sorted({one for names in absent.values() for one in names}))
        raise HepmtpError(
            f"{', '.join(absent)}: {libraries} not installed; "
            'run pip install "hepmtp[league]", or choose others with --only'
        )

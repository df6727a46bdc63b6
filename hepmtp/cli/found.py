"""What a run has found, said in the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hepmtp.cli.terminal import say


def say_found(folder: Path, *, but: Iterable[str] = ()) -> None:
    """Say what a run has found, but for the sentences that are said elsewhere."""
    from hepmtp.report.info import read_info
    from hepmtp.report.page import conclusions
    from hepmtp.report.story import fit_story
    from hepmtp.report.tables import read_csv

    table, info = folder / "performance.csv", read_info(folder)
    found = conclusions(read_csv(table), info) if table.exists() else []
    fit = fit_story(folder)
    found += [] if fit is None else fit.sentences
    for sentence in [*found, *(one for one in info.remarks if one not in but)]:
        say(f"- {sentence}")
    say(f"The report: {folder / 'report.html'}")

"""The report of a run made again from the numbers of its folder: its figures, and the page.

The rule: figures that need what the folder does not hold, of tokens for instance, stay as they are.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from hepmtp.report.attempts import Attempts
from hepmtp.report.figures import draw_scores
from hepmtp.report.fit_folder import draw_after
from hepmtp.report.info import read_info, read_json, write_json
from hepmtp.report.numbers import load_output
from hepmtp.report.page import write_page
from hepmtp.report.run_workspace import open_run
from hepmtp.report.story import FIT
from hepmtp.statistics.histogram_files import load


def report_again(folder: str | Path, *, pdf: bool = False) -> Path:
    """Draw a run's figures again, and write its page; gives the path of the page.

    A figure that cannot be drawn now stays as it was, with a warning.

    Parameters
    ----------
    folder
        of the run.
    pdf
        write figures as PDF, too; a run that had them has them again.

    Raises
    ------
    StorageError
        naming the file of the folder that is missing or damaged.
    """
    folder, info = Path(folder), read_info(folder)
    info = replace(info, pdf=pdf or info.pdf)
    attempt, kept = Attempts(), load(folder / "histograms.json")
    scores = {name: h for name, h in kept.items() if name in info.scores}
    if info.detector in scores:
        drawn = draw_scores(folder, load_output(folder), scores, info, attempt)
        names = {one.name for one in drawn}
        others = [one for one in info.figures if one.name not in names]
        write_json(folder / "run.json", asdict(replace(info, figures=[*drawn, *others])))
    if (place := folder / FIT / "fit.json").exists():
        attempt("the figure after the fit", partial(_after_fit, folder, place))
    return write_page(folder)


def _after_fit(folder: Path, place: Path) -> None:
    draw_after(open_run(folder), read_json(place).get("expected", {}))

"""The report of a run made again from the numbers of its folder: its figures, and the page.

The rule: figures that need what the folder does not hold, of tokens for instance, stay as they are.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from hepmtp.report.attempts import Attempts
from hepmtp.report.bound import changes
from hepmtp.report.figures import draw_scores
from hepmtp.report.fit_figures import draw_after
from hepmtp.report.info import RUN, RunInfo, read_json, write_json
from hepmtp.report.numbers import load_histograms, load_output
from hepmtp.report.page import write_page
from hepmtp.report.run_workspace import Run
from hepmtp.report.seal import changed, check_run, without_digests
from hepmtp.report.story import CALIBRATED, FIT
from hepmtp.statistics.histogram_files import load

log = logging.getLogger(__name__)
#: Files of the figure after the fit, which is drawn again.
AFTER = tuple(f"{FIT}/{CALIBRATED}.{kind}" for kind in ("png", "pdf"))


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
    folder = Path(folder)
    info = check_run(folder, but=("figures", *AFTER))
    for sentence in changes(info):
        log.warning("%s", sentence)
    with without_digests(folder, info), changed(folder, info) as new:
        _draw(new, replace(info, pdf=pdf or info.pdf))
    return folder / "report.html"


def _draw(folder: Path, info: RunInfo) -> None:
    """Draw into a linked copy of the folder."""
    attempt, kept = Attempts(), load(folder / "histograms.json")
    scores = {name: h for name, h in kept.items() if name in info.scores}
    if info.detector in scores:
        drawn = draw_scores(folder, load_output(folder), scores, info, attempt)
        names = {one.name for one in drawn}
        others = [one for one in info.figures if one.name not in names]
        if info.outputs:
            again = [f"figures/{name}.{end}" for name in names for end in ("png", "pdf")]
            check_run(folder, but=[*again, *AFTER])
        write_json(folder / RUN, asdict(replace(info, figures=[*drawn, *others])))
    if (place := folder / FIT / "fit.json").exists():
        attempt("the figure after the fit", partial(_after_fit, folder, info, place))
    write_page(folder)


def _after_fit(folder: Path, info: RunInfo, place: Path) -> None:
    run = Run(folder, info, load_histograms(folder))
    draw_after(run, read_json(place).get("expected", {}))

"""Commands on the folder of a run: compare two regions, make the report again.

The rule: nothing is scored again.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.table import Table

from hepmtp.cli.options import Pdf
from hepmtp.cli.terminal import add_row, say, show
from hepmtp.errors import OptionError


def compare(
    run: Annotated[
        Path,
        typer.Argument(help="Folder that `hepmtp run` or `hepmtp demo` wrote.", show_default=False),
    ],
    regions: Annotated[
        tuple[str, str] | None,
        typer.Option(
            help="Where the cut is applied, and where the threshold comes from; by default the "
            "first signal and the first control region of the run.",
            show_default=False,
        ),
    ] = None,
    detector: Annotated[
        str | None, typer.Option(help="Name of a score; by default the one that the run is about.")
    ] = None,
    quantile: Annotated[
        float,
        typer.Option("--threshold-quantile", help="Share of the background below the threshold."),
    ] = 0.99,
    pdf: Pdf = False,
) -> None:
    """Compare a score between two regions: the background's shape, and what passes a threshold.

    Prints a table, and writes it and a figure into the run's folder. Regions are those of the run.

    Example: `hepmtp compare results --regions SR CR --threshold-quantile 0.95`
    """
    from hepmtp.report.drawn_figures import coarse
    from hepmtp.report.figures import draw_regions, pairs
    from hepmtp.report.page import titles
    from hepmtp.report.rows import passing, said_of_data, write_table
    from hepmtp.report.seal import changed, check_run, without_digests
    from hepmtp.report.tables import cells, records
    from hepmtp.statistics.comparison import compare as compare_regions
    from hepmtp.statistics.histogram_files import load
    from hepmtp.storage import file_name

    info = check_run(run)
    with without_digests(run, info):
        scores = load(run / "histograms.json")
    detector = detector or info.detector
    if detector not in scores:
        raise OptionError(f"{run} has no score {detector!r}; it has {', '.join(sorted(scores))}")
    h = scores[detector]
    regions = regions or next(iter(pairs(info.regions)), None)
    if regions is None:
        raise OptionError(
            f"{run} has no signal and control region: name two of "
            f"{', '.join(one.name for one in info.regions)} with --regions"
        )
    shown = replace(info, pdf=pdf or info.pdf)
    with without_digests(run, info):
        shape = compare_regions(coarse(h), *regions, datasets=info.background)
        rows = passing(h, info, regions, quantile=quantile)
    name = file_name(f"{detector}-{regions[0]}-{regions[1]}")
    for sentence in info.incomplete:
        say(f"incomplete: {sentence}")
    say(f"background, shape in {regions[0]} against {regions[1]}: {shape.verdict}")
    with changed(run, info) as new:
        if rows:
            write_table(new / name, rows, info)
        draw_regions(new, h, shown, regions, quantile=quantile, name=name)
    if rows:
        text = cells(records(rows), titles=titles(info.content))
        table = Table(box=SIMPLE, show_header=False)
        for line in zip(text.header, *text.rows, strict=True):
            add_row(table, *line)
        show(table)
    if observed := said_of_data(h, info, regions, quantile=quantile):
        say(observed)
    say(run / "figures" / f"{name}.png")


def report(
    run: Annotated[Path, typer.Argument(help="Folder that `hepmtp run` or `hepmtp demo` wrote.")],
    pdf: Pdf = False,
) -> None:
    """Write the report of a run as one page, report.html, that needs no other file.

    Figures of scores and cuts are drawn again from the numbers of the run's folder.

    Example: `hepmtp report results`
    """
    from hepmtp.report.again import report_again

    say(report_again(run, pdf=pdf))

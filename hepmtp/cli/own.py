"""Options of a run that name what is a user's own: regions, variables, a processor.

The rule: a file's words are Python, so only files that are named are run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hepmtp.errors import OptionError

if TYPE_CHECKING:
    from hepmtp.datasets.manifest import Dataset
    from hepmtp.folders import Place

Regions = Annotated[
    list[str] | None,
    typer.Option(
        metavar="WORD",
        help="Regions: names by comma (chan3 is Dark Machines' channel 3), or FILE.py:NAME of your "
        "own; may be repeated. By default those of four tops; jets: those of jets as events.",
    ),
]
Variables = Annotated[
    list[str] | None,
    typer.Option(
        metavar="WORD",
        help="Variables to fill beside the scores: n_jets, n_b, ht, met by comma, or FILE.py:NAME "
        "of your own; may be repeated. Of jets as events: mass, multiplicity, pt and width.",
    ),
]
Columns = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write the scores event by event: a folder NAME.parquet, or NAME.root with a friend "
        "tree for each input file. Workers write it, so the report has no separation and no ROC.",
    ),
]
ProcessorOption = Annotated[
    str | None,
    typer.Option(
        "--processor",
        metavar="FILE.py:CLASS",
        help="Your own processor, a class that derives from processors.anomaly.AnomalyProcessor.",
    ),
]


def processor_of(word: str | None, *, jets: bool = False) -> Any:
    """The class of the processor of a run: ours, that of jets, or a user's that derives from it."""
    from hepmtp.run.own_code import own
    from processors.anomaly import AnomalyProcessor

    found: Any = AnomalyProcessor
    if word is not None:
        found = own(word, "--processor")
    elif jets:  # torch comes with it
        from processors.jets import JetProcessor

        found = JetProcessor
    if not (isinstance(found, type) and issubclass(found, AnomalyProcessor)):
        raise OptionError(
            f"--processor {word} is no such class, expected a class that derives from "
            "processors.anomaly.AnomalyProcessor; run others by coffea's own Runner and events_from"
        )
    return found


def columns_place(target: Path | None, place: Place) -> Path | None:
    """Where the file of --columns is written; within the folder of the run, it comes with that."""
    if target is None or not target.resolve().is_relative_to(place.path):
        return target
    return place.new / target.resolve().relative_to(place.path)


def write_columns(
    target: Path,
    folder: str,
    found: Mapping[str, Any],
    datasets: Sequence[Dataset],
    *,
    unblind: bool,
) -> Path:
    """The file of --columns, made of what workers wrote into a folder, blind as the report."""
    from hepmtp.events.region_info import regions_of
    from hepmtp.report.blind import blind_regions
    from hepmtp.run.score_files import write_scores

    return write_scores(
        target,
        folder,
        found.get("parts", ()),
        factors={name: one.factor for name, one in found.get("normalisation", {}).items()},
        blind=() if unblind else blind_regions(found, regions_of(found)),
        data=[one.name for one in datasets if one.role == "data"],
    )

"""What a page tells beside the tables: what a fit finds, and which events are the strangest.

The rule: everything comes from files of the run's folder; what is not there is not told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hepmtp.events.region_info import named
from hepmtp.events.strangest import MOST
from hepmtp.report.columns import COLUMNS, load_columns
from hepmtp.report.info import FigureText, RunInfo, read_json
from hepmtp.report.strange_events import chosen, load_strangest, table
from hepmtp.report.tables import Cells, Record, cells, read_csv

#: Folder of a run that its fit is in.
FIT = "fit"
#: Name of the figure of the calibrated score, in the run and after the fit.
CALIBRATED = "calibrated"
#: Column titles of a fit's tables for the reader.
TITLES: Mapping[str, str] = {
    "score": "Score",
    "z": "Significance",
    "z_cautious": "Significance, cautious",
    "bins": "Bins",
    "region": "Region",
    "threshold": "Score at least",
    "simulated": "Simulated",
    "predicted": "Predicted by the fit",
    "observed": "Observed",
}


class FitStory(NamedTuple):
    """What a fit of a run says.

    Parameters
    ----------
    sentences
        one for each signal.
    remarks
        what the fit assumes or lacks.
    significances
        signal -> table of all scores, the strongest first.
    predictions
        the background of each region: simulated, and as the control regions predict it.
    figures
        words of its figures; the files are in the folder of the fit.
    """

    sentences: list[str]
    remarks: list[str]
    significances: list[tuple[str, Cells]]
    predictions: Cells
    figures: list[FigureText]


def fit_story(folder: str | Path) -> FitStory | None:
    """What the fit of a run says; None if it was not fitted.

    Raises
    ------
    StorageError
        naming the file that is damaged.
    """
    place = Path(folder) / FIT
    if not (place / "fit.json").exists():
        return None
    said = read_json(place / "fit.json")
    rows = read_csv(place / "fit.csv")
    predicted = place / "predictions.csv"
    return FitStory(
        sentences=list(said.get("sentences", ())),
        remarks=list(said.get("remarks", ())),
        significances=[
            (signal, _without([row for row in rows if row["signal"] == signal], "signal"))
            for signal in dict.fromkeys(row["signal"] for row in rows)
        ],
        predictions=_without(read_csv(predicted) if predicted.exists() else [], "incomplete"),
        figures=[FigureText(*one) for one in said.get("figures", ())],
    )


def strangest(folder: str | Path, info: RunInfo) -> Cells | None:
    """The events of the largest score in the signal regions, by data set, file and entry.

    Data are among them where they are not blind. Of a run of before its events were kept, what its
    columns say. None without either, or without a signal region.
    """
    regions = named(info.regions, "signal")
    if found := chosen(load_strangest(folder), info):
        return table(found)
    if not (regions and (Path(folder) / COLUMNS).exists()):
        return None
    rows: list[tuple[float, list[str]]] = []
    key = f"score:{info.detector}"
    for dataset, columns in load_columns(folder).items():
        masks = [columns[name] for one in regions if (name := f"region:{one}") in columns]
        if key not in columns or not masks:
            continue
        score = columns[key]
        inside = np.flatnonzero(np.any(masks, axis=0))
        largest = inside[np.argsort(-score[inside], kind="stable")[:MOST]]
        rows += [(float(score[i]), _event(dataset, columns, int(i), key)) for i in largest]
    rows.sort(key=lambda one: -one[0])
    header = ["Data set", "File", "Entry", "Score", "Weight"]
    return Cells(header, [row for _, row in rows[:MOST]]) if rows else None


def _event(dataset: str, table: Mapping[str, Any], i: int, score: str) -> list[str]:
    """Row of an event; a source is the number of its file, shown as hexadecimal."""
    source = int(table["source"][i]) & 0xFFFFFFFFFFFFFFFF
    weight = f"{float(table['weight'][i]):.3g}"
    value = f"{float(table[score][i]):.4g}"
    return [dataset, f"{source:016x}", str(int(table["event"][i])), value, weight]


def _without(rows: Sequence[Record], column: str) -> Cells:
    left = [{name: one for name, one in row.items() if name != column} for row in rows]
    return cells(left, titles=TITLES)

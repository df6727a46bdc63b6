"""The numbers of a run's folder: all that was computed, written before any table or figure.

The rule: what is drawn can be drawn again from these files.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hepmtp.report.columns import COLUMNS, load_columns, save_columns
from hepmtp.report.drawn_figures import Output
from hepmtp.report.info import RunInfo, write_json
from hepmtp.report.rows import VARIATIONS, write_numbers
from hepmtp.report.strange_events import load_strangest, save_strangest
from hepmtp.statistics.accounting import Accounting
from hepmtp.statistics.histogram_files import load, save
from hepmtp.statistics.histograms import Histogram, canonical

#: Histograms of what is cut on, and of background by each replica of a calibration.
N_MINUS_ONE, REPLICAS = "n_minus_one.json", "replicas.zip"


def load_histograms(folder: str | Path) -> dict[str, Histogram]:
    """Histograms of the scores and variables of a run, with its variations if it had any."""
    path = Path(folder) / VARIATIONS
    return load(path if path.exists() else Path(folder) / "histograms.json")


def load_output(folder: str | Path) -> dict[str, Any]:
    """What of a processor's output figures need beside the histograms, as far as it was kept."""
    folder = Path(folder)
    found: dict[str, Any] = {}
    if (folder / COLUMNS).exists():
        found["columns"] = load_columns(folder)
    if (folder / N_MINUS_ONE).exists():
        found["n_minus_one"] = load(folder / N_MINUS_ONE)
    return found | {"replicas": load_replicas(folder), "strangest": load_strangest(folder)}


def load_replicas(folder: str | Path) -> dict[str, Histogram]:
    """Background by each replica of a calibration, by the name of the calibrated score."""
    path = Path(folder) / REPLICAS
    return load(path) if path.exists() else {}


def write_first(
    folder: str | Path,
    info: RunInfo,
    histograms: Mapping[str, Histogram],
    output: Output,
    accounting: Accounting | None,
) -> None:
    """Write all that was computed."""
    folder = Path(folder)
    variables = {name: canonical(h) for name, h in output.get("variables", {}).items()}
    write_numbers(
        folder, info=info, histograms={**histograms, **variables}, cutflow=output["cutflow"]
    )
    if "cuts" in output:
        write_json(folder / "cuts.json", output["cuts"])
        save(folder / N_MINUS_ONE, output["n_minus_one"])
    if output.get("replicas"):
        save(folder / REPLICAS, output["replicas"])
    if "columns" in output:
        save_columns(folder, output["columns"])
    if output.get("strangest"):
        save_strangest(folder, output["strangest"])
    if accounting is not None:
        plain = {name: one.as_dict() for name, one in accounting.items()}
        write_json(folder / "accounting.json", plain)

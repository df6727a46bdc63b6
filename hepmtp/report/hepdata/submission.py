"""A run's folder as a HEPData submission: histograms, yields, efficiencies, tables and files.

The rule: nothing is measured anew but shares of what the folder holds, and data stay blind where
they are in the run. What the folder does not allow is a remark.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from hepmtp.datasets.lockfile import digest
from hepmtp.errors import OptionError
from hepmtp.events.region_info import wholes
from hepmtp.report.fit_folder import TITLES
from hepmtp.report.hepdata.efficiencies import efficiencies
from hepmtp.report.hepdata.rows import cutflows, of_rows, rows_of, yields
from hepmtp.report.hepdata.spectra import spectra
from hepmtp.report.hepdata.words import Numbers, defined
from hepmtp.report.info import RunInfo, read_json
from hepmtp.report.numbers import load_histograms
from hepmtp.report.page import titles
from hepmtp.report.rows import VARIATIONS
from hepmtp.report.seal import changed, check_run, without_digests
from hepmtp.report.story import FIT
from hepmtp.statistics.hepdata import Resource, Table, need_libraries, pack, write_submission
from hepmtp.statistics.histograms import Histogram

#: Name of the archive in the folder of a run.
ARCHIVE = "hepdata.tar.gz"
#: Tables of a run's folder, and of the folder of its fit: file -> name, what it holds.
ROWS: Mapping[str, tuple[str, str]] = {
    "performance": (
        "Separation",
        "How every score separates every signal from the background.",
    ),
    "selection": (
        "Selection",
        "What passes thresholds on the scores; those of the best separation know the signal.",
    ),
    "observed": ("Observed", "Data above thresholds on the scores, where they are not blind."),
    "fit/fit": ("Significance", "Expected significance of each score in a fit of all regions."),
    "fit/limits": (
        "Limits",
        "Strength of each signal, significances, and upper limits at 95 % CL.",
    ),
    "fit/visible": ("Visible", "Upper limits on any signal above thresholds of the score."),
    "fit/predictions": ("Predictions", "Background of each region as the others predict it."),
    "fit/events": ("Fitted events", "Events of each region before and after the fit."),
    "fit/pulls": ("Pulls", "Parameters after the fit, and how far it constrains them."),
    "fit/impacts": ("Impacts", "What each parameter does to the strength of the signal."),
}
#: Tables whose errors are more than statistical.
TOTAL = {"fit/visible", "fit/predictions", "fit/events", "fit/pulls"}
#: Folders of detectors in that of a run -> what they hold.
DETECTORS = {"detector": "The trained detector", "calibrated": "The calibrated score"}


class Written(NamedTuple):
    """Where a submission lies, the names of its tables and files, and what it lacks."""

    path: Path
    tables: tuple[str, ...]
    files: tuple[str, ...]
    remarks: tuple[str, ...]


def write_hepdata(
    run: str | Path, output: str | Path | None = None, *, scores: Sequence[str] = ()
) -> Written:
    """Write a HEPData submission of a run; hepdata-validator has passed it.

    Parameters
    ----------
    run
        folder that `write_run` or ``hepmtp run`` wrote, and ``hepmtp fit`` if it was fitted.
    output
        the archive, ``.tar.gz``; by default ``hepdata.tar.gz`` in the run's folder.
    scores
        whose histograms become tables; by default all. A file holds those of all.

    Raises
    ------
    StorageError
        if the folder is no run, or hepdata-validator refuses what came out.
    OptionError
        for a score that the run does not have.
    """
    need_libraries()
    run = Path(run)
    info = check_run(run)
    with without_digests(run, info):
        histograms = load_histograms(run)
    if unknown := [name for name in scores if name not in histograms]:
        raise OptionError(
            f"{run} has no score {', '.join(unknown)}; it has {', '.join(sorted(histograms))}"
        )
    shown = {name: h for name, h in histograms.items() if not scores or name in scores}
    numbers = Numbers(info)
    found = efficiencies(run, numbers, histograms)
    tables = [
        *yields(numbers, read_json(run / "cutflow.json")),
        *cutflows(numbers, read_json(cuts) if (cuts := run / "cuts.json").exists() else {}),
        *spectra(numbers, _ordered(shown, info)),
        *found.tables,
        *_rows(run, numbers),
    ]
    with tempfile.TemporaryDirectory(prefix="hepmtp-hepdata-") as temporary:
        files = list(_resources(run, Path(temporary)))
        if output:
            write_submission(Path(output), tables, comment=_comment(info), resources=files)
        else:
            with changed(run, info) as new:
                write_submission(new / ARCHIVE, tables, comment=_comment(info), resources=files)
    remarks = [*info.incomplete, *found.remarks, *_missing(run, files)]
    return Written(
        Path(output) if output else run / ARCHIVE,
        tuple(one.name for one in tables),
        tuple(one.path.name for one in files),
        tuple(remarks),
    )


def _ordered(histograms: Mapping[str, Histogram], info: RunInfo) -> dict[str, Histogram]:
    """Scores in the order of the run, that which it is about first, then variables."""
    order = [info.detector, *info.scores, *sorted(histograms)]
    return {name: histograms[name] for name in dict.fromkeys(order) if name in histograms}


def _rows(run: Path, numbers: Numbers) -> Iterator[Table]:
    for file, (name, text) in ROWS.items():
        if (path := run / f"{file}.csv").exists():
            words = TITLES if file.startswith(FIT) else titles(numbers.info.content)
            label = "total" if file in TOTAL else "stat"
            yield of_rows(numbers, name, text, rows_of(path), titles=words, label=label)


def _resources(run: Path, temporary: Path) -> Iterator[Resource]:
    """Files beside the tables; those that have to be packed are, in a folder that will go."""
    for path in sorted((run / FIT).glob("workspace-*.json")):
        signal = path.stem.removeprefix("workspace-")
        text = f"HistFactory workspace of the fit of {signal}, in the JSON of pyhf"
        yield Resource(path, _described(path, text), "HistFactory")
    every = path if (path := run / VARIATIONS).exists() else run / "histograms.json"
    text = "All histograms in all bins, with their variations, as uhi writes them"
    yield Resource(
        every, _described(every, f"{text}; hepmtp.statistics.histogram_files.load reads it")
    )
    for name, what in DETECTORS.items():
        if (run / name).is_dir():
            trained = pack(temporary / f"{name}.tar.gz", [run / name])
            text = (
                f"{what}, a folder of JSON and safetensors; hepmtp.load_detector reads it unpacked"
            )
            yield Resource(trained, _described(trained, text))


def _described(path: Path, text: str) -> str:
    return f"{text} ({path.stat().st_size} bytes, sha256 {digest(path)})"


def _missing(run: Path, files: Sequence[Resource]) -> Iterator[str]:
    if not any(one.kind == "HistFactory" for one in files):
        yield f"There is no workspace: hepmtp fit {run} writes it."
    if not (run / "detector").is_dir():
        yield f"There is no trained detector in {run}, so the submission has none."


def _comment(info: RunInfo) -> str:
    """What HEPData shows above the tables: what was done, on which events, and whose they are."""
    caption = info.caption or {}
    whose = " ".join(str(caption.get(key) or "") for key in ("experiment", "text")).strip()
    sources = {
        str(row["from"]): [one["name"] for one in info.datasets if one.get("from") == row["from"]]
        for row in info.datasets
        if row.get("from")
    }
    incomplete = " ".join(["This run is incomplete.", *info.incomplete]) if info.incomplete else ""
    regions = "; ".join(defined(one) for one in wholes(info.regions))
    parts = [
        f"{info.title}.",
        f"{whose}." if whose else "",
        info.note,
        incomplete,
        *info.summary,
        *(f"{', '.join(names)} from {source}." for source, names in sources.items()),
        f"Regions: {regions}.",
        f"Written by hepmtp {info.versions.get('hepmtp', '')}".rstrip() + ".",
    ]
    return " ".join(part for part in parts if part)

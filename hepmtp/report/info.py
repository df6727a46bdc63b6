"""What a run says of itself: the content of run.json."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from hepmtp.errors import StorageError
from hepmtp.events.region_info import RegionInfo, described, region_info
from hepmtp.events.regions import FORMER
from hepmtp.storage import is_signed, new_file

#: Name of the file that describes a run.
RUN = "run.json"
#: Said of every run on events that hepmtp simulated itself.
SIMULATION_NOTE = (
    "The events are hepmtp's own simulation; they are not ATLAS and not Dark Machines data."
)


class FigureText(NamedTuple):
    """Words of a figure: name of its files, caption, and what one who cannot see it is told."""

    name: str
    caption: str
    alt: str


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """What `run.json` holds.

    Parameters
    ----------
    title, summary
        heading, and paragraphs on what was done.
    note
        what kind of events these are; shown at the top and beside the data.
    command
        command line that makes this run again.
    background, signals, data
        names of the data sets of each role.
    detector, reference
        the score that the run is about, and the plain observable that it must beat.
    datasets
        one row per data set, column -> value, shown as a table.
    scores
        detector -> what its score is.
    figures
        in the order of the page; the first one stands at the top.
    seconds
        wall time.
    versions
        package -> version (see `versions`).
    regions
        the regions of the run, in their order.
    remarks
        sentences on what could not be made and why, shown with what was found.
    caption
        what figures claim (`plotting.Caption`); a run of before this was kept claims what its note
        says.
    content
        what sums of its weights are: "Events", or "Sum of weights"; the same.
    labels
        data set -> TeX label, of those that have one of their own.
    blind
        regions in which the data were not looked at.
    incomplete
        sentences on what was not read; a run without any is complete.
    overlaps
        pairs of regions that share an event.
    variations
        names of the systematic variations that its histograms have.
    pdf
        whether its figures are written as PDF, too.
    inputs
        data set -> its files: path, and what tells whether one has changed (size, identity).
    detectors
        folder of a detector that scored -> its digest.
    trainings
        score of which there are several trainings -> their names.
    supervised
        scores that have learned from signal.
    outputs
        file of the folder -> its sha256; empty before the folder is complete, and of a run from
        before this was kept.
    """

    title: str
    summary: Sequence[str]
    command: str
    background: Sequence[str]
    signals: Sequence[str]
    detector: str
    reference: str = "multiplicity"
    note: str = SIMULATION_NOTE
    datasets: Sequence[Mapping[str, Any]] = ()
    scores: Mapping[str, str] = field(default_factory=dict)
    figures: Sequence[FigureText] = ()
    seconds: float | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    regions: Sequence[RegionInfo] = ()
    remarks: Sequence[str] = ()
    data: Sequence[str] = ()
    caption: Mapping[str, Any] | None = None
    content: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    blind: Sequence[str] = ()
    incomplete: Sequence[str] = ()
    overlaps: Sequence[Sequence[str]] = ()
    variations: Sequence[str] = ()
    pdf: bool = False
    inputs: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    detectors: Mapping[str, str] = field(default_factory=dict)
    trainings: Mapping[str, Sequence[str]] = field(default_factory=dict)
    supervised: Sequence[str] = ()
    outputs: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.content:
            known = self.note == SIMULATION_NOTE
            object.__setattr__(self, "content", "Events" if known else "Sum of weights")


def write_json(path: Path, content: Any) -> None:
    """Write plain data into a file of a run's folder."""
    with new_file(path) as temporary:
        temporary.write_text(
            json.dumps(content, indent=1, ensure_ascii=False, default=dict) + "\n", encoding="utf-8"
        )


def plain(content: Any) -> Any:
    """Content as it is after it was written to json and read."""
    return json.loads(json.dumps(content, default=dict))


def versions(
    packages: Iterable[str] = ("awkward", "coffea", "hist", "numpy", "torch", "uproot"),
) -> dict[str, str]:
    """Versions of python, hepmtp and these packages, as installed."""
    found = {name: importlib.metadata.version(name) for name in packages}
    return {
        "python": platform.python_version(),
        "hepmtp": importlib.metadata.version("hepmtp"),
        **found,
    }


def read_info(folder: str | Path) -> RunInfo:
    """`run.json` of a run's folder; one that is missing or damaged raises StorageError."""
    path = Path(folder) / RUN
    content = read_json(path)
    marked = isinstance(content, dict) and content.pop("sha256", None) is not None
    if marked and not is_signed(path.read_text(encoding="utf-8")):
        raise StorageError(
            f"{path} has changed since it was written (its sha256 differs): copy it again, or run "
            "again"
        )
    try:
        figures = [FigureText(*one) for one in content.pop("figures", [])]
        # a run of before regions were described has the shipped ones
        regions = content.pop("regions", None) or sorted(described(FORMER))
        return RunInfo(**content, figures=figures, regions=[region_info(one) for one in regions])
    except (TypeError, AttributeError, ValueError, KeyError) as error:
        raise StorageError(
            f"{path} does not describe a run of this hepmtp ({error}); run again to write it"
        ) from None


def read_json(path: Path) -> Any:
    """Content of a json file of a run's folder; HepmtpError if it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StorageError(
            f"{path.parent} is not a finished run: {path.name} cannot be read ({error})"
        ) from None


def is_made_by(folder: str | Path, command: str) -> bool:
    """Whether a folder holds a run of a command that begins so."""
    try:
        return read_info(folder).command.startswith(command)
    except StorageError:
        return False

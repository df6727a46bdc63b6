"""The strangest events of a run: kept as a file of its folder, chosen, and told as a table.

The rule: ten of the simulated events, and ten of the data where these are not blind.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hepmtp.errors import StorageError
from hepmtp.events.particles import CONSTITUENT_TYPES
from hepmtp.events.region_info import named
from hepmtp.events.strangest import MOST, StrangeEvent, Strangest
from hepmtp.report.info import RunInfo, read_json, write_json
from hepmtp.report.tables import Cells

#: Name of the file in the folder of a run.
FILE = "strangest.json"
#: Types of particles in words; others are called as they are written.
KINDS: Mapping[str, str] = {
    "j": "jet", "b": "b-jet", "e+": "positron", "e-": "electron", "m+": "antimuon", "m-": "muon",
    "g": "photon",
}  # fmt: skip
#: Beginning of the names of the figures of these events.
STRANGE = "strange-"
#: Detector -> data set -> region -> its strangest events.
Kept = Mapping[str, Mapping[str, Mapping[str, Strangest]]]


class Chosen(NamedTuple):
    """An event that the report shows."""

    dataset: str
    region: str
    event: StrangeEvent

    @property
    def file(self) -> str:
        """The number of its file, hexadecimal."""
        return f"{self.event.source & 0xFFFFFFFFFFFFFFFF:016x}"

    @property
    def worst(self) -> str:
        """The particle of the largest surprise, in words; "" without surprises."""
        if not self.event.surprises:
            return ""
        i = int(np.argmax(self.event.surprises))
        kind = CONSTITUENT_TYPES[int(self.event.particles["type"][i])]
        kind = KINDS.get(kind, kind)
        pt, surprise = self.event.particles["pt"][i], self.event.surprises[i]
        return f"{kind} of {pt:.0f} GeV ({surprise:.1f})"


def save_strangest(folder: str | Path, kept: Kept) -> None:
    """Write what a processor kept."""
    plain = {
        detector: {
            dataset: {
                region: [event._asdict() for event in one.events]
                for region, one in of_dataset.items()
            }
            for dataset, of_dataset in sorted(of_detector.items())
        }
        for detector, of_detector in kept.items()
    }
    write_json(Path(folder) / FILE, plain)


def load_strangest(folder: str | Path) -> dict[str, dict[str, dict[str, Strangest]]]:
    """What `save_strangest` wrote; nothing of a run of before.

    Raises
    ------
    StorageError
        naming the file if it is damaged.
    """
    path = Path(folder) / FILE
    if not path.exists():
        return {}
    try:
        return {
            detector: {
                dataset: {
                    region: Strangest(tuple(StrangeEvent(**one) for one in events))
                    for region, events in of_dataset.items()
                }
                for dataset, of_dataset in of_detector.items()
            }
            for detector, of_detector in read_json(path).items()
        }
    except (TypeError, AttributeError) as error:
        raise StorageError(
            f"{path} holds no events of this hepmtp ({error}); run again to write it"
        ) from None


def chosen(kept: Kept, info: RunInfo) -> list[Chosen]:
    """The strangest events of the score that a run is about, those of simulation first.

    An event of two signal regions is shown in the first one.
    """
    regions = named(info.regions, "signal")
    found: dict[tuple[str, int, int], Chosen] = {}
    shown = {*info.background, *info.signals, *info.data}
    for dataset, of_regions in kept.get(info.detector, {}).items():
        for region in (one for one in regions if one in of_regions and dataset in shown):
            for event in of_regions[region].events:
                key = (dataset, event.source, event.event)
                found.setdefault(key, Chosen(dataset, region, event))
    ordered = sorted(found.values(), key=lambda one: (-one.event.score, one[0], one.event[1:3]))
    data = [one for one in ordered if one.dataset in info.data]
    return [*[one for one in ordered if one not in data][:MOST], *data[:MOST]]


def table(events: list[Chosen]) -> Cells:
    """Events by data set, file and entry, and by surprise if the score has any."""
    header = ["Data set", "File", "Entry", "Score", "Weight"]
    rows = [
        [one.dataset, one.file, str(one.event.event), f"{one.event.score:.4g}",
         f"{one.event.weight:.3g}"]
        for one in events
    ]  # fmt: skip
    if any(one.worst for one in events):
        header.append("Largest surprise [nat]")
        rows = [[*row, one.worst or "-"] for row, one in zip(rows, events, strict=True)]
    return Cells(header, rows)

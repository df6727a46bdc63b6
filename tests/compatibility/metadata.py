"""Every key of the metadata of a data set: what it changes, and what it cannot be."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import numpy as np

from compatibility import SAVED, Place, row
from compatibility.files import LINES

metadata = partial(row, "metadata")


def _yield(place: Place, given: dict[str, Any], path: Any = None) -> tuple[float, Any]:
    """The yield of all events, as a run of the AnomalyProcessor gives it."""
    from hepmtp.detectors import load_detector  # noqa: PLC0415 (the same)
    from hepmtp.events.regions import Region  # noqa: PLC0415 (awkward is slow)
    from processors.anomaly import AnomalyProcessor  # noqa: PLC0415 (the same)

    everything = Region("all events", "all", lambda events: np.ones(len(events), dtype=bool))
    detector: Any = load_detector(SAVED / "ht")
    detector.trained_ = ()  # nothing of these events
    processor = AnomalyProcessor([detector], regions=[everything])
    files = {"x": {"files": [str(path or place.files.csv)], "metadata": given}}
    found = place.look(files, function=processor)
    return found["cutflow"]["x"]["all"]["sumw"], found["normalisation"]["x"]


def _value(given: dict[str, Any], *, works: str | None = None, refused: str | None = None) -> None:
    """A row for metadata, whose first key is the subject."""

    @metadata(f"`{next(iter(given))}`", f"`{given}`", works=works, refused=refused)
    def _(place: Place) -> str:
        total, found = _yield(place, given)
        return f"a yield of {total:g}, of kind {found.kind!r}"


_value({"role": "background"}, works="a yield of 3.5, of kind 'none'")
_value({"role": "signal"}, works="a yield of 3.5, of kind 'none'")
_value({"role": "data"}, works="a yield of 3.5, of kind 'data'")
_value({"role": "Data"}, refused="the roles are background, signal, data")
_value({"isMC": False}, works="a yield of 3.5, of kind 'data'")
_value({"isMC": "true", "role": "signal"}, works="a yield of 3.5, of kind 'none'")
_value({"isMC": False, "role": "background"}, refused="correct one")
_value({"isMC": "perhaps"}, refused="expected true or false")
_value({"is_data": True}, works="a yield of 3.5, of kind 'data'")
_value({"is_data": True, "role": "signal"}, refused="correct one")
for _key in ("cross_section_pb", "xsec"):
    _value({_key: 0.5, "luminosity_ifb": 10}, works="a yield of 5000, of kind 'cross-section'")
    _value({_key: 1, "luminosity_ifb": 10}, works="a yield of 10000, of kind 'cross-section'")
    _value({_key: -1}, refused="expected a number above 0")
    _value({_key: "0.5"}, refused="expected a number above 0")
_value({"cross_section_pb": 1, "xsec": 1}, refused="keep one")
_value({"xsec": 0.5}, works="a yield of 3.5, of kind 'none'")
for _key in ("luminosity_ifb", "lumi"):
    _value({_key: 10}, works="a yield of 3.5, of kind 'weights'")
    _value({_key: 20, "xsec": 0.5}, works="a yield of 10000, of kind 'cross-section'")
    _value({_key: 59740}, refused="looks like 1/pb")
for _key in ("sum_weights", "sum_genweights"):
    _value({_key: 7, "xsec": 0.5, "lumi": 10}, works="a yield of 2500, of kind 'cross-section'")
    _value({_key: 0}, refused="expected a number above 0")
for _key in ("n_generated", "nevts"):

    @metadata(
        f"`{_key}`",
        f"`{{'{_key}': 4, 'xsec': 0.5, 'lumi': 10}}`, two events of weight 1",
        works="a yield of 2500, of kind 'cross-section'",
    )
    def _(place: Place, key: str = _key) -> str:
        path = place.files.text("ones.csv", (LINES[1], LINES[1]))
        total, found = _yield(place, {key: 4, "xsec": 0.5, "lumi": 10}, path)
        return f"a yield of {total:g}, of kind {found.kind!r}"

    _value({_key: 4, "sum_weights": 7}, refused="keep the sum of weights")
    _value({_key: 4, "xsec": 0.5, "lumi": 10}, works="a yield of 3.5, of kind 'none'")
    _value({_key: "4"}, refused="expected a number above 0")
_value({"energy_tev": 13.6}, works="a yield of 3.5, of kind 'none'")
_value({"energy_tev": 13000}, refused="the collision energy in TeV")


@metadata("`energy_tev`", "`13.6`, in the caption", works="13.6 TeV")
def _(place: Place) -> str:
    from hepmtp.datasets.names import select  # noqa: PLC0415 (as the commands do)

    place.folder.joinpath("f.json").write_text(
        json.dumps({"x": {"files": [str(place.files.csv)], "metadata": {"energy_tev": 13.6}}})
    )
    (one,) = select(["f.json"], [])
    return f"{one.energy_tev} TeV"


_value({"reader": "hepmtp:DarkMachinesCSV"}, works="a yield of 3.5, of kind 'none'")
_value({"reader": "hepmtp:NanoAOD"}, refused="tt.csv")
_value({"reader": "hepmtp:Nothing"}, refused="cannot be made")
_value({"reader": 4}, refused="expected 'package.module:Class'")
_value({"reader_options": {"on_bad": "skip"}}, works="a yield of 3.5, of kind 'none'")
_value({"reader_options": {"jets": "30,2.4"}}, refused="has no option 'jets'")
_value({"reader_options": {"units": "TeV"}}, refused="expected 'MeV' or 'GeV'")
_value({"reader_options": "a=b"}, refused="expected a mapping")
_value({"process": 4}, refused="expected text")


@metadata("`process`", "`'ttbar'`", works="process ttbar, label ttbar")
def _(place: Place) -> str:
    from hepmtp.datasets.names import select  # noqa: PLC0415 (as the commands do)

    place.folder.joinpath("f.json").write_text(
        json.dumps({"x": {"files": [str(place.files.csv)], "metadata": {"process": "ttbar"}}})
    )
    (one,) = select(["f.json"], [])
    return f"process {one.process}, label {one.label}"


def _year(events: Any) -> dict[str, set[Any]]:
    return {"year": {events.metadata["year"]}}


@metadata("any other", "`{'year': 2018}`", works="the processor sees 2018")
def _(place: Place) -> str:
    files = {"x": {"files": [str(place.files.csv)], "metadata": {"year": 2018}}}
    return f"the processor sees {place.look(files, function=_year)['year'].pop()}"


_value({"filename": "a.root"}, refused="coffea's own")

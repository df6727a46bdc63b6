"""What trained a detector is left out, and nothing else; data train only where that is said."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest

from hepmtp.datasets.files import fileset, read
from hepmtp.datasets.manifest import Dataset
from hepmtp.detectors import load_detector, trained_on
from hepmtp.detectors.combination import Combination
from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.detectors.observables import Observable
from hepmtp.detectors.token_rarity import TokenRarity
from hepmtp.errors import EventError, RegionError, TrainingError
from hepmtp.events.record import concatenate, make_events, metadata, role_of, with_metadata
from hepmtp.events.regions import CR, REGIONS, SR, sideband_of
from hepmtp.events.split import Trained, check_background, split_of, trained_by, unseen
from hepmtp.models.masked import ModelOptions
from hepmtp.run.executors import make_executor
from hepmtp.run.runner import HepRunner
from hepmtp.run.train import train_detectors
from hepmtp.statistics.normalisation import normalisation
from hepmtp.training.masking import TrainingOptions
from processors.anomaly import AnomalyProcessor
from processors.corpus import CorpusProcessor

pytestmark = pytest.mark.usefixtures("short_training")

TINY: dict[str, Any] = {
    "model": ModelOptions(width=16, feedforward=32, layers=1),
    "training": TrainingOptions(epochs=1),
    "tail_events": 200,
}


def events_of(source: int, n: int, role: Any = "background", first: int = 0) -> ak.Array:
    return make_events(
        counts=[1] * n,
        pt=[50.0] * n,
        eta=[0.0] * n,
        phi=[0.0] * n,
        energy=[51.0] * n,
        type=[0] * n,
        met=[10.0] * n,
        met_phi=[0.0] * n,
        event=range(first, first + n),
        source=source,
        role=role,
        dataset="x",
    )


def test_a_detector_remembers_which_entries_of_which_files() -> None:
    both = concatenate([events_of(7, 100), events_of(9, 50, first=20)])
    detector = Observable("ht").fit(both[::-1])
    assert detector.trained_ == (Trained(7, 0, 100), Trained(9, 20, 70))


@pytest.mark.parametrize(
    ("events", "left_out", "factors"),
    [
        (events_of(7, 200), "of the split", {1 / 0.3}),  # the very events
        (events_of(8, 200), "none", {1.0}),  # another file
        (events_of(7, 200, first=1000), "none", {1.0}),  # further entries of the same file
        (events_of(7, 200, "signal"), "of the split", {1 / 0.3}),  # whatever they are called now
    ],
)
def test_only_what_has_trained_is_left_out(
    events: ak.Array, left_out: str, factors: set[float]
) -> None:
    keep, factor = unseen(events, [Trained(7, 0, 1000)])
    expected = split_of(events) == "analysis" if left_out == "of the split" else np.ones(200, bool)
    np.testing.assert_array_equal(keep, expected)
    assert set(factor[keep].tolist()) == factors


def test_what_is_not_known_is_left_out_by_the_split() -> None:
    for role in ("background", "signal"):
        events = events_of(7, 200, role)
        keep, factor = unseen(events, None)
        np.testing.assert_array_equal(keep, split_of(events) == "analysis")
        assert set(factor.tolist()) == {1 / 0.3}
    assert unseen(events_of(7, 200, "data"), None)[0].all()


def test_memory_is_saved(few: ak.Array, tmp_path: Path) -> None:
    spans = trained_by(few)
    assert len(spans) == 4
    detectors = [
        Observable("ht").fit(few),
        TokenRarity().fit(few),
        MaskedTokenDetector(**TINY).fit(few),
        Combination([Observable("ht"), Observable("met")]).fit(few),
    ]
    for i, one in enumerate(detectors):
        one.save(tmp_path / str(i))
        loaded = load_detector(tmp_path / str(i))
        assert loaded.trained_ == one.trained_ == spans  # type: ignore[attr-defined]
    assert trained_on(detectors) == tuple(sorted(spans))
    assert detectors[2].with_score("sum").trained_ == spans
    assert trained_on([*detectors, load_detector(Path(__file__).parent / "saved" / "ht")]) is None


def dataset(name: str, path: Path, role: Any) -> Dataset:
    return Dataset(name=name, process=name, role=role, files=(str(path),))


@pytest.fixture(scope="module")
def files(in_every_format: Any) -> Any:
    return in_every_format({"ttbarW": 400, "ttbarZ": 100, "4top": 150}, chunk=200)["csv"]


def test_signals_and_other_files_keep_all_events(files: Any) -> None:
    """Trained on ttbarW alone: of ttbarZ, background too, nothing is thrown away."""
    trained = dataset("ttbarW", files["ttbarW"], "background")
    rest = [dataset("ttbarZ", files["ttbarZ"], "background"), dataset("s", files["4top"], "signal")]
    with make_executor("iterative", status=False) as executor:
        detectors = train_detectors(
            [trained], MaskedTokenDetector(**TINY), corpus=CorpusProcessor, executor=executor
        )
        output = HepRunner(executor)(fileset([trained, *rest]), AnomalyProcessor(detectors))
    (source,) = set(read([trained]).source.to_list())
    assert detectors[0].trained_ == (Trained(source, 0, 400),)  # type: ignore[attr-defined]
    raw = {name: one["all"]["raw"] for name, one in output["cutflow"].items()}
    analysis = int((split_of(read([trained])) == "analysis").sum())
    assert raw == {"ttbarW": analysis, "ttbarZ": 100, "s": 150}
    weight = {
        name: one["all"]["sumw"] / one["all"]["raw"] for name, one in output["cutflow"].items()
    }
    assert weight["ttbarW"] == pytest.approx(read([trained]).weight[0] / 0.3)
    assert weight["s"] == pytest.approx(read(rest[1:]).weight[0])


def test_a_renamed_copy_is_what_has_trained(files: Any, tmp_path: Path) -> None:
    events = read([dataset("ttbarW", files["ttbarW"], "background")])
    detector = Observable("ht").fit(events)
    copy = tmp_path / "signal region candidates.txt"
    copy.write_bytes(files["ttbarW"].read_bytes())
    renamed = read([dataset("new", copy, "signal")])
    keep, _ = unseen(renamed, detector.trained_)
    np.testing.assert_array_equal(keep, split_of(events) == "analysis")


def test_a_sideband_of_data_trains_only_if_that_is_said(files: Any) -> None:
    data = with_metadata(
        concatenate(
            read([dataset(name, files[name], "background")]) for name in ("ttbarW", "4top")
        ),
        dataset="data",
        role="data",
    )
    data = ak.with_field(data, np.ones(len(data)), "weight")
    with pytest.raises(TrainingError, match="Data train in a sideband that is named"):
        Observable("ht").fit(data)
    with pytest.raises(RegionError, match="SR is a signal region: data of it must not train"):
        sideband_of(data, SR)
    side = sideband_of(data, CR)
    assert len(side) == int(CR.select(data).sum()) > 10
    assert metadata(side) == {"dataset": "data", "role": "data", "sideband": "CR"}
    check_background(side)
    detector = Observable("ht").fit(side)
    assert {one.region for one in detector.trained_ or ()} == {"CR"}
    # of the data outside of CR nothing is left out, of CR what has trained
    output = AnomalyProcessor([detector], regions=REGIONS).process(data)
    inside = CR.select(data)
    part = split_of(side)
    assert output["cutflow"]["data"]["SR"]["raw"] == int(SR.select(data).sum())
    assert output["cutflow"]["data"]["all"]["raw"] >= int((~inside).sum())
    assert output["cutflow"]["data"]["CR"]["raw"] <= int((part == "analysis").sum()) + 1
    assert normalisation(output["normalisation"]["data"]).note.endswith("and are no counts")
    one = output["cutflow"]["data"]
    assert one["CR"]["sumw"] == pytest.approx(one["CR"]["raw"] / 0.3)
    assert one["SR"]["sumw"] == one["SR"]["raw"]


def test_sideband_is_for_data(files: Any) -> None:
    events = events_of(7, 10)
    assert sideband_of(events, CR) is events
    with pytest.raises(TrainingError, match="the sideband CR is one of data, and none of ttbarW"):
        train_detectors(
            [dataset("ttbarW", files["ttbarW"], "background")],
            MaskedTokenDetector(**TINY),
            corpus=CorpusProcessor,
            executor=None,
            sideband=CR,
        )


def test_an_old_detector_says_that_it_does_not_know(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    AnomalyProcessor([Path(__file__).parent / "saved" / "ht"])
    assert "ht: nobody knows which events trained this" in caplog.text


@pytest.mark.parametrize(
    ("found", "role"),
    [
        ({"role": "signal"}, "signal"),
        ({"isMC": False}, "data"),
        ({"isMC": "false"}, "data"),
        ({"is_data": 1}, "data"),
        ({"isMC": True}, None),
        ({"isMC": True, "role": "signal"}, "signal"),
        ({}, None),
    ],
)
def test_roles(found: dict[str, Any], role: str | None) -> None:
    assert role_of(found) == role


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"role": "Data"}, "role 'Data' is unknown; the roles are background, signal, data"),
        ({"role": "DATA"}, "the roles are background, signal, data"),
        ({"role": "bkg"}, "the roles are background, signal, data"),
        ({"role": ""}, "the roles are background, signal, data"),
        ({"isMC": False, "role": "background"}, "isMC is False, but the role is 'background'"),
        ({"isData": False, "role": "data"}, "isData is False, but the role is 'data'"),
        ({"isMC": "perhaps"}, "isMC is 'perhaps', expected true or false"),
    ],
)
def test_roles_that_are_refused(found: dict[str, Any], message: str) -> None:
    with pytest.raises(EventError, match=message):
        role_of(found)

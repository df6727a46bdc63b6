"""The strangest events: kept whole in any order, chosen, told and drawn; never of blind data."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.detectors import load_detector
from hepmtp.detectors.combination import Combination
from hepmtp.detectors.cross_fitted import CrossFitted
from hepmtp.detectors.masked_token.why import particle_surprises
from hepmtp.detectors.observables import Observable
from hepmtp.detectors.strangest import strangest, surprises_of
from hepmtp.errors import StorageError
from hepmtp.events.folds import fold_of
from hepmtp.events.region_info import RegionInfo
from hepmtp.events.strangest import MOST, StrangeEvent, Strangest
from hepmtp.report.info import RunInfo
from hepmtp.report.strange_events import chosen, load_strangest, save_strangest, table
from hepmtp.report.strange_figures import strange_figures

SAVED = Path(__file__).parent / "saved"


def one(score: float, event: int = 0, *, source: int = 7, surprises: Any = (0.5, 3.0)) -> Any:
    particles = {
        "pt": [50.0, 812.4], "eta": [0.1, -1.0], "phi": [0.0, 2.0], "energy": [60.0, 1300.0],
        "type": [0, 1],
    }  # fmt: skip
    given = None if surprises is None else list(surprises)
    return StrangeEvent(score, source, event, 0.25, 33.0, 1.0, particles, given, 0.1)


def info(**given: Any) -> RunInfo:
    regions = [
        RegionInfo(0, "CR", "", "control"),
        RegionInfo(1, "SR", "", "signal"),
        RegionInfo(2, "SR2", "", "signal"),
    ]
    names: dict[str, Any] = {"background": ["ttbarW"], "signals": ["4top"], "detector": "anomaly"}
    return RunInfo(title="", summary=[], command="", regions=regions, **names, **given)


@pytest.fixture(scope="module")
def events() -> Any:
    return read([dataset for dataset in embedded() if dataset.name == "4top"], stop=30)


@pytest.fixture(scope="module")
def masked() -> Any:
    return load_detector(SAVED / "masked_token")


def test_sums_keep_the_largest_in_any_order_and_grouping() -> None:
    scores = [3.0, 9.0, 3.0, 1.0, 7.0, 3.0] * 3
    parts = [Strangest((one(score, event),)) for event, score in enumerate(scores)]
    whole = Strangest()
    for part in parts:
        whole = whole + part
    assert [event.score for event in whole.events] == [9, 9, 9, 7, 7, 7, 3, 3, 3, 3]
    assert [event.event for event in whole.events[-4:]] == [0, 2, 5, 6]  # of equal ones the first
    for order in itertools.islice(itertools.permutations(range(3)), 6):
        groups = [sum(parts[i::3], Strangest()) for i in order]
        assert groups[0] + (groups[1] + groups[2]) == whole
    assert whole.scaled(2.0).events[0].weight == 0.5


def test_what_a_detector_keeps_of_events(events: Any, masked: Any) -> None:
    score, weight = masked.score(events), np.arange(30.0)
    kept = strangest(masked, events, score, weight)
    order = np.argsort(-score)[:MOST]
    assert [event.event for event in kept.events] == events.event[order].to_list()
    assert [event.weight for event in kept.events] == order.tolist()
    chunks = [slice(0, 11), slice(11, 30)]
    halves = [strangest(masked, events[part], score[part], weight[part]) for part in chunks]
    for event, same in zip((halves[1] + halves[0]).events, kept.events, strict=True):
        assert event._replace(surprises=None, met_surprise=None) == same._replace(
            surprises=None, met_surprise=None
        )
        assert event.surprises == pytest.approx(same.surprises, rel=1e-4)
    record = kept.events[0].record()
    assert record.Particle.tolist() == events[order[0]].Particle.tolist()
    assert float(record.MET.pt) == float(events[order[0]].MET.pt)
    assert strangest(masked, events[:0], score[:0], weight[:0]) == Strangest()


def test_surprises_are_those_of_the_model_inside(events: Any, masked: Any) -> None:
    plain = particle_surprises(masked.with_score("sum"), events).Particle
    assert surprises_of(Observable("ht"), events) is None
    both = Combination([Observable("ht"), masked.with_score("pt")], "avg")
    found = surprises_of(both, events)
    assert found is not None
    assert ak.all(found.Particle == plain)


def test_of_a_cross_fitting_each_event_has_those_of_its_own_training(
    events: Any, masked: Any
) -> None:
    other = load_detector(SAVED / "masked_token_joint")
    crossed = CrossFitted(masked, 3)
    crossed.members_ = (masked, other, masked)
    found, fold = surprises_of(crossed, events), fold_of(events, 3)
    assert found is not None
    for member, mine in ((masked, fold != 1), (other, fold == 1)):
        assert mine.any()
        right = particle_surprises(member.with_score("sum"), events[mine]).Particle
        np.testing.assert_allclose(ak.flatten(found.Particle[mine]), ak.flatten(right), rtol=1e-4)
    crossed.members_ = (masked, Observable("ht"), masked)
    assert surprises_of(crossed, events) is None


def test_ten_of_simulation_and_ten_of_data_are_shown_once_each(tmp_path: Path) -> None:
    kept = {
        "anomaly": {
            "ttbarW": {"SR": Strangest((one(5.0, 1),)), "SR2": Strangest((one(5.0, 1),))},
            "4top": {"SR": Strangest(tuple(one(20.0 - i, i) for i in range(MOST)))},
            "run2": {"SR": Strangest((one(99.0, 3, source=-1),))},
            "unknown": {"SR": Strangest((one(100.0),))},
        },
        "other": {"4top": {"SR": Strangest((one(1.0),))}},
    }
    save_strangest(tmp_path, kept)
    assert load_strangest(tmp_path) == kept
    found = chosen(load_strangest(tmp_path), info(data=["run2"]))
    assert [(each.dataset, each.event.score) for each in found] == [
        *(("4top", 20.0 - i) for i in range(MOST)),
        ("run2", 99.0),
    ]
    assert [each.dataset for each in chosen(kept, info())] == ["4top"] * MOST
    few = {"anomaly": {"ttbarW": kept["anomaly"]["ttbarW"]}}
    assert [each.region for each in chosen(few, info())] == ["SR"]
    cells = table(found)
    assert cells.rows[0] == [
        *("4top", "0000000000000007", "0", "20", "0.25", "b-jet of 812 GeV (3.0)"),
    ]
    assert cells.rows[-1][1] == "f" * 16
    assert cells.header[-1] == "Largest surprise [nat]"
    # a score that knows of no particle has no column for them
    bare = table([found[0]._replace(event=one(20.0, surprises=None))])
    assert bare.header[-1] == "Weight"
    assert [len(row) for row in bare.rows] == [len(bare.header)]
    assert load_strangest(tmp_path / "before") == {}


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "strangest.json").write_text(json.dumps({"anomaly": {"a": {"SR": [{"x": 1}]}}}))
    with pytest.raises(StorageError, match=r"strangest\.json holds no events of this hepmtp"):
        load_strangest(tmp_path)


def test_displays_say_which_event_and_which_particle() -> None:
    kept = {"anomaly": {"4top": {"SR": Strangest((one(20.0, 4), one(9.0, 5, surprises=None)))}}}
    ((name, draw),) = strange_figures(kept, info())  # none without surprises
    figure, caption = draw()
    assert name == "strange-1"
    assert caption == (
        r"Event 4 of $t\bar{t}t\bar{t}$, anomaly score 20: 2 particles and missing transverse "
        "momentum of 33 GeV, the darker the less expected, above all the b-jet of 812 GeV (3.0)."
    )
    plane = figure.axes[0]
    light = [float(each.get_facecolor()[0, :3].sum()) for each in plane.collections]
    assert light[1] < light[0]
    assert "b-jet 812" in [text.get_text() for text in plane.texts]


def test_plain_observables_are_scored_without_torch() -> None:
    code = (
        "import sys, hepmtp as hm\n"
        "from hepmtp.cli.own import processor_of\n"
        "from hepmtp.detectors.observables import Observable\n"
        "ht = Observable('ht').fit(hm.read(hm.embedded()[:1], stop=100))\n"
        "out = processor_of(None)([ht]).process(hm.read(hm.embedded()[1:2], stop=100))\n"
        "assert out['strangest']\n"
        "print('torch' in sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False"]

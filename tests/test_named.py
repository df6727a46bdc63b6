"""Detectors under other names, and what several trainings of a score select in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from contracts import check_detector

import hepmtp as hm
from hepmtp.cli import main
from hepmtp.detectors.named import Named, trainings_of
from hepmtp.detectors.observables import Observable
from hepmtp.errors import OptionError
from hepmtp.report.info import read_info
from hepmtp.report.tables import read_csv
from hepmtp.run.trained import new_training, save_detectors, saved_detectors

SAVED = Path(__file__).parent / "saved"


@pytest.fixture(scope="module")
def events() -> Any:
    return hm.read((one for one in hm.embedded() if one.name in ("ttbarW", "ttbarZ")), stop=300)


def test_contract(events: Any, tmp_path: Path) -> None:
    found = check_detector(lambda: Named(Observable("ht"), "mine"), events, tmp_path)
    assert found.name == "mine"


def test_it_has_all_that_the_detector_has(events: Any) -> None:
    calibrated = hm.Calibrated(Observable("met"), bootstrap=2).fit(events)
    mine = Named(calibrated, "mine")
    assert (mine.replicas(events) == calibrated.replicas(events)).all()
    assert mine.trained_ == calibrated.trained_
    assert not hasattr(mine, "nothing")
    with pytest.raises(OptionError, match="a name for ht is missing"):
        Named(Observable("ht"), "")


def test_trainings_are_known_by_the_name_that_they_have() -> None:
    ht, met = Observable("ht"), Observable("met")
    assert trainings_of([ht, met]) == {}
    assert trainings_of([ht, met, Named(ht, "a"), Named(met, "b"), Named(ht, "c")]) == {
        "ht": ("ht", "a", "c"),
        "met": ("met", "b"),
    }


def test_a_name_is_of_one_detector(tmp_path: Path) -> None:
    with new_training(tmp_path / "trained") as place:
        save_detectors(place.new, [Observable.load(SAVED / "ht")])
    with pytest.raises(OptionError, match=r"holds 1 detectors, and mine .* give mine=.*/ht$"):
        saved_detectors([f"mine={tmp_path / 'trained'}"])
    (found,) = saved_detectors([f"mine={tmp_path / 'trained' / 'ht'}"])
    assert found.load().name == "mine"
    odd = tmp_path / "a=b"
    Observable.load(SAVED / "ht").save(odd)
    assert [one.name for one in saved_detectors([odd, f"c={odd}"])] == ["", "c"]


def test_the_report_says_what_trainings_select_in_common(
    tmp_path: Path, undrawn: None, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "ttbarHiggs", "4top", "--variations", "none", "-d", f"{SAVED / 'ht'}"]
    words += ["-d", f"other={SAVED / 'ht'}", "-o", f"{tmp_path / 'run'}"]
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert not ended.value.code, capsys.readouterr().err
    assert read_info(tmp_path / "run").trainings == {"ht": ["ht", "other"]}
    rows = read_csv(tmp_path / "run" / "agreement.csv")
    assert {(row["score"], row["region"], row["sample"]) for row in rows} == {
        ("ht", "SR", "background"),
        ("ht", "SR", "4top"),
    }
    assert [float(row["common"]) for row in rows] == pytest.approx([1.0] * len(rows))
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "What trainings select in common" in page
    assert "Of these by all" in page

"""Model cards: what trained a detector, where it is valid, and events that are far from that."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
from contracts import hepmtp

from hepmtp import storage
from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.detectors import card as cards, load_detector, training_events
from hepmtp.detectors.card import LEVELS, SCORE_LEVELS, Card, Summary, far_from
from hepmtp.detectors.combination import Combination
from hepmtp.detectors.cross_fitted import CrossFitted
from hepmtp.detectors.observables import Observable
from hepmtp.detectors.token_rarity import TokenRarity
from hepmtp.errors import StorageError
from hepmtp.events.record import concatenate, with_metadata
from hepmtp.events.split import part_of


@pytest.fixture(autouse=True)
def _nothing_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "_said", set())


@pytest.fixture(scope="module")
def ht(background: Any) -> Observable:
    return Observable("ht").fit(background)


def card(detector: Any) -> Card:
    found: Card | None = detector.card_
    assert found is not None
    return found


def test_it_says_what_trained(background: Any, ht: Observable) -> None:
    training = training_events(background)
    names = [one.name for one in embedded() if one.role == "background"]
    assert sorted(card(ht).processes) == sorted(names)
    first = read([one for one in embedded() if one.name == names[0]], stop=400)
    found = card(ht).processes[names[0]]
    assert found["events"] == len(part_of(first, "train"))
    assert found["weight"] == pytest.approx(float(ak.sum(part_of(first, "train").weight)))
    assert found["role"] == "background"
    assert card(ht).events == len(training)
    assert card(ht).seen["n_b"][-1] == float(ak.max(ak.sum(training.Particle["type"] == 1, axis=1)))
    assert card(ht).seen["ht"] == np.quantile(ht.score(training), LEVELS).tolist()
    assert card(ht).scores == {"ht": np.quantile(ht.score(training), SCORE_LEVELS).tolist()}
    assert set(card(ht).software) == {"python", "hepmtp", "torch", "numpy", "awkward", "coffea"}


def test_a_file_that_nobody_has_named_is_told_by_its_source(background: Any) -> None:
    unnamed = with_metadata(background[:200], dataset="", role="background")
    (name,) = card(Observable("met").fit(unnamed)).processes
    assert name == f"file {background.source[0]}"


@pytest.mark.parametrize(
    "make",
    [
        TokenRarity,
        lambda: Combination([Observable("ht"), Observable("met")]),
        lambda: CrossFitted(Observable("ht"), folds=3),
    ],
    ids=["rarity", "combination", "cross-fitted"],
)
def test_it_is_saved_with_the_detector(make: Any, background: Any, tmp_path: Path) -> None:
    detector = make().fit(background)
    detector.save(tmp_path / "one")
    assert card(load_detector(tmp_path / "one")) == card(detector)
    text = (tmp_path / "one" / "card.md").read_text()
    assert text.startswith(f"# {detector.name}\n\n{detector.description}\n")
    assert "| ttbarW | background | " in text
    before = storage.digest(tmp_path / "one")
    detector.save(tmp_path / "two")
    assert storage.digest(tmp_path / "two") == before
    (tmp_path / "one" / "card.md").write_text(text.replace("ttbarW", "ttbar"))
    assert storage.digest(tmp_path / "two") == before
    with pytest.raises(StorageError, match=r"one has changed since it was saved"):
        load_detector(tmp_path / "one")
    (tmp_path / "one" / "card.md").unlink()
    with pytest.raises(StorageError, match=r"one has changed since it was saved"):
        load_detector(tmp_path / "one")


def test_a_folder_of_before_there_were_cards(
    ht: Observable, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ht.save(tmp_path / "ht")
    meta, arrays = storage.read(tmp_path / "ht")
    old = {key: meta[key] for key in ("name", "axis", "trained")}
    (tmp_path / "old").mkdir()
    storage.write(tmp_path / "old", meta["kind"], old, arrays)
    opened: Any = load_detector(tmp_path / "old")
    assert opened.card_ is None
    assert hepmtp("inspect", tmp_path / "old") == 0
    assert "It has no card" in capsys.readouterr().out


def test_inspect_prints_it(
    ht: Observable, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ht.save(tmp_path / "ht")
    assert hepmtp("inspect", tmp_path / "ht") == 0
    out = capsys.readouterr().out
    for text in ("ttbarHiggs", "MET [GeV]", "Scores of background", "hepmtp:Observable"):
        assert text in out
    assert hepmtp("inspect", tmp_path / "ht", "--json") == 0
    assert json.loads(capsys.readouterr().out)["card"]["events"] == card(ht).events


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.name == cards.__name__]


def changed(events: Any, factor: float = 1.0, kinds: Any = None) -> Any:
    """Events of another unit, and with particles of these types only."""
    particles, met = events.Particle, events.MET
    if kinds is not None:
        particles = particles[kinds(particles["type"])]
    for name in ("pt", "energy"):
        particles = ak.with_field(particles, particles[name] * factor, name)
    met = ak.with_field(met, met.pt * factor, "pt")
    return ak.with_field(ak.with_field(events, particles, "Particle"), met, "MET")


@pytest.mark.parametrize(
    ("change", "quantities"),
    [
        ({"factor": 1000.0}, [r"median HT [\d.e+]+ GeV, [\d.]+ in training \(is it in M", "MET"]),
        ({"factor": 0.2}, [r"median HT [\d.]+ GeV", r"median MET"]),
        ({"kinds": lambda kind: kind != 1}, [r"no event has a b-jet, \d+ % in training had"]),
        (
            {"kinds": lambda kind: (kind < 2) | (kind == 6)},
            [r"no event has a lepton, 100 % in training had"],
        ),
    ],
    ids=["MeV", "energy", "b-tags", "leptons"],
)  # fmt: skip
def test_events_far_from_the_training_are_said_once(
    background: Any,
    ht: Observable,
    caplog: pytest.LogCaptureFixture,
    change: dict[str, Any],
    quantities: list[str],
) -> None:
    both = Combination([ht, Observable("met").fit(background)]).fit(background)
    ht.score(background)
    assert said(caplog) == []
    strange = changed(background, **change)
    for _ in range(2):
        both.score(strange)
        both.score(strange[::2])
    assert len(said(caplog)) == len(quantities)
    for found, quantity in zip(said(caplog), quantities, strict=True):
        assert "ht scores events of data set 'ttbar" in found
        assert re.search(quantity, found), found


def test_few_events_and_signals_say_nothing(
    background: Any, ht: Observable, caplog: pytest.LogCaptureFixture
) -> None:
    ht.score(changed(background[:99], 1000.0))
    hard = with_metadata(changed(background, 5.0), dataset="gluinos", role="signal")
    ht.score(hard)
    assert said(caplog) == []
    ht.score(with_metadata(changed(background, 1000.0), dataset="gluinos", role="signal"))
    assert len(said(caplog)) == 2


def test_events_changed_in_place_are_looked_at_again(
    background: Any, ht: Observable, caplog: pytest.LogCaptureFixture
) -> None:
    events = background[:]
    ht.score(events)
    events["Particle"] = ak.with_field(events.Particle, 1000 * events.Particle.pt, "pt")
    ht.score(events)
    assert [one for one in said(caplog) if "is it in MeV" in one]


def test_what_is_far() -> None:
    seen = {"ht": [0.0, 1.0, 500.0, 2.0, 3.0], "met": [0.0, 0.0, 0.0, 0.0, 0.0]}
    having = {"b-jet": 0.2, "lepton": 0.8, "photon": 0.0}
    trained = Card({}, 1000, seen, having, {}, {})
    same = Summary({"ht": 1499.0, "met": 80.0}, {"b-jet": 0.1, "lepton": 0.0, "photon": 0.1})
    assert list(far_from(trained, same)) == []
    other = Summary({"ht": 1501.0, "met": 0.0}, {"b-jet": 0.0, "lepton": 0.0, "photon": 0.5})
    assert dict(far_from(trained, other)) == {
        "ht": "median HT 1501 GeV, 500 in training",
        "b-jet": "no event has a b-jet, 20 % in training had",
        "photon": "50 % of the events have a photon, none in training had",
    }


def test_names_of_data_sets_outlive_a_concatenation(background: Any) -> None:
    again = concatenate([background[:5], background[-5:]])
    assert card(Observable("met").fit(concatenate([again, background]))).processes.keys() == (
        card(Observable("met").fit(background)).processes.keys()
    )

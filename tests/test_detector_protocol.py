"""A detector with or without the shared base, and what is said if it lacks something."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
from contracts import check_detector
from hist.axis import Regular

from hepmtp import detectors, storage
from hepmtp.datasets.files import fileset
from hepmtp.datasets.manifest import embedded
from hepmtp.detectors import BaseDetector, Detector, load_detector, training_events
from hepmtp.detectors.combination import Combination
from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.detectors.observables import Observable
from hepmtp.detectors.token_rarity import TokenRarity
from hepmtp.errors import NotFittedError, OptionError, StorageError, check_protocol
from hepmtp.run.executors import make_executor
from hepmtp.run.runner import HepRunner
from hepmtp.studies.league.entries import choose
from hepmtp.studies.league.entry import Entry
from hepmtp.studies.league.run import run_league
from hepmtp.tokenizers import Tokenizer
from hepmtp.tokenizers.continuous import ContinuousInputs
from hepmtp.tokenizers.lookup import LookupTokenizer
from processors.anomaly import AnomalyProcessor

MEMBERS = (
    "name", "description", "axis", "forms", "n_parameters", "supervised", "with_score", "fit",
    "score", "save", "load",
)  # fmt: skip
DATASETS = [one for one in embedded() if one.name in ("ttbarW", "4top")]


class Alone:
    """MET as a score, with all that the protocol lists and no base."""

    name = "alone"
    description = "Missing transverse momentum, as a class without a base."
    forms = ()
    n_parameters = 0
    supervised = False

    def __init__(self) -> None:
        self.found: Regular | None = None

    @property
    def axis(self) -> Regular:
        if self.found is None:
            raise NotFittedError("call fit(background events) first")
        return self.found

    def with_score(self, form: str) -> Alone:
        raise OptionError(f"there is no form {form!r}")

    def fit(self, events: ak.Array) -> Alone:
        self.found = detectors.score_axis(self.score(training_events(events)), label="MET")
        return self

    def score(self, events: ak.Array) -> np.ndarray:
        return np.asarray(events.MET.pt, dtype=np.float64)

    def save(self, path: str | Path) -> None:
        meta = {"axis": detectors.plain_axis(self.axis)}
        with storage.new_folder(path) as folder:
            storage.write(folder, storage.kind_of(self), meta, {})

    @classmethod
    def load(cls, path: str | Path) -> Alone:
        meta, _ = storage.read(path, storage.kind_of(cls))
        detector = cls()
        detector.found = detectors.axis_from(meta["axis"])
        return detector


def lacking(cls: type, name: str) -> Any:
    """A class like this one without one of its members."""
    members = {key: one for key, one in vars(cls).items() if key not in ("__dict__", "__weakref__")}
    del members[name]
    return type(f"No_{name}", (), members)


def test_the_protocol_is_what_is_asked_for() -> None:
    assert tuple(one for one in MEMBERS if one in vars(Detector)) == MEMBERS
    check_protocol(Alone(), Detector)
    check_protocol(Observable("ht"), Detector)


def test_a_detector_without_the_base_goes_the_whole_way(
    background: ak.Array, tmp_path: Path
) -> None:
    detector = check_detector(Alone, background[::4], tmp_path)
    detector.save(tmp_path / "alone")
    both = [load_detector(tmp_path / "alone"), Observable("met").fit(background)]
    with make_executor("iterative", status=False) as executor:
        run = HepRunner(executor, maxchunks=1)
        scores = run(fileset(DATASETS), AnomalyProcessor(both))["scores"]
    found, expected = (float(h.values(flow=True).sum()) for h in scores.values())
    assert found > 0
    assert found == pytest.approx(expected)
    entries = [*choose(only=["met"]), Entry("alone", lambda _: Alone(), seeded=False)]
    league = run_league(
        tmp_path / "league",
        DATASETS,
        entries,
        seeds=[0],
        regions=["preselection"],
        stop=300,
        figures=False,
    )
    auc = {row.detector: row.auc_balanced for row in league.rows}
    assert auc["alone"] == auc["met"]


@pytest.mark.parametrize("name", MEMBERS)
def test_what_a_detector_lacks_is_named(name: str, tmp_path: Path) -> None:
    detector = lacking(Alone, name)()
    message = rf"No_{name} is no Detector, it lacks {name}: see hepmtp\.detectors\.Detector"
    with pytest.raises(OptionError, match=message):
        AnomalyProcessor([detector])
    with pytest.raises(OptionError, match=message):
        Combination([detector, Observable("ht")])
    with pytest.raises(OptionError, match=message):
        run_league(tmp_path, DATASETS, [Entry("mine", lambda _: detector)], stop=100)


def test_several_members_are_named_at_once() -> None:
    with pytest.raises(OptionError, match=r"object is no Detector, it lacks name, .*, load: see"):
        check_protocol(object(), Detector)


@pytest.mark.parametrize("name", ["supervised", "digits", "decode"])
def test_what_a_tokenizer_lacks_is_named(name: str) -> None:
    members = {one: None for one in vars(Tokenizer) if not one.startswith("_")}
    made = type("Mine", (), {one: property(lambda _: 0) for one in members if one != name})
    for use in (MaskedTokenDetector, TokenRarity, ContinuousInputs):
        with pytest.raises(OptionError, match=rf"Mine is no Tokenizer, it lacks {name}: see"):
            use(made())


def test_a_folder_of_something_else(background: ak.Array, tmp_path: Path) -> None:
    LookupTokenizer().fit(training_events(background)).save(tmp_path / "tokenizer")
    with pytest.raises(StorageError, match=r"LookupTokenizer', expected a detector: .*it lacks"):
        load_detector(tmp_path / "tokenizer")


def test_what_the_base_answers() -> None:
    class Mine(BaseDetector):
        pass

    assert (Mine().forms, Mine().n_parameters, Mine().supervised) == ((), 0, False)
    with pytest.raises(NotFittedError, match=r"this Mine is not fitted yet: call fit\(background"):
        _ = Mine().axis
    with pytest.raises(OptionError, match=r"Mine has one form of score only, found form 'sum'"):
        Mine().with_score("sum")

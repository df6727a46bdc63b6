"""Cross-fitting: every event is analysed, and is scored by the training that has not seen it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
from coffea.processor import IterativeExecutor
from contracts import check_detector, hepmtp
from scipy.stats import chi2_contingency, chisquare

from hepmtp import storage
from hepmtp.datasets.files import fileset, read
from hepmtp.datasets.manifest import Dataset
from hepmtp.detectors import (
    BaseDetector,
    Detector,
    axis_from,
    cross_fitted as module,
    load_detector,
    plain_axis,
    score_axis,
    trained_on,
    training_events,
)
from hepmtp.detectors.combination import Combination
from hepmtp.detectors.cross_fitted import CrossFitted
from hepmtp.detectors.ecod import ECOD
from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.detectors.observables import Observable
from hepmtp.detectors.supervised import SupervisedDetector
from hepmtp.detectors.token_rarity import TokenRarity
from hepmtp.errors import OptionError, StorageError, TrainingError
from hepmtp.events.folds import Fold, fold_of, folds, never_trains, with_fold
from hepmtp.events.observables import ht
from hepmtp.events.record import concatenate, make_events, metadata, with_metadata
from hepmtp.events.regions import CR, sideband_of
from hepmtp.events.split import Trained, analysis_scale, part_of, split_of, trained_by, unseen
from hepmtp.models.classifier import ClassifierOptions
from hepmtp.models.masked import ModelOptions
from hepmtp.run.executors import make_executor
from hepmtp.run.runner import HepRunner
from hepmtp.run.train import train_detectors
from hepmtp.studies.league.entries import ENTRIES
from hepmtp.studies.league.entry import Entry
from hepmtp.studies.league.run import run_league
from hepmtp.tokenizers.lookup import LookupTokenizer
from hepmtp.training.classify import ClassifierTraining
from hepmtp.training.masking import TrainingOptions
from processors.anomaly import AnomalyProcessor
from processors.corpus import CorpusProcessor

pytestmark = pytest.mark.usefixtures("short_training")

SMALL = ModelOptions(width=16, feedforward=32, layers=1)


def tiny() -> MaskedTokenDetector:
    return MaskedTokenDetector(model=SMALL, training=TrainingOptions(epochs=1), tail_events=200)


def toy(n: int, source: int = 7, role: Any = "background") -> ak.Array:
    nothing: dict[str, Any] = {key: [] for key in ("pt", "eta", "phi", "energy", "type")}
    return make_events(
        counts=[0] * n, **nothing, met=np.ones(n), met_phi=np.zeros(n), source=source, role=role
    )


def ids(events: ak.Array) -> set[tuple[int, int]]:
    return set(zip(events.source.to_list(), events.event.to_list(), strict=True))


@dataclass(eq=False)
class Recalls(BaseDetector):
    """Scores 1 for an event that it was shown in ``fit``, and else HT; tells what it has scored."""

    name: str = "recalls"
    description: str = "Whether an event was shown to this training."
    shown_: frozenset[tuple[int, int]] = frozenset()

    def fit(self, events: ak.Array) -> Recalls:
        parts = [training_events(events, part) for part in ("train", "validation")]
        self.shown_ = frozenset(ids(parts[0]) | ids(parts[1]))
        self.trained_ = trained_by(events)
        self.axis_ = score_axis(ht(parts[0]), label="recalls")
        return self

    def score(self, events: ak.Array) -> np.ndarray:
        shown = [one in self.shown_ for one in sorted_ids(events)]
        return np.where(shown, 1.0, np.maximum(ht(events), 2.0))

    def save(self, path: str | Path) -> None:
        meta = {"shown": sorted(self.shown_), "axis": plain_axis(self.axis)}
        with storage.new_folder(path) as folder:
            storage.write(folder, storage.kind_of(self), {**meta, "trained": self.trained_}, {})

    @classmethod
    def load(cls, path: str | Path) -> Recalls:
        meta, _ = storage.read(path, storage.kind_of(cls))
        detector = cls(shown_=frozenset((one, two) for one, two in meta["shown"]))
        detector.axis_ = axis_from(meta["axis"])
        detector.trained_ = tuple(Trained(*one) for one in meta["trained"])
        return detector


def sorted_ids(events: ak.Array) -> list[tuple[int, int]]:
    return list(zip(events.source.to_list(), events.event.to_list(), strict=True))


# the folds


def test_known_folds_never_change() -> None:
    assert fold_of(toy(12), 5).tolist() == [0, 1, 2, 1, 2, 0, 3, 4, 0, 2, 1, 0]


def test_folds_are_equally_large_and_independent_of_the_one_split() -> None:
    events = toy(100_000)
    fold, part = fold_of(events, 5), split_of(events)
    assert chisquare(np.bincount(fold)).pvalue > 1e-3
    assert never_trains(events).mean() == pytest.approx(1 / 7, abs=0.005)
    others = (part, never_trains(events), fold_of(events, 4), fold_of(events, 10), np.roll(fold, 1))
    for other in others:
        table = [
            [np.sum((fold == k) & (other == one)) for one in np.unique(other)] for k in range(5)
        ]
        assert chi2_contingency(table).pvalue > 1e-3


def test_a_fold_is_what_its_training_leaves_for_the_analysis() -> None:
    events = toy(1000)
    for fold in folds(4):
        marked = with_fold(events, fold)
        part = split_of(marked)
        np.testing.assert_array_equal(part == "analysis", fold_of(events, 4) == fold.number)
        np.testing.assert_array_equal(split_of(marked[::3]), part[::3])
        assert analysis_scale(marked) == 4.0
        assert set(part[never_trains(events)]) == {"validation", "analysis"}
        assert "train" not in part[never_trains(events)]
        assert metadata(concatenate([marked[:5], marked[5:]]))["fold"] == f"{fold.number}/4"
    assert split_of(with_fold(toy(50, role="data"), Fold(0, 3))).tolist() == ["analysis"] * 50


@pytest.mark.parametrize("of", [0, 1, 2])
def test_too_few_folds(of: int) -> None:
    with pytest.raises(OptionError, match=rf"cross-fitting needs 3 folds or more, found {of}"):
        folds(of)
    with pytest.raises(OptionError, match=r"needs 3 folds or more"):
        CrossFitted(Observable("ht"), folds=of)


def test_a_fold_that_does_not_exist() -> None:
    with pytest.raises(OptionError, match=r"fold 3 of 3 does not exist: they count from 0"):
        with_fold(toy(1), Fold(3, 3))


def test_one_training_of_several_remembers_its_fold() -> None:
    events = toy(2000)
    member = Observable("met").fit(with_fold(events, Fold(1, 4)))
    assert member.trained_ == (Trained(7, 0, 2000, "", 1, 4),)
    keep, factor = unseen(events, member.trained_)
    np.testing.assert_array_equal(keep, fold_of(events, 4) == 1)
    assert set(factor.tolist()) == {4.0}
    # beside a plain one, what neither has seen stands for all
    keep, factor = unseen(events, trained_on([member, Observable("met").fit(events)]))
    np.testing.assert_array_equal(
        keep, (fold_of(events, 4) == 1) & (split_of(events) == "analysis")
    )
    assert factor[keep].sum() == pytest.approx(2000, rel=0.25)
    assert set(factor.tolist()) == {4 / 0.3}


def test_two_members_apart_are_refused() -> None:
    events = toy(100)
    members = [Observable("met").fit(with_fold(events, Fold(k, 3))) for k in range(2)]
    with pytest.raises(TrainingError, match=r"no event is unseen by both; give the folder"):
        unseen(events, trained_on(members))
    assert unseen(toy(100, source=8), trained_on(members))[0].all()


# the detector


def test_the_contract(few: ak.Array, tmp_path: Path) -> None:
    detector = check_detector(
        lambda: CrossFitted(ECOD(("n_jets", "ht", "met")), folds=3), few, tmp_path, all_events=True
    )
    assert detector.name == "ecod"
    assert detector.description.endswith(
        "Cross-fitted: of 3 trainings, the one that has not seen an event scores it."
    )


def test_no_event_is_scored_by_what_has_trained_on_it(background: ak.Array) -> None:
    detector = CrossFitted(Recalls(), folds=4).fit(background)
    assert (detector.score(background) > 1).all()
    found = [member for member in detector.members_ if isinstance(member, Recalls)]
    assert len(found) == 4
    for fold, member in zip(folds(4), found, strict=True):
        mine = background[fold_of(background, 4) == fold.number]
        assert not member.shown_ & ids(mine)
        assert len(member.shown_ | ids(mine)) == len(background)
    assert detector.seen_ == tuple(member.trained_ for member in found)
    assert {span.left_out for one in detector.seen_ for span in one} == set(folds(4))


def test_the_wrong_fold_would_be_noticed(
    background: ak.Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above fails for a detector that takes the member of the next fold."""
    detector = CrossFitted(Recalls(), folds=4).fit(background)
    monkeypatch.setattr(module, "fold_of", lambda events, of: (fold_of(events, of) + 1) % of)
    assert (detector.score(background) <= 1).all()


def test_an_equal_score_stays_exactly_what_it_is(background: ak.Array) -> None:
    """An observable learns nothing: its trainings agree, and its counts stay whole numbers."""
    for name in ("n_jets", "ht"):
        plain = Observable(name).fit(background)
        crossed = CrossFitted(Observable(name)).fit(background)
        np.testing.assert_array_equal(crossed.score(background), plain.score(background))
        assert crossed.scales_[name].tolist() == [[1.0, 0.0]] * 5
    counts = CrossFitted(Observable("n_jets")).fit(background).axis
    assert counts.edges[0] == -0.5
    assert counts.edges[-1] - counts.edges[0] == counts.size


def test_scales_bring_trainings_together(background: ak.Array) -> None:
    @dataclass(eq=False)
    class Scaled(Observable):
        number: int = 0

        def score(self, events: ak.Array) -> np.ndarray:
            return super().score(events) * (1 + self.number) - 100 * self.number

    members = [Scaled("ht", fold.number).fit(with_fold(background, fold)) for fold in folds(3)]
    crossed = CrossFitted.of(members, background)
    np.testing.assert_allclose(crossed.score(background), ht(background), rtol=1e-9)
    np.testing.assert_allclose(crossed.scales_["ht"], [[1, 0], [1 / 2, 50], [1 / 3, 200 / 3]])
    ends = [Observable("ht").fit(with_fold(background, fold)).axis.edges for fold in folds(3)]
    assert crossed.axis.edges[0] == pytest.approx(min(one[0] for one in ends))
    assert crossed.axis.edges[-1] == pytest.approx(max(one[-1] for one in ends))


def test_what_sets_a_scale_is_in_neither_fold(
    background: ak.Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a card has scores, too, but sets no scale
    monkeypatch.setattr(CrossFitted, "describe", lambda *_: None)
    monkeypatch.setattr(Observable, "describe", lambda *_: None)
    asked: list[set[tuple[int, int]]] = [set(), set(), set()]

    @dataclass(eq=False)
    class Asked(Observable):
        def score(self, events: ak.Array) -> np.ndarray:
            if self.axis_ is not None and self.trained_:
                asked[self.trained_[0].fold] |= ids(events)
            return super().score(events)

    members = [Asked("ht").fit(with_fold(background, fold)) for fold in folds(3)]
    CrossFitted.of(members, background)
    held = background[never_trains(background)]
    fold = fold_of(held, 3)
    assert asked[0] == ids(held[fold != 0])
    assert asked[1] == ids(held[fold == 2])
    assert asked[2] == ids(held[fold == 1])


def test_forms(few: ak.Array, tmp_path: Path) -> None:
    detector = CrossFitted(tiny(), folds=3).fit(few)
    detector.save(tmp_path / "detector")
    total = detector.with_score("sum")
    assert (detector.name, total.name) == ("masked_token", "masked_token_sum")
    assert total.forms == detector.forms == detector.members_[0].forms
    loaded = load_detector(f"{tmp_path / 'detector'}#sum")
    np.testing.assert_array_equal(loaded.score(few), total.score(few))
    assert loaded.axis == total.axis != detector.axis
    assert trained_on([detector, total, loaded]) == ()
    with pytest.raises(OptionError, match=r"score form 'nonsense' is unknown"):
        detector.with_score("nonsense")


def test_a_member_in_the_wrong_place_is_refused(few: ak.Array, tmp_path: Path) -> None:
    detector = CrossFitted(Observable("ht"), folds=3).fit(few)
    detector.save(tmp_path / "ht")
    one, two = tmp_path / "ht" / "member1", tmp_path / "ht" / "member2"
    one.rename(tmp_path / "kept")
    two.rename(one)
    (tmp_path / "kept").rename(two)
    with pytest.raises(StorageError, match=r"has changed since it was saved: a member is another"):
        load_detector(tmp_path / "ht")
    members = [detector.members_[i] for i in (0, 2, 1)]
    with pytest.raises(TrainingError, match=r"has to leave out fold 1 of 3, but left out fold 2"):
        CrossFitted.of(members, few)
    plain = [Observable("ht").fit(few) for _ in range(3)]
    with pytest.raises(TrainingError, match=r"fold 0 of 3, but left out the one split"):
        CrossFitted.of(plain, few)
    plain[0].trained_ = None
    with pytest.raises(TrainingError, match=r"ht does not know which events trained it"):
        CrossFitted.of(plain, few)


def test_what_is_fitted_already_is_refused(few: ak.Array) -> None:
    fitted = Observable("ht").fit(few)
    with pytest.raises(OptionError, match=r"ht is fitted already, to events of all folds"):
        CrossFitted(fitted, folds=3).fit(few)
    with pytest.raises(OptionError, match=r"ht is fitted already"):
        CrossFitted(Combination([fitted, Observable("met")]), folds=3).fit(few)
    tokenizer = LookupTokenizer().fit(training_events(few))
    with pytest.raises(OptionError, match=r"the tokenizer of token_rarity is fitted already"):
        CrossFitted(TokenRarity(tokenizer), folds=3).fit(few)
    with pytest.raises(TrainingError, match=r"only background may be fitted on"):
        CrossFitted(Observable("ht"), folds=3).fit(with_metadata(few, dataset="x", role="signal"))
    with pytest.raises(TrainingError, match=r"background events are unseen by two of 3 trainings"):
        CrossFitted(Observable("ht"), folds=3).fit(few[:80])
    inner = CrossFitted(Observable("ht"), folds=3)
    with pytest.raises(OptionError, match=r"ht is cross-fitted within a cross-fitting"):
        inner.fit(with_fold(few, Fold(0, 3)))


def test_a_combination_of_cross_fitted_detectors(few: ak.Array) -> None:
    parts = [CrossFitted(Observable(name), folds=3).fit(few) for name in ("ht", "met")]
    crossed = CrossFitted(Combination(parts, "or"), folds=3).fit(few)
    for k, member in enumerate(crossed.members_):
        assert isinstance(member, Combination)
        assert list(member.members) == [part.members_[k] for part in parts]
    assert trained_on([crossed]) == ()
    with pytest.raises(OptionError, match=r"ht is cross-fitted with 3 folds, asked for one of 4"):
        CrossFitted(Combination(parts, "or"), folds=4).fit(few)


def test_a_combination_remembers_what_its_members_have_seen() -> None:
    member = Observable("met").fit(toy(100, source=8))
    both = Combination([member, Observable("ht")]).fit(toy(100))
    assert both.trained_ == (Trained(7, 0, 100), Trained(8, 0, 100))
    member.trained_ = None
    assert Combination([member, Observable("ht")]).fit(toy(100)).trained_ is None


def test_the_ceiling_leaves_a_fold_of_the_signal_out_too(few: ak.Array, sample: Path) -> None:
    path = str(sample / "4top.csv.gz")
    signal = read([Dataset(name="4top", process="4top", role="signal", files=(path,))], stop=300)
    options = ClassifierTraining(epochs=1)
    detector = SupervisedDetector(signal, model=ClassifierOptions(), training=options)
    copy = detector.in_fold(Fold(1, 3))
    assert copy.signal is not None
    assert metadata(copy.signal)["fold"] == "1/3"
    assert not ids(part_of(copy.signal, "train")) & ids(signal[fold_of(signal, 3) == 1])

    @dataclass(eq=False)
    class Told(Observable):
        supervised = True  # type: ignore[assignment]

    with pytest.raises(OptionError, match=r"ht learns from signal: to be cross-fitted it needs"):
        CrossFitted(Told("ht"), folds=3).fit(few)


# files and runs


def dataset(name: str, path: Path, role: Any) -> Dataset:
    return Dataset(name=name, process=name, role=role, files=(str(path),))


N = {"ttbarW": 400, "ttbarZ": 300, "4top": 150}


@pytest.fixture(scope="module")
def sets(in_every_format: Any) -> list[Dataset]:
    files = in_every_format(N, chunk=150)["csv"]
    return [dataset(name, files[name], "signal" if name == "4top" else "background") for name in N]


@pytest.fixture(scope="module")
def trained(sets: Any, tmp_path_factory: Any) -> list[Detector]:
    with make_executor("iterative", status=False) as executor:
        return train_detectors(sets[:2], tiny(), corpus=CorpusProcessor, executor=executor, folds=3)


def ran(detectors: Any, sets: Any, *, chunksize: int = 20_000, executor: Any = None) -> Any:
    runner = HepRunner(executor or IterativeExecutor(status=False), chunksize=chunksize)
    return runner(fileset(sets), AnomalyProcessor(detectors, columns=True))


def test_all_events_are_analysed_with_weight_one(sets: Any, trained: Any) -> None:
    assert {type(one) for one in trained} == {CrossFitted}
    assert {"masked_token", "n_jets", "observables"} < {one.name for one in trained}
    output = ran(trained, sets)
    for one in sets:
        counts = output["cutflow"][one.name]["all"]
        assert counts["raw"] == N[one.name]
        assert counts["sumw"] == pytest.approx(float(ak.sum(read([one]).weight)))


def test_errors_shrink_as_the_events_grow(sets: Any, trained: Any) -> None:
    """Effective number of background events, (sum of weights)2 / sum of squares: 1 / 0.3."""
    with make_executor("iterative", status=False) as executor:
        single = train_detectors(sets[:2], tiny(), corpus=CorpusProcessor, executor=executor)
    effective = {}
    for key, detectors in (("single", single), ("folds", trained)):
        counts = [ran(detectors, sets[:1])["cutflow"]["ttbarW"][one] for one in ("all",)]
        effective[key] = counts[0]["sumw"] ** 2 / counts[0]["sumw2"]
    assert effective["folds"] == pytest.approx(400)
    assert effective["folds"] / effective["single"] == pytest.approx(1 / 0.3, rel=0.2)


def test_beside_a_plain_detector_what_that_has_seen_is_left_out(sets: Any, trained: Any) -> None:
    plain = Observable("met").fit(read(sets[:1]))
    output = ran([trained[0], plain], sets)
    kept = int((split_of(read(sets[:1])) == "analysis").sum())
    raw = {name: one["all"]["raw"] for name, one in output["cutflow"].items()}
    assert raw == {"ttbarW": kept, "ttbarZ": 300, "4top": 150}


def columns_of(output: Any) -> dict[str, np.ndarray]:
    found = {}
    for name, columns in output["columns"].items():
        order = np.argsort(columns["event"].value)
        found |= {f"{name} {key}": one.value[order] for key, one in columns.items()}
    return found


def test_chunks_and_executors_give_the_same(
    sets: Any, trained: Any, two_processes: Any, on_dask: Any, tmp_path: Path
) -> None:
    two = [one for one in trained if one.name in ("masked_token", "n_jets")]
    for one in two:
        one.save(tmp_path / one.name)
    loaded = [load_detector(tmp_path / one.name) for one in two]
    expected = columns_of(ran(two, sets))
    for options in (
        {"chunksize": 90},
        {"executor": two_processes, "chunksize": 200},
        {"executor": on_dask, "chunksize": 200},
    ):
        found = columns_of(ran(loaded, sets, **options))
        assert set(found) == set(expected)
        for key, one in expected.items():
            np.testing.assert_allclose(found[key], one, rtol=2e-5, atol=2e-5)


def test_training_from_files_is_that_of_the_events(sets: Any, trained: Any) -> None:
    events = read(sets[:2])
    direct = CrossFitted(tiny(), folds=3).fit(events)
    masked = trained[1]
    np.testing.assert_allclose(masked.score(events), direct.score(events), rtol=1e-5)
    assert direct.seen_ == masked.seen_ == trained[0].seen_


def test_a_fold_of_the_corpus(sets: Any) -> None:
    events = read(sets[:1])
    tokenizer = LookupTokenizer().fit(training_events(events))
    out = CorpusProcessor(tokenizer, fold=Fold(2, 3)).process(events)
    part = split_of(with_fold(events, Fold(2, 3)))
    assert out["cutflow"]["ttbarW"] == {
        name: int((part == name).sum()) for name in ("train", "validation", "analysis")
    }
    assert {one.left_out for one in out["trained"]} == {Fold(2, 3)}
    for name, rows in out["corpus"].items():
        assert rows["event"].value.tolist() == events.event[part == name].to_list()


def test_a_sideband_of_data_is_cross_fitted_within_it(in_every_format: Any) -> None:
    path = in_every_format({"ttbarW": 2000}, chunk=2000)["csv"]["ttbarW"]
    data = [dataset("data", path, "data")]
    with make_executor("iterative", status=False) as executor:
        detectors = train_detectors(
            data, tiny(), corpus=CorpusProcessor, executor=executor, folds=3, sideband=CR
        )
    first = detectors[0]
    assert isinstance(first, CrossFitted)
    assert {span.region for one in first.seen_ for span in one} == {"CR"}
    side = sideband_of(read(data), CR)
    assert ran(detectors, data)["cutflow"]["data"]["CR"]["raw"] == len(side)


def test_an_interrupted_cross_fitting_goes_on(few: ak.Array, tmp_path: Path) -> None:
    class Interrupted(Exception):
        pass

    steps: list[int] = []

    def stop(*_: Any, **__: Any) -> None:
        steps.append(1)
        if len(steps) == stop_at:
            raise Interrupted

    stop_at = -1
    whole = CrossFitted(tiny(), folds=3).fit(few, progress=stop)
    all_steps = len(steps)
    stop_at = all_steps * 2 // 3 + 1  # in the last training
    steps.clear()
    with pytest.raises(Interrupted):
        CrossFitted(tiny(), folds=3).fit(few, progress=stop, checkpoint=tmp_path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["fold0of3", "fold1of3"]
    stop_at = -1
    steps.clear()
    again = CrossFitted(tiny(), folds=3).fit(few, progress=stop, checkpoint=tmp_path)
    np.testing.assert_array_equal(again.score(few), whole.score(few))
    assert 0 < len(steps) <= all_steps // 2, "finished trainings are not repeated"


def test_from_the_command_line(sets: Any, tmp_path: Path, undrawn: None, capsys: Any) -> None:
    words = [f"{one.name}:{one.role}={one.files[0]}" for one in sets]
    detectors = tmp_path / "detectors"
    assert hepmtp("train", words[0], "--folds", "2", "-o", detectors) != 0
    assert "cross-fitting needs 3 folds or more, found 2" in capsys.readouterr().err
    assert hepmtp("train", words[0], "--folds", "3", "--epochs", "1", "-o", detectors) == 0
    assert capsys.readouterr().out.count("trained for 1 epochs") == 3
    assert hepmtp("run", *words, "-d", detectors, "-o", tmp_path / "run") == 0
    cutflow = json.loads((tmp_path / "run" / "cutflow.json").read_text())
    assert {name: one["all"]["raw"] for name, one in cutflow.items()} == N


# the league


def league(folder: Path, entries: Any, names: Any, **options: Any) -> Any:
    from hepmtp.datasets.manifest import embedded  # noqa: PLC0415

    sets = [one for one in embedded() if one.name in names]
    given = {"seeds": [0], "regions": ["preselection"], "stop": 400, "figures": False, **options}
    return run_league(folder, sets, entries, **given)


def test_a_league_with_folds_scores_all_events(tmp_path: Path) -> None:
    names = ("ttbarW", "ttbarZ", "4top")
    entries = [
        ENTRIES["ht"],
        Entry("recalls", lambda _: Recalls(), seeded=False),
        Entry(
            "both",
            lambda _, detectors: Combination([*detectors, Observable("met")]),
            parts=("recalls",),
        ),
    ]
    one, five = (league(tmp_path / str(k), entries, names, folds=k).rows for k in (1, 5))
    assert {row.folds for row in one} == {1}
    assert {row.folds for row in five} == {5}
    for few, all_ in zip(one, five, strict=True):
        assert all_.n_background / few.n_background == pytest.approx(1 / 0.3, rel=0.2)
        assert all_.n_signal / few.n_signal == pytest.approx(1 / 0.3, rel=0.3)
        assert all_.auc_error < 0.75 * few.auc_error
    text = (tmp_path / "5" / "league.md").read_text()
    assert "Trained on 800 background events in 5 folds: of so many trainings, the one" in text
    auc = {row.detector: row.auc_balanced for row in five}
    assert auc["recalls"] == auc["ht"], "an event that its training has seen would score 1"
    found = load_detector(tmp_path / "5" / "detectors" / "recalls-0")
    assert isinstance(found, CrossFitted)


def test_a_detector_that_was_fitted_before_must_be_cross_fitted(
    few: ak.Array, tmp_path: Path
) -> None:
    names = ("ttbarW", "4top")
    for detector, good in (
        (Observable("ht").fit(few), False),
        (CrossFitted(Observable("ht"), folds=3).fit(few), True),
    ):
        entry = Entry("mine", lambda _, detector=detector: detector, seeded=False, fitted=True)
        if good:
            assert len(league(tmp_path / "good", [entry], names, folds=5).rows) == 1
        else:
            with pytest.raises(OptionError, match=r"entry 'mine' was fitted before, and not cross"):
                league(tmp_path / "bad", [entry], names, folds=5)


def test_two_folds_of_a_league(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"cross-fitting needs 3 folds or more, found 2"):
        league(tmp_path, [ENTRIES["ht"]], ("ttbarW", "4top"), folds=2)

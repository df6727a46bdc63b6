"""The masked-token detector: forms of the score, saving, travelling to workers."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
from contracts import check_detector, check_seed

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.detectors import load_detector
from hepmtp.detectors.combination import Combination
from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.detectors.masked_token.forms import check_types
from hepmtp.detectors.masked_token.remembered import _lasts, content_of, last_of
from hepmtp.detectors.masked_token.surprise import surprises
from hepmtp.detectors.observables import Observable
from hepmtp.errors import NotFittedError, OptionError, StorageError, TrainingError
from hepmtp.events.particles import PARTICLE_TYPES
from hepmtp.events.record import with_metadata
from hepmtp.events.split import part_of
from hepmtp.events.tokens import TokenBatch
from hepmtp.models.masked import ModelOptions
from hepmtp.storage import open_once
from hepmtp.tokenizers.lookup import LookupTokenizer
from hepmtp.training.masking import TrainingOptions

#: What the form "jets" is made of beside MET, and itself.
JETS = ("jets", "jet_type", "jet_pt")
FORMS = "hepmtp.detectors.masked_token.forms"
FACTORS = ("type", "pt", "eta", "phi", "MET", "METphi")


def tiny(
    *, seed: int = 0, form: str = "joined", model: str = "product", **tokens: Any
) -> MaskedTokenDetector:
    return MaskedTokenDetector(
        LookupTokenizer(**tokens),
        ModelOptions(output=model, width=16, feedforward=32, layers=1),  # type: ignore[arg-type]
        TrainingOptions(epochs=1, seed=seed),
        form=form,
        tail_events=300,
    )


@pytest.fixture(scope="module")
def events() -> Any:
    return read([one for one in embedded() if one.name == "ttbarW"], stop=600)


@pytest.fixture(scope="module")
def fitted(events: Any) -> MaskedTokenDetector:
    return tiny().fit(events)


@pytest.fixture(scope="module")
def folder(fitted: MaskedTokenDetector, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "detector"
    fitted.with_score("joined").save(path)
    return path


# sums of float32 depend on the order of the particles, by some 1e-6 in a digit's surprise and 1e-5
# in that of a joint token; the tail probabilities make up to ten times that of it
@pytest.mark.parametrize(
    ("model", "form", "order"),
    [
        ("product", "excess", 1e-5),
        ("product", "joined", 1e-4),
        ("joint", "token", 1e-4),
        ("joint", "joined", 5e-4),
    ],
)
def test_contract(events: Any, tmp_path: Path, model: str, form: str, order: float) -> None:
    check_detector(lambda: tiny(model=model, form=form), events, tmp_path, rtol=1e-5, order=order)


def test_bfloat16_is_asked_for(
    events: Any, tmp_path: Path, fitted: MaskedTokenDetector, folder: Path
) -> None:
    plain, some = fitted.score(events), events[:5]
    low = fitted.with_precision("bfloat16")
    found = low.score(events)
    assert not np.array_equal(found, plain)
    np.testing.assert_allclose(found, plain, rtol=0, atol=0.02 * plain.std())
    assert np.array_equal(fitted.score(events), plain)  # what was remembered is not shared
    np.testing.assert_allclose(low.score(some), found[:5], rtol=0, atol=0.02 * plain.std())
    assert not np.array_equal(low.score(some), fitted.score(some))  # of few events, too
    assert low.with_score("sum").precision == "bfloat16"
    tokens = fitted.tokenizer.encode(some)
    assert not np.array_equal(low.surprises(tokens).surprise, fitted.surprises(tokens).surprise)
    # a saved one, and one on its way to a worker
    sent = MaskedTokenDetector.load(folder).with_precision("bfloat16")
    assert np.array_equal(pickle.loads(pickle.dumps(sent)).score(events), found)
    low.save(tmp_path / "low")
    again = MaskedTokenDetector.load(tmp_path / "low")
    assert again.precision == "bfloat16"
    assert np.array_equal(again.score(events), found)
    assert np.array_equal(again.with_precision("float32").score(events), plain)


def test_precisions_that_are_refused(fitted: MaskedTokenDetector, events: Any) -> None:
    with pytest.raises(OptionError, match="'half' is unknown; there are float32, bfloat16"):
        fitted.with_precision("half")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="'half' is unknown"):
        MaskedTokenDetector(precision="half")  # type: ignore[arg-type]
    hides = ModelOptions(attention="full", width=16, feedforward=32, layers=1)
    detector = MaskedTokenDetector(LookupTokenizer(), hides, precision="bfloat16")
    with pytest.raises(OptionError, match="MaskedTokenModel scores in float32 only"):
        detector.fit(events)
    assert detector.history_ == []  # before the training


def test_tokens_of_particles_alone(events: Any) -> None:
    detector = tiny(met_bins=0, met_phi_bins=0).fit(events)
    assert detector.forms == ("joined", "sum", "mean", "excess", "type", "pt", "eta", "phi")
    empty = ak.with_field(events[:3], events[:3].Particle[:, :0], "Particle")  # no token at all
    for form in detector.forms:
        assert np.isfinite(detector.with_score(form).score(empty)).all()
    assert detector.with_score("sum").score(empty).tolist() == [0.0, 0.0, 0.0]


def test_forms_are_what_the_docs_say(fitted: MaskedTokenDetector, events: Any) -> None:
    tokens = fitted.tokenizer.encode(events[:8])
    found = fitted.surprises(tokens)
    scores = {form: fitted.with_score(form).score(events[:8]) for form in fitted.forms}
    for i in range(8):
        rows = slice(tokens.offsets[i], tokens.offsets[i + 1])
        s, h, v = (part[rows] for part in found[:3])
        assert scores["sum"][i] == pytest.approx(s.sum())
        assert scores["mean"][i] == pytest.approx(s.sum() / (rows.stop - rows.start))
        assert scores["excess"][i] == pytest.approx((s.sum() - h.sum()) / v.sum() ** 0.5)
        jet = fitted.fitted_model.targets[tokens.values[rows], FACTORS.index("type")]
        for form, part in (("jet_type", found.surprise), ("jet_pt", found.tail)):
            column = FACTORS.index(form[4:])
            expected = part[rows, column][(jet == 0) | (jet == 1)].sum()
            assert scores[form][i] == pytest.approx(expected)
        for column, name in enumerate(FACTORS):
            part = found.tail if name in ("pt", "MET") else found.surprise
            assert scores[name][i] == pytest.approx(part[rows, column].sum())
    # what the particles are, how hard they are, what is missing
    components = np.stack([scores["type"], scores["pt"], scores["MET"]], axis=1)
    tails = fitted.tails_
    np.testing.assert_allclose(scores["joined"], tails["joined"].score(components), rtol=1e-12)
    jets = np.stack([scores["jet_type"], scores["jet_pt"], scores["MET"]], axis=1)
    np.testing.assert_allclose(scores["jets"], tails["jets"].score(jets), rtol=1e-12)
    np.testing.assert_array_equal(fitted.with_score("jets").parts(events[:8]), jets)
    np.testing.assert_array_equal(fitted.with_score("pt").parts(events[:8])[:, 0], scores["pt"])


def test_names_labels_and_descriptions(fitted: MaskedTokenDetector) -> None:
    assert fitted.forms == ("joined", *JETS, "sum", "mean", "excess", *FACTORS)
    names = {fitted.with_score(form).name for form in fitted.forms}
    assert names == {"masked_token", *(f"masked_token_{form}" for form in fitted.forms[1:])}
    assert len({fitted.with_score(form).description for form in fitted.forms}) == len(fitted.forms)
    assert fitted.with_score("pt").axis.label == "masked-token score (pt)"
    assert fitted.with_score("pt").axis != fitted.axis
    assert fitted.with_score("pt").fitted_model is fitted.fitted_model
    with pytest.raises(
        OptionError,
        match=r"score form 'product' is unknown; there are joined, jets, jet_type, ",
    ):
        fitted.with_score("product")


def test_a_form_that_does_not_exist_is_refused_before_training(events: Any) -> None:
    with pytest.raises(OptionError, match=r"score form 'mass' is unknown"):
        tiny(form="mass").fit(events)


def test_types_in_an_unknown_order_are_refused(events: Any) -> None:
    class Reversed(LookupTokenizer):  # numbers b-jets first and does not say so
        @property
        def digits(self) -> Any:
            found = super().digits.copy()
            kind = [name for name, _ in self.factors].index("type")
            found[:, kind] = np.where(found[:, kind] < 0, -1, len(self.types) - 1 - found[:, kind])
            return found

    known = LookupTokenizer(types=PARTICLE_TYPES[::-1]).fit(events)
    check_types(known, events)
    with pytest.raises(
        OptionError, match=r"factor 'type' of Reversed counts \{'.*attribute `types`"
    ):
        MaskedTokenDetector(Reversed()).fit(events)


def test_the_joint_model_has_a_head_for_each_kind_of_token(events: Any) -> None:
    detector = tiny(model="joint", form="token").fit(events)
    assert detector.forms == ("joined", "sum", "mean", "excess", "token", "MET", "METphi")
    assert detector.name == "masked_token_token"
    assert np.isfinite(detector.score(events)).all()


def test_unseen_multiplicities_score_ever_higher(fitted: MaskedTokenDetector, events: Any) -> None:
    most = int(ak.max(ak.num(part_of(events, "train").Particle)))
    one = events[ak.num(events.Particle) >= 3][:1]
    copies = [
        ak.with_field(one, one.Particle[:, np.arange(n) % 3], "Particle")
        for n in range(most, most + 40, 4)
    ]
    rising = [float(fitted.score(event)[0]) for event in copies]
    assert (np.diff(rising) > 0).all()


def test_a_seed_gives_the_same_detector_and_leaves_torch_alone(
    events: Any, fitted: MaskedTokenDetector
) -> None:
    check_seed(tiny, fitted, events)


def test_surprises_are_shared_by_forms_and_not_stale(
    fitted: MaskedTokenDetector, events: Any
) -> None:
    first, second = (fitted.tokenizer.encode(events[cut]) for cut in (slice(0, 20), slice(20, 40)))
    found = fitted.surprises(first)
    assert fitted.with_score("sum").surprises(fitted.tokenizer.encode(events[:20])) is found
    assert fitted.surprises(second) is not found
    np.testing.assert_array_equal(fitted.surprises(first).surprise, found.surprise)


def test_too_few_events_are_refused(events: Any) -> None:
    with pytest.raises(
        TrainingError, match=r"none of the \d events is in the validation part|cannot fill|too few"
    ):
        tiny().fit(events[:5])


def test_before_fit(events: Any, tmp_path: Path) -> None:
    for use in (
        lambda: tiny().score(events),
        lambda: tiny().axis,
        lambda: tiny().fitted_model,
        lambda: tiny().save(tmp_path / "x"),
    ):
        with pytest.raises(
            NotFittedError, match=r"this MaskedTokenDetector is not fitted yet: call fit"
        ):
            use()


def test_everything_is_saved(fitted: MaskedTokenDetector, folder: Path, events: Any) -> None:
    loaded = MaskedTokenDetector.load(folder)
    for name in ("model", "training", "form", "tail_events", "history_"):
        assert getattr(loaded, name) == getattr(fitted, name)
    for form in fitted.forms:
        one = load_detector(f"{folder}#{form}")
        np.testing.assert_array_equal(
            one.score(events[:50]), fitted.with_score(form).score(events[:50])
        )
        assert one.axis == fitted.with_score(form).axis
    with pytest.raises(OptionError, match=r"score form 'mass' is unknown"):
        load_detector(f"{folder}#mass")
    retrained = loaded.fit(events)
    np.testing.assert_array_equal(retrained.score(events), fitted.score(events))


def test_weights_of_another_vocabulary_are_refused(
    folder: Path, events: Any, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "detector")
    LookupTokenizer(pt_bins=4).fit(events).save(tmp_path / "detector" / "tokenizer")
    with pytest.raises(
        StorageError, match=r"the weights do not fit the model or the tokenizer's vocabulary"
    ):
        load_detector(tmp_path / "detector")


def test_a_saved_detector_travels_as_path_and_digest(folder: Path, events: Any) -> None:
    open_once.cache_clear()
    detector = load_detector(folder)
    data = pickle.dumps([detector, detector.with_score("pt")])  # type: ignore[attr-defined]
    assert len(data) < 1000
    assert str(folder).encode() in data
    first, pt = pickle.loads(data)
    second, _ = pickle.loads(data)
    assert open_once.cache_info().misses == 1
    assert first.fitted_model is second.fitted_model is pt.fitted_model
    assert (first.name, pt.name) == ("masked_token", "masked_token_pt")
    np.testing.assert_array_equal(second.score(events), detector.score(events))


def test_a_detector_that_is_not_saved_travels_whole(events: Any, folder: Path) -> None:
    detector = load_detector(folder).fit(events)  # fitted anew: not that of the folder
    expected = detector.score(events)
    data = pickle.dumps(detector)
    assert len(data) > 5_000
    assert str(folder).encode() not in data
    assert detector._state is not None
    assert detector._state.last.sums is not None
    # what was found of the last events is large and stays at home
    assert pickle.loads(data)._state.last.sums is None
    np.testing.assert_array_equal(pickle.loads(data).score(events), expected)


def test_a_detector_that_was_saved_within_another_travels_whole(
    events: Any, folder: Path, tmp_path: Path
) -> None:
    """Its folder was renamed when the other one was complete: no path leads to it."""
    detector = load_detector(folder)
    both = Combination([detector, Observable("met")]).fit(events)
    both.save(tmp_path / "both")
    found = pickle.loads(pickle.dumps(both))
    np.testing.assert_array_equal(found.score(events), both.score(events))


def test_two_copies_of_one_detector_compute_once(
    events: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    one, copy = load_detector(folder), load_detector(tmp_path / "copy")
    few = events[:37]
    expected = one.score(few)

    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("computed twice")

    monkeypatch.setattr(f"{FORMS}.surprises", fail)
    np.testing.assert_array_equal(copy.score(few), expected)
    with pytest.raises(AssertionError, match=r"computed twice"):
        copy.score(events[:38])


def test_only_equal_models_share_what_they_compute() -> None:
    weights = {"a": np.zeros(2), "b": np.ones(3)}
    assert content_of(weights, "4 heads") == content_of(dict(reversed(weights.items())), "4 heads")
    others = (
        content_of(weights, "8 heads"),
        content_of({"a": weights["b"], "b": weights["a"]}, ""),
    )
    assert len({content_of(weights, "4 heads"), *others}) == 3
    first = last_of("first")
    others = [last_of(f"member {i}") for i in range(100)]
    assert all(one is not first for one in others)
    assert last_of("first") is first  # all members of a cross-fitted detector have a place
    known = len(_lasts)
    del others
    assert len(_lasts) == known - 100  # what no detector shares any more is freed


@pytest.mark.parametrize("form", ["joined", "excess", "pt"])
def test_events_are_scored_in_blocks_with_the_same_bits(
    fitted: MaskedTokenDetector, events: Any, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = fitted.with_score(form)
    expected, asked = detector.score(events), []

    def surprises_of(model: Any, tokens: TokenBatch, **options: Any) -> Any:
        asked.append(len(tokens))
        return surprises(model, tokens, **options)

    monkeypatch.setattr(f"{FORMS}.BLOCK", 20)
    monkeypatch.setattr(f"{FORMS}.surprises", surprises_of)
    _ = detector.score(events[:1])  # forget the sums
    np.testing.assert_array_equal(detector.score(events), expected)
    assert len(asked) > 2
    assert sum(asked[1:]) == len(events)


def test_another_detector_in_the_folder_is_refused(
    events: Any, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "detector")
    data = pickle.dumps(load_detector(tmp_path / "detector"))
    tiny(seed=7).fit(events).save(tmp_path / "detector")
    with pytest.raises(StorageError, match=r"is not the MaskedTokenDetector that the processor"):
        pickle.loads(data)
    # other bins under the same weights are another detector too
    shutil.rmtree(tmp_path / "detector")
    shutil.copytree(folder, tmp_path / "detector")
    LookupTokenizer().fit(part_of(events[:300], "train")).save(tmp_path / "detector" / "tokenizer")
    with pytest.raises(StorageError, match=r"is not the MaskedTokenDetector that the processor"):
        pickle.loads(data)
    shutil.rmtree(tmp_path / "detector")
    with pytest.raises(StorageError, match=r"cannot be read as a"):
        pickle.loads(data)


def test_an_interrupted_training_goes_on(
    events: Any, fitted: MaskedTokenDetector, tmp_path: Path
) -> None:
    class Stop(Exception):
        pass

    def stop_in_epoch_2(epoch: int, *_: object) -> None:
        if epoch == 2:
            raise Stop

    def make() -> MaskedTokenDetector:
        return MaskedTokenDetector(
            model=ModelOptions(width=16, feedforward=32, layers=1),
            training=TrainingOptions(epochs=3),
            tail_events=300,
        )

    with pytest.raises(Stop, match=r"^$"):
        make().fit(events, checkpoint=tmp_path / "checkpoint", progress=stop_in_epoch_2)
    epochs: list[int] = []
    resumed = make().fit(
        events, checkpoint=tmp_path / "checkpoint", progress=lambda epoch, *_: epochs.append(epoch)
    )
    assert set(epochs) == {2, 3}
    whole = make().fit(events)
    assert resumed.history_ == whole.history_
    np.testing.assert_array_equal(resumed.score(events), whole.score(events))


def test_validation_events_choose_the_epoch_only(events: Any) -> None:
    """With one epoch there is nothing to choose: other validation events give the same scores."""
    validation = part_of(events, "validation")
    kept = ak.concatenate([part_of(events, "train"), validation[: len(validation) // 2]])
    kept = with_metadata(kept, dataset="ttbarW", role="background")
    np.testing.assert_array_equal(tiny().fit(kept).score(events), tiny().fit(events).score(events))

"""AnomalyProcessor: the same from every file format and executor, of analysis events alone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import cloudpickle
import numpy as np
import pytest
from coffea.processor import Runner
from hist.axis import Regular

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import Dataset
from hepmtp.detectors import load_detector
from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.detectors.observables import Observable
from hepmtp.detectors.token_rarity import TokenRarity
from hepmtp.errors import OptionError, RegionError, ScoreError, StorageError
from hepmtp.events.cuts import window
from hepmtp.events.record import metadata, with_metadata
from hepmtp.events.region_info import described, regions_of
from hepmtp.events.regions import CR, REGIONS, SR, Region
from hepmtp.events.split import FRACTIONS, split_of
from hepmtp.events.strangest import Strangest
from hepmtp.events.variables import HT
from hepmtp.models.masked import ModelOptions
from hepmtp.readers.root import HepmtpSchema
from hepmtp.run.executors import make_executor
from hepmtp.run.runner import HepRunner
from hepmtp.statistics.histograms import canonical, spectrum, yields
from hepmtp.storage import open_once
from hepmtp.training.masking import TrainingOptions
from processors.anomaly import AnomalyProcessor

if TYPE_CHECKING:
    from distributed import Client

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # a worker cannot import a test module
Files = dict[str, dict[str, Path]]  # of a format, of a data set
N = {"4top": 500, "ttbarW": 600}
NAMES = ("masked_token", "masked_token_pt", "token_rarity", "multiplicity", "ht")


class Broken(Observable):
    """A detector whose score of the third event that it sees is what it was made with."""

    description = "Breaks on purpose."
    axis = Regular(10, 0, 1, name="score", label="x")

    def __init__(self, value: float, name: str = "broken") -> None:
        self.value, self.name = value, name

    def score(self, events: ak.Array) -> Any:
        scores = np.full(len(events), 0.5)
        scores[2:3] = self.value
        return scores


def odd(events: ak.Array) -> Any:
    return ak.to_numpy(events.event) % 2 == 1


def everything(events: ak.Array) -> Any:
    return np.ones(len(events), dtype=bool)


def wrong_shape(events: ak.Array) -> Any:
    return np.ones(3)


def role(name: str) -> Any:
    return "signal" if name == "4top" else "background"


def fileset(paths: dict[str, Path], **roles: str) -> dict[str, Any]:
    return {
        name: {"files": [str(path)], "metadata": {"role": roles.get(name, role(name))}}
        for name, path in paths.items()
    }


@pytest.fixture(scope="module")
def files(in_every_format: Callable[..., Files]) -> Files:
    return in_every_format(N, chunk=250)


@pytest.fixture(scope="module")
def events(files: Any) -> dict[str, ak.Array]:
    return {
        name: read([Dataset(name=name, process=name, role=role(name), files=(str(path),))])
        for name, path in files["csv"].items()
    }


@pytest.fixture(scope="module")
def folder(events: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved tiny masked-token detector."""
    shape, how = ModelOptions(width=16, feedforward=32, layers=1), TrainingOptions(epochs=1)
    path = tmp_path_factory.mktemp("saved") / "detector"
    MaskedTokenDetector(model=shape, training=how, tail_events=300).fit(events["ttbarW"]).save(path)
    return path


@pytest.fixture(scope="module")
def processor(folder: Path, events: Any) -> AnomalyProcessor:
    plain = [
        one.fit(events["ttbarW"])
        for one in (TokenRarity(), Observable("multiplicity"), Observable("ht"))
    ]
    return AnomalyProcessor([folder, f"{folder}#pt", *plain], columns=True)


@pytest.fixture(scope="module")
def expected(processor: AnomalyProcessor, events: Any) -> dict[str, Any]:
    """(event numbers, weights, {detector: scores}) by (dataset, region), without processor."""
    found = {}
    for dataset, whole in events.items():
        # all detectors were trained on ttbarW, and none on 4top
        trained = dataset == "ttbarW"
        chosen = whole[split_of(whole) == "analysis"] if trained else whole
        for region in REGIONS:
            inside = chosen[region.select(chosen)]
            scores = {one.name: one.score(inside) for one in processor.detectors}
            found[dataset, region.name] = (
                inside.event.to_list(),
                ak.to_numpy(inside.weight) / (0.3 if trained else 1.0),
                scores,
            )
    return found


@pytest.fixture
def iterative() -> Iterator[Any]:
    with make_executor("iterative", status=False) as executor:
        yield executor


def check_strangest(kept: Strangest, numbers: Any, weights: Any, scores: Any) -> None:
    """The ten of the largest score, with their weights and a surprise of each particle."""
    largest = np.sort(scores["masked_token"])[::-1][:10]
    np.testing.assert_allclose([one.score for one in kept.events], largest, rtol=1e-5)
    weight_of = dict(zip(numbers, weights, strict=True))
    for one in kept.events:
        assert one.weight == pytest.approx(weight_of[one.event], rel=1e-12)
        assert one.surprises is not None
        assert len(one.surprises) == len(one.particles["pt"]) >= 6
        assert min(one.surprises) > 0


def check_same(out: dict[str, Any], expected: dict[str, Any], processor: AnomalyProcessor) -> None:
    """Counts exactly, sums to tolerance; scores of float32 may cross a bin's edge."""
    assert set(out["scores"]) == set(NAMES)
    assert regions_of(out) == sorted(described(REGIONS))
    assert [one.name for one in regions_of(out)] == [one.name for one in REGIONS]
    for dataset in N:
        assert list(out["cutflow"][dataset]) == ["all", *(region.name for region in REGIONS)]
        columns = {name: one.value for name, one in out["columns"][dataset].items()}
        by_event = np.argsort(columns["event"])
        for region in REGIONS:
            numbers, weights, scores = expected[dataset, region.name]
            if region.name == "SR":
                check_strangest(
                    out["strangest"]["masked_token"][dataset]["SR"], *expected[dataset, "SR"]
                )
            count = out["cutflow"][dataset][region.name]
            assert count["raw"] == len(numbers)
            assert count["sumw"] == pytest.approx(weights.sum(), rel=1e-12)
            assert count["sumw2"] == pytest.approx((weights**2).sum(), rel=1e-12)
            rows = by_event[columns[f"region:{region.name}"][by_event]]
            assert columns["event"][rows].tolist() == numbers
            np.testing.assert_allclose(columns["weight"][rows], weights, rtol=1e-12)
            for detector in processor.detectors:
                name = detector.name
                np.testing.assert_allclose(
                    columns[f"score:{name}"][rows], scores[name], rtol=1e-5, atol=1e-5
                )
                h = spectrum(canonical(out["scores"][name]), dataset, region.name)
                right = np.histogram(
                    scores[name], [-np.inf, *detector.axis.edges, np.inf], weights=weights
                )[0]
                found = h.view(flow=True)["value"]
                assert found.sum() == pytest.approx(weights.sum(), rel=1e-12)
                assert np.abs(found - right).sum() <= 2.1 * weights.max(
                    initial=0
                )  # one event a bin further, at most
                assert h.view(flow=True)["variance"].sum() == pytest.approx(
                    (weights**2).sum(), rel=1e-12
                )


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "root", "parquet"])
@pytest.mark.parametrize("chunksize", [250, 20_000])
def test_every_format(
    files: Any, expected: Any, processor: Any, iterative: Any, kind: str, chunksize: int
) -> None:
    check_same(
        HepRunner(iterative, chunksize=chunksize)(fileset(files[kind]), processor),
        expected,
        processor,
    )


def test_formats_give_equal_histograms(files: Any, processor: Any, iterative: Any) -> None:
    """The same chunks of the same events: equal to the last bit."""
    outputs = [
        HepRunner(iterative)(fileset(files[kind]), processor)
        for kind in ("csv", "csv.gz", "root", "parquet")
    ]
    for name in NAMES:
        first, *others = (canonical(out["scores"][name]) for out in outputs)
        assert all(other == first for other in others)


def test_futures(files: Any, expected: Any, processor: Any, two_processes: Any) -> None:
    runner = HepRunner(two_processes, chunksize=200)
    mixed = fileset({**files["csv"], "4top": files["root"]["4top"]})
    check_same(runner(mixed, processor), expected, processor)
    with pytest.raises(
        ScoreError,
        match=r"detector 'broken', dataset '4top', region 'all': 1 of \d+ scores are not",
    ):
        runner(fileset(files["csv"]), broken(np.nan))


def opened() -> Any:
    return open_once.cache_info()


def forget() -> None:
    open_once.cache_clear()


def test_dask_opens_the_model_once_per_worker(
    files: Any, expected: Any, processor: Any, dask_client: Client
) -> None:
    dask_client.run(forget)
    with make_executor("dask", client=dask_client, status=False) as executor:
        runner = HepRunner(executor, chunksize=50)
        check_same(runner(fileset(files["csv"]), processor), expected, processor)
        check_same(runner(fileset(files["root"]), processor), expected, processor)
        info = dask_client.run(opened)
        used = [one for one in info.values() if one.hits]
        assert used
        assert all(one.misses == 1 for one in used)  # opened once, for all its chunks and both runs
        assert sum(one.hits for one in used) > 20
        with pytest.raises(
            ScoreError,
            match=r"detector 'broken', dataset '4top', region 'all': 1 of \d+ scores are not",
        ):
            runner(fileset(files["csv"]), broken(np.inf))


def test_the_runner_of_coffea(files: Any, expected: Any, processor: Any, iterative: Any) -> None:
    runner = Runner(iterative, schema=HepmtpSchema, format="root", chunksize=250)
    check_same(runner(fileset(files["root"]), processor, treename="Events"), expected, processor)


def broken(value: float) -> AnomalyProcessor:
    return AnomalyProcessor([Broken(value)], regions=[Region("all", "all", everything)])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_raises(events: Any, value: float) -> None:
    with pytest.raises(
        ScoreError,
        match=r"detector 'broken', dataset '4top', region 'all': 1 of \d+ scores are not",
    ):
        broken(value).process(events["4top"])


def test_only_analysis_events_fill_and_stand_for_all(events: Any, processor: Any) -> None:
    part = split_of(events["ttbarW"])
    for name in ("train", "validation"):
        out = processor.process(events["ttbarW"][part == name])
        assert out["cutflow"]["ttbarW"]["all"] == {"raw": 0, "sumw": 0.0, "sumw2": 0.0}
        assert out["scores"]["ht"].sum(flow=True).value == 0
    whole = processor.process(events["ttbarW"])
    alone = processor.process(events["ttbarW"][part == "analysis"])
    assert whole["cutflow"] == alone["cutflow"]
    assert whole["scores"]["ht"] == alone["scores"]["ht"]
    count = whole["cutflow"]["ttbarW"]["all"]
    assert count["raw"] == int((part == "analysis").sum())
    weight = float(events["ttbarW"].weight[0])
    assert count["sumw"] == pytest.approx(count["raw"] * weight / FRACTIONS["analysis"])
    assert count["sumw2"] == pytest.approx(count["raw"] * (weight / FRACTIONS["analysis"]) ** 2)


def test_data_is_never_split_nor_scaled(events: Any, processor: Any) -> None:
    data = with_metadata(events["4top"], dataset="run2", role="data")
    count = processor.process(data)["cutflow"]["run2"]["all"]
    assert count["raw"] == 500
    assert count["sumw"] == pytest.approx(float(ak.sum(data.weight)))


def test_the_regions_share_no_event(events: Any, processor: Any) -> None:
    for dataset, whole in events.items():
        columns = processor.process(whole)["columns"][dataset]
        inside = np.stack([columns[f"region:{name}"].value for name in ("CR", "VR", "SR")])
        assert (inside.sum(axis=0) <= 1).all()
        assert (inside.sum(axis=1) > 0).all()
        assert (
            np.stack([columns[f"region:{region.name}"].value for region in REGIONS])
            .any(axis=0)
            .all()
        )


def test_a_region_of_ones_own(events: Any, processor: Any) -> None:
    mine = AnomalyProcessor(processor.detectors[-1:], regions=[Region("odd", "odd events", odd)])
    out = mine.process(events["ttbarW"])
    chosen = events["ttbarW"][split_of(events["ttbarW"]) == "analysis"]
    assert out["cutflow"]["ttbarW"]["odd"]["raw"] == int(odd(chosen).sum())
    assert list(out["scores"]["ht"].axes["region"]) == ["odd"]
    assert "columns" not in out
    wrong = AnomalyProcessor(processor.detectors[-1:], regions=[Region("wrong", "", wrong_shape)])
    with pytest.raises(RegionError, match=r"region 'wrong' gives float64 \(3,\), expected bool"):
        wrong.process(events["ttbarW"])


def test_two_cuts_on_one_variable_fill_what_lacks_both_once(events: Any, processor: Any) -> None:
    cuts = (window("over 400", HT, above=400), window("up to 900", HT, upto=900), SR.cuts[2])
    mine = AnomalyProcessor(processor.detectors[-1:], regions=[Region("both", "", cuts, "signal")])
    out = mine.process(events["ttbarW"])
    (region,) = out["regions"]
    assert region.windows == (("ht", 400, None), ("ht", None, 900), ("n_jets", 5.5, None))
    chosen = events["ttbarW"][split_of(events["ttbarW"]) == "analysis"]
    six = cuts[2].select(chosen)
    found = out["n_minus_one"]
    weights = ak.to_numpy(chosen.weight)[six] / FRACTIONS["analysis"]
    assert yields(found["ht"], "ttbarW", "both").value == pytest.approx(weights.sum())
    inside = cuts[0].select(chosen) & cuts[1].select(chosen)
    weights = ak.to_numpy(chosen.weight)[inside] / FRACTIONS["analysis"]
    assert yields(found["n_jets"], "ttbarW", "both").value == pytest.approx(weights.sum())


def test_no_events(events: Any, processor: Any) -> None:
    out = processor.process(events["ttbarW"][:0])
    assert metadata(events["ttbarW"][:0])["dataset"] == "ttbarW"
    for h in out["scores"].values():
        assert list(h.axes["dataset"]) == ["ttbarW"]
        assert set(h.axes["region"]) == {region.name for region in REGIONS}
        assert h.sum(flow=True).value == 0
    assert all(len(column.value) == 0 for column in out["columns"]["ttbarW"].values())


def test_names_are_unique(folder: Path, processor: Any) -> None:
    with pytest.raises(
        OptionError,
        match=r"the detectors need a name each and no name twice, found \['masked_token', 'm",
    ):
        AnomalyProcessor([folder, folder])
    with pytest.raises(OptionError, match=r"no name twice, found \[\]"):
        AnomalyProcessor([])
    with pytest.raises(
        RegionError,
        match=r"the regions need a name each and no name twice, found \['CR', 'CR'\]",
    ):
        AnomalyProcessor([folder], regions=[CR, CR])
    with pytest.raises(StorageError, match=r"cannot be read as a"):
        AnomalyProcessor([folder / "nothing"])


def test_a_processor_of_saved_detectors_is_small(processor: Any, folder: Path, events: Any) -> None:
    alone = AnomalyProcessor([folder, load_detector(f"{folder}#pt")])
    data = cloudpickle.dumps(alone)
    assert len(data) < 8000
    one, two = alone.process(events["4top"]), cloudpickle.loads(data).process(events["4top"])
    assert one["scores"] == two["scores"]
    assert alone.postprocess(one) is one

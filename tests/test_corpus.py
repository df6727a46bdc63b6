"""CorpusProcessor: the same training tokens from every file format and executor."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import cloudpickle
import pytest
from coffea.processor import IterativeExecutor

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import Dataset
from hepmtp.detectors import training_events
from hepmtp.errors import NotFittedError, TrainingError
from hepmtp.events.record import with_metadata
from hepmtp.events.split import split_of
from hepmtp.events.tokens import TokenBatch
from hepmtp.run.executors import make_executor
from hepmtp.run.proportions import first_events, in_proportion
from hepmtp.run.runner import HepRunner
from hepmtp.tokenizers.continuous import ContinuousInputs
from hepmtp.tokenizers.lookup import LookupTokenizer
from processors.corpus import CorpusProcessor, training_tokens

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # a worker cannot import a test module
Files = dict[str, dict[str, Path]]  # of a format, of a data set
N = {"ttbarW": 400, "ttbarZ": 300}


@pytest.fixture(scope="module")
def files(in_every_format: Callable[..., Files]) -> Files:
    return in_every_format(N, chunk=150)


@pytest.fixture(scope="module")
def events(files: Any) -> Any:
    return read(datasets(files["csv"]))


@pytest.fixture(scope="module")
def tokenizer(events: Any) -> LookupTokenizer:
    return LookupTokenizer().fit(training_events(events))


@pytest.fixture(scope="module")
def expected(events: Any, tokenizer: LookupTokenizer) -> tuple[TokenBatch, TokenBatch]:
    """Without runner and processor."""
    train, validation = (
        tokenizer.encode(training_events(events, part)) for part in ("train", "validation")
    )
    return train, validation


def datasets(paths: dict[str, Path], role: Any = "background") -> list[Dataset]:
    return [
        Dataset(name=name, process=name, role=role, files=(str(path),))
        for name, path in paths.items()
    ]


def fileset(paths: dict[str, Path], role: str = "background") -> dict[str, Any]:
    return {
        name: {"files": [str(path)], "metadata": {"role": role}} for name, path in paths.items()
    }


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "root", "parquet"])
@pytest.mark.parametrize("chunksize", [70, 20_000])
def test_every_format(files: Any, tokenizer: Any, expected: Any, kind: str, chunksize: int) -> None:
    with make_executor("iterative", status=False) as executor:
        out = HepRunner(executor, chunksize=chunksize)(
            fileset(files[kind]), CorpusProcessor(tokenizer)
        )
    assert training_tokens(out) == expected


def test_it_says_what_the_weights_of_all_events_sum_to(files: Any, tokenizer: Any) -> None:
    given = first_events(datasets(files["csv"]), stop=100)
    with make_executor("iterative", status=False) as executor:
        runner = HepRunner(executor, chunksize=70)
        runner(fileset(files["csv"]), CorpusProcessor(tokenizer))
    mixed = in_proportion(given, datasets(files["csv"]), runner.accounting)
    for name, n in N.items():
        first = given.weights[name]
        of_all = ak.sum(read([d for d in datasets(files["csv"]) if d.name == name]).weight)
        scaled = mixed.weight[:100] if name == "ttbarW" else mixed.weight[100:]
        assert ak.sum(scaled) == pytest.approx(of_all)
        assert ak.sum(first) < of_all * 110 / n


def test_futures_and_dask(
    files: Any, tokenizer: Any, expected: Any, two_processes: Any, on_dask: Any
) -> None:
    for executor in (two_processes, on_dask):
        runner = HepRunner(executor, chunksize=90)
        mixed = {**files["csv"], "ttbarZ": files["root"]["ttbarZ"]}
        assert training_tokens(runner(fileset(mixed), CorpusProcessor(tokenizer))) == expected
        with pytest.raises(
            TrainingError, match=r"data set 'ttbarW' with role 'signal': only background"
        ):
            runner(fileset(files["csv"], "signal"), CorpusProcessor(tokenizer))


def test_what_a_chunk_gives(events: Any, tokenizer: Any) -> None:
    chunk = with_metadata(events[:50], dataset="ttbarW", role="background")
    out = CorpusProcessor(tokenizer).process(chunk)
    part = split_of(chunk)
    names = ("train", "validation", "analysis")
    assert out["cutflow"] == {"ttbarW": {name: int((part == name).sum()) for name in names}}
    assert sum(out["cutflow"]["ttbarW"].values()) == 50
    assert set(out["corpus"]) == {"train", "validation"}  # analysis events leave no token
    for name, rows in out["corpus"].items():
        assert rows["tokens"].value == tokenizer.encode(chunk[part == name])
        assert rows["event"].value.tolist() == chunk.event[part == name].to_list()
        assert rows["source"].value.tolist() == chunk.source[part == name].to_list()


def test_features_come_along(files: Any, events: Any, two_processes: Any) -> None:
    inputs = ContinuousInputs(LookupTokenizer()).fit(training_events(events))
    expected = tuple(
        inputs.encode(training_events(events, part)) for part in ("train", "validation")
    )
    for executor, chunksize in ((IterativeExecutor(status=False), 70), (two_processes, 150)):
        runner = HepRunner(executor, chunksize=chunksize)
        out = runner(fileset(files["csv"]), CorpusProcessor(inputs))
        found = training_tokens(out)
        assert found[0].features is not None
        assert found[0].features.shape == (len(found[0].values), 15)
        assert found == expected


def test_no_events(events: Any, tokenizer: Any) -> None:
    nothing = CorpusProcessor(tokenizer).process(events[:0])
    assert [len(batch) for batch in training_tokens(nothing)] == [0, 0]


@pytest.mark.parametrize("role", ["signal", "data", None])
def test_only_background_trains(events: Any, tokenizer: Any, role: Any) -> None:
    with pytest.raises(
        TrainingError, match=r"data set 'x' with role .*: only background may be fitted on"
    ):
        CorpusProcessor(tokenizer).process(with_metadata(events[:10], dataset="x", role=role))


def test_a_tokenizer_that_is_not_fitted(events: Any) -> None:
    with pytest.raises(NotFittedError, match=r"this LookupTokenizer is not fitted yet"):
        CorpusProcessor(LookupTokenizer()).process(events)


def test_an_event_read_twice_is_refused(files: Any, tokenizer: Any) -> None:
    both = {
        "ttbarW": {
            "files": [str(files[kind]["ttbarW"]) for kind in ("csv", "root")],
            "metadata": {"role": "background"},
        }
    }
    with make_executor("iterative", status=False) as executor:
        out = HepRunner(executor)(both, CorpusProcessor(tokenizer))
    with pytest.raises(
        TrainingError,
        match=r"some train events were read twice: give each file once, raw or converted; a copy",
    ):
        training_tokens(out)

"""Training through the runner: the same detector as from events in memory."""

from __future__ import annotations

import gzip
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest

from hepmtp.datasets.files import num_events, read
from hepmtp.datasets.manifest import Dataset
from hepmtp.detectors import training_events
from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.detectors.stranger import StrangerDetector, StrangerTraining
from hepmtp.errors import TrainingError
from hepmtp.events.record import concatenate
from hepmtp.models.masked import ModelOptions
from hepmtp.run.executors import make_executor
from hepmtp.run.train import train_detectors
from hepmtp.tokenizers.lookup import LookupTokenizer
from hepmtp.training.masking import TrainingOptions
from processors.corpus import CorpusProcessor

pytestmark = pytest.mark.usefixtures("short_training")

N = {"ttbarW": 400, "ttbarZ": 300}


@pytest.fixture(scope="module")
def datasets(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Dataset]:
    folder = tmp_path_factory.mktemp("workflow")
    found = []
    for name, n in N.items():
        with gzip.open(sample / f"{name}.csv.gz", "rb") as file:
            (folder / f"{name}.csv").write_bytes(b"".join(itertools.islice(file, n)))
        found.append(
            Dataset(
                name=name, process=name, role="background", files=(str(folder / f"{name}.csv"),)
            )
        )
    return found


@pytest.fixture(scope="module")
def events(datasets: Any) -> Any:
    return read(datasets)


def test_training_through_the_runner_is_training_on_the_events(
    datasets: Any, events: Any, tmp_path: Path
) -> None:
    """train_detectors gives the very detector of fit; token rarity reads the same tokens.

    They are on disk for the model, and leave nothing there.
    """

    def tiny() -> MaskedTokenDetector:
        shape = ModelOptions(width=16, feedforward=32, layers=1)
        return MaskedTokenDetector(
            LookupTokenizer(met_bins=3), shape, TrainingOptions(epochs=1), tail_events=300
        )

    with make_executor("iterative", status=False) as executor:
        detectors = train_detectors(
            datasets,
            tiny(),
            corpus=CorpusProcessor,
            executor=executor,
            chunksize=110,
            scratch=tmp_path,
        )
        assert not list(tmp_path.iterdir())
        with pytest.raises(TrainingError, match=r"role 'signal': only background"):
            train_detectors(
                [replace(one, role="signal") for one in datasets],
                tiny(),
                corpus=CorpusProcessor,
                executor=executor,
            )
    names = [
        "anomaly",
        "masked_token",
        "token_rarity",
        "multiplicity",
        "n_jets",
        "n_b",
        "ht",
        "met",
    ]
    names += ["observables", "masked_token_calibrated"]
    assert [one.name for one in detectors] == names
    np.testing.assert_array_equal(detectors[1].score(events), tiny().fit(events).score(events))
    assert detectors[2].tokenizer is detectors[1].tokenizer  # type: ignore[attr-defined]
    assert all(np.isfinite(one.score(events)).all() for one in detectors)


def test_a_sample_sets_bins_and_axes_only(datasets: Any, events: Any) -> None:
    shape = ModelOptions(width=16, feedforward=32, layers=1)
    detector = MaskedTokenDetector(model=shape, training=TrainingOptions(epochs=1), tail_events=300)
    with make_executor("iterative", status=False) as executor:
        train_detectors(
            datasets,
            detector,
            corpus=CorpusProcessor,
            executor=executor,
            most_events=200 * len(datasets),
        )
    first = concatenate([read([one], stop=200) for one in datasets])
    expected = LookupTokenizer.preset("no_azimuth").fit(training_events(first))
    found = detector.tokenizer
    assert isinstance(found, LookupTokenizer)
    for name, bins in (expected.bins_ or {}).items():
        np.testing.assert_array_equal((found.bins_ or {})[name].edges, bins.edges)


def test_the_sample_of_many_files_is_no_larger(
    datasets: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, list[int]] = {"fit": [], "tokens": []}
    plain, tokens = StrangerDetector.fit, MaskedTokenDetector.fit_tokens

    def fit(self: StrangerDetector, events: ak.Array, **watch: Any) -> StrangerDetector:
        seen["fit"].append(len(events))
        return plain(self, events, **watch)

    def fit_tokens(self: MaskedTokenDetector, *both: Any, **watch: Any) -> MaskedTokenDetector:
        seen["tokens"].append(sum(map(len, both)))
        return tokens(self, *both, **watch)

    monkeypatch.setattr(StrangerDetector, "fit", fit)
    monkeypatch.setattr(MaskedTokenDetector, "fit_tokens", fit_tokens)
    found = []
    for ordered in (datasets, datasets[::-1]):
        detector = MaskedTokenDetector(
            LookupTokenizer(met_bins=3),
            ModelOptions(width=16, feedforward=32, layers=1),
            TrainingOptions(epochs=1),
            tail_events=300,
        )
        with make_executor("iterative", status=False) as executor:
            found.append(
                train_detectors(
                    ordered,
                    detector,
                    corpus=CorpusProcessor,
                    executor=executor,
                    stranger=StrangerDetector(members=1, training=StrangerTraining(epochs=1)),
                    most_events=500,
                    scratch=tmp_path,
                    checkpoint=tmp_path / f"state{len(found)}",
                )
            )
    n = [num_events(one)[0] for one in datasets]
    assert seen["fit"] == [500, 500]
    assert sum(n) * 0.6 < seen["tokens"][0] < sum(n) * 0.8  # the transformer learns from all
    first = read(datasets[:1], stop=50)
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one.score(first), other.score(first))

"""JetProcessor and scores of jets in events: the same from every executor and chunk size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
from coffea.processor import IterativeExecutor
from test_jet_density import make
from toy_jets import toy_jets

import hepmtp as hm
from hepmtp.detectors.density import JetDensityDetector
from hepmtp.errors import EventError, OptionError, StorageError
from hepmtp.events.record import with_metadata
from hepmtp.jets.regions import JET_VARIABLES
from hepmtp.models.autoregressive import AutoregressiveModel
from hepmtp.readers.jetclass import JET_LABELS, write_jetclass
from processors.jets import JetProcessor

RATIO = "jet_ratio_top_QCD"
OF_MODELS = ("log_p_QCD", "log_p_per_term_QCD", "log_p_top", "log_p_per_term_top", RATIO)


def dataset(name: str, path: Path) -> hm.Dataset:
    return hm.Dataset(name, name, "background" if name == "QCD" else "signal", (str(path),))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of QCD and top that train, others that do not, and models of both."""
    place = tmp_path_factory.mktemp("jets")
    for name, n, prongs, seed in (
        ("QCD", 300, 1, 0), ("top", 250, 3, 1), ("QCD_more", 9, 1, 2), ("top_more", 8, 3, 3)
    ):  # fmt: skip
        label = "QCD" if prongs == 1 else "Tbqq"
        jets = toy_jets(n, prongs=prongs, seed=seed)
        write_jetclass(place / f"{name}.root", [jets], label=label)
    qcd, top = (hm.read([dataset(name, place / f"{name}.root")]) for name in ("QCD", "top"))
    model = make().model.fit(qcd)
    model.save(place / "lm" / "qcd")
    JetDensityDetector(model).fit(qcd).save(place / "lm" / "qcd" / "detector")
    one = hm.JetLanguageModel(training=model.training).fit(top, start_from=model)
    one.save(place / "lm" / "top")
    return place


@pytest.fixture(scope="module")
def models(folder: Path) -> list[str]:
    lm = folder / "lm"
    return [f"{lm / 'qcd'}", f"{lm / 'top'}", f"{lm / 'qcd' / 'detector'}#excess"]


def fileset(folder: Path, **files: str) -> dict[str, Any]:
    return {
        name: {
            "files": [str(folder / file)],
            "metadata": {"role": "background" if name == "QCD" else "signal"},
        }
        for name, file in files.items()
    }


def columns(out: dict[str, Any], name: str) -> dict[str, np.ndarray]:
    found = {key: one.value for key, one in out["columns"][name].items()}
    order = np.argsort(found["event"])
    return {key: one[order] for key, one in found.items()}


def test_executors_and_chunks_give_the_same(
    folder: Path, models: list[str], two_processes: Any, on_dask: Any
) -> None:
    files = fileset(folder, QCD="QCD_more.root", top="top_more.root")
    processor = JetProcessor(models, columns=True)
    iterative = IterativeExecutor(status=False)
    runs = [(iterative, 1000), (iterative, 1), (iterative, 7), (two_processes, 7), (on_dask, 7)]
    found = [hm.HepRunner(one, chunksize=size)(files, processor) for one, size in runs]
    assert set(found[0]["scores"]) == {*OF_MODELS, "jet_density_excess"}
    assert set(found[0]["variables"]) == {one.name for one in JET_VARIABLES}
    for name, n in (("QCD", 9), ("top", 8)):
        jets = hm.read([dataset(name, folder / f"{name}_more.root")])
        for out in found:
            _check(out, found[0], name, jets, n, processor)


def _check(
    out: dict[str, Any],
    first: dict[str, Any],
    name: str,
    jets: ak.Array,
    n: int,
    processor: JetProcessor,
) -> None:
    assert out["cutflow"][name] == first["cutflow"][name]
    assert out["cutflow"][name]["all"]["raw"] == n
    table = columns(out, name)
    assert table["event"].tolist() == list(range(n))
    assert set(table["label"].tolist()) == {JET_LABELS.index("QCD" if name == "QCD" else "Tbqq")}
    assert table["multiplicity"].tolist() == ak.num(jets.Particle).to_list()
    np.testing.assert_allclose(table["mass"], JET_VARIABLES[0].values(jets), rtol=1e-9)
    for one in processor.detectors:
        values = table[f"score:{one.name}"]
        np.testing.assert_allclose(values, one.score(jets), rtol=1e-4, atol=1e-3)
        for region in hm.JET_REGIONS:
            inside = table[f"region:{region.name}"]
            filled = out["scores"][one.name][name, region.name, "nominal", :]
            assert filled.sum(flow=True).value == pytest.approx(inside.sum())
    for key, h in out["variables"].items():
        spectra = [one[name, "inclusive", "nominal", :] for one in (h, first["variables"][key])]
        np.testing.assert_array_equal(*(one.values(flow=True) for one in spectra))


def test_what_trained_either_model_is_left_out(folder: Path, models: list[str]) -> None:
    """Of signal, too: it has trained its model."""
    processor = JetProcessor(models[:2], columns=True)
    files = fileset(folder, QCD="QCD.root", top="top.root", more="top_more.root")
    out = hm.HepRunner(IterativeExecutor(status=False))(files, processor)
    for name in ("QCD", "top"):
        jets = hm.read([dataset(name, folder / f"{name}.root")])
        left = np.flatnonzero(hm.split_of(jets) == "analysis")
        table = columns(out, name)
        assert table["event"].tolist() == left.tolist()
        np.testing.assert_allclose(table["weight"], 1 / 0.3)
    assert columns(out, "more")["weight"].tolist() == [1.0] * 8


def test_models_are_asked_once_for_each_chunk(
    folder: Path, models: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    moments = AutoregressiveModel.moments

    def counted(*args: Any) -> Any:
        asked.append(1)
        return moments(*args)

    processor = JetProcessor(models[:2])
    monkeypatch.setattr(AutoregressiveModel, "moments", counted)
    files = fileset(folder, QCD="QCD_more.root")
    hm.HepRunner(IterativeExecutor(status=False))(files, processor)
    assert len(asked) == 2  # two models, of which there are five scores


def test_what_is_no_model_or_no_jet_is_refused(folder: Path, models: list[str]) -> None:
    with pytest.raises(StorageError, match=r"cannot be read as a"):
        JetProcessor([folder / "nothing"])
    with pytest.raises(OptionError, match=r"both models are of 'QCD'"):
        JetProcessor([models[0], models[0]])
    with pytest.raises(OptionError, match=r"a language model has no forms: leave #mean out"):
        JetProcessor([f"{models[0]}#mean"])
    with pytest.raises(EventError, match=r"data set 'QCD' has events, not jets"):
        JetProcessor(models[:1]).process(
            with_metadata(toy_jets(3)[["Particle", "MET", "weight", "event", "source"]],
                          dataset="QCD", role="background")
        )  # fmt: skip
    assert [one.name for one in JetProcessor(models[1:2]).detectors] == [*OF_MODELS[2:4]]


def in_events(*sides: ak.Array) -> tuple[ak.Array, ak.Array]:
    """Constituents and axes of one jet of each side in an event."""
    parts = [ak.without_parameters(one.Particle[["pt", "eta", "phi", "energy"]]) for one in sides]
    jets = [ak.without_parameters(one.Jet) for one in sides]
    return (
        ak.concatenate([one[:, None] for one in parts], axis=1),
        ak.concatenate([one[:, None] for one in jets], axis=1),
    )


def test_jets_of_events_get_a_column(folder: Path, models: list[str]) -> None:
    first, second = toy_jets(12, seed=5), toy_jets(12, prongs=3, seed=6)
    parts, jets = in_events(first, second)
    keep = np.arange(12) % 4 != 0  # every fourth event has one jet only
    parts = ak.concatenate([parts[keep], parts[~keep][:, :1], parts[:1][:, :0]])
    jets = ak.concatenate([jets[keep], jets[~keep][:, :1], jets[:1][:, :0]])
    events = ak.zip({"Jet": jets}, depth_limit=1)
    detector = hm.load_detector(folder / "lm" / "qcd" / "detector")
    events["Jet", "anomaly"] = hm.jet_scores(events, parts, detector, jets=jets)
    assert ak.num(events.Jet.anomaly).to_list() == [2] * 9 + [1] * 3 + [0]
    order = [*np.flatnonzero(keep), *np.flatnonzero(~keep)]
    expected = detector.score(first)[order]
    found = ak.to_numpy(events.Jet.anomaly[:12, 0])
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    np.testing.assert_allclose(
        ak.to_numpy(events.Jet.anomaly[:9, 1]), detector.score(second)[keep], rtol=1e-4
    )
    several = hm.jet_scores(events, parts, [detector, models[2]], jets=jets)
    assert several.fields == ["jet_density", "jet_density_excess"]
    np.testing.assert_allclose(ak.to_numpy(several.jet_density[:12, 0]), expected, rtol=1e-4)
    alone = hm.jet_scores(events, parts, str(folder / "lm" / "qcd" / "detector"))
    np.testing.assert_allclose(ak.to_numpy(alone[:12, 0]), expected, rtol=1e-4)  # sums are axes


def test_wrong_jets_of_events_are_refused(folder: Path, models: list[str]) -> None:
    parts, jets = in_events(toy_jets(4, seed=5))
    events = ak.zip({"Jet": jets}, depth_limit=1)
    with pytest.raises(EventError, match=r"have 2 dimensions, expected three"):
        hm.jets_from(ak.flatten(parts))
    with pytest.raises(EventError, match=r"constituents have no energy \(found: pt, eta, phi\)"):
        hm.jets_from(parts[["pt", "eta", "phi"]])
    with pytest.raises(EventError, match=r"pt of constituents is missing in places"):
        hm.jets_from(ak.mask(parts, parts.pt > 5))
    with pytest.raises(EventError, match=r"jets are not those of the constituents"):
        hm.jets_from(parts, jets[:, :0])
    with pytest.raises(OptionError, match=r"there are 3 events and constituents of 4"):
        hm.jet_scores(events[:3], parts, models[2])
    with pytest.raises(OptionError, match=r"need different names, found \[\]"):
        hm.jet_scores(events, parts, [])
    said = r"holds a 'hepmtp:JetLanguageModel', expected a .*; its anomaly score is .*detector$"
    with pytest.raises(StorageError, match=said):
        hm.jet_scores(events, parts, models[0])

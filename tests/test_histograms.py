"""Histograms: what is filled is what comes out, in any order, through any file."""

from __future__ import annotations

import json
import pickle

import hist
import numpy as np
import pytest
import uproot
from hist.axis import Regular

from hepmtp.errors import OptionError, RegionError, ScoreError, StorageError
from hepmtp.statistics.histogram_files import load, save
from hepmtp.statistics.histograms import (
    book,
    canonical,
    categories,
    fill,
    fill_all,
    nominal,
    rebin,
    spectrum,
    variations_of,
    yields,
)

IN_SR = {"score": [1.0, 2.5, 99.0, -1.0], "weight": [0.1, 0.2, 0.3, 0.4]}


@pytest.fixture
def h():
    """In the SR of ttbarZ one event beyond each end of the axis; one event in its CR."""
    one = book(Regular(4, 0, 4, name="score", label="stranger [nat]"), name="surprise")
    fill(one, dataset="ttbarZ", region="SR", **IN_SR)
    fill(one, dataset="ttbarZ", region="CR", score=[2.0], weight=7)
    fill(one, dataset="4top", region="SR", score=[3.0, 3.5], weight=0.5)
    return one


def test_yields_include_flow(h):
    value, error = yields(h, "ttbarZ", "SR")
    assert value == pytest.approx(1.0)
    assert error == pytest.approx(np.sqrt(0.01 + 0.04 + 0.09 + 0.16))
    assert yields(h, None, "SR").value == pytest.approx(2.0)
    assert yields(h, ["4top", "ttbarZ"], "CR") == (7, 7)
    assert yields(h, "4top", "CR") == (0, 0)


def test_spectrum(h):
    bins = spectrum(h, ["ttbarZ", "4top"], "SR")
    assert bins.view(flow=True)["value"].tolist() == [0.4, 0, 0.1, 0.2, 1, 0.3]
    assert bins.axes[0].label == "stranger [nat]"
    with pytest.raises(RegionError, match="no region VR; it has CR, SR"):
        spectrum(h, None, "VR")
    with pytest.raises(RegionError, match="no dataset ttbarX; it has 4top, ttbarZ"):
        yields(h, "ttbarX", "SR")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(h, bad):
    before = h.copy()
    with pytest.raises(
        ScoreError, match="'surprise', dataset 'ttbarW', region 'SR': 1 of 2 scores"
    ):
        fill(h, dataset="ttbarW", region="SR", score=[1.0, bad], weight=1)
    with pytest.raises(
        ScoreError, match="'surprise', dataset 'ttbarW', region 'SR': 1 of 2 weights"
    ):
        fill(h, dataset="ttbarW", region="SR", score=[1.0, 2.0], weight=[1, bad])
    assert h == before


def test_no_events_still_show_up(h):
    fill(h, dataset="ttbarWW", region="VR", score=[], weight=[])
    assert categories(h, "dataset") == ["4top", "ttbarWW", "ttbarZ"]
    assert yields(h, None, "VR") == (0, 0)


def test_the_axis_must_be_the_score():
    with pytest.raises(ScoreError, match="named 'x'; it must be named 'score'"):
        book(Regular(4, 0, 4, name="x"), name="ht")


def test_order_of_filling_does_not_matter(h):
    other = book(h.axes["score"], name="surprise")
    fill(other, dataset="4top", region="SR", score=[3.0, 3.5], weight=0.5)
    fill(other, dataset="ttbarZ", region="CR", score=[2.0], weight=7)
    fill(other, dataset="ttbarZ", region="SR", **IN_SR)
    assert list(other.axes["dataset"]) != list(h.axes["dataset"])
    assert canonical(other) == canonical(h)
    assert canonical(h).name == "surprise"
    assert canonical(canonical(h) + canonical(h)) == canonical(
        other + h
    )  # executors add the parts up
    empty = book(h.axes["score"])
    assert canonical(empty) == empty


def test_rebin(h):
    bins = spectrum(rebin(h, 2), "ttbarZ", "SR")
    assert bins.view(flow=True)["value"].tolist() == pytest.approx([0.4, 0.1, 0.2, 0.3])
    with pytest.raises(OptionError, match="4 score bins cannot be joined by 3"):
        rebin(h, 3)


@pytest.mark.parametrize("suffix", ["json", "zip", "root"])
def test_a_file_round_trip_is_exact(h, tmp_path, suffix):
    counts = book(Regular(20, -0.5, 19.5, name="score", label="particles"), name="multiplicity")
    fill(counts, dataset="ttbarW", region="CR", score=[4, 5, 5], weight=1 / 3)
    path = save(tmp_path / f"new/histograms.{suffix}", {"surprise": h, "multiplicity": counts})
    found = load(path)
    assert list(found) == ["multiplicity", "surprise"]
    assert found["surprise"] == canonical(h)
    assert found["multiplicity"] == canonical(counts)
    assert [(one.name, one.axes["score"].label) for one in found.values()] == [
        ("multiplicity", "particles"),
        ("surprise", "stranger [nat]"),
    ]
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    fill(found["surprise"], dataset="new", region="VR", score=[1], weight=1)  # it still grows


def test_an_empty_histogram_survives_json(tmp_path):
    empty = book(Regular(3, 0, 1, name="score"), name="ht")
    assert load(save(tmp_path / "h.json", {"ht": empty}))["ht"] == empty


def test_the_root_file_speaks_for_itself(h, tmp_path):
    with uproot.open(save(tmp_path / "h.root", {"surprise": h})) as file:
        one = file["surprise/SR/ttbarZ"]
        assert one.classname == "TH1D"
        assert one.values(flow=True).tolist() == [0.4, 0, 0.1, 0.2, 0, 0.3]
        assert one.variances(flow=True) == pytest.approx([0.16, 0, 0.01, 0.04, 0, 0.09])
    fill(h, dataset="a/b", region="SR", score=[1], weight=1)
    with pytest.raises(OptionError, match="'/' cannot be kept in ROOT"):
        save(tmp_path / "slash.root", {"surprise": h})
    assert not (tmp_path / "slash.root").exists()


def test_pickle_and_foreign_files_are_refused(h, tmp_path):
    with pytest.raises(
        OptionError, match=r"as \.json or \.zip \(exact\) or \.root, not as '\.pkl'"
    ):
        save(tmp_path / "h.pkl", {"surprise": h})
    (tmp_path / "h.pkl").write_bytes(pickle.dumps(h))
    with pytest.raises(OptionError, match=r"not as '\.pkl'"):
        load(tmp_path / "h.pkl")
    (tmp_path / "other.json").write_text(json.dumps({"a": 1}))
    with pytest.raises(StorageError, match="not a file of histograms"):
        load(tmp_path / "other.json")
    (tmp_path / "cut.json").write_text('{"hepmtp_histograms": 1, "hist')
    for name in ("cut.root", "cut.zip"):
        (tmp_path / name).write_text("no such file")
    for name in ("cut.json", "cut.root", "absent.json", "absent.root", "cut.zip"):
        with pytest.raises(StorageError, match="cannot be read as histograms"):
            load(tmp_path / name)


def test_what_is_booked_pickles_for_coffea(h):
    assert pickle.loads(pickle.dumps(h)) == h
    assert isinstance(h, hist.Hist)


@pytest.mark.parametrize("suffix", ["json", "zip", "root"])
def test_negative_weights_are_kept_with_their_squares(h, tmp_path, suffix):
    fill(h, dataset="ttbarW", region="SR", score=[0.5, 0.5, 1.5, 9.0], weight=[-1, 0.25, -2, -3])
    found = load(save(tmp_path / f"h.{suffix}", {"surprise": h}))["surprise"]
    bins = spectrum(found, "ttbarW", "SR").view(flow=True)
    assert bins["value"].tolist() == [0, -0.75, -2, 0, 0, -3]
    assert bins["variance"].tolist() == [0, 1.0625, 4, 0, 0, 9]
    assert yields(found, "ttbarW", "SR") == (-5.75, np.sqrt(14.0625))


@pytest.mark.parametrize("suffix", ["json", "zip", "root"])
def test_variations_are_kept_beside_the_nominal(h, tmp_path, suffix):
    weights = {"nominal": 1.0, "b_step_up": [1.2, 1.2, 1.44], "b_step_down": [0.8, 0.8, 0.6]}
    fill_all(h, dataset="4top", region="CR", score=[0.5, 0.5, 9.0], weights=weights)
    found = load(save(tmp_path / f"h.{suffix}", {"surprise": h}))["surprise"]
    assert variations_of(found) == ["b_step"]
    up = spectrum(found, "4top", "CR", "b_step_up").view(flow=True)
    assert up["value"] == pytest.approx([0, 2.4, 0, 0, 0, 1.44])
    assert up["variance"] == pytest.approx([0, 2 * 1.44, 0, 0, 0, 1.44**2])
    assert yields(found, "4top", "CR") == (3.0, np.sqrt(3))
    assert spectrum(found, "4top", "SR", "b_step_up").sum(flow=True).value == 0
    assert canonical(nominal(found)) == canonical(nominal(h))
    assert list(nominal(found).axes["variation"]) == ["nominal"]
    with pytest.raises(RegionError, match="no variation jes_up; it has b_step_down, b_step_up, n"):
        spectrum(found, "4top", "CR", "jes_up")


def test_a_histogram_of_before_variations_is_nominal(h, tmp_path):
    old = hist.Hist(
        *(hist.axis.StrCategory([], growth=True, name=one) for one in ("dataset", "region")),
        h.axes["score"],
        storage=hist.storage.Weight(),
        name="surprise",
    )
    old.fill(dataset="4top", region="SR", score=[3.0, 3.5], weight=0.5)
    assert yields(old, "4top", "SR").value == 1.0
    found = load(save(tmp_path / "h.json", {"surprise": old}))["surprise"]
    assert list(found.axes["variation"]) == ["nominal"]
    assert yields(found, "4top", "SR").value == 1.0


def test_filling_is_that_of_hist(h):
    score, weight = np.linspace(-1, 5, 101), np.linspace(-1, 2, 101)
    other = h.copy()
    fill(h, dataset="ttbarW", region="SR", score=score, weight=weight)
    other.fill(dataset="ttbarW", region="SR", variation="nominal", score=score, weight=weight)
    for part in ("value", "variance"):
        np.testing.assert_allclose(h.view(flow=True)[part], other.view(flow=True)[part])

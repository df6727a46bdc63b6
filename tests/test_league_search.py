"""Significances of a league: its histograms against those of a run, its rows against the fits."""

from __future__ import annotations

import json

import awkward as ak
import numpy as np
import pytest

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.detectors.observables import Observable
from hepmtp.errors import FitError
from hepmtp.events.record import concatenate, with_metadata
from hepmtp.events.region_info import described
from hepmtp.events.regions import REGIONS, SR
from hepmtp.events.split import FRACTIONS, part_of
from hepmtp.events.variables import N_B, N_JETS
from hepmtp.events.variations import variations_named
from hepmtp.report.info import RunInfo
from hepmtp.report.run_fit import significance
from hepmtp.report.run_workspace import Run
from hepmtp.statistics.histograms import spectrum, variations_of
from hepmtp.studies.league import search as module
from hepmtp.studies.league.entries import ENTRIES
from hepmtp.studies.league.entry import Entry
from hepmtp.studies.league.league_events import LeagueEvents
from hepmtp.studies.league.run import run_league
from processors.anomaly import AnomalyProcessor

STOP = 1500
BACKGROUND = ["ttbarW", "ttbarWW", "ttbarZ", "ttbarHiggs"]
SETS = [one for one in embedded() if one.name in {*BACKGROUND, "4top"}]
#: HT with seed 0, MET with seed 1.
EITHER = Entry("either", lambda seed: Observable(("ht", "met")[seed]))
ROWS = [EITHER, *(ENTRIES[name] for name in ("n_jets", "ht", "met"))]


@pytest.fixture(scope="module")
def league(tmp_path_factory):
    folder = tmp_path_factory.mktemp("league")
    return run_league(
        folder, SETS, ROWS, seeds=(0, 1), regions=("preselection", "SR"), stop=STOP, figures=False
    )


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    return LeagueEvents.read(SETS, [SR], STOP, 1, tmp_path_factory.mktemp("events"))


@pytest.fixture(scope="module")
def analysed():
    """Histograms that the processor fills of the same events, each standing for 1 / 0.3 of them."""
    (other,) = [one for one in embedded() if one.role == "signal" and one not in SETS]
    elsewhere = with_metadata(read([other], stop=200), dataset="other", role="background")
    processor = AnomalyProcessor(
        [Observable("ht").fit(elsewhere)],
        variables=(N_JETS, N_B),
        variations=variations_named("weights"),
    )
    found = None
    for dataset in SETS:
        events = part_of(read([dataset], stop=STOP), "analysis")
        scaled = ak.with_field(events, events.weight / FRACTIONS["analysis"], "weight")
        of_dataset = processor.process(
            with_metadata(scaled, dataset=dataset.name, role=dataset.role)
        )
        histograms = of_dataset["variables"] | of_dataset["scores"]
        found = histograms if found is None else {k: found[k] + histograms[k] for k in found}
    return found


def row_of(league, detector, region="SR"):
    (row,) = [row for row in league.rows if (row.detector, row.region) == (detector, region)]
    return row


def sums(h, dataset, region, variation):
    view = spectrum(h, dataset, region, variation).view(flow=True)
    return [view["value"].sum(), view["variance"].sum()]


def categories():
    ways = [f"{one.name}_{way}" for one in variations_named("weights") for way in ("up", "down")]
    return ["nominal", *ways]


def test_counts_are_those_of_a_run_with_variations(events, analysed):
    for name, h in events.search.counts.items():
        assert variations_of(h) == variations_of(analysed[name])
        for dataset in (*BACKGROUND, "4top"):
            for region in REGIONS:
                for variation in categories():
                    first, second = (
                        spectrum(one, dataset, region.name, variation).view(flow=True)
                        for one in (h, analysed[name])
                    )
                    for part in ("value", "variance"):
                        assert first[part] == pytest.approx(second[part])


def test_a_score_has_the_sums_of_a_run_in_every_region(events, analysed):
    detector = Observable("ht")
    scores = {name: detector.score(concatenate(one)) for name, one in events.held_out.items()}
    h = events.search.histogram("ht", scores, BACKGROUND, "4top")
    for dataset in (*BACKGROUND, "4top"):
        for region in REGIONS:
            for variation in categories():
                expected = sums(analysed["ht"], dataset, region.name, variation)
                assert sums(h, dataset, region.name, variation) == pytest.approx(expected)
    axis = h.axes["score"]
    parts_of_sr = [one.name for one in REGIONS if one.part_of == "SR"]
    whole = spectrum(h, BACKGROUND, "SR").view(flow=True)["value"]
    parts = [spectrum(h, BACKGROUND, name).view(flow=True)["value"] for name in parts_of_sr]
    assert whole == pytest.approx(sum(parts))
    by_hand = np.zeros(len(axis) + 2)
    for name in BACKGROUND:
        inside = events.columns[name]["region:SR"]
        weight = events.columns[name]["weight"][inside]
        np.add.at(by_hand, np.asarray(axis.index(scores[name][inside])) + 1, weight)
    assert whole == pytest.approx(by_hand)


def test_the_row_of_counts_is_the_fit_of_a_run_without_a_score(league, analysed):
    info = RunInfo(
        title="", summary=(), command="", background=BACKGROUND, signals=["4top"],
        detector="n_jets", regions=sorted(described(REGIONS)),
    )  # fmt: skip
    expected = significance(Run(league.folder, info, analysed), signal="4top")
    row = row_of(league, "n_jets")
    assert 0 < row.z < 20
    assert (row.z, row.z_error) == pytest.approx((expected.z, expected.z_error), rel=1e-4)
    assert (row.z_cautious, row.z_cautious_error) == pytest.approx(
        (expected.z_cautious, expected.z_cautious_error), rel=1e-4
    )
    assert row.z_cautious <= row.z
    assert row.z_spread is None


def test_rows_are_means_over_seeds(league):
    either, ht, met = (row_of(league, name) for name in ("either", "ht", "met"))
    assert ht.z != pytest.approx(met.z, rel=1e-4)
    for name in ("z", "z_error", "z_cautious", "z_cautious_error"):
        assert getattr(either, name) == pytest.approx((getattr(ht, name) + getattr(met, name)) / 2)
    assert either.z_spread == pytest.approx(abs(ht.z - met.z) / np.sqrt(2))


def test_the_order_is_by_significance_where_there_is_a_fit(league):
    fitted = [row.z for row in league.rows if row.region == "SR"]
    assert fitted == sorted(fitted, reverse=True)
    others = [row for row in league.rows if row.region == "preselection"]
    assert {row.z for row in others} == {None}
    aucs = [row.auc_balanced for row in others]
    assert aucs == sorted(aucs, reverse=True)
    headers = {heading.split(":")[0]: table.header for heading, table in league.tables}
    assert headers["4top, SR"][2:4] == ["Z, 10 %", "Z, 30 %"]
    assert headers["4top, preselection"][2] == "AUC, balanced"


def test_what_to_know_of_the_fits_is_written(league):
    (said,) = league.remarks
    assert said.startswith("At most 1500 events of each file were read")
    assert said in (league.folder / "league.md").read_text(encoding="utf-8")
    content = json.loads((league.folder / "league.json").read_text(encoding="utf-8"))["fit"]
    assert (content["remarks"], content["cross-sections"]) == ([said], [0.1, 0.3])


def test_a_fit_that_fails_leaves_its_row_without_a_number(tmp_path, monkeypatch, caplog):
    def failing(run, *, signal, detector):
        if detector == "score of ht":
            raise FitError("it does not converge")
        return significance(run, signal=signal, detector=detector)

    monkeypatch.setattr(module, "significance", failing)
    found = run_league(
        tmp_path, SETS, ROWS[1:3], seeds=(0,), regions=("SR",), stop=STOP, figures=False
    )
    assert [row.detector for row in found.rows] == ["n_jets", "ht"]
    assert row_of(found, "ht").z is None
    assert row_of(found, "n_jets").z > 0
    assert "ht, 4top: no significance: it does not converge" in found.remarks
    assert "it does not converge" in caplog.text


def test_weights_that_are_no_events_are_said(events):
    parts = {}
    for name, one in events.search.parts.items():
        luminosity = 7.8 if name == "4top" else 139.0
        other = one.normalisation._replace(kind="none", luminosity_ifb=luminosity)
        parts[name] = one._replace(normalisation=other)
    unknown = module.Search(events.search.counts, parts)
    assert unknown.content == "Sum of weights"
    first, second = unknown.remarks
    assert first.startswith("Weights are not known to be events")
    assert "different luminosities (7.8, 139 /fb)" in second
    assert module.Search(events.search.counts, events.search.parts).remarks == []

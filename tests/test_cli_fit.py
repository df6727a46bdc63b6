"""The command `hepmtp fit`, and the same from Python: a run's folder to limits."""

from __future__ import annotations

import base64
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fit_runs import BACKGROUND, SIGNAL, SIGNAL_REGIONS, folder, histograms
from hist.axis import Regular
from typer.testing import CliRunner

import hepmtp as hm
from hepmtp.cli import app
from hepmtp.errors import OptionError
from hepmtp.report.cross_checks import transfer_rows
from hepmtp.report.numbers import REPLICAS
from hepmtp.report.run_fit import FitRow, fit_run
from hepmtp.report.run_workspace import open_run, remarks_of
from hepmtp.statistics.accounting import Account
from hepmtp.statistics.flatness import fill_replicas
from hepmtp.statistics.histogram_files import save
from hepmtp.statistics.histograms import book, fill
from hepmtp.statistics.reference import check_workspace

RUNNER = CliRunner()


def fitted(path: Path, *words: str) -> str:
    found = RUNNER.invoke(app, ["fit", str(path), *words], catch_exceptions=False)
    assert found.exit_code == 0
    return found.output


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a score, counts and variations, and no data."""
    return folder(tmp_path_factory.mktemp("runs") / "plain", histograms(n=3000))


@pytest.fixture(scope="module")
def output(run: Path) -> str:
    return fitted(run)


def test_it_says_what_it_found(output: str) -> None:
    assert "4top with score: expected significance" in output
    assert "4top with counts of jets and b-jets alone: expected significance" in output
    assert "are excluded at 95 % CL if there is none." in output
    assert "Normalisations that are fitted: ttbarW, ttbarZ" in output
    assert "lack" not in output


def test_the_folder_holds_numbers_figures_and_workspaces(run: Path, output: str) -> None:
    assert output
    found = {path.name for path in (run / "fit").iterdir()}
    for table in (
        "fit", "limits", "visible", "predictions", "events", "pulls", "impacts", "groups",
    ):  # fmt: skip
        assert {f"{table}.csv", f"{table}.md"} <= found, table
    for figure in (
        "significance-4top",
        "pulls-4top-score",
        "impacts-4top-score",
        "after-4top-score",
    ):
        assert f"{figure}.png" in found, figure
    assert not [one for one in found if one.endswith(".pdf")]
    for score in ("score", "n_jets"):
        check_workspace(json.loads((run / "fit" / f"workspace-4top-{score}.json").read_text()))
    kept = json.loads((run / "fit" / "fit.json").read_text())
    assert kept["protocol"]["version"] == 2
    assert kept["protocol"]["cross-sections"] == [0.1, 0.3]
    assert kept["observed"] is False
    assert kept["sentences"][0].startswith("4top with score: expected significance")
    drawn = [one[0] for one in kept["figures"]]
    assert drawn[0] == "significance-4top"
    assert {f"{one}.png" for one in drawn} <= found
    assert [one["name"] for one in kept["channels"]["score"]][:5] == SIGNAL_REGIONS


def test_scores_are_ordered_by_their_significance(run: Path, output: str) -> None:
    assert output
    found = rows(run / "fit" / "fit.csv")
    assert {row["score"] for row in found} == {"score", "n_jets", "n_b"}
    z = [float(row["z"]) for row in found]
    assert z == sorted(z, reverse=True)
    assert all(0 < float(row["z_error"]) < float(row["z"]) for row in found)
    assert all(float(row["z_cautious"]) <= float(row["z"]) + 1e-6 for row in found)


def test_limits_are_in_units_of_the_cross_section_and_in_femtobarn(run: Path, output: str) -> None:
    assert output
    for row in rows(run / "fit" / "limits.csv"):
        assert float(row["limit_fb"]) == pytest.approx(12 * float(row["limit"]))
        assert row["limit_observed"] == row["z_observed"] == ""


def test_a_run_without_variations_is_fitted_and_the_lack_is_said(tmp_path: Path) -> None:
    bare = folder(tmp_path / "bare", histograms(n=1500, variations=()))
    found = fit_run(bare, detectors=["score"])
    (said,) = [one for one in found.remarks if "lack" in one]
    assert said.startswith(
        "The histograms lack the variations jet_step, jet_step7, b_step, b_step3, met_slope, "
        "ht_slope: the simulation is believed in that without an uncertainty"
    )
    assert "too large" in said


def test_without_uncertainties_on_jets_everything_seems_more_significant(
    tmp_path: Path,
) -> None:
    z = {}
    for name, variations in (("all", ("jet_step7", "b_step3")), ("none", ())):
        made = folder(tmp_path / name, histograms(n=1500, variations=variations))
        (row,) = [one for one in fit_run(made, detectors=["score"]).rows if one.score == "score"]
        z[name] = row.z
    assert z["none"] > 1.05 * z["all"]


def test_data_are_blind_by_default_and_fitted_when_asked_for(tmp_path: Path) -> None:
    seen = folder(tmp_path / "run", histograms(n=3000, data="run2"), data=["run2"])
    blind = fit_run(seen, detectors=["score"])
    assert not blind.observed
    assert "Data are blind: all numbers are expected ones." in blind.remarks
    assert all(one.observed is None for one in blind.predictions)
    assert all(one.result.observed is None for one in blind.full)
    control = {one.region: one for one in blind.predictions if one.threshold is None}["CR"]
    assert control.predicted != pytest.approx(control.simulated, rel=1e-6)  # of data, here
    (factor,) = transfer_rows(open_run(seen), unblind=False)
    assert (factor.region, factor.control, factor.observed) == ("SR", "CR", None)
    assert factor.closure is not None
    assert factor.closure_error is not None
    assert abs(factor.closure - 1) < 3 * factor.closure_error
    assert factor.estimate == pytest.approx(factor.simulated, rel=0.2)
    assert factor.estimate_error >= factor.estimate * factor.closure_error
    text = fitted(seen, "--detector", "score", "--unblind")
    assert float(rows(seen / "fit" / "transfer.csv")[0]["observed"]) > 0
    assert "Observed:" in text
    limits = rows(seen / "fit" / "limits.csv")
    assert float(limits[0]["limit_observed"]) > 0
    assert float(limits[0]["p_value"]) > 1e-3
    assert abs(float(limits[0]["mu"])) < 4 * float(limits[0]["mu_up"])  # there is no signal


def test_data_that_the_run_has_hidden_are_not_found_by_unblinding(tmp_path: Path) -> None:
    hidden = folder(
        tmp_path / "run", histograms(n=500, data="run2"), data=["run2"],
        blind=["preselection", "SR"],
    )  # fmt: skip
    asked = ", ".join(sorted(SIGNAL_REGIONS))
    with pytest.raises(OptionError, match=rf"blind in {asked}, so the folder does not hold them"):
        fit_run(hidden, detectors=["score"], unblind=True)
    assert fit_run(hidden, detectors=["score"]).rows


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["--signal", "5top"], "the signal is '5top'; name one of 4top"),
        (["--detector", "speed"], "there is no histogram of 'speed'; there are n_b, n_jets, score"),
        (["--cross-section", "10"], "uncertainty cross_section is 10"),
        (["--free", "ttbarX"], "ttbarX shall be free, but is no background"),
    ],
)
def test_wrong_words_are_refused(run: Path, words: list[str], match: str) -> None:
    with pytest.raises(OptionError, match=match):
        RUNNER.invoke(app, ["fit", str(run), *words], catch_exceptions=False)


def test_from_a_run_to_limits_in_python(run: Path) -> None:
    opened = hm.open_run(run)
    workspace = hm.workspace(opened, signal=SIGNAL)
    found = hm.fit(workspace)
    assert found.expected.z > 1
    assert found.limit.minus_one < found.limit.expected < found.limit.plus_one
    assert found.pulls
    wide = hm.workspace(run, uncertainties=hm.Uncertainties(cross_section=0.3), detector="n_jets")
    assert len(wide["channels"]) == 15


def test_a_run_without_a_signal_or_with_several_says_so(tmp_path: Path) -> None:
    made = histograms(n=300)
    none = folder(tmp_path / "none", made, signals=[])
    with pytest.raises(OptionError, match=r"no data set of role signal: nothing to look for"):
        fit_run(none)
    two = folder(tmp_path / "two", made, signals=[SIGNAL, "ttbarWW"], background=BACKGROUND[:3])
    with pytest.raises(OptionError, match=r"the signal is None; name one of 4top, ttbarWW"):
        hm.workspace(two)
    scores = fit_run(open_run(two), signals=["ttbarWW"], detectors=["n_jets"]).rows
    assert {row.signal for row in scores} == {"ttbarWW"}


def test_what_a_run_does_not_know_is_said(tmp_path: Path) -> None:
    made = folder(
        tmp_path / "run",
        histograms(n=500),
        content="Sum of weights",
        incomplete=["a file was lost"],
    )
    found: Any = fit_run(made, detectors=["score"])
    assert "Incomplete: a file was lost" in found.remarks
    assert any(one.startswith("Weights of this run are not known") for one in found.remarks)
    assert not any("folds" in one for one in found.remarks)
    assert isinstance(found.rows[0], FitRow)


def test_a_single_training_is_told_from_folds(tmp_path: Path) -> None:
    made = folder(tmp_path / "run", {}, background=["ttbarW", "ttbarZ"])
    cutflow = {"ttbarW": {"all": {"raw": 30}}, "ttbarZ": {"all": {"raw": 31}}}
    (made / "cutflow.json").write_text(json.dumps(cutflow))
    read = {name: Account(events_read=100).as_dict() for name in cutflow}
    (made / "accounting.json").write_text(json.dumps(read))
    (said,) = [one for one in remarks_of(open_run(made), unblind=False) if "--folds" in one]
    assert said.startswith("Only 30 % of the background events are analysed")


def test_the_first_figure_is_after_the_fit(tmp_path: Path) -> None:
    made = histograms(n=1000, data="run2")
    name = "other_calibrated"  # not that of the score which the run is about
    axis = Regular(80, 0, 4, name="score", label="calibrated")
    h, by_replica = book(axis, name=name), book(axis, name=name)
    rng = np.random.default_rng(3)
    for dataset in (*BACKGROUND, SIGNAL):
        for region in ("CR", "VR", "SR"):
            values = rng.exponential(1 / np.log(10), (3, 400))
            fill(h, dataset=dataset, region=region, score=values[0], weight=0.5)
            masks = {region: np.ones(400, dtype=bool)}
            how = {"dataset": dataset, "regions": masks, "weight": np.full(400, 0.5)}
            fill_replicas(by_replica, values[1:], **how)
    scores = dict.fromkeys(("score", name), "drawn at random")
    shown = folder(
        tmp_path / "run",
        made | {name: h},
        data=["run2"],
        blind=["SR", *SIGNAL_REGIONS],
        scores=scores,
    )
    save(shown / REPLICAS, {name: by_replica})
    found = fit_run(shown, detectors=["score"])
    hm.write_fit(hm.open_run(shown), found)
    predicted = {one.region: one.predicted for one in found.predictions if one.threshold is None}
    for region in ("CR", "VR", "SR"):
        assert sum(found.expected[region].values()) == pytest.approx(predicted[region])
    kept = json.loads((shown / "fit" / "fit.json").read_text())
    assert kept["expected"] == found.expected
    (figure,) = (one for one in kept["figures"] if one[0] == "calibrated")
    assert figure[1].startswith("other, calibrated: background is flat")
    assert figure[1].endswith("background is that of the fit of the control regions.")
    path = shown / "fit" / "calibrated.png"
    drawn = path.read_bytes()
    encoded = base64.b64encode(drawn).decode()
    page = (shown / "report.html").read_text()
    assert page.index(encoded) < page.index('id="fit"')
    path.unlink()
    assert RUNNER.invoke(app, ["report", str(shown)], catch_exceptions=False).exit_code == 0
    assert path.read_bytes() == drawn
    assert encoded in (shown / "report.html").read_text()

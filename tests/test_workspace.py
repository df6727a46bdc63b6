"""A run becomes a workspace: channels, bins, modifiers; pyhf and cabinetry open it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyhf
import pytest
from fit_runs import (
    BACKGROUND,
    INFO,
    SIGNAL,
    SIGNAL_REGIONS,
    SLICES,
    STEPS,
    histograms,
    regions,
)
from hist.axis import Regular

from hepmtp.errors import OptionError
from hepmtp.events.region_info import RegionInfo
from hepmtp.statistics.channels import (
    Channel,
    choose_channels,
    contents,
    count_bins,
    merged,
    score_bins,
)
from hepmtp.statistics.compilation import compiled
from hepmtp.statistics.histograms import Histogram, book, fill
from hepmtp.statistics.reference import (
    check_workspace,
    expected_by_pyhf,
    nll_by_pyhf,
    numpy_backend,
)
from hepmtp.statistics.workspace import (
    Uncertainties,
    free_backgrounds,
    lacking_variations,
    make_workspace,
)


def one_bin(values: dict[str, tuple[list[float], float]], **variations: Any) -> Histogram:
    """A histogram with two bins in SR: data set -> (scores, weight), and variations -> factors."""
    h = book(Regular(2, 0, 2, name="score"), name="score")
    for name, (score, weight) in values.items():
        fill(h, dataset=name, region="SR", score=score, weight=weight)
        for variation, factors in variations.items():
            if name in factors:
                fill(h, dataset=name, region="SR", score=score, weight=factors[name],
                     variation=variation)  # fmt: skip
    return h


def modifiers(workspace: dict[str, Any], channel: str, sample: str) -> dict[str, Any]:
    (found,) = [one for one in workspace["channels"] if one["name"] == channel]
    (row,) = [one for one in found["samples"] if one["name"] == sample]
    return {one["name"]: one for one in row["modifiers"]}


def test_the_channels_of_the_simultaneous_fit(drawn_channels: list[Channel]) -> None:
    assert {one.name: one.histogram for one in drawn_channels} == {
        **dict.fromkeys(SIGNAL_REGIONS, "score"),
        **{f"CR_{one}": "n_b" for one in SLICES},
        **{f"VR_{one}": "n_jets" for one in SLICES},
        "ttW_plus": "n_jets",
        "ttW_minus": "n_jets",
        "ttZ": "score",
        "CR1b": "n_jets",
    }
    assert [one.bins for one in drawn_channels if one.name == "ttZ"] == [((0, 60),)]


def test_counts_have_a_bin_each_up_to_where_they_are_joined(
    drawn_run: dict[str, Histogram],
) -> None:
    assert count_bins(drawn_run["n_jets"], "VR", BACKGROUND) == ((0, 7), (7, 8), (8, 9), (9, 20))
    assert count_bins(drawn_run["n_b"], "CR", BACKGROUND) == ((0, 3), (3, 10))
    assert count_bins(drawn_run["n_jets"], "CR1b", BACKGROUND) == ((0, 5), (5, 20))


def test_the_last_bin_of_a_score_holds_ten_effective_events(
    drawn_run: dict[str, Histogram],
) -> None:
    h = drawn_run["score"]
    bins = score_bins(h, "SR", BACKGROUND)
    assert 2 <= len(bins) <= 6
    assert bins[0][0] == 0
    assert bins[-1][1] == 60
    assert [stop for _, stop in bins[:-1]] == [start for start, _ in bins[1:]]
    channel = Channel("SR", "SR", "score", bins)
    value, variance = contents(channel, h, BACKGROUND)
    assert value[-1] ** 2 / variance[-1] >= 10
    finer = Channel("SR", "SR", "score", ((0, bins[-1][0] + 1), (bins[-1][0] + 1, 60)))
    value, variance = contents(finer, h, BACKGROUND)
    share = value[1] / value.sum()
    assert value[1] ** 2 < 10 * variance[1] or share < 0.015  # a rarer one would not do


def test_bins_know_nothing_of_the_signal(drawn_run: dict[str, Histogram]) -> None:
    before = score_bins(drawn_run["score"], "SR", BACKGROUND)
    copy = drawn_run["score"].copy()
    for part in ("value", "variance"):
        copy.view(flow=True)[part][copy.axes["dataset"].index(SIGNAL)] *= 100
    assert score_bins(copy, "SR", BACKGROUND) == before


def test_a_bin_with_too_few_events_joins_the_one_below_it() -> None:
    h = book(Regular(4, 0, 4, name="score"), name="x")
    for score, n in ((0.5, 40), (1.5, 5), (2.5, 30), (3.5, 3)):
        fill(h, dataset="b", region="SR", score=np.full(n, score), weight=1.0)
    single = tuple((i, i + 1) for i in range(4))
    assert merged(single, h, "SR", ["b"]) == ((0, 2), (2, 4))
    assert merged(single, h, "SR", ["b"], least=40) == ((0, 4),)  # 38 above, 40 below
    assert merged(single, h, "SR", ["b"], least=35) == ((0, 1), (1, 4))
    assert merged(single, h, "SR", ["b"], least=1000) == ((0, 4),)


def test_a_region_and_its_parts_are_never_fitted_together(drawn_run: dict[str, Histogram]) -> None:
    found = choose_channels(drawn_run, regions("SR", *SIGNAL_REGIONS), "score", BACKGROUND)
    assert [one.name for one in found.channels] == SIGNAL_REGIONS


def test_a_region_that_shares_events_is_left_out_and_that_is_said(
    drawn_run: dict[str, Histogram],
) -> None:
    pairs = [("VR_MET150", "SR_2b_MET0")]
    found = choose_channels(drawn_run, INFO, "score", BACKGROUND, overlaps=pairs)
    assert "VR_MET150" not in [one.name for one in found.channels]
    assert "VR_MET150 shares events with SR_2b_MET0, so the fit leaves it out." in found.remarks


def test_validation_regions_can_be_held_out(drawn_run: dict[str, Histogram]) -> None:
    found = choose_channels(drawn_run, INFO, "score", BACKGROUND, validation=False)
    assert [one for one in found.channels if one.purpose == "validation"] == []
    assert len(found.channels) == 12


def test_a_users_own_regions_are_fitted_and_what_they_lack_is_said() -> None:
    h = histograms(n=500)["score"]
    own = [RegionInfo(0, "CR", "", "control"), RegionInfo(1, "SR", "", "signal", axis="score")]
    found = choose_channels({"score": h}, own, "score", BACKGROUND)
    assert [(one.name, len(one.bins) == 1) for one in found.channels] == [
        ("SR", False), ("CR", True),
    ]  # fmt: skip
    (said,) = found.remarks
    assert said == (
        "No region of the fit is there to measure ttW, ttZ, jets: the background of the signal "
        "regions rests on the simulation in that."
    )


def test_without_a_histogram_of_its_variable_a_region_is_one_bin(
    drawn_run: dict[str, Histogram],
) -> None:
    found = choose_channels({"score": drawn_run["score"]}, INFO, "score", BACKGROUND)
    assert {len(one.bins) for one in found.channels if one.purpose != "signal"} == {1}
    parts = ", ".join(f"CR_{one}" for one in SLICES)
    assert f"One bin each: {parts}, for there is no histogram of n_b to fit." in found.remarks


@pytest.mark.parametrize(
    ("detector", "known", "match"),
    [
        ("other", INFO, r"no histogram of 'other'; there are n_b, n_jets, score"),
        ("score", regions("CR", "VR"), "none of the regions CR, VR is a signal region"),
    ],
)
def test_what_cannot_be_fitted_is_refused(
    drawn_run: dict[str, Histogram], detector: str, known: list[RegionInfo], match: str
) -> None:
    with pytest.raises(OptionError, match=match):
        choose_channels(drawn_run, known, detector, BACKGROUND)


def test_the_workspace_follows_the_schema_of_pyhf(drawn_workspace: dict[str, Any]) -> None:
    check_workspace(drawn_workspace)
    with pytest.raises(pyhf.exceptions.InvalidSpecification, match="channels"):
        check_workspace({**drawn_workspace, "channels": []})


def test_the_backend_of_pyhf_comes_back() -> None:
    before = pyhf.get_backend()
    with numpy_backend():
        assert pyhf.get_backend()[0].precision == "64b"
    assert pyhf.get_backend() == before


def test_the_likelihood_is_that_of_pyhf(drawn_workspace: dict[str, Any]) -> None:
    likelihood, rng = compiled(drawn_workspace), np.random.default_rng(1)
    low, high = (np.array([getattr(p, b) for p in likelihood.parameters]) for b in ("low", "high"))
    width = np.where(np.isfinite(likelihood.sigma), likelihood.sigma, 0.3)
    for size in (0.3, 1.5):
        values = likelihood.centre + size * width * rng.normal(size=len(width))
        values = np.clip(values, low, high)
        theirs = expected_by_pyhf(drawn_workspace, likelihood, values)
        np.testing.assert_allclose(likelihood.expected(values), theirs, rtol=1e-10)
        data = rng.poisson(likelihood.observed).astype(float)
        ours = likelihood.nll(values, data)
        assert ours == pytest.approx(
            nll_by_pyhf(drawn_workspace, likelihood, values, data), abs=1e-7
        )


def test_derivatives_are_those_of_the_expected_counts(drawn_workspace: dict[str, Any]) -> None:
    likelihood, rng = compiled(drawn_workspace), np.random.default_rng(2)
    width = np.where(np.isfinite(likelihood.sigma), likelihood.sigma, 0.2)
    values = likelihood.centre + width * rng.normal(size=len(width))
    values[likelihood.place("mu")] = 0.0
    jacobian = likelihood.derivatives(values)[1]
    for i in range(len(values)):
        step = np.zeros(len(values))
        step[i] = 1e-6
        slope = (likelihood.expected(values + step) - likelihood.expected(values - step)) / 2e-6
        np.testing.assert_allclose(jacobian[:, i], slope, rtol=1e-5, atol=1e-5)


def test_a_modifier_that_is_not_known_is_refused(drawn_workspace: dict[str, Any]) -> None:
    strange = json.loads(json.dumps(drawn_workspace))
    modifier = {"name": "free", "type": "shapefactor", "data": None}
    strange["channels"][0]["samples"][0]["modifiers"].append(modifier)
    with pytest.raises(OptionError, match=r"sample ttbarW: modifier 'free' is a shapefactor"):
        compiled(strange)


def test_command_lines_of_pyhf_open_the_workspace(
    drawn_workspace: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "workspace.json"
    path.write_text(json.dumps(drawn_workspace))
    pyhf_command = Path(sys.executable).with_name("pyhf")
    seen = subprocess.run(
        [pyhf_command, "inspect", path], capture_output=True, text=True, check=True
    ).stdout
    assert "SR_3b_MET150" in seen
    assert "staterror" in seen


def test_cabinetry_fits_the_workspace_to_the_same_minimum(drawn_workspace: dict[str, Any]) -> None:
    import cabinetry  # noqa: PLC0415 - slow

    from hepmtp.statistics.minimum import minimise  # noqa: PLC0415 - beside it

    likelihood = compiled(drawn_workspace)
    ours = minimise(likelihood, likelihood.observed, fixed={"mu": 1.0})
    with numpy_backend():
        model, data = cabinetry.model_utils.model_and_data(drawn_workspace)
        place = model.config.poi_index
        fixed = model.config.suggested_fixed()
        fixed[place] = True
        theirs = cabinetry.fit.fit(model, data, fix_pars=fixed)
    found = dict(zip(theirs.labels, theirs.bestfit, strict=True))
    for name in ("norm_ttbarW", "xsec_ttbarHiggs", "jet_step7", "b_step3"):
        assert found[name] == pytest.approx(ours.values[likelihood.place(name)], abs=5e-3)


def test_modifiers_of_a_sample(drawn_workspace: dict[str, Any]) -> None:
    of = modifiers(drawn_workspace, "SR_3b_MET0", "ttbarHiggs")
    assert set(of) == {*STEPS, "lumi", "statistics_SR_3b_MET0", "xsec_ttbarHiggs"}
    assert of["xsec_ttbarHiggs"]["data"] == {"hi": 1.1, "lo": 1 / 1.1}
    assert "norm_ttbarW" in modifiers(drawn_workspace, "CR_MET0", "ttbarW")
    signal = modifiers(drawn_workspace, "SR_3b_MET0", SIGNAL)
    assert {"mu", "lumi", "b_step3"} <= set(signal)
    assert not any(name.startswith(("xsec", "statistics")) for name in signal)


def test_sizes_of_uncertainties(
    drawn_run: dict[str, Histogram], drawn_channels: list[Channel]
) -> None:
    sizes = Uncertainties(
        cross_section=0.3, luminosity=0.0, signal_cross_section=0.12, free=("ttbarZ",),
        variations=("jet_step",),
    )  # fmt: skip
    made = make_workspace(
        drawn_run, drawn_channels, background=BACKGROUND, signal=SIGNAL, uncertainties=sizes
    )
    of = modifiers(made, "CR_MET0", "ttbarW")
    assert sorted(of) == ["jet_step", "statistics_CR_MET0", "xsec_ttbarW"]
    assert of["xsec_ttbarW"]["data"]["hi"] == 1.3
    assert modifiers(made, "CR_MET0", SIGNAL)["xsec_signal"]["data"]["hi"] == 1.12
    assert "norm_ttbarZ" in modifiers(made, "CR_MET0", "ttbarZ")


@pytest.mark.parametrize(
    ("sizes", "match"),
    [
        ({"cross_section": 30}, r"cross_section is 30: expected a relative one"),
        ({"free": ("ttbarX",)}, r"ttbarX shall be free, but is no background; these are ttbarW"),
        ({"variations": ("jes",)}, r"has no variation jes; it has b_step, b_step3"),
    ],
)
def test_wrong_sizes_are_refused(
    drawn_run: dict[str, Histogram],
    drawn_channels: list[Channel],
    sizes: dict[str, Any],
    match: str,
) -> None:
    with pytest.raises(OptionError, match=match):
        make_workspace(
            drawn_run, drawn_channels, background=BACKGROUND, signal=SIGNAL,
            uncertainties=Uncertainties(**sizes),
        )  # fmt: skip


def test_ttw_and_ttz_are_free_where_a_region_measures_them(drawn_channels: list[Channel]) -> None:
    assert free_backgrounds(BACKGROUND, drawn_channels, None) == ["ttbarW", "ttbarZ"]
    without = [one for one in drawn_channels if one.name != "ttZ"]
    assert free_backgrounds(BACKGROUND, without, None) == ["ttbarW"]
    assert free_backgrounds(BACKGROUND, drawn_channels[: len(SIGNAL_REGIONS)], None) == []
    assert free_backgrounds(["TTW", "ttWW"], drawn_channels, None) == ["TTW"]


def test_steps_that_the_histograms_lack_are_named(drawn_channels: list[Channel]) -> None:
    some = histograms(n=300, variations=("jet_step", "b_step"))
    assert lacking_variations(some, drawn_channels) == [
        one for one in STEPS if one not in {"jet_step", "b_step"}
    ]


def test_a_variation_without_down_is_mirrored_and_never_empties_a_bin() -> None:
    h = one_bin(
        {"b": ([0.5, 0.5, 1.5], 10.0), "s": ([1.5], 1.0)},
        up_only_up={"b": [12.0, 12.0, 30.0]},
        both_up={"b": [11.0, 11.0, 10.0]},
        both_down={"b": [9.0, 9.0, 10.0]},
    )
    channel = Channel("SR", "SR", "score", ((0, 1), (1, 2)), "signal")
    made = make_workspace({"score": h}, [channel], background=["b"], signal="s")
    of = modifiers(made, "SR", "b")
    likelihood = compiled(made)
    for name, value, content in (
        ("up_only", 1.0, [24.0, 30.0]),
        ("up_only", -1.0, [16.0, 0.1]),  # mirrored, and not below 1 % of the nominal
        ("both", 1.0, [22.0, 10.0]),
        ("both", -1.0, [18.0, 10.0]),
    ):
        values = likelihood.centre
        values[[likelihood.place("mu"), likelihood.place(name)]] = (0.0, value)
        assert likelihood.expected(values).tolist() == pytest.approx(content)
    assert not [one for one in modifiers(made, "SR", "s") if one.startswith(("up_only", "both"))]
    assert of["statistics_SR"]["data"] == pytest.approx([np.sqrt(200), 10.0])


def test_variations_multiply_where_each_is_a_factor() -> None:
    h = one_bin(
        {"b": ([0.5, 1.5], 10.0), "s": ([1.5], 1.0)},
        jets_up={"b": [12.0, 12.0]}, jets_down={"b": [10 / 1.2, 10 / 1.2]},
        tags_up={"b": [11.0, 11.0]}, tags_down={"b": [10 / 1.1, 10 / 1.1]},
    )  # fmt: skip
    channel = Channel("SR", "SR", "score", ((0, 1), (1, 2)), "signal")
    made = make_workspace({"score": h}, [channel], background=["b"], signal="s")
    assert [one["type"] for one in made["channels"][0]["samples"][0]["modifiers"][:2]] == [
        "normsys", "normsys",
    ]  # fmt: skip
    likelihood = compiled(made)
    values = likelihood.centre
    for name, value in (("mu", 0.0), ("jets", 2.0), ("tags", -1.0)):
        values[likelihood.place(name)] = value
    assert likelihood.expected(values) == pytest.approx([10 * 1.44 / 1.1] * 2)


def test_negative_contents_become_empty_and_that_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    h = one_bin({"b": ([0.5], 10.0), "s": ([1.5], 1.0), "n": ([1.5], -2.0)})
    channel = Channel("SR", "SR", "score", ((0, 1), (1, 2)), "signal")
    made = make_workspace({"score": h}, [channel], background=["b", "n"], signal="s")
    assert made["channels"][0]["samples"][1]["data"] == [0.0, 0.0]
    assert "n in SR: 1 bins hold a negative sum of weights, at most 2" in caplog.text


def test_a_signal_without_events_is_refused() -> None:
    h = one_bin({"b": ([0.5], 10.0)})
    channel = Channel("SR", "SR", "score", ((0, 2),), "signal")
    with pytest.raises(OptionError, match=r"no channel \(SR\) holds any event of s"):
        make_workspace({"score": h}, [channel], background=["b"], signal="s")


def test_observations_are_data_only_if_some_are_named(drawn_run: dict[str, Histogram]) -> None:
    h = one_bin({"b": ([0.5, 1.5], 10.0), "s": ([1.5], 1.0), "d": ([0.5, 0.5, 5.0], 1.0)})
    channel = Channel("SR", "SR", "score", ((0, 1), (1, 2)), "signal")
    how: dict[str, Any] = {"background": ["b"], "signal": "s"}
    blind = make_workspace({"score": h}, [channel], **how)
    assert blind["observations"][0]["data"] == [10.0, 10.0]
    seen = make_workspace({"score": h}, [channel], data=["d"], **how)
    assert seen["observations"][0]["data"] == [2.0, 1.0]  # the overflow is in the last bin

"""Fits: against formulas, pyhf, Minuit and toys."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyhf
import pytest
from fit_runs import BACKGROUND, SIGNAL, SIGNAL_REGIONS
from scipy.stats import norm

from hepmtp.errors import FitError, OptionError
from hepmtp.statistics.channels import Channel, in_common_bins
from hepmtp.statistics.compilation import compiled
from hepmtp.statistics.fits import (
    asimov_data,
    discovery,
    expected_events,
    goodness,
    pulls,
    strength,
)
from hepmtp.statistics.histograms import Histogram
from hepmtp.statistics.impacts import grouped, impacts
from hepmtp.statistics.likelihood import Likelihood
from hepmtp.statistics.limits import counting_limit, upper_limit
from hepmtp.statistics.minimum import _Problem, minimise
from hepmtp.statistics.predictions import control_fit, predictions, visible_limits
from hepmtp.statistics.reference import nll_by_pyhf, numpy_backend
from hepmtp.statistics.results import fit, groups_of, signal_of
from hepmtp.statistics.significance import asimov
from hepmtp.statistics.workspace import make_workspace, simulated_variances


def simple(
    signal: list[float],
    background: list[float],
    *,
    data: list[float] | None = None,
    modifiers: list[dict[str, Any]] | None = None,
    high: float = 50.0,
) -> dict[str, Any]:
    """A workspace of one channel."""
    mu = [{"name": "mu", "type": "normfactor", "data": None}]
    samples = [
        {"name": "signal", "data": signal, "modifiers": mu},
        {"name": "background", "data": background, "modifiers": modifiers or []},
    ]
    settings = [{"name": "mu", "bounds": [[0.0, high]], "inits": [1.0]}]
    return {
        "channels": [{"name": "SR", "samples": samples}],
        "observations": [{"name": "SR", "data": data or background}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": settings}}],
        "version": "1.0.0",
    }


@pytest.fixture(scope="module")
def likelihood(drawn_workspace: dict[str, Any]) -> Likelihood:
    return compiled(drawn_workspace)


@pytest.fixture(scope="module")
def toy(likelihood: Likelihood) -> np.ndarray:
    """Counts drawn with a signal of 1.5 times its cross-section."""
    return np.random.default_rng(4).poisson(asimov_data(likelihood, 1.5)).astype(float)


def pyhf_data(likelihood: Likelihood, model: Any, data: np.ndarray) -> list[float]:
    start = {name: place.start for name, place in model.config.channel_slices.items()}
    found = np.zeros(len(data))
    found[[start[channel] + i for channel, i in likelihood.bins]] = data
    return [*found, *model.config.auxdata]


def test_a_count_has_the_significance_of_the_formula() -> None:
    z = discovery(compiled(simple([10.0], [100.0]))).z
    assert z == pytest.approx(asimov(10, 100), rel=1e-6)
    error = [{"name": "e", "type": "staterror", "data": [10.0]}]
    z = discovery(compiled(simple([10.0], [100.0], modifiers=error))).z
    assert z == pytest.approx(asimov(10, 100, sigma_b=10), rel=0.03)


def test_the_minimum_is_at_least_as_deep_as_that_of_pyhf(
    drawn_workspace: dict[str, Any], likelihood: Likelihood, toy: np.ndarray
) -> None:
    ours = minimise(likelihood, toy, fixed={"mu": 0.0})
    with numpy_backend():
        model = pyhf.Workspace(drawn_workspace).model()
        found, value = pyhf.infer.mle.fixed_poi_fit(
            0.0, pyhf_data(likelihood, model, toy), model, return_fitted_val=True
        )
    assert nll_by_pyhf(drawn_workspace, likelihood, ours.values, toy) < float(value) / 2 + 1e-6
    assert float(value) / 2 == pytest.approx(ours.nll, abs=1e-2)
    place = model.config.par_order.index("norm_ttbarW")
    assert found[model.config.par_slice("norm_ttbarW")][0] == pytest.approx(
        ours.values[likelihood.place("norm_ttbarW")], abs=0.01
    ), place


def test_minuit_arrives_at_the_same_minimum(likelihood: Likelihood, toy: np.ndarray) -> None:
    ours = minimise(likelihood, toy)
    assert ours.by == "Fisher scoring"
    free = np.array([not one.fixed for one in likelihood.parameters])
    used = np.ones(len(toy), dtype=bool)
    other = _Problem(likelihood, toy, likelihood.centre, used, free).minuit(likelihood.centre)
    assert other.by == "Minuit"
    assert other.nll == pytest.approx(ours.nll, abs=1e-3)
    np.testing.assert_allclose(other.values, ours.values, atol=0.02)


def test_a_fit_of_asimov_data_finds_what_they_were_made_of(likelihood: Likelihood) -> None:
    found = minimise(likelihood, asimov_data(likelihood, 1.0))
    expected = likelihood.centre
    np.testing.assert_allclose(found.values, expected, atol=1e-4)
    assert (found.errors >= 0).all()
    fixed = minimise(likelihood, asimov_data(likelihood, 1.0), fixed={"lumi": 1.02})
    assert fixed.values[likelihood.place("lumi")] == 1.02
    assert fixed.errors[likelihood.place("lumi")] == 0


def test_a_parameter_that_does_not_exist_is_named(likelihood: Likelihood) -> None:
    with pytest.raises(OptionError, match=r"no parameter 'nu'; it has mu, norm_ttbarW"):
        minimise(likelihood, likelihood.observed, fixed={"nu": 0.0})


def test_the_error_by_the_simulated_events_is_that_of_their_bootstrap(
    drawn_run: dict[str, Histogram], drawn_channels: list[Channel], likelihood: Likelihood
) -> None:
    variances = simulated_variances(drawn_run, drawn_channels, [*BACKGROUND, SIGNAL])
    found = discovery(likelihood, variances=variances)
    assert found.z_error is not None
    rng = np.random.default_rng(5)
    nominal, weight = likelihood.nominal, variances / np.maximum(likelihood.nominal, 1e-30)
    raw = np.divide(nominal, weight, out=np.zeros_like(nominal), where=weight > 0)
    # each simulated event is there a number of times that Poisson draws
    drawn = (weight * rng.poisson(raw) for _ in range(400))
    toys = [discovery(likelihood.with_nominal(one)).z for one in drawn]
    assert np.std(toys) == pytest.approx(found.z_error, rel=0.15)
    assert np.mean(toys) == pytest.approx(found.z, abs=found.z_error)


def test_the_strength_has_the_errors_of_a_count() -> None:
    found = strength(compiled(simple([100.0], [10000.0])))
    assert found.mu == pytest.approx(1.0, abs=1e-3)
    assert found.up == pytest.approx(np.sqrt(10100) / 100, rel=0.01)
    assert found.down == pytest.approx(np.sqrt(10100) / 100, rel=0.01)


def test_the_strength_of_a_deficit_is_zero() -> None:
    found = strength(compiled(simple([10.0], [100.0], data=[90.0])), np.array([90.0]))
    assert (found.mu, found.down) == (0.0, 0.0)
    assert 0 < found.up < 1
    assert discovery(compiled(simple([10.0], [100.0])), np.array([90.0])).z == 0.0


def test_an_interval_that_reaches_zero_ends_there() -> None:
    found = strength(compiled(simple([10.0], [100.0])), np.array([105.0]))
    assert found.mu == pytest.approx(0.5, abs=1e-3)
    assert found.down == found.mu
    assert found.up == pytest.approx(1.05, rel=0.03)


def test_a_signal_that_nothing_tells_from_the_background_has_no_strength() -> None:
    free = [{"name": "norm", "type": "normfactor", "data": None}]
    with pytest.raises(FitError, match=r"say nothing about the signal"):
        strength(compiled(simple([10.0], [100.0], modifiers=free, high=5.0)))


def test_a_limit_is_that_of_pyhf(likelihood: Likelihood) -> None:
    error = [{"name": "e", "type": "staterror", "data": [8.0, 2.0]}]
    small = simple([4.0, 6.0], [60.0, 10.0], modifiers=error, data=[66.0, 12.0])
    own = compiled(small)
    found = upper_limit(own, own.observed)
    assert found.observed is not None
    with numpy_backend():
        model = pyhf.Workspace(small).model()
        data = pyhf_data(own, model, own.observed)
        at_observed = pyhf.infer.hypotest(found.observed, data, model, test_stat="qtilde")
        bands = [
            pyhf.infer.hypotest(mu, data, model, test_stat="qtilde", return_expected_set=True)[1][n]
            for n, mu in enumerate(
                (found.minus_two, found.minus_one, found.expected, found.plus_one, found.plus_two)
            )
        ]
    assert float(at_observed) == pytest.approx(0.05, abs=5e-4)
    assert [float(one) for one in bands] == pytest.approx([0.05] * 5, abs=5e-4)


def test_a_limit_grows_with_the_error_of_the_background_and_with_an_excess() -> None:
    exact, wide = counting_limit(10000, 1e-3), counting_limit(10000, 200)
    assert exact.expected == pytest.approx(1.96 * 100, rel=0.02)  # Gaussian counts
    assert wide.expected > 1.5 * exact.expected
    excess = counting_limit(100, 10, 130)
    assert excess.observed is not None
    assert excess.observed > excess.plus_one
    with pytest.raises(OptionError, match=r"background > 0 and an error >= 0, found 0 and 1"):
        counting_limit(0, 1)


def test_goodness_of_a_fit(likelihood: Likelihood, toy: np.ndarray) -> None:
    good = goodness(likelihood, toy, minimise(likelihood, toy))
    assert good.ndof == len(toy) - 3  # mu and two normalisations
    assert 0.001 < good.p_value < 1
    strange = toy.copy()
    strange[::2] *= 2
    bad = goodness(likelihood, strange, minimise(likelihood, strange))
    assert bad.p_value < 1e-6


def test_pulls_and_constraints(likelihood: Likelihood, toy: np.ndarray) -> None:
    rows = {one.parameter: one for one in pulls(likelihood, minimise(likelihood, toy))}
    assert rows["mu"].pull is None
    assert not any(name.startswith("statistics") for name in rows)
    constraint = rows["jet_step"].constraint
    assert constraint is not None
    assert 0 < constraint < 0.7  # the control regions measure it
    assert all(one.constraint is None or one.constraint < 1.01 for one in rows.values())


def test_an_impact_is_the_shift_when_a_parameter_is_fixed(likelihood: Likelihood) -> None:
    rows = impacts(likelihood)
    first = rows[0]
    assert [one.size for one in rows] == sorted((one.size for one in rows), reverse=True)
    counts = asimov_data(likelihood, 1.0)
    best = minimise(likelihood, counts)
    place = likelihood.place(first.parameter)
    value = best.values[place] + best.errors[place]
    moved = minimise(likelihood, counts, fixed={first.parameter: value})
    shift = moved.values[likelihood.place("mu")] - best.values[likelihood.place("mu")]
    assert first.up == pytest.approx(shift, abs=1e-4)


def test_parts_of_the_error_by_groups(likelihood: Likelihood) -> None:
    counts = asimov_data(likelihood, 1.0)
    best = minimise(likelihood, counts)
    groups = groups_of(likelihood)
    assert set(groups) == {
        "fitted normalisations", "cross-sections", "luminosity", "simulated statistics",
        "jets, b-jets, MET and HT of the background",
    }  # fmt: skip
    rows = {one.group: one for one in grouped(likelihood, best, groups)}
    held = {name: float(best.values[likelihood.place(name)]) for g in groups.values() for name in g}
    alone = minimise(likelihood, counts, fixed=held)
    place = likelihood.place("mu")
    assert rows["data"].error == pytest.approx(alone.errors[place], rel=1e-3)
    assert 0 < rows["jets, b-jets, MET and HT of the background"].error < best.errors[place]


def test_events_before_and_after_a_fit(likelihood: Likelihood, toy: np.ndarray) -> None:
    rows = expected_events(likelihood, minimise(likelihood, toy), SIGNAL, toy)
    by = {(one.channel, one.sample): one for one in rows}
    total = by["CR_MET0", "background"]
    parts = [by["CR_MET0", name] for name in BACKGROUND]
    assert total.before == pytest.approx(sum(one.before for one in parts))
    assert total.after_error < 0.3 * total.before_error
    assert total.observed == toy[[name == "CR_MET0" for name, _ in likelihood.bins]].sum()
    assert abs(total.after - total.observed) < 3 * np.sqrt(total.observed)
    assert by["CR_MET0", SIGNAL].observed is None


def test_control_regions_predict_without_a_look_at_the_signal_region(
    drawn_run: dict[str, Histogram],
    drawn_channels: list[Channel],
    likelihood: Likelihood,
    toy: np.ndarray,
) -> None:
    changed = toy.copy()
    changed[[name.startswith("SR") for name, _ in likelihood.bins]] = 12345
    first, second = (control_fit(likelihood, drawn_channels, one) for one in (toy, changed))
    np.testing.assert_array_equal(first.values, second.values)
    rows = {
        (one.region, one.threshold): one
        for one in predictions(likelihood, drawn_channels, drawn_run, first)
    }
    whole = rows["SR", None]
    parts = [rows[one, None].predicted for one in SIGNAL_REGIONS]
    assert whole.predicted == pytest.approx(sum(parts))
    assert whole.predicted_error / whole.predicted < 0.15
    assert whole.simulated_error / whole.simulated > 0.3  # without control regions
    assert whole.observed is None
    with pytest.raises(OptionError, match=r"no control region, so nothing predicts"):
        control_fit(likelihood, drawn_channels[: len(SIGNAL_REGIONS)])


def test_limits_on_any_signal_above_a_threshold(
    drawn_run: dict[str, Histogram], drawn_channels: list[Channel]
) -> None:
    channels = in_common_bins(drawn_channels, drawn_run, BACKGROUND)
    (bins,) = {one.bins for one in channels if one.purpose == "signal"}
    made = make_workspace(drawn_run, channels, background=BACKGROUND, signal=SIGNAL)
    likelihood = compiled(made)
    found = predictions(likelihood, channels, drawn_run, control_fit(likelihood, channels))
    rows = visible_limits(found, "score", luminosity=139.0)
    edges = drawn_run["score"].axes["score"].edges
    assert [(one.region, one.threshold) for one in rows] == [
        ("SR", edges[start]) for start, _ in bins[1:]
    ]
    assert [one.background for one in rows] == sorted((o.background for o in rows), reverse=True)
    for one in rows:
        assert one.expected_fb == pytest.approx(one.expected_events / 139)
        assert one.minus_one < one.expected_events < one.plus_one
        assert one.observed_events is None
    bare = visible_limits(found, "score")[0]
    assert bare.expected_fb is None


def test_all_of_a_fit_with_and_without_data(
    drawn_workspace: dict[str, Any], toy: np.ndarray
) -> None:
    expected = fit(drawn_workspace)
    assert expected.signal == SIGNAL == signal_of(compiled(drawn_workspace))
    assert expected.observed is None
    assert expected.goodness is None
    assert expected.limit.observed is None
    assert expected.strength.mu == pytest.approx(1.0, abs=1e-3)
    given, start = [], 0
    for one in drawn_workspace["observations"]:
        stop = start + len(one["data"])
        given.append({"name": one["name"], "data": toy[start:stop].tolist()})
        start = stop
    observed = fit({**drawn_workspace, "observations": given}, data=True)
    assert observed.expected.z == pytest.approx(expected.expected.z)
    assert observed.observed is not None
    assert observed.observed.z > 1
    assert observed.strength.mu == pytest.approx(1.5, abs=3 * observed.strength.up)
    assert observed.limit.observed is not None
    np.testing.assert_array_equal(observed.bins.counts, toy)


def test_the_interval_covers_the_strength_in_68_percent_of_toys() -> None:
    error = [{"name": "e", "type": "staterror", "data": [5.0, 2.0]}]
    own = compiled(simple([10.0, 10.0], [100.0, 20.0], modifiers=error))
    rng, inside, n = np.random.default_rng(6), 0, 120
    for _ in range(n):
        data = rng.poisson(own.expected(own.centre)).astype(float)
        measured = own.centre
        measured[1:] += own.sigma[1:] * rng.normal(size=2)
        found = strength(own, data, auxiliary=measured)
        inside += found.mu - found.down <= 1.0 <= found.mu + found.up
    assert abs(inside / n - 0.683) < 3 * np.sqrt(0.683 * 0.317 / n)


def test_significance_of_data_is_the_root_of_q0(toy: np.ndarray, likelihood: Likelihood) -> None:
    free = minimise(likelihood, toy)
    null = minimise(likelihood, toy, fixed={"mu": 0.0})
    found = discovery(likelihood, toy)
    assert found.z == pytest.approx(np.sqrt(2 * (null.nll - free.nll)), abs=1e-6)
    assert norm.sf(found.z) < 0.5

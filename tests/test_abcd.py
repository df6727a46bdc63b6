"""ABCD and transfer factors: numbers of the literature, closure, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyhf
import pytest

from hepmtp.errors import OptionError
from hepmtp.events.region_info import RegionInfo
from hepmtp.report.columns import save_columns
from hepmtp.report.cross_checks import abcd_rows
from hepmtp.report.info import RunInfo
from hepmtp.report.run_workspace import Run
from hepmtp.statistics.abcd import (
    Closure,
    abcd,
    abcd_workspace,
    closure_of,
    dependence,
    four_regions,
    refuse_dependent,
    second_variable,
    transfer_factor,
)
from hepmtp.statistics.compilation import compiled
from hepmtp.statistics.fits import discovery
from hepmtp.statistics.reference import check_workspace, numpy_backend

COUNTS = {"A": 30.0, "B": 1000.0, "C": 200.0, "D": 10000.0}
#: Relative uncertainty on the closure, and the significance of 10 signal events.
KNOWN = ((0.0, 1.947), (0.2, 1.482))


@pytest.mark.parametrize(("closure", "z"), KNOWN)
def test_the_significance_of_abcd_in_plain_histfactory(closure: float, z: float) -> None:
    workspace = abcd_workspace(COUNTS, {"A": 10.0}, closure=closure)
    check_workspace(workspace)
    likelihood = compiled(workspace)
    assert discovery(likelihood, likelihood.observed).z == pytest.approx(z, abs=2e-3)


@pytest.mark.parametrize(("closure", "z"), KNOWN)
def test_pyhf_finds_the_same(closure: float, z: float) -> None:
    from scipy.stats import norm  # noqa: PLC0415 - as pyhf does

    workspace = abcd_workspace(COUNTS, {"A": 10.0}, closure=closure)
    with numpy_backend():
        model = pyhf.Workspace(workspace).model()
        data = pyhf.Workspace(workspace).data(model)
        p = float(pyhf.infer.hypotest(0.0, data, model, test_stat="q0"))
    assert norm.isf(p) == pytest.approx(z, abs=2e-3)


@pytest.mark.parametrize(("closure", "z"), KNOWN)
def test_cabinetry_finds_the_same(closure: float, z: float) -> None:
    import cabinetry  # noqa: PLC0415 - slow

    workspace = abcd_workspace(COUNTS, {"A": 10.0}, closure=closure)
    with numpy_backend():
        model, data = cabinetry.model_utils.model_and_data(workspace)
        found = cabinetry.fit.significance(model, data)
    assert found.observed_significance == pytest.approx(z, abs=2e-3)


@pytest.mark.parametrize(("program", "word"), [("pyhf", "cls"), ("cabinetry", "fit")])
def test_command_lines_of_others_take_the_workspace(
    program: str, word: str, tmp_path: Path
) -> None:
    path = tmp_path / "abcd.json"
    path.write_text(json.dumps(abcd_workspace(COUNTS, {"A": 10.0}, closure=0.2)))
    command = [Path(sys.executable).with_name(program), word, path]
    found = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    if program == "pyhf":
        assert 0.3 < json.loads(found.stdout)["CLs_obs"] < 1  # 10 events are what is seen
    else:
        assert "mu_b" in found.stdout + found.stderr


def test_signal_in_the_other_regions_weakens_it() -> None:
    alone = compiled(abcd_workspace(COUNTS, {"A": 10.0}))
    spilt = compiled(abcd_workspace(COUNTS, {"A": 10.0, "B": 50.0, "C": 20.0}))
    assert discovery(spilt, spilt.observed).z < discovery(alone, alone.observed).z


def test_the_estimate_and_its_error() -> None:
    found = abcd(1000, 200, 10000)
    assert found.value == 20.0
    assert found.error == pytest.approx(20 * np.sqrt(1 / 1000 + 1 / 200 + 1 / 10000))
    assert abcd(1000, 200, 10000, closure=0.2).error == pytest.approx(20 * np.sqrt(0.0061 + 0.04))


def test_closure_is_one_for_independent_variables_and_tells_dependent_ones() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 20000))
    weight = np.full(20000, 0.5)
    independent = dependence(first, second, weight)
    assert abs(independent.ratio - 1) < 3 * independent.error
    dependent = dependence(first, first + second, weight)
    assert dependent.ratio > 3
    assert dependent.uncertainty == pytest.approx(1 - 1 / dependent.ratio)


def test_closure_by_hand() -> None:
    found = closure_of([30.0, 100.0, 20.0, 100.0], [30.0, 100.0, 20.0, 100.0])
    assert found.ratio == pytest.approx(1.5)
    assert found.error == pytest.approx(1.5 * np.sqrt(1 / 30 + 1 / 100 + 1 / 20 + 1 / 100))
    assert Closure(1.02, 0.1).uncertainty == pytest.approx(0.1 / 1.02)  # its error is larger


def test_an_empty_region_is_total_dependence() -> None:
    assert closure_of([5, 0, 0, 5], [5, 0, 0, 5]).distance == np.inf
    none = closure_of([0, 5, 5, 5], [0, 5, 5, 5])
    assert (none.ratio, none.distance, none.uncertainty) == (0.0, np.inf, np.inf)


def test_four_regions_by_hand() -> None:
    first, second = np.array([1.0, 1.0, 0.0, 0.0, 2.0]), np.array([1.0, 0.0, 1.0, 0.0, 5.0])
    value, squares = four_regions(first, second, np.array([1.0, 2.0, 3.0, 4.0, 5.0]), (1.0, 1.0))
    assert value.tolist() == [6.0, 2.0, 3.0, 4.0]
    assert squares.tolist() == [26.0, 4.0, 9.0, 16.0]


def test_the_second_variable_is_the_most_independent_one() -> None:
    rng = np.random.default_rng(1)
    score, noise = rng.normal(size=(2, 20000))
    others = {"copy": score + 0.1 * noise, "half": score + noise, "noise": noise}
    best, tried = second_variable(score, others | {"flat": np.ones(20000)}, np.ones(20000))
    assert best == "noise"
    assert set(tried) == {"copy", "half", "noise"}  # a constant divides nothing
    with pytest.raises(OptionError, match=r"score and half depend on each other: A D / \(B C\) is"):
        second_variable(score, {"copy": others["copy"], "half": others["half"]}, np.ones(20000))
    with pytest.raises(OptionError, match=r"none of flat divides the background in two"):
        second_variable(score, {"flat": np.ones(20000)}, np.ones(20000))


def test_variables_that_tell_the_same_are_refused_in_both_directions() -> None:
    refuse_dependent("x", Closure(1.3, 0.1))
    for ratio in (1.6, 0.6):
        with pytest.raises(OptionError, match=r"use the simultaneous fit"):
            refuse_dependent("x", Closure(ratio, 0.1))


def test_a_transfer_factor() -> None:
    found = transfer_factor((50.0, 5.0), (200.0, 10.0), 220.0, closure=0.1)
    assert found.value == pytest.approx(55.0)
    assert found.error == pytest.approx(55 * np.sqrt(1 / 220 + 0.01 + 5 / 2500 + 10 / 40000))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: abcd(0, 1, 1), r"needs events in B, C and D; found 0, 1 and 1"),
        (lambda: abcd_workspace({"A": 1.0}, {}), r"four regions A, B, C and D"),
        (lambda: closure_of([1, 1, 0, 0], [1, 1, 0, 0]), r"background on both sides of both cuts"),
        (lambda: transfer_factor((1, 1), (0, 0), 5), r"background in the control region"),
        (lambda: transfer_factor((1, 1), (1, 1), 0), r"data in the control region"),
    ],
)
def test_what_has_no_answer_is_refused(call: object, match: str) -> None:
    assert callable(call)
    with pytest.raises(OptionError, match=match):
        call()


def columns_of(run: Run, rng: np.random.Generator) -> None:
    """Columns of a run with 4000 background events in each of SR and VR, and a signal in SR."""
    table: dict[str, dict[str, np.ndarray]] = {}
    for name, n in (("b", 8000), ("s", 1000)):
        inside = np.arange(n) % 2 == 0
        met = rng.exponential(100, n)
        table[name] = {
            "weight": np.full(n, 0.5),
            "region:SR": inside,
            "region:VR": ~inside,
            "score:own": rng.normal(size=n) if name == "b" else rng.normal(2, 1, n),
            "score:met": met + (200 if name == "s" else 0),
            "score:copy": met + rng.normal(size=n),
        }
    save_columns(run.folder, table)


def test_abcd_of_a_run_is_made_where_it_holds_and_refused_where_not(tmp_path: Path) -> None:
    info = RunInfo(
        title="", summary=[], command="", background=["b"], signals=["s"], detector="own",
        regions=[RegionInfo(0, "VR", "", "validation"), RegionInfo(1, "SR", "", "signal")],
    )  # fmt: skip
    run = Run(tmp_path, info, {})
    assert abcd_rows(run, ["own"]) == []  # without columns
    columns_of(run, np.random.default_rng(3))
    good, bad = abcd_rows(run, ["own", "copy"])
    assert good.second == "met"
    assert good.closure is not None
    assert good.validation is not None
    assert good.closure_error is not None
    assert abs(good.closure - 1) < 3 * good.closure_error
    assert good.b == pytest.approx(good.simulated, rel=0.3)
    assert good.z is not None
    assert good.z > 1
    assert bad.z is None
    assert bad.verdict.startswith("refused: the score and met depend on each other")

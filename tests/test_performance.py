"""The table of detectors against a direct computation."""

from __future__ import annotations

import numpy as np
import pytest
from coffea.processor import column_accumulator

from hepmtp.errors import ScoreError
from hepmtp.statistics.metrics import auc, balanced_weights, roc
from hepmtp.statistics.performance import detectors, performance, scores
from hepmtp.statistics.working_points import max_sic


@pytest.fixture
def columns():
    rng = np.random.default_rng(1)

    def dataset(n, shift, weight):
        particles = rng.poisson(8 + shift, n).astype(float)
        found = {
            "weight": np.full(n, weight),
            "region:SR": rng.random(n) < 0.8,
            "region:CR": np.zeros(n, dtype=bool),
            "score:multiplicity": particles,
            "score:surprise": particles + rng.normal(shift, 2, n),
        }
        return {name: column_accumulator(values) for name, values in found.items()}

    return {
        "ttbarZ": dataset(1500, 0, 0.1),
        "ttbarW": dataset(500, -1, 0.9),
        "4top": dataset(400, 2, 0.01),
    }


def test_the_table(columns):
    rows = performance(columns, background=["ttbarW", "ttbarZ"], signals=["4top"], regions=["SR"])
    assert [(row.detector, row.signal, row.region) for row in rows] == [
        ("multiplicity", "4top", "SR"),
        ("surprise", "4top", "SR"),
    ]
    inside = {name: one["region:SR"].value for name, one in columns.items()}
    score = {name: one["score:surprise"].value[inside[name]] for name, one in columns.items()}
    background = np.concatenate([score["ttbarW"], score["ttbarZ"]])
    process = np.repeat(["W", "Z"], [len(score["ttbarW"]), len(score["ttbarZ"])])
    row = rows[1]
    expected = auc(score["4top"], background, background_weight=balanced_weights(process))
    assert (row.auc_balanced, row.auc_balanced_error) == pytest.approx(expected[:2])
    weight = np.where(process == "W", 0.9, 0.1)
    assert row.auc == pytest.approx(auc(score["4top"], background, background_weight=weight).value)
    assert row.gain == pytest.approx(row.auc_balanced - rows[0].auc_balanced)
    assert 0 < row.gain_error < row.auc_balanced_error
    assert (rows[0].gain, rows[0].gain_error) == (None, None)
    assert row.max_sic == pytest.approx(
        max_sic(roc(score["4top"], background, background_weight=weight)).si
    )
    assert (row.n_signal, row.n_background) == (len(score["4top"]), len(background))
    assert row.eps_s_at_0p1 is not None
    assert row.eps_s_at_0p001 is None


def test_without_the_reference_there_is_no_gain(columns):
    row = performance(
        columns, background=["ttbarZ"], signals=["4top"], regions=["SR"], reference="ht"
    )[0]
    assert (row.gain, row.gain_error) == (None, None)


def test_what_is_missing_is_named(columns):
    assert detectors(columns) == ["multiplicity", "surprise"]
    with pytest.raises(
        ScoreError, match="no score columns of dataset 'ttbarX'; there are ttbarZ, ttbarW, 4top"
    ):
        scores(columns, "surprise", signal="4top", background=["ttbarX"], region="SR")
    with pytest.raises(ScoreError, match="'4top' has no column 'score:ht'"):
        scores(columns, "ht", signal="4top", background=["ttbarZ"], region="SR")
    with pytest.raises(ScoreError, match="region CR holds 0 events of 4top"):
        scores(columns, "surprise", signal="4top", background=["ttbarZ"], region="CR")
    with pytest.raises(ScoreError, match="no background data sets were named"):
        scores(columns, "surprise", signal="4top", background=[], region="SR")

"""Asimov significances against known numbers and the published form."""

from __future__ import annotations

import numpy as np
import pytest

from hepmtp.errors import OptionError
from hepmtp.statistics.significance import asimov


def test_asimov_significance():
    assert asimov(10, 100) == pytest.approx(0.984, abs=5e-4)
    assert asimov(10, 100, sigma_b=10) == pytest.approx(0.690, abs=5e-4)
    assert asimov(0, 100) == asimov(0, 100, sigma_b=5) == 0
    assert asimov(10, 100, sigma_b=1e-9) == pytest.approx(asimov(10, 100), rel=1e-12)
    assert asimov(10, 100, sigma_b=1e-300) == asimov(10, 100)


@pytest.mark.parametrize(
    ("s", "b", "sigma_b"), [(10, 100, 10), (50, 3, 1), (0.3, 20, 8), (1, 1, 1)]
)
def test_asimov_equals_the_published_form(s, b, sigma_b):
    v = sigma_b**2
    first = (s + b) * np.log((s + b) * (b + v) / (b**2 + (s + b) * v))
    second = b**2 / v * np.log(1 + v * s / (b * (b + v)))
    assert asimov(s, b, sigma_b=sigma_b) == pytest.approx(np.sqrt(2 * (first - second)), rel=1e-10)
    assert asimov(s, b) == pytest.approx(np.sqrt(2 * ((s + b) * np.log(1 + s / b) - s)), rel=1e-10)


@pytest.mark.parametrize("s", [1e-2, 1e-5, 1e-9])
def test_asimov_is_stable_at_small_signal(s):
    assert asimov(s, 100) == pytest.approx(s / 10 * (1 - s / 600), rel=1e-6)
    assert asimov(s, 100, sigma_b=10) == pytest.approx(s / 200**0.5, rel=1e-4)


def test_asimov_refuses_no_background():
    with pytest.raises(OptionError, match="b > 0"):
        asimov(1, 0)

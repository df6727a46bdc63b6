"""The challenge's table, one row written out."""

from __future__ import annotations

import numpy as np
import pytest

from hepmtp.challenge import challenge_row, challenge_table, total_improvement
from hepmtp.metrics import roc


def test_the_challenge_table():
    row = challenge_row("4top", "multiplicity", "3", roc(np.arange(1000) + 500, np.arange(25_000) / 25))
    assert challenge_table([row]) == (
        "Signal,Model,Chan,AUC,1e-2,1e-3,1e-4\n4top,multiplicity,3,0.8748,0.5100,0.5010,\n"
    )


def test_total_improvement_is_the_best_channel():
    background, signal = np.arange(100), np.concatenate([np.arange(200, 210), np.arange(10)])
    curves = {"1": roc(signal, background), "3": roc(signal, background[:24]), "2a": roc(np.arange(100), background)}
    assert total_improvement(curves) == pytest.approx(1.0)
    assert total_improvement({}) is None

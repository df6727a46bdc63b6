"""Schedules of the learning rate: the share of the largest rate that a step takes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

#: Gives that share from (steps done in all epochs, steps of an epoch, epochs).
Schedule = Callable[[int, int, int], float]


def cosine(step: int, steps: int, epochs: int) -> float:
    """Falls from 1 to 0 along half a cosine, step by step.

    Examples
    --------
    >>> [round(cosine(step, 5, 2), 2) for step in (0, 5, 10)]
    [1.0, 0.5, 0.0]
    """
    return _half_cosine(step / (steps * epochs))


def cosine_by_epoch(step: int, steps: int, epochs: int) -> float:
    """As `cosine`, the same for all steps of an epoch."""
    return _half_cosine(step // steps / epochs)


def warm_up_cosine(step: int, steps: int, epochs: int) -> float:
    """As `cosine`, times a straight rise to 1 over the first 5 % of the steps.

    Examples
    --------
    >>> [round(warm_up_cosine(step, 20, 2), 2) for step in (0, 1, 20, 40)]
    [0.5, 1.0, 0.5, 0.0]
    """
    warm = max(1, steps * epochs // 20)
    return min(1.0, (step + 1) / warm) * cosine(step, steps, epochs)


def warm_up_from_2_percent(step: int, steps: int, epochs: int) -> float:
    """As `warm_up_cosine`, but the first step takes 2 % of the rate however few steps there are."""
    done = (step // steps + step % steps / steps) / epochs
    return min(1.0, (done + 1e-3) / 0.05) * _half_cosine(done)


def _half_cosine(done: float) -> float:
    return float(0.5 * (1 + np.cos(np.pi * done)))

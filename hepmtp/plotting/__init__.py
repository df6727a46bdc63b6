"""Figures in the ATLAS style: of histograms, comparisons, curves and counts.

The rule: nothing is computed here but shares and ratios of what is given. A figure claims what its
caption says and nothing else, never "ATLAS". The style holds inside these functions only; write
figures with `save`, which uses it too.
"""

from __future__ import annotations

from hepmtp.plotting.calibration import calibrated_score
from hepmtp.plotting.colours import PROCESSES, process_style
from hepmtp.plotting.curves import roc, sic, training_curve
from hepmtp.plotting.event import event_display
from hepmtp.plotting.names import PARTICLES
from hepmtp.plotting.regions import (
    data_and_background,
    n_minus_one,
    score_panels,
    score_regions,
)
from hepmtp.plotting.shapes import shape_comparison
from hepmtp.plotting.style import OWN_FILES, SIMULATION, UNKNOWN, Caption, save
from hepmtp.plotting.tokens import confusion, token_occupancy, tokens_before_after

__all__ = [
    "OWN_FILES",
    "PARTICLES",
    "PROCESSES",
    "SIMULATION",
    "UNKNOWN",
    "Caption",
    "calibrated_score",
    "confusion",
    "data_and_background",
    "event_display",
    "n_minus_one",
    "process_style",
    "roc",
    "save",
    "score_panels",
    "score_regions",
    "shape_comparison",
    "sic",
    "token_occupancy",
    "tokens_before_after",
    "training_curve",
]

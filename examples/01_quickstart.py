"""The whole analysis in eight statements.

Read, select, tokenise, train, score, histogram, compare, plot.

python examples/01_quickstart.py [EPOCHS]     # 8 epochs take about two minutes; writes
figures/score.png
"""

from __future__ import annotations

import sys

from coffea.processor import IterativeExecutor

import hepmtp as hm
from hepmtp import plotting
from processors.anomaly import AnomalyProcessor

epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 8

datasets = hm.embedded()
background, signals = (
    [d.name for d in datasets if d.role == role] for role in ("background", "signal")
)
events = hm.read(d for d in datasets if d.name in background)
detector = hm.MaskedTokenDetector(training=hm.TrainingOptions(epochs=epochs)).fit(events)
output = hm.HepRunner(IterativeExecutor())(hm.fileset(datasets), AnomalyProcessor([detector]))
scores = hm.rebin(output["scores"][detector.name], 10)
comparison = hm.compare(scores, "SR", "CR", datasets=background)
figure = plotting.score_regions(
    scores,
    comparison,
    background=background,
    signals=signals,
    content="Events",
    caption=plotting.SIMULATION,
)
plotting.save(figure, "figures", "score")

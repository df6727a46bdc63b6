"""Why is this event strange? The strangest events of a data set, particles coloured by surprise.

python examples/event_display.py DETECTOR [DATASET] [HOW_MANY] [FOLDER]

DETECTOR is the folder of a masked-token detector, or of a combination whose last member is one, as
hepmtp train writes. DATASET is one of the embedded sample: 4top if not given. The pictures are
written into FOLDER, figures if not given, the strangest first: event-1.png, and so on.
"""

from __future__ import annotations

import sys

import numpy as np

import hepmtp as hm
from hepmtp import plotting

saved, dataset, how_many, folder = [*sys.argv[1:], *("4top", "1", "figures")[len(sys.argv) - 2 :]]

(of_dataset,) = (one for one in hm.embedded() if one.name == dataset)
detector = hm.load_detector(saved)
model = detector.members[-1] if isinstance(detector, hm.Combination) else detector
events = hm.read([of_dataset], stop=2000)
scores = detector.score(events)
strangest = np.argsort(-scores)[: int(how_many)]
surprises = hm.particle_surprises(model, events[strangest])
for rank, (i, surprise) in enumerate(zip(strangest, surprises, strict=True), start=1):
    figure = plotting.event_display(
        events[i],
        surprise.Particle,
        met_surprise=surprise.MET,
        title=f"{of_dataset.label}, {detector.name} score {scores[i]:.1f}",
        caption=plotting.SIMULATION,
    )
    plotting.save(figure, folder, f"event-{rank}")
    print(f"event {events[i].event} of {dataset}: score {scores[i]:.2f}")

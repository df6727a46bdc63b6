"""Why are these events strange? Displays of a run's strangest events.

The rule: the darker a particle, the worse the masked-token model predicts it from all others of its
event. A score may hold more than that, such as plain observables; one that holds no such model has
no displays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from hepmtp import plotting
from hepmtp.plotting.names import words
from hepmtp.report.drawn_figures import Drawn, caption_of, label_of
from hepmtp.report.info import RunInfo
from hepmtp.report.strange_events import STRANGE, Chosen, Kept, chosen


def strange_figures(kept: Kept, info: RunInfo) -> Iterator[tuple[str, Callable[[], Drawn]]]:
    """Name of each figure and what draws it, the strangest event first."""
    explained = [one for one in chosen(kept, info) if one.event.surprises is not None]
    for i, one in enumerate(explained, start=1):
        yield f"{STRANGE}{i}", partial(_display, one, info)


def _display(one: Chosen, info: RunInfo) -> Drawn:
    event, score = one.event, words(info.detector)
    figure = plotting.event_display(
        event.record(),
        event.surprises,
        met_surprise=event.met_surprise,
        label=r"Surprise $-\ln p$",
        title=f"{label_of(one.dataset, info)}, {words(one.region)}, {score} {event.score:.3g}",
        caption=caption_of(info),
    )
    n = len(event.particles["pt"])
    text = (
        f"Event {event.event} of {label_of(one.dataset, info)}, {score} {event.score:.3g}: "
        f"{n} particles and missing transverse momentum of {event.met:.0f} GeV"
    )
    if one.worst:
        text += f", the darker the less expected, above all the {one.worst}"
    return figure, f"{text}."

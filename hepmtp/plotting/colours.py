"""Colours of processes: ten for backgrounds, others for signals, and those of other curves.

The rule: those of a figure can be told apart by everybody, the colour-blind included. Signals are
lines of different dashes, and no background has their colours.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

#: Ten colours for fills (Petroff, arXiv:2107.02270), in his order.
BACKGROUNDS = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6",
    "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)  # fmt: skip
#: Dark colours for lines on these fills.
SIGNALS = ("#e6007f", "#003d2e", "#1b1464", "#5b2e00")

#: TeX label and colour of each process.
PROCESSES: dict[str, tuple[str, str]] = {
    "ttbarW": (r"$t\bar{t}W$", BACKGROUNDS[0]),
    "ttbarZ": (r"$t\bar{t}Z$", BACKGROUNDS[1]),
    "ttbarHiggs": (r"$t\bar{t}H$", BACKGROUNDS[2]),
    "ttbarWW": (r"$t\bar{t}WW$", BACKGROUNDS[3]),
    "4top": (r"$t\bar{t}t\bar{t}$", SIGNALS[0]),
    "glgl1600_neutralino800": (r"$\tilde{g}\tilde{g}$ (1600, 800) GeV", SIGNALS[1]),
}

#: Colours and line styles of detectors and other curves, in their order (Okabe and Ito).
COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
LINES = ("-", "--", "-.", ":")


def process_style(
    datasets: Iterable[str],
    labels: Mapping[str, str] | None = None,
    *,
    signals: Iterable[str] = (),
) -> dict[str, tuple[str, str]]:
    r"""(TeX label, colour) of each data set; unknown ones get their name and a free colour.

    Parameters
    ----------
    datasets
        names, all that a figure shows.
    labels
        TeX labels that some of them have of their own.
    signals
        which of them are signals.

    Examples
    --------
    >>> process_style(["ttbarW", "mine", "new"], {"mine": "$Z'$"}, signals=["new"])
    {'ttbarW': ('$t\\bar{t}W$', '#3f90da'), 'mine': ("$Z'$", '#ffa90e'), 'new': ('new', '#e6007f')}
    """
    names, are_signals = list(datasets), set(signals)
    taken = {PROCESSES[name][1] for name in names if name in PROCESSES}
    found = {name: PROCESSES[name] for name in names if name in PROCESSES}
    for palette, mine in ((BACKGROUNDS, False), (SIGNALS, True)):
        unknown = sorted(
            {one for one in names if one not in found and (one in are_signals) == mine}
        )
        free = [one for one in palette if one not in taken]
        colours = itertools.cycle([*free, *palette])
        found |= {name: (name, next(colours)) for name in unknown}
    return {name: ((labels or {}).get(name, found[name][0]), found[name][1]) for name in names}

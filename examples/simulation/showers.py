"""Pythia: decays, showers and underlying event, from its own matrix elements or a file's.

The rule: the seed is given, and whole batches come as awkward arrays, so that nothing loops over
particles in Python.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import awkward as ak
import pythia8mc
from processes import COMMON, Process

#: What Pythia takes as a seed; 0 would be the time.
SEEDS = range(1, 900_000_001)


def start(settings: Iterable[str], *, seed: int, slha: str = "", hook: Any = None) -> Any:
    """An initialised Pythia at 13 TeV with these further settings.

    Raises
    ------
    ValueError
        if the seed is not in `SEEDS`, Pythia knows a setting not, or cannot begin.
    """
    if seed not in SEEDS:
        raise ValueError(f"the seed is {seed}, expected {SEEDS[0]} to {SEEDS[-1]}")
    pythia = pythia8mc.Pythia("", False)
    with tempfile.TemporaryDirectory() as folder:
        lines = [*COMMON, f"Random:seed = {seed}", *settings]
        if slha:
            spectrum = Path(folder) / "spectrum.slha"
            spectrum.write_text(slha)
            lines.append(f"SLHA:file = {spectrum}")
        for line in lines:
            if not pythia.readString(line):
                raise ValueError(f"Pythia does not know the setting {line!r}")
        if hook is not None:
            pythia.setUserHooksPtr(hook)
        if not pythia.init():
            raise ValueError(
                f"Pythia could not begin with {'; '.join(lines)}; its own messages say why"
            )
    return pythia


def start_process(
    process: Process, *, seed: int, lhe: str | Path | None = None, hook: Any = None
) -> Any:
    """An initialised Pythia for a process, from its own matrix elements or those of `lhe`."""
    if lhe is None:
        if not process.settings:
            raise ValueError(f"Pythia has no matrix elements for {process.name}: give an LHE file")
        return start(process.settings, seed=seed, slha=process.slha, hook=hook)
    if not Path(lhe).is_file():
        raise ValueError(f"{lhe} does not exist")
    settings = ("Beams:frameType = 4", f"Beams:LHEF = {lhe}")
    return start(settings, seed=seed, slha=process.slha, hook=hook)


def batches(pythia: Any, size: int) -> Iterator[ak.Array]:
    """Batches of at most `size` events, with the fields ``prt`` and ``info`` of Pythia.

    They end with a file of events.
    """
    while len(events := pythia.nextBatch(size)):
        yield events

"""Dark Machines CSV written, in the challenge's layout.

The rule: a number is read back as it was, to the last bit, if it came from such a file or from one
of float32.
"""

from __future__ import annotations

import contextlib
import gzip
from collections.abc import Iterable
from pathlib import Path

import awkward as ak
import numpy as np

from hepmtp.errors import OptionError
from hepmtp.events.particles import PARTICLE_TYPES
from hepmtp.events.ragged import Floats

_MEV = 1000.0


def write_csv(path: str | Path, chunks: Iterable[ak.Array], *, process: str, packed: bool) -> None:
    """Write events to a new file in the challenge's layout, MeV, gzipped if `packed`.

    The event ID is the entry number, the process ID is `process`; which file an event was first
    read from is not written.
    """
    if not process.strip() or set(process) & set(";,\r\n"):
        raise OptionError(
            f"{process!r} cannot be a process ID: it is empty or holds a separator; name the file "
            "otherwise"
        )
    with Path(path).open("wb") as plain, contextlib.ExitStack() as stack:
        # no name and no time in the file, so that the same events give the same bytes
        file = stack.enter_context(gzip.GzipFile("", "wb", 6, plain, mtime=0)) if packed else plain
        for events in chunks:
            file.write(_text(events, process).encode())


def _text(events: ak.Array, process: str) -> str:
    head = [
        map(str, events.event.to_list()),
        _written(ak.to_numpy(events.weight)),
        _mev(ak.to_numpy(events.MET.pt)),
        _written(ak.to_numpy(events.MET.phi)),
    ]
    flat = {
        name: ak.to_numpy(ak.flatten(events.Particle[name]))
        for name in ("type", "energy", "pt", "eta", "phi")
    }
    columns = [
        (PARTICLE_TYPES[kind] for kind in flat["type"].tolist()),
        *(_mev(flat[name]) for name in ("energy", "pt")),
        *(_written(flat[name]) for name in ("eta", "phi")),
    ]
    particles = iter([",".join(fields) + ";" for fields in zip(*columns, strict=True)])
    counts = ak.num(events.Particle).to_list()
    return "".join(
        f"{event};{process};{weight};{met};{met_phi};"
        + "".join(next(particles) for _ in range(count))
        + "\n"
        for (event, weight, met, met_phi), count in zip(
            zip(*head, strict=True), counts, strict=True
        )
    )


def _mev(values: Floats) -> list[str]:
    """The shortest text in MeV that is read back as the same number of GeV, or the nearest one."""
    best = values * _MEV
    texts = _written(best)
    for other in (np.nextafter(best, -np.inf), np.nextafter(best, np.inf)):
        for i in np.flatnonzero(other / _MEV == values):
            text = _written(other[i : i + 1])[0]
            if best[i] / _MEV != values[i] or len(text) < len(texts[i]):
                best[i], texts[i] = other[i], text
    return texts


def _written(values: Floats) -> list[str]:
    return [text.removesuffix(".0") for text in map(repr, values.astype(np.float64).tolist())]

"""Whole chunks of Dark Machines lines at once: the fast path.

The rule: one compiled loop (:mod:`hepmtp.readers.darkmachines.loop`) takes what is plain and exact.
Each other line is left to `hepmtp.readers.darkmachines.line`, which says what is wrong with it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hepmtp.events import PARTICLE_TYPES, PHI_ROUNDING
from hepmtp.events.ragged import Floats, Ints, ragged_arange, starts
from hepmtp.readers.darkmachines.line import FIXED, MAX_ETA, SYNONYMS, Layout, Line

_MAX = float(np.finfo(np.float64).max)
_ANY, _POSITIVE, _PHI = (-_MAX, _MAX), (0, _MAX), (-np.pi - PHI_ROUNDING, np.pi + PHI_ROUNDING)
# the least and the largest value of event ID, weight, MET, METphi, E, pt, eta, phi
_LEGAL = np.array([_ANY, _ANY, _POSITIVE, _PHI, _ANY, _POSITIVE, _ANY, _PHI])
_MASSLESS = np.array([*_LEGAL[:6], (-MAX_ETA, MAX_ETA), _PHI])
_TYPES = {label: i for i, label in enumerate(PARTICLE_TYPES)}
_ALSO = {name: _TYPES[label] for name, label in SYNONYMS.items()}
#: What the compiled loop may read behind the last line [bytes].
BEYOND = 9


class Columns(NamedTuple):
    """Events of a chunk, numbers as they are in the file; E is 0 where the layout has none."""

    entry: Ints  # (n_events,): which line of the chunk
    counts: Ints  # (n_events,)
    head: Floats  # (3, n_events): weight, MET, METphi
    type: NDArray[np.int8]  # (n_particles,)
    particles: Floats  # (4, n_particles): E, pt, eta, phi


def parse(data: bytearray, layout: Layout) -> tuple[Columns, Sequence[int]]:
    """Events of lines, all of which should be events, and the lines that were not taken.

    Parameters
    ----------
    data
        lines that end in newlines without carriage returns; the last one may lack its newline, and
        is then not taken. Then `BEYOND` bytes of 0.

    Returns
    -------
    The events of the lines that were taken, and the places of the others, counted from 0.

    Raises
    ------
    ValueError
        without these bytes of 0.
    """
    from hepmtp.readers.darkmachines import loop  # noqa: PLC0415 (numba only for those who read)

    if not data.endswith(bytes(BEYOND)):
        raise ValueError(f"there are not {BEYOND} bytes of 0 behind the lines")
    text, stop = np.frombuffer(data, np.uint8), data.rfind(b"\n") + 1
    # each byte and the next seven
    words = np.ndarray(len(data) - 7, "<u8", buffer=text, strides=(1,))
    n_lines, most = loop.count(text)
    slots = np.repeat(np.arange(len(_TYPES)), [width // 3 for width in layout.widths[2:]] or 0)
    most = n_lines * len(slots) if layout.name == FIXED else most
    # room for all, and for one more that is begun and not taken
    sizes = np.repeat([n_lines + 1, most + 1], 4)
    row, values = starts(sizes), np.zeros(sizes.sum())
    head, particles = values[: row[4]].reshape(4, -1), values[row[4] :].reshape(4, -1)
    head[1] = 1  # the weight of events that have none
    kinds = np.empty(most + 1, dtype=np.int8)
    entry, counts = np.empty((2, n_lines), dtype=np.int64)
    has_energy = "E" in layout.particle
    here = np.array(
        [len(layout.head) == 5, len(layout.head) > 0, True, True, has_energy, *[True] * 3]
    )
    legal = (_LEGAL if has_energy else _MASSLESS)[here]
    n, k = loop.lines(
        *(text, words, stop, int(here[:4].sum()), legal, row[here], _labels(layout), slots),
        *(entry, counts, kinds, values),
    )
    n_lines += stop < len(data) - BEYOND
    left = np.setdiff1d(np.arange(n_lines), entry[:n]).tolist() if n < n_lines else ()
    return Columns(entry[:n], counts[:n], head[1:, :n], kinds[:k], particles[:, :k]), left


def _labels(layout: Layout) -> Ints:
    """The labels of particles at places that follow from their bytes, as `loop.lines` has them."""
    known = _TYPES if "E" in layout.particle else {**_TYPES, **_ALSO}
    types = {int.from_bytes(name.encode(), "big"): i for name, i in known.items()}
    n = next(n for n in itertools.count(1) if len({label % n for label in types}) == len(types))
    table = np.full((n, 2), -1)
    for label, i in types.items():
        table[label % n] = label, i
    return table


def columns_of(lines: Sequence[tuple[int, Line]]) -> Columns:
    """Lines that were parsed one by one, with their places, as columns."""
    entries, found = [entry for entry, _ in lines], [line for _, line in lines]
    particles = [particle for line in found for particle in line.particles]
    return Columns(
        np.array(entries, dtype=np.int64),
        np.array([len(line.particles) for line in found], dtype=np.int64),
        np.array([line.head for line in found], dtype=np.float64).reshape(-1, 3).T,
        np.array([kind for kind, _ in particles], dtype=np.int8),
        np.array([numbers for _, numbers in particles], dtype=np.float64).reshape(-1, 4).T,
    )


def join(parts: Sequence[Columns]) -> Columns:
    """The events of all parts, in the order of their entries; a single part as it is."""
    if len(parts) == 1:
        return parts[0]
    entry, counts, head, kinds, particles = (
        np.concatenate(column, axis=-1) for column in zip(*parts, strict=True)
    )
    if (np.diff(entry) > 0).all():
        return Columns(entry, counts, head, kinds, particles)
    order = np.argsort(entry)
    places = ragged_arange(counts[order], starts(counts)[order])
    return Columns(entry[order], counts[order], head[:, order], kinds[places], particles[:, places])

"""The Dark Machines line: what one line of such a file means, and what is wrong with one that means nothing.

The rule: this is the plain, slow truth that says why; :mod:`hepmtp.readers.darkmachines_csv` reads whole files at once.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from hepmtp.events import PARTICLE_TYPES, PHI_ROUNDING

_HEAD = ("event ID", "process ID", "weight", "MET", "METphi")
_PARTICLE = ("label", "E", "pt", "eta", "phi")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


class BadLineError(ValueError):
    """Why a line is not an event."""


class Line(NamedTuple):
    """One event: weight, MET and METphi; type and (E, pt, eta, phi) of each particle; MeV."""

    head: list[float]
    particles: list[tuple[int, list[float]]]


def parse_line(text: str, *, whole: bool = True) -> Line:
    """The event of a line without its newline; `whole` if it had one.

    Raises
    ------
    BadLineError
        saying what was found and what was expected.

    Examples
    --------
    >>> parse_line("1;ttbarW;0.5;20000;1.5;b,60000,50000,0.1,-2.5;")
    Line(head=[0.5, 20000.0, 1.5], particles=[(1, [60000.0, 50000.0, 0.1, -2.5])])
    """
    if not text.strip():
        raise BadLineError("the line is blank")
    head, particles = text.split(";")[:5], text.split(";")[5:]
    if particles and not particles[-1].strip(" \t"):
        particles.pop()
    if len(head) < 5:
        raise BadLineError(f"{len(head)} fields, expected at least 5 ({';'.join(_HEAD)}): {_short(text)}")
    try:
        _number(head[0], "event ID")
    except BadLineError as error:
        raise BadLineError(f"{error} (a header line must be removed)") from None
    if not head[1].strip(" \t"):
        raise BadLineError(f"process ID is empty: {_short(text)}")
    numbers = [_number(field, name) for field, name in zip(head[2:], _HEAD[2:], strict=True)]
    found = [_parse_particle(particle, f"particle {i}") for i, particle in enumerate(particles, start=1)]
    if not (whole or text.endswith(";")):
        raise BadLineError(
            f"the file ends in the middle of this line, with neither ';' nor newline: {_short(text[-30:])}"
        )
    return Line(numbers, found)


def _parse_particle(text: str, which: str) -> tuple[int, list[float]]:
    fields = text.split(",")
    if len(fields) != 5:
        raise BadLineError(f"{which} has {len(fields)} fields, expected 5 ({','.join(_PARTICLE)}): {_short(text)}")
    label = fields[0].strip(" \t")
    if label not in PARTICLE_TYPES:
        raise BadLineError(f"{which} has the label {_short(label)}, expected one of {' '.join(PARTICLE_TYPES)}")
    numbers = [_number(field, f"{name} of {which}") for field, name in zip(fields[1:], _PARTICLE[1:], strict=True)]
    return PARTICLE_TYPES.index(label), numbers


def _number(text: str, name: str) -> float:
    value = float(text) if _NUMBER.fullmatch(text.strip(" \t")) else np.nan
    expected = "a finite number"
    if "phi" in name:
        expected, legal = "a number in (-pi, pi]", abs(value) <= np.pi + PHI_ROUNDING
    elif name == "MET" or name.startswith("pt"):
        expected, legal = "a finite number >= 0", 0 <= value < np.inf
    else:
        legal = bool(np.isfinite(value))
    if not legal:
        raise BadLineError(f"{name} is {_short(text)}, expected {expected}")
    return value


def weight_of(text: str) -> tuple[float, int]:
    """The weight of a bad line and 0, or 0 and 1 if it cannot be read."""
    try:
        return _number((text.split(";") + [""] * 3)[2], "weight"), 0
    except BadLineError:
        return 0.0, 1


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")

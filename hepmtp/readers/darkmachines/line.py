"""The Dark Machines line: what one line of such a file means, and what is wrong with a bad one.

The rule: this is the plain, slow truth that says why; `hepmtp.readers.darkmachines.chunk` reads
whole chunks at once.

Four layouts have been written over the years; energies in MeV::

    challenge   eventID;processID;weight;MET;METphi;label,E,pt,eta,phi;...;
    bare        weight;MET;METphi;label,E,pt,eta,phi;...;               the same without the two IDs
    generator   weight;MET;METphi;label,pt,eta,phi;...;g123.4,eta,phi;  no energies, no comma after
                                                                        a photon's g
    fixed       MET,METphi,pt,eta,phi,pt,eta,phi,...                    columns for each type,
                                                                        padded with 0

In the generator's files lines of ``===`` begin what one run of the generator wrote, and the bare
number of events that it has accepted ends it. A fixed file was made from one of those. Its first
line says how many columns MET, METphi, jets, b-jets, e+, e-, m+, m- and photons have each. A row of
nothing but 0 stands where a line without event was. Source of the last two: the generation
scripts of the challenge (``convert_to_csv.cc``, ``fixed_length.py``).
"""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

import numpy as np

from hepmtp.events import PARTICLE_TYPES, PHI_ROUNDING

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_GLUED = re.compile(r"^[ \t]*g(?=[\d.+-])", re.ASCII)
_WIDTHS = re.compile(rb"\d+( \d+){8} ?\r?")
#: Lines of a generator's file that are no events: a separator, the path of what was converted, the
#: count of a run.
_BETWEEN = re.compile(rb"(=+[^;]*|[^;,]*\.root|\s*|\d+)\s*", re.ASCII)
#: Where energies are missing they are made from eta, and what is beyond this is no particle.
MAX_ETA = 20.0
#: How the generator's own documentation spells some labels.
SYNONYMS = {"a": "g", "mu+": "m+", "mu-": "m-"}


class BadLineError(ValueError):
    """Why a line is not an event."""


class Layout(NamedTuple):
    """Fields of a line: before the particles, and of each particle; or widths of a fixed file."""

    name: str
    head: tuple[str, ...] = ()
    particle: tuple[str, ...] = ()
    widths: tuple[int, ...] = ()
    every_line: bool = False  # is an event


_HEAD = ("event ID", "process ID", "weight", "MET", "METphi")
_PARTICLE = ("label", "E", "pt", "eta", "phi")
CHALLENGE = Layout("challenge", _HEAD, _PARTICLE, every_line=True)
BARE = Layout("bare", _HEAD[2:], _PARTICLE, every_line=True)
GENERATOR = Layout("generator", _HEAD[2:], ("label", "pt", "eta", "phi"))
LAYOUTS = {layout.name: layout for layout in (CHALLENGE, BARE, GENERATOR)}
FIXED = "fixed"


class Line(NamedTuple):
    """One event, MeV: weight, MET and METphi; type and (E, pt, eta, phi) of each particle.

    E is 0 if it is missing.
    """

    head: list[float]
    particles: list[tuple[int, list[float]]]


def fixed_layout(first: bytes) -> Layout | None:
    """The layout of a fixed file from its first line; None if that is no list of nine widths."""
    if not _WIDTHS.fullmatch(first):
        return None
    widths = tuple(int(width) for width in first.split())
    legal = (
        widths[:2] == (1, 1)
        and not any(width % 3 for width in widths[2:])
        and sum(widths) < 1 << 20
    )
    return Layout(FIXED, widths=widths) if legal else None


def layout_of(start: bytes) -> Layout:
    """The layout that most of the first events of a file have; else the challenge's."""
    lines = start.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    fixed = fixed_layout(lines[0])
    if fixed is not None:
        return fixed
    votes = Counter(_vote(line.decode(errors="replace")) for line in lines if b";" in line)
    votes.pop(None, None)
    return LAYOUTS[str(votes.most_common(1)[0][0])] if votes else CHALLENGE


def _vote(line: str) -> str | None:
    groups = line.strip().removesuffix(";").split(";")
    head = next((i for i, group in enumerate(groups) if "," in group), None)
    if head == 3:
        fields = _GLUED.sub("g,", groups[3]).count(",") + 1
        return {5: "bare", 4: "generator"}.get(fields)
    if head is None and len(groups) == 3:
        return "generator"  # an event without particles is the same in both
    return "challenge"


def is_between(line: bytes) -> bool:
    """Whether a line of a generator's file without event is one that belongs there."""
    return _BETWEEN.fullmatch(line) is not None


def parse_line(text: str, *, whole: bool = True, layout: Layout = CHALLENGE) -> Line:
    """The event of a line without its newline; `whole` if it had one.

    Raises
    ------
    BadLineError
        saying what was found and what was expected.

    Examples
    --------
    >>> parse_line("1;ttbarW;0.5;20000;1.5;b,60000,50000,0.1,-2.5;")
    Line(head=[0.5, 20000.0, 1.5], particles=[(1, [60000.0, 50000.0, 0.1, -2.5])])
    >>> parse_line("0.5;20000;1.5;g50000,0.1,-2.5;", layout=GENERATOR)
    Line(head=[0.5, 20000.0, 1.5], particles=[(6, [0.0, 50000.0, 0.1, -2.5])])
    """
    if not text.strip():
        raise BadLineError("the line is blank")
    found = (
        _parse_fixed(text, layout.widths) if layout.name == FIXED else _parse_groups(text, layout)
    )
    if not whole:
        # even after a ';' there may have been more particles
        raise BadLineError(
            f"the file ends within this line, which has no newline: {_short(text[-30:])}; add one "
            "if the line is whole"
        )
    return found


def _parse_groups(text: str, layout: Layout) -> Line:
    n = len(layout.head)
    head, particles = text.split(";")[:n], text.split(";")[n:]
    if particles and not particles[-1].strip(" \t"):
        particles.pop()
    if len(head) < n:
        raise BadLineError(
            f"{len(head)} fields, expected at least {n} ({';'.join(layout.head)}): {_short(text)}"
        )
    if n == len(_HEAD):
        try:
            _number(head[0], "event ID")
        except BadLineError as error:
            raise BadLineError(f"{error} (a header line must be removed)") from None
        if not head[1].strip(" \t"):
            raise BadLineError(f"process ID is empty: {_short(text)}")
    numbers = [_number(field, name) for field, name in zip(head[-3:], _HEAD[2:], strict=True)]
    found = [
        _parse_particle(particle, f"particle {i}", layout)
        for i, particle in enumerate(particles, start=1)
    ]
    return Line(numbers, found)


def _parse_particle(text: str, which: str, layout: Layout) -> tuple[int, list[float]]:
    has_energy = "E" in layout.particle
    fields = (text if has_energy else _GLUED.sub("g,", text, count=1)).split(",")
    n = len(layout.particle)
    if len(fields) != n:
        expected = ",".join(layout.particle)
        raise BadLineError(
            f"{which} has {len(fields)} fields, expected {n} ({expected}): {_short(text)}"
        )
    label = fields[0].strip(" \t")
    if not has_energy:
        label = SYNONYMS.get(label, label)
    if label not in PARTICLE_TYPES:
        raise BadLineError(
            f"{which} has the label {_short(label)}, expected one of {' '.join(PARTICLE_TYPES)}"
        )
    named = zip(fields[1:], layout.particle[1:], strict=True)
    numbers = [
        _number(field, f"{name} of {which}", massless=not has_energy) for field, name in named
    ]
    return PARTICLE_TYPES.index(label), numbers if has_energy else [0.0, *numbers]


def _parse_fixed(text: str, widths: tuple[int, ...]) -> Line:
    fields = text.split(",")
    if len(fields) != sum(widths):
        raise BadLineError(
            f"{len(fields)} columns, expected {sum(widths)} as the first line says: {_short(text)}"
        )
    head = [_number(fields[0], "MET"), _number(fields[1], "METphi")]
    found: list[tuple[int, list[float]]] = []
    at = 2
    for kind, width in enumerate(widths[2:]):
        padded = False
        for i in range(at, at + width, 3):
            which = f"columns {i + 1} to {i + 3} ({PARTICLE_TYPES[kind]})"
            names = (f"{name} of {which}" for name in ("pt", "eta", "phi"))
            pt, eta, phi = (
                _number(fields[i + k], name, massless=True) for k, name in enumerate(names)
            )
            if pt == 0 and (eta, phi) != (0, 0):
                raise BadLineError(
                    f"{which} have pt 0 but are not padding: {_short(','.join(fields[i : i + 3]))}"
                )
            if pt > 0 and padded:
                raise BadLineError(f"{which} hold a particle after padding")
            padded = padded or pt == 0
            if not padded:
                found.append((kind, [0.0, pt, eta, phi]))
        at += width
    return Line([1.0, *head], found)


def _number(text: str, name: str, *, massless: bool = False) -> float:
    value = float(text) if _NUMBER.fullmatch(text.strip(" \t")) else np.nan
    expected = "a finite number"
    if "phi" in name:
        expected, legal = "a number in (-pi, pi]", abs(value) <= np.pi + PHI_ROUNDING
    elif name == "MET" or name.startswith("pt"):
        expected, legal = "a finite number >= 0", 0 <= value < np.inf
    elif massless and name.startswith("eta"):
        expected = f"at most {MAX_ETA:g} in size, for E is pt cosh(eta)"
        legal = abs(value) <= MAX_ETA
    else:
        legal = bool(np.isfinite(value))
    if not legal:
        raise BadLineError(f"{name} is {_short(text)}, expected {expected}")
    return value


def weight_of(text: str, layout: Layout = CHALLENGE) -> tuple[float, int]:
    """The weight of a bad line and 0, or 0 and 1 if it cannot be read."""
    if layout.name == FIXED:
        return 1.0, 0
    try:
        return _number((text.split(";") + [""] * 3)[len(layout.head) - 3], "weight"), 0
    except BadLineError:
        return 0.0, 1


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")

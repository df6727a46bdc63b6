"""Colour for matrix elements without it.

A leading-colour flow, drawn at random for each event of an LHE file.

The rule: the colour of each quark or gluon ends in the anticolour of another. A ring of gluons
alone and a colour line from one incoming quark straight to the other do not occur at leading colour
here. They are drawn again. Events that have colours are left as they are.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

_FIRST = 501
"""First index of a colour line in an LHE file, by convention."""


def colour_flow(
    codes: list[int], incoming: list[bool], rng: np.random.Generator
) -> list[tuple[int, int]]:
    """Colour and anticolour of each particle with these PDG codes, 0 where it has none.

    Raises
    ------
    ValueError
        if there are not as many quarks as antiquarks that colour lines begin and end at.

    Examples
    --------
    >>> colour_flow([2, -1, 6, -6, 24], [True, True, False, False, False], np.random.default_rng(1))
    [(501, 0), (0, 502), (501, 0), (0, 502), (0, 0)]
    """
    quark = [0 < code < 7 for code in codes]
    anti = [-7 < code < 0 for code in codes]
    gluon = [code == 21 for code in codes]
    # what goes in with a colour is like what goes out with the anticolour
    begins = [i for i in range(len(codes)) if gluon[i] or (anti[i] if incoming[i] else quark[i])]
    ends = [i for i in range(len(codes)) if gluon[i] or (quark[i] if incoming[i] else anti[i])]
    if len(begins) != len(ends):
        raise ValueError(
            f"colour is not conserved by the particles {codes}: {len(begins)} lines begin, "
            f"{len(ends)} end"
        )
    while True:
        order = dict(zip(begins, rng.permutation(ends).tolist(), strict=True))
        if all(_leading(i, order, gluon, incoming) for i in begins):
            break
    flow = [[0, 0] for _ in codes]
    for line, (begin, end) in enumerate(sorted(order.items(), key=min), start=_FIRST):
        flow[begin][1 if incoming[begin] else 0] = line
        flow[end][0 if incoming[end] else 1] = line
    return [(colour, anticolour) for colour, anticolour in flow]


def _leading(start: int, order: dict[int, int], gluon: list[bool], incoming: list[bool]) -> bool:
    if not gluon[start]:
        end = order[start]
        return gluon[end] or not (incoming[start] and incoming[end])
    at = order[start]
    while gluon[at] and at != start:
        at = order[at]
    return at != start


def coloured(lines: Iterator[str], rng: np.random.Generator) -> Iterator[str]:
    """The lines of an LHE file with a colour flow in each event that has none."""
    for line in lines:
        yield line
        if line.strip().startswith("<event") and not line.strip().startswith("<eventgroup"):
            head = next(lines)
            yield head
            particles = [next(lines).split() for _ in range(int(head.split()[0]))]
            yield from (" " + " ".join(fields) + "\n" for fields in _fill(particles, rng))


def _fill(particles: list[list[str]], rng: np.random.Generator) -> list[list[str]]:
    outside = [i for i, fields in enumerate(particles) if int(fields[1]) in (-1, 1)]
    if all(fields[4] == fields[5] == "0" for fields in particles):
        codes = [int(particles[i][0]) for i in outside]
        flow = colour_flow(codes, [int(particles[i][1]) == -1 for i in outside], rng)
        for i, (colour, anticolour) in zip(outside, flow, strict=True):
            particles[i][4:6] = str(colour), str(anticolour)
    return particles


def with_colours(path: str | Path, folder: str | Path, rng: np.random.Generator) -> Path:
    """A copy of an LHE file, plain or gzipped, in this folder, with colours.

    Raises ValueError if it does not exist.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path} does not exist")
    target = Path(folder) / "coloured.lhe"
    with _open(path) as source, target.open("w") as file:
        file.writelines(coloured(iter(source), rng))
    return target


def _open(path: str | Path) -> IO[str]:
    return gzip.open(path, "rt") if str(path).endswith(".gz") else Path(path).open()

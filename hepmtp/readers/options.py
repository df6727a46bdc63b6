"""Options of a reader made what their annotations say, from numbers or from the text of a command line.

The rule: an option that cannot be is refused when the reader is made, with its name and what was expected, and not when a file
is read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np

from hepmtp.errors import ReadError


def check_options(reader: Any) -> None:
    """Bring the fields of a dataclass into the form of their annotations, those of other kinds than `KINDS` left alone.

    Raises
    ------
    ReadError
        naming the option, what it is and what was expected.
    """
    for field in fields(reader):
        kind, _, other = str(field.type).partition(" | ")
        value = getattr(reader, field.name)
        if kind not in KINDS or (value is None and other == "None"):
            continue
        make, expected = KINDS[kind]
        try:
            made = make(value)
        except (TypeError, ValueError):
            expected += " or None" if other == "None" else ""
            raise ReadError(
                f"{type(reader).__name__}: option {field.name} is {value!r}, expected {expected}"
            ) from None
        object.__setattr__(
            reader, field.name, made
        )  # how a frozen dataclass sets what it has checked


def _number(value: Any) -> float:
    if isinstance(value, bool) or np.isnan(made := float(value)):
        raise ValueError
    return made


def _whole(value: Any) -> int:
    if isinstance(value, bool) or int(value) != float(value):
        raise ValueError
    return int(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise TypeError
    return value


def _numbers(value: Any) -> tuple[float, float]:
    first, second = value.split(",") if isinstance(value, str) else value
    return _number(first), _number(second)


def _cut(value: Any) -> tuple[float, float]:
    pt, eta = _numbers(value)
    if pt < 0 or eta < 0:
        raise ValueError
    return pt, eta


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(
        _text(one) for one in (value.split(",") if isinstance(value, str) and value else value)
    )


#: Annotations of options: what makes a value one, and what it is called.
KINDS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "Cut": (_cut, r"the smallest pt [GeV] and the largest |eta|, as text 30,2.4"),
    "float": (_number, "a number"),
    "int": (_whole, "a whole number"),
    "str": (_text, "a name"),
    "tuple[float, float]": (_numbers, "two numbers, as text 0.2,0.1"),
    "tuple[str, ...]": (_texts, "names, as text a,b (an empty text for none)"),
}

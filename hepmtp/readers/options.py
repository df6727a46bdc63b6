"""Options of a reader made what their annotations say, from numbers or the text of a command line.

The rule: an option that cannot be is refused when the reader is made, and not when a file is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from hepmtp.errors import OptionError

#: Smallest pt [GeV] and largest \|eta\|.
Cut = Annotated[tuple[float, float], "cut"]
#: Names of branches that differ from those of a layout, by key; None for what there is not.
Renamed = Annotated[Mapping[str, str | None], "names"]


def check_options(reader: Any) -> None:
    """Bring the fields of a dataclass into the form of their annotations.

    Those of other kinds than `KINDS` and ``Literal`` are left alone.

    Raises
    ------
    OptionError
        naming the option, what it is and what was expected.

    Examples
    --------
    >>> from hepmtp.readers.delphes import Delphes
    >>> Delphes(jets="30,2.4").jets
    (30.0, 2.4)
    >>> Delphes(overlap="far")
    Traceback (most recent call last):
    hepmtp.errors.OptionError: Delphes: option overlap is 'far', expected a number
    """
    hints = get_type_hints(type(reader), include_extras=True)
    for field in fields(reader):
        hint, value = hints[field.name], getattr(reader, field.name)
        kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        none = [None] if NoneType in kinds else []
        if none and isinstance(value, str) and value.strip().lower() == "none":
            value = None  # as it is written on a command line
            object.__setattr__(reader, field.name, None)
        if value is None and none:
            continue
        if get_origin(kinds[0]) is Literal:
            allowed = get_args(kinds[0])
            if value not in allowed:
                raise refusal(reader, field.name, _either(map(repr, (*allowed, *none))))
        elif kinds[0] in KINDS:
            make, expected = KINDS[kinds[0]]
            try:
                made = make(value)
            except (AttributeError, KeyError, TypeError, ValueError):
                raise refusal(reader, field.name, _either([expected, *map(str, none)])) from None
            object.__setattr__(reader, field.name, made)  # as a frozen dataclass is set


def refusal(reader: Any, name: str, expected: str) -> OptionError:
    """The error for an option of a reader that is not what was expected."""
    value = getattr(reader, name)
    return OptionError(f"{type(reader).__name__}: option {name} is {value!r}, expected {expected}")


def has_option(reader: Any, name: str) -> bool:
    """Whether a reader, or its class, is a dataclass with this option."""
    return is_dataclass(reader) and name in {one.name for one in fields(reader)}


def leaving_out_lines(reader: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with which a reader leaves out lines that it cannot read, if it reads lines.

    What is said of that already is kept.
    """
    able = isinstance(reader, type) and has_option(reader, "on_bad")
    return {"on_bad": "skip", **options} if able else dict(options)


def _either(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def _number(value: Any) -> float:
    if isinstance(value, bool) or np.isnan(made := float(value)):
        raise ValueError
    return made


def _whole(value: Any) -> int:
    if isinstance(value, bool) or int(value) != float(value):
        raise ValueError
    return int(value)


def _truth(value: Any) -> bool:
    if not isinstance(value, (bool, int, str)):
        raise TypeError
    return _TRUTH[str(value).strip().lower()]


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
    words = value.split(",") if isinstance(value, str) and value else value
    return tuple(_text(one) for one in words)


def _names(value: Any) -> dict[str, str | None]:
    if isinstance(value, str):
        pairs = [word.split("=") for word in value.split(",") if word.strip()]
        value = {key: name for key, name in pairs}  # noqa: C416 (pairs of two, or an error)
    found = {}
    for key, name in value.items():
        is_none = name is None or _text(name).strip().lower() == "none"
        found[_text(key).strip()] = None if is_none else name.strip()
    return found


_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
#: Annotations of options: what makes a value one, and what it is called.
KINDS: dict[Any, tuple[Callable[[Any], Any], str]] = {
    Cut: (_cut, r"the smallest pt [GeV] and the largest |eta|, as text 30,2.4"),
    float: (_number, "a number"),
    int: (_whole, "a whole number"),
    bool: (_truth, "true or false (also yes, no, 1, 0)"),
    str: (_text, "a name"),
    tuple[float, float]: (_numbers, "two numbers, as text 0.2,0.1"),
    Renamed: (_names, "names, as text jets=JetPUPPI,jet_pt=Jet_pt_nom,photons=none"),
    tuple[str, ...]: (_texts, "names, as text a,b (an empty text for none)"),
}

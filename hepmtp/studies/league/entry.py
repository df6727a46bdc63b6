"""An entry of a league: a name and how its detector is made.

The rule: what needs libraries beyond hepmtp's own is imported when it is made.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from hepmtp import storage
from hepmtp.detectors import Detector, load_detector
from hepmtp.errors import OptionError, check_protocol
from hepmtp.plugins import resolve

Kind = Literal["observable", "background-only", "supervised"]


#: ``make(seed)`` gives a detector that is not fitted.
Make = Callable[..., Detector]


@dataclass(frozen=True)
class Entry:
    """Who takes part: a name and how its detector is made.

    Parameters
    ----------
    name
        of its rows and folders.
    make
        ``make(seed)`` gives a detector that is not fitted. A supervised one is called ``make(seed,
        signal=events)``, once per signal, with events outside the analysis part; one with `parts`
        ``make(seed, detectors=[...])``.
    kind
        "observable": nothing is learned; "background-only": fitted on background; "supervised":
        fitted with labels.
    note
        what a reader of the table should know.
    forms
        further forms of the score (``with_score``) that share the fit, each a row ``NAME_FORM``.
    parts
        names of entries whose fitted detectors of the same seed it is made from.
    seeded
        whether another seed gives another detector.
    fitted
        `make` gives a detector that is fitted already.
    libraries
        importable names that it needs beyond hepmtp's own dependencies.
    small
        `make` of a tiny detector, for a quick look.
    """

    name: str
    make: Make
    kind: Kind = "background-only"
    note: str = ""
    forms: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    seeded: bool = True
    fitted: bool = False
    libraries: tuple[str, ...] = ()
    small: Make | None = None

    @property
    def rows(self) -> dict[str, str]:
        """Name of each row -> form of the score, "" for the detector's own."""
        return {self.name: "", **{f"{self.name}_{form}": form for form in self.forms}}


def tiny(entry: Entry) -> Entry:
    """The entry with its tiny detector, if it has one."""
    return replace(entry, make=entry.small) if entry.small else entry


def entry_of(word: str) -> Entry:
    """The user's own entry: ``pkg.module:Class``, or the folder of a saved detector.

    A class is called with the seed if it takes one. ``NAME=`` before it gives the entry a name,
    else it has that of the detector. Whether a saved detector has seen the league's analysis events
    cannot be known here: it must have been fitted by hepmtp's split on the same files.

    Raises
    ------
    OptionError
        if it names neither.

    Examples
    --------
    >>> entry_of("mine=hepmtp:TokenRarity").name
    'mine'
    """
    name, _, where = word.rpartition("=")
    if (Path(where.partition("#")[0]) / storage.META).is_file():
        found = load_detector(where)
        note = (
            f"saved before, sha256 {storage.digest(where.partition('#')[0])[:12]}: "
            f"{found.description}"
        )
        return Entry(
            name or found.name,
            lambda *_, **__: load_detector(where),
            _kind(found),
            note,
            seeded=False,
            fitted=True,
        )
    try:
        make = resolve(where)
        takes = inspect.signature(make).parameters

        def of(seed: int, **given: Any) -> Detector:
            detector: Detector = make(
                **{key: value for key, value in {**given, "seed": seed}.items() if key in takes}
            )
            check_protocol(detector, Detector)
            return detector

        first = of(0)
        return Entry(
            name or first.name, of, _kind(first), first.description, seeded="seed" in takes
        )
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise OptionError(
            f"{where!r} is neither the folder of a saved detector nor a pkg.module:Class that "
            f"makes a detector from a seed or nothing: {error}"
        ) from None


def _kind(detector: Detector) -> Kind:
    return "supervised" if detector.supervised else "background-only"


def made_of(path: str, within: str = "", **values: Any) -> Callable[..., Any]:
    """A function of the seed that makes what `path` names, with these values.

    `within` names the field that holds the options with the seed, if it is not a field of its own.
    """

    def make(seed: int, **given: Any) -> Any:
        found = resolve(path)(**given)
        changed: dict[str, Any] = {**values, "seed": seed}
        return replace(
            found, **({within: replace(getattr(found, within), **changed)} if within else changed)
        )

    return make

"""Regions, variables and processors from a user's own file, ``my_analysis.py:REGIONS``.

The rule: such a file is run once, here, and travels to workers inside of what uses it. Neither the
file nor what it imports from its own folder has to be there.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import cloudpickle
import coffea.util

from hepmtp.errors import OptionError
from hepmtp.events.channels import CHANNELS
from hepmtp.events.regions import REGIONS, Region, region_named
from hepmtp.events.variables import HT, MET, N_B, N_JETS, Variable
from hepmtp.jets.regions import JET_REGIONS, JET_VARIABLES
from hepmtp.plugins import resolve

_Named = TypeVar("_Named", Region, Variable)


def own(word: str, option: str) -> Any:
    """What ``FILE.py:NAME`` or ``package.module:NAME`` names.

    Raises
    ------
    OptionError
        if there is no such file, module or name, or the file cannot be run.
    """
    place, _, name = word.rpartition(":")
    if not place.endswith(".py"):
        try:
            return resolve(word)
        except (ImportError, AttributeError, ValueError) as error:
            raise OptionError(
                f"{option} {word}: {error}; write FILE.py:NAME or package.module:NAME"
            ) from None
    module = _module(Path(place).resolve(), f"{option} {word}")
    if not hasattr(module, name):
        known = ", ".join(one for one in vars(module) if not one.startswith("_"))
        raise OptionError(f"{option} {word}: {place} has no {name!r}; it has {known}")
    return getattr(module, name)


def _module(path: Path, said: str) -> ModuleType:
    """The file as a module of its name, which workers get by value, as its neighbours."""
    name = path.stem
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", None) == str(path):
        return known
    if not path.is_file():
        raise OptionError(f"{said}: there is no file {path}")
    other = importlib.util.find_spec(name) if name.isidentifier() else None
    if not name.isidentifier() or (other is not None and other.origin != str(path)):
        raise OptionError(f"{said}: {name!r} cannot be the name of your module; rename the file")
    before = set(sys.modules)
    sys.path.insert(0, str(path.parent))
    try:
        module = importlib.import_module(name)
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        raise OptionError(f"{said}: {path} cannot be run ({what})") from error
    finally:
        sys.path.remove(str(path.parent))
    for new in set(sys.modules) - before:
        where = getattr(sys.modules[new], "__file__", None)
        if where is not None and Path(where).is_relative_to(path.parent):
            cloudpickle.register_pickle_by_value(sys.modules[new])
    return module


def regions_of(words: Sequence[str] | None, option: str = "--regions") -> tuple[Region, ...]:
    """The regions of these words: names of known ones by comma, or files; all by default.

    The word ``jets`` means those of jets.
    """
    if are_of_jets(words):
        return JET_REGIONS
    return _things(words, option, Region, (*REGIONS, *CHANNELS)) or REGIONS


def are_of_jets(words: Sequence[str] | None) -> bool:
    """Whether these words of ``--regions`` mean the regions of jets, each an event."""
    return list(words or ()) == ["jets"]


def region_of(word: str, option: str) -> Region:
    """The one region of a word; RegionError for a name that does not exist."""
    if ":" not in word:
        return region_named(word, (*REGIONS, *CHANNELS))
    found = regions_of([word], option)
    if len(found) != 1:
        raise OptionError(f"{option} {word} has {len(found)} regions, expected one")
    return found[0]


def variables_of(
    words: Sequence[str] | None, option: str = "--variables", *, jets: bool = False
) -> tuple[Variable, ...]:
    """The variables of these words, behind those that fits use, or those of jets as events."""
    always = JET_VARIABLES if jets else (N_JETS, N_B)
    found = _things(words, option, Variable, always if jets else (*always, HT, MET))
    names = {one.name for one in found}
    return (*(one for one in always if one.name not in names), *found)


#: What `processors.anomaly.AnomalyProcessor` gives.
KNOWN = (
    *("scores", "variables", "replicas", "n_minus_one", "cutflow", "cuts"),
    *("regions", "overlaps", "columns", "parts", "normalisation", "strangest"),
)
#: File with what a user's processor gives beside that.
MORE = "more.coffea"


def write_more(folder: str | Path, output: Mapping[str, Any]) -> Path | None:
    """Write what a user's processor fills beside ours, for ``coffea.util.load``, if anything."""
    path = Path(folder) / MORE
    more = {key: value for key, value in output.items() if key not in KNOWN}
    if not more:
        return None
    coffea.util.save(more, str(path))
    return path


def _things(
    words: Sequence[str] | None, option: str, kind: type[_Named], known: Sequence[_Named]
) -> tuple[_Named, ...]:
    found: list[_Named] = []
    by_name = {one.name: one for one in known}
    for word in words or ():
        given: Any = [by_name.get(one) for one in word.split(",")]
        if None in given:
            if ":" not in word:
                raise OptionError(
                    f"{option} {word}: expected FILE.py:NAME, or of {', '.join(by_name)}"
                )
            given = own(word, option)
            given = [given] if isinstance(given, kind) else given
        if not isinstance(given, list | tuple) or not all(isinstance(one, kind) for one in given):
            raise OptionError(
                f"{option} {word} is {type(given).__name__}, expected a {kind.__name__} of hepmtp, "
                "or a list of them"
            )
        found += given
    return tuple(found)

"""Names of classes, as text: what a name stands for, and whether a file may name it.

The rule: a name that a user writes, in a command or in Python, is imported. One in a file (a
manifest, a fileset, a saved folder) stands only for what hepmtp brings, an installed package
registers, or the user has allowed (`allow_plugins`). Nothing else is imported.
What a process was given as an object, or has saved itself, it may open again.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import pkgutil
import site
import sysconfig
from collections.abc import Iterable
from functools import cache
from typing import Any

from hepmtp.errors import OptionError, missing_library

#: Entry points by which an installed package says which of its modules or classes files may name.
GROUP = "hepmtp.plugins"
#: Modules whose names were once saved, in folders and in manifests, and the public names of the
#: classes that they held.
_FORMER_HOMES = {
    "detectors": (
        "combination:Combination deep_svdd:DeepSVDD distortion:DistortionDetector ecod:ECOD "
        "flow:Flow isolation_forest:IsolationForest masked_token:MaskedTokenDetector "
        "observables:Observable supervised:SupervisedDetector token_rarity:TokenRarity vae:VAE"
    ),
    "readers": (
        "darkmachines_csv:DarkMachinesCSV delphes:Delphes dm_ntuple:DMNtuple "
        "fourtops_hdf5:FourTopsHDF5 jetclass:JetClass nanoaod:NanoAOD parquet:ParquetReader "
        "physlite:Physlite root:RootReader"
    ),
    "tokenizers": (
        "continuous:ContinuousInputs fsq:FSQTokenizer graph_vq:GraphVQTokenizer "
        "lookup:LookupTokenizer vqvae:VQVAETokenizer"
    ),
}
_SKIP_BAD = "hepmtp.readers.darkmachines.reader:SKIP_BAD"
FORMER_NAMES = {
    f"hepmtp.{room}.{name}": f"hepmtp:{name.partition(':')[2]}"
    for room, names in _FORMER_HOMES.items()
    for name in names.split()
} | {"hepmtp.readers.darkmachines_csv:SKIP_BAD": _SKIP_BAD}

#: What the user of this process has allowed; workers are told.
_allowed: set[str] = set()


def kind_of(fitted: object) -> str:
    """Name under which the class of a fitted thing (or this class) is saved and found again.

    ``"hepmtp:Class"``, the public name, for what hepmtp brings: modules may move.
    ``"package.module:Class"`` for a user's own.
    """
    cls = fitted if isinstance(fitted, type) else type(fitted)
    package = cls.__module__.partition(".")[0]
    return f"{package if package == 'hepmtp' else cls.__module__}:{cls.__qualname__}"


def current_name(name: str) -> str:
    """Today's name of what older folders and manifests name otherwise (`FORMER_NAMES`).

    Examples
    --------
    >>> current_name("hepmtp.tokenizers.lookup:LookupTokenizer"), current_name("mine.tokens:Mine")
    ('hepmtp:LookupTokenizer', 'mine.tokens:Mine')
    """
    return FORMER_NAMES.get(name, name)


def resolve(name: str) -> Any:
    """What ``"package.module:Class"`` names, by a former name too; for names that a user writes.

    Raises ImportError, AttributeError or ValueError.
    """
    try:
        return pkgutil.resolve_name(current_name(name))
    except ImportError as error:
        if (advice := missing_library(error)) is None:
            raise
        raise ImportError(advice, name=error.name) from None


def resolve_from_file(name: str) -> Any:
    """What a name that stands in a file stands for: a class, or an object of one.

    Raises
    ------
    OptionError
        if it is neither hepmtp's, nor registered, nor allowed; then nothing is imported.
    ImportError, AttributeError, ValueError
        as `resolve`.
    """
    name = _public(current_name(name))
    module, _, inner = name.partition(":")
    if not all(part.isidentifier() for part in [*module.split("."), *inner.split(".")]):
        raise OptionError(f"{name!r} is no name of a class, expected 'package.module:Class'")
    public = importlib.import_module("hepmtp").__all__
    if not (name == _SKIP_BAD or (module == "hepmtp" and inner in public) or _is_allowed(name)):
        if module.partition(".")[0] == "hepmtp":
            raise OptionError(
                f"{name!r} is named in a file, and is no class of hepmtp: nothing was imported. "
                "Check the name"
            )
        raise OptionError(
            f"{name!r} is named in a file, and is no class of hepmtp: nothing was imported. If you "
            f"trust whoever wrote file and module, add --allow-plugins {module} to the command, or "
            f'call hepmtp.allow_plugins("{module}") before'
        )
    found = resolve(name)
    cls = found if isinstance(found, type) else type(found)
    home = cls.__module__.partition(".")[0]
    if name not in {*_allowed, *registered()} and home != module.partition(".")[0]:
        raise OptionError(f"{name!r} is {cls.__module__}:{cls.__qualname__}, no class of {module}")
    return found


def _public(name: str) -> str:
    """The public name of a class of hepmtp that is named by its module; other names as they are."""
    module, _, inner = name.partition(":")
    public = importlib.import_module("hepmtp")
    if module.startswith("hepmtp.") and inner in public.__all__:
        found = getattr(public, inner)
        if isinstance(found, type) and found.__module__ == module:
            return kind_of(found)
    return name


def allow_plugins(*names: str) -> None:
    """Let files name classes of your own: in this process, and in the workers of its runs.

    A saved detector, a manifest or a fileset may name a class. One that is not hepmtp's is imported
    only if it is allowed: here, or by ``--allow-plugins`` of a command. Or by an entry point of an
    installed package, in the group ``hepmtp.plugins``.

    Parameters
    ----------
    names
        packages or modules, with all that is below them, or single classes
        (``"package.module:Class"``).

    Raises
    ------
    OptionError
        if one is no such name.

    Examples
    --------
    >>> allow_plugins("mine.readers", "other.tokens:Mine")
    >>> allow_plugins("mine.py")
    Traceback (most recent call last):
    hepmtp.errors.OptionError: 'mine.py' is no module, expected 'mine', ...
    """
    for name in names:
        module, colon, inner = name.partition(":")
        parts = [*module.split("."), *(inner.split(".") if colon else ())]
        if parts[-1] == "py" or not all(part.isidentifier() for part in parts):
            plain = parts[0] if parts[0].isidentifier() else "mine"
            raise OptionError(
                f"{name!r} is no module, expected {plain!r}, 'package.module' or "
                "'package.module:Class'"
            )
        _allowed.add(current_name(name))


def allow_class(kind: str) -> None:
    """Let files name a class that is in hand already: of an object that was saved, or given."""
    parts = kind.replace(":", ".").split(".")
    if ":" in kind and parts[0] != "hepmtp" and all(part.isidentifier() for part in parts):
        _allowed.add(kind)


def allowed() -> tuple[str, ...]:
    """What was allowed in this process, sorted."""
    return tuple(sorted(_allowed))


@cache
def registered() -> frozenset[str]:
    """What installed packages register: values of their entry points in the group `GROUP`."""
    places = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()}
    return registered_in(
        [*places, *([site.getusersitepackages()] if site.ENABLE_USER_SITE else ())]
    )


def registered_in(places: Iterable[str]) -> frozenset[str]:
    """As `registered`, of the packages in these folders: never of the current one, say."""
    return frozenset(
        one.value.replace(" ", "")
        for package in importlib.metadata.distributions(path=list(places))
        for one in package.entry_points
        if one.group == GROUP
    )


def check_options(name: str, cls: type, options: Iterable[str]) -> None:
    """Raise OptionError if a class, known by this name, is not made with one of these options."""
    parameters = inspect.signature(cls).parameters
    any_name = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    known = [key for key, one in parameters.items() if one.kind is not one.VAR_KEYWORD]
    for option in options:
        if option not in known and not any_name:
            raise OptionError(
                f"{name} has no option {option!r}; it has {', '.join(known) or 'none'}"
            )


def _is_allowed(name: str) -> bool:
    """Whether a class, or a module that it is in, is allowed or registered."""
    module = name.partition(":")[0].split(".")
    above = {".".join(module[:n]) for n in range(1, len(module) + 1)}
    return not _allowed.isdisjoint({name, *above}) or not registered().isdisjoint({name, *above})

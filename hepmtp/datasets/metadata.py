"""What the metadata of a data set, and the list of its files, must be before anything is read.

The rule: roles, numbers and names are checked here, wherever they come from (manifest, fileset,
command line).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from hepmtp.errors import EventError, ManifestError, ReadError
from hepmtp.events.record import SIMULATED, role_of
from hepmtp.readers.lines import is_remote
from hepmtp.statistics.normalisation import KEYS, known

#: What coffea itself writes into the metadata of events.
RESERVED = frozenset({
    "dataset", "filename", "treename", "metadata", "entrystart", "entrystop", "fileuuid",
    "numentries", "uuid", "clusters", "preload", "file_stamp",
})  # fmt: skip
#: Keys that have a place of their own in a data set.
PLACED = (
    *("role", "process", "energy_tev", "reader", "reader_options"),
    *(spelling for name, others in KEYS.items() for spelling in (name, *others)),
)
#: Keys that mean something here; other keys are the user's own.
_MEANT = (*PLACED, *SIMULATED)
#: Keys that mean something elsewhere, and how it is said there.
_ELSEWHERE = {
    "units": "say it to the reader, 'reader_options': {'units': ...}",
    "tree": "write 'treename' beside 'files'",
}
#: Characters of the name of a data set.
LONGEST = 200
#: No collider has more: such a number is in GeV [TeV].
_LARGEST_ENERGY = 1000.0


def check_name(name: str) -> None:
    r"""Raise ManifestError for a data set's name that would steer a terminal, or has no end.

    Examples
    --------
    >>> check_name("tt\x1b[2J")
    Traceback (most recent call last):
    hepmtp.errors.ManifestError: data set 'tt\x1b[2J': a name has no control characters, ...
    """
    odd = any(unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") for one in name)
    if odd or len(name) > LONGEST:
        shown = f"{name[:40]}..." if len(name) > LONGEST else name
        raise ManifestError(
            f"data set {shown!r}: a name has no control characters, and at most {LONGEST} others; "
            "give it another"
        )


def check_metadata(dataset: str, given: Any) -> dict[str, Any]:
    """Metadata of a data set: role, normalisation, energy, reader and its options are legal.

    Raises
    ------
    ManifestError
        for what is no mapping, and a role, energy or reader that cannot be.
    OptionError
        for numbers of the normalisation that cannot be.
    ReadError
        for names that coffea itself writes into metadata.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ManifestError(
            f"data set {dataset!r}: key 'metadata' is {short(given)}, expected a mapping"
        )
    metadata = dict(given)
    if clash := sorted(RESERVED & metadata.keys()):
        raise ReadError(
            f"data set {dataset!r}: metadata {clash} are coffea's own; choose other names"
        )
    _check_spelling(dataset, metadata)
    try:
        role_of(metadata)
    except EventError as error:
        raise ManifestError(f"data set {dataset!r}: {error}") from None
    known(metadata, dataset)
    energy = metadata.get("energy_tev")
    if energy is not None and not (
        isinstance(energy, int | float)
        and not isinstance(energy, bool)
        and isfinite(energy)
        and 0 < energy <= _LARGEST_ENERGY
    ):
        raise ManifestError(
            f"data set {dataset!r}: energy_tev is {energy!r}, expected the collision energy in TeV"
        )
    kinds: tuple[tuple[str, type, str], ...] = (
        ("reader", str, "'package.module:Class'"),
        ("reader_options", Mapping, "a mapping of options to their values"),
        ("process", str, "text"),
    )
    for key, kind, expected in kinds:
        if metadata.get(key) is not None and not isinstance(metadata[key], kind):
            raise ManifestError(
                f"data set {dataset!r}: {key} is {short(metadata[key])}, expected {expected}"
            )
    return metadata


def _check_spelling(dataset: str, metadata: Mapping[Any, Any]) -> None:
    """Refuse keys that are ours but for capitals and underscores, or are said elsewhere."""
    meant = {_bare(key): key for key in reversed(_MEANT)}
    for key in metadata.keys() - set(_MEANT):
        bare = _bare(str(key))
        advice = f"write {meant[bare]!r}" if bare in meant else _ELSEWHERE.get(bare)
        if advice is not None:
            raise ManifestError(
                f"data set {dataset!r}: the metadata key {key!r} would have no effect; {advice}"
            )


def _bare(key: str) -> str:
    return key.lower().replace("_", "").replace("-", "")


def check_there(dataset: str, path: str) -> None:
    """Raise ReadError if this is no file on disk."""
    if Path(path).is_dir():
        raise ReadError(f"data set {dataset!r}: {path} is a folder; name the files in it")
    if not Path(path).exists():
        raise ReadError(
            f"data set {dataset!r}: {path} does not exist; check the name, or fetch the file"
        )


def check_once(dataset: str, paths: Iterable[str]) -> None:
    """Raise ManifestError if there is no file, or one file twice, by links too."""
    seen: dict[str, str] = {}
    for path in paths:
        real = path if is_remote(path) else str(Path(path).resolve())
        if real in seen:
            also = "" if seen[real] == path else f", also as {seen[real]}"
            raise ManifestError(
                f"data set {dataset!r}: {path} is there twice{also}; its events would count twice: "
                "keep one"
            )
        seen[real] = path
    if not seen:
        raise ManifestError(f"data set {dataset!r} has no files; name at least one")


def short(thing: Any) -> str:
    """How a value is shown in an error."""
    text = repr(thing)
    return text if len(text) <= 60 else f"{text[:57]}..."

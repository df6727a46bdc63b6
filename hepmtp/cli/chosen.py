"""Data sets that the words of a command name, with what its options say of their files.

The rule: an option that has no effect on a data set that is named is refused.
"""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hepmtp.errors import OptionError, ReadError

if TYPE_CHECKING:
    from hepmtp.datasets.manifest import Dataset
    from hepmtp.events.record import Role

_WORDS = {"true": True, "false": False, "none": None}


def chosen_datasets(
    names: Iterable[str] | None,
    *,
    role: Role,
    folder: Path | None,
    manifest: Path | None,
    lists: Iterable[str] | None = None,
    reader: str | None = None,
    option: Iterable[str] | None = None,
    tree: str | None = None,
) -> tuple[Dataset, ...]:
    """The data sets that the words of a command name, with what its options say of their files.

    Reader, options and tree are for files of your own: rows of a manifest say theirs themselves.
    """
    from hepmtp.datasets.manifest import load_manifest
    from hepmtp.datasets.names import select
    from hepmtp.plugins import allow_plugins

    if not names and not lists:
        raise OptionError("no data set is named: give names, files, a fileset, or --files LIST")
    known = load_manifest(manifest, folder=folder)
    chosen = select(names or (), known, role=role, lists=lists or ())
    options = options_of(option)
    if reader:
        allow_plugins(reader)
    if reader or options or tree:
        own = [one.name for one in chosen if one not in known]
        given = [
            word
            for word, value in (("--reader", reader), ("--option", options), ("--tree", tree))
            if value
        ]
        if not own:
            raise OptionError(
                f"{' and '.join(given)}: only files of your own take it, and "
                f"{', '.join(one.name for one in chosen)} are rows of the manifest: say it there"
            )
        chosen = tuple(
            one
            if one.name not in own
            else replace(
                one,
                reader=reader or one.reader,
                reader_options={**one.reader_options, **options},
            )
            for one in chosen
        )
    if tree:
        chosen = tuple(one if one in known else _with_tree(one, tree) for one in chosen)
    return chosen


def able(dataset: Dataset, option: str) -> dict[str, bool]:
    """Whether each reader of a data set's files has this option; bad files are left to the run."""
    from hepmtp.datasets.files import files_of
    from hepmtp.plugins import resolve_from_file
    from hepmtp.readers.formats import reader_name
    from hepmtp.readers.options import has_option

    names = [dataset.reader] if dataset.reader else []
    for one in files_of(dataset, digests=False, missing_ok=True) if not names else ():
        with contextlib.suppress(ReadError):
            names.append(reader_name(one.path))
    return {name: has_option(resolve_from_file(name), option) for name in dict.fromkeys(names)}


def _with_tree(dataset: Dataset, tree: str) -> Dataset:
    """The data set, of whose ROOT files this tree is read."""
    for name, has in able(dataset, "tree").items():
        if not has:
            raise OptionError(
                f"--tree {tree}: data set {dataset.name!r} has files for {name}, which has no "
                "option tree; leave it out"
            )
    return replace(dataset, tree=tree)


def options_of(words: Iterable[str] | None) -> dict[str, object]:
    """``key=value`` words as options of a reader.

    Numbers, true, false and none in any case, and all else as text.

    Examples
    --------
    >>> options_of(["check_count=false", "overlap=0.2", "jets=30,2.4", "scale=log_mev"])
    {'check_count': False, 'overlap': 0.2, 'jets': (30, 2.4), 'scale': 'log_mev'}
    """
    found: dict[str, object] = {}
    for word in words or ():
        key, equals, value = word.partition("=")
        if not (equals and key.isidentifier()):
            raise OptionError(f"--option {word}: expected KEY=VALUE, for instance scale=log_mev")
        if key in found:
            raise OptionError(f"--option {key} is given twice: keep one")
        found[key] = _value(value)
    return found


def _value(text: str) -> object:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return value if isinstance(value, int | float | str | tuple | list) else text


def wanted_luminosity(datasets: Iterable[Dataset], luminosity: float | None) -> float | None:
    """The luminosity [1/fb] of --luminosity; refused if it has no effect on some simulation."""
    from hepmtp.statistics.normalisation import known

    if luminosity is None:
        return None
    known({"luminosity_ifb": luminosity}, "--luminosity")
    simulated = [one for one in datasets if one.role != "data"]
    without = [
        one.name for one in simulated if one.cross_section_pb is None and one.luminosity_ifb is None
    ]
    if without or not simulated:
        what = f"{', '.join(without)} have no cross-section" if without else "there are only data"
        raise OptionError(
            f"--luminosity {luminosity:g}: {what}, so there is nothing to scale; say "
            "cross_section_pb (or the luminosity_ifb that weights stand for) in a manifest, or in "
            "the metadata of a fileset"
        )
    return luminosity

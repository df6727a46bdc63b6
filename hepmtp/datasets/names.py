"""Words of a command line or a script become data sets: names of a manifest, files, filesets.

The rule: files under a known name have its role and process. What exists is a file, whatever its
name holds: that is looked at before ``NAME=FILE``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

from hepmtp.datasets.fileset_files import is_fileset
from hepmtp.datasets.filesets import FilesetEntry, read_fileset
from hepmtp.datasets.manifest import NUMBERS, Dataset
from hepmtp.datasets.metadata import PLACED
from hepmtp.datasets.paths import expand, split_tree
from hepmtp.errors import EventError, ManifestError
from hepmtp.events.record import ROLES, Role, role_of
from hepmtp.readers.formats import endings
from hepmtp.readers.lines import is_remote, open_file
from hepmtp.statistics.normalisation import known as known_numbers

#: What else names of files end in, before or behind the endings of `endings`.
_PACKED = re.compile(r"\.(gz|bz2|xz|lzma|zst|lz4)$", re.IGNORECASE)
_NUMBERED = re.compile(r"(\.pool)?\.root(\.\d+)?$", re.IGNORECASE)
_OTHER = re.compile(r"\.[A-Za-z]{1,6}$")


def select(
    names: Iterable[str],
    datasets: Iterable[Dataset],
    *,
    role: Role = "background",
    lists: Iterable[str] = (),
) -> tuple[Dataset, ...]:
    """Data sets by name, or made from files, in this order.

    Parameters
    ----------
    names
        each the name of one of `datasets`, or a fileset (JSON or YAML), whose data sets have names.
        For files in no manifest ``NAME=FILE``, ``NAME=FILE,FILE``, ``NAME:ROLE=FILE`` or just
        ``FILE``; the name is then that of the file. Patterns are fine, and so is ``FILE:TREE``.
    role
        role of files that name none; but files under the name of one of `datasets`, such as a
        converted ``4top.root``, have its role and process.
    lists
        each a text file with one path a line, as ``LIST`` (the name is that of the list),
        ``NAME=LIST`` or ``NAME:ROLE=LIST``; what begins with ``#`` is a comment. These data sets
        come last.

    Raises
    ------
    ManifestError
        if a name is unknown or is asked for twice, or a role is unknown.

    Examples
    --------
    >>> from hepmtp.datasets.manifest import embedded
    >>> found = select(["4top", "mine:signal=a.csv,b.csv", "c/d.csv.gz"], embedded())
    >>> [(d.name, d.role, d.files) for d in found][1:]
    [('mine', 'signal', ('a.csv', 'b.csv')), ('d', 'background', ('c/d.csv.gz',))]
    """
    known = {dataset.name: dataset for dataset in datasets}
    found: dict[str, Dataset] = {}
    chosen = [one for word in names for one in _from_word(word, known, role)]
    for dataset in [*chosen, *(_from_list(word, known, role) for word in lists)]:
        if (other := found.get(dataset.name)) is not None:
            files = "" if other.files == dataset.files else _first_files(other, dataset)
            raise ManifestError(
                f"data set {dataset.name!r} is asked for twice{files}; give files a name with "
                "NAME=FILE"
            )
        found[dataset.name] = dataset
    return tuple(found.values())


def _first_files(*datasets: Dataset) -> str:
    return f" ({' and '.join(one.files[0] for one in datasets if one.files)})"


def _from_word(word: str, known: Mapping[str, Dataset], role: Role) -> list[Dataset]:
    if word in known:
        return [known[word]]
    if is_fileset(word) and ("=" not in word or _exists(word)):
        return [_from_entry(name, entry, known, role) for name, entry in read_fileset(word).items()]
    name, own_role, files = _parts(word)
    if not name:
        if not _there(files) and not _like_a_file(files):
            close = difflib.get_close_matches(word, known, cutoff=0.4) or list(known)[:6]
            raise ManifestError(
                f"data set {word!r} is unknown; there are {', '.join(close)} and more (hepmtp "
                "datasets lists all), and there is no file of this name; for files of your own "
                "write NAME=FILE or the name of a file"
            )
        return [_made(_name_of(files), None, (files,), known, role)]
    if is_fileset(files):
        raise ManifestError(
            f"data set {word!r}: {files} is a fileset, whose data sets have names; write just "
            f"{files}"
        )
    return [_made(name, own_role, _split(files), known, role)]


def _parts(word: str) -> tuple[str, str | None, str]:
    """Name, role and files of a word; no name if it is a file as it stands."""
    left, equals, files = word.partition("=")
    if not equals or is_remote(left) or _exists(word):
        return "", None, word
    name, colon, own_role = left.partition(":")
    if not name or not all(files.split(",")):
        raise ManifestError(
            f"data set {word!r} has no name or no file; expected NAME=FILE or NAME=FILE,FILE"
        )
    if colon and own_role not in ROLES:
        raise ManifestError(
            f"data set {word!r}: key 'role' is {own_role!r}, expected one of {', '.join(ROLES)}"
        )
    return name, own_role if colon else None, files


def _there(path: str) -> bool:
    """Whether this is an address, or a file or pattern with files on disk."""
    file = split_tree(path)[0]
    return is_remote(file) or any(Path(one).exists() for one in expand(file))


def _like_a_file(word: str) -> bool:
    return "/" in word or split_tree(word)[0].endswith(endings())


def _split(files: str) -> tuple[str, ...]:
    """Paths between commas; a comma belongs to a path if only so it is there."""
    pieces, found = files.split(","), []
    while pieces:
        n = next((n for n in range(len(pieces), 1, -1) if _exists(",".join(pieces[:n]))), 1)
        found.append(",".join(pieces[:n]))
        pieces = pieces[n:]
    return tuple(found)


def _exists(path: str) -> bool:
    return not is_remote(path) and _there(path)


def _name_of(path: str) -> str:
    """Name of a data set from that of its file: without endings, and without what is a pattern.

    Examples
    --------
    >>> _name_of("a/DAOD_PHYSLITE.x._000001.pool.root.1"), _name_of("b/ttbarW.csv.gz")
    ('DAOD_PHYSLITE.x._000001', 'ttbarW')
    """
    file = split_tree(path)[0]
    plain = file.partition("?")[0].partition("#")[0] if is_remote(file) else file
    whole = Path(plain).name
    name = _NUMBERED.sub("", _PACKED.sub("", whole))
    ending = next((one for one in endings() if name.endswith(one)), None)
    if ending is not None:
        name = name.removesuffix(ending)
    elif name == whole:
        name = _OTHER.sub("", name)
    if not Path(file).exists():
        name = re.sub(r"[*?\[\]]+", "", name).strip("_-. ") or Path(plain).parent.name
    return name or whole


def _made(
    name: str, own_role: str | None, files: tuple[str, ...], known: Mapping[str, Dataset], role: str
) -> Dataset:
    like = known.get(name) or Dataset(name=name, process=name, role=cast("Role", role), files=())
    return Dataset(
        name=name,
        process=like.process,
        label=like.label,
        role=cast("Role", own_role or like.role),
        files=files,
    )


def _from_list(word: str, known: Mapping[str, Dataset], role: Role) -> Dataset:
    name, own_role, file = _parts(word)
    path = expand(file, patterns=False)[0]
    with open_file(path) as opened:
        data = opened.read(1 << 26)
    try:
        lines = [line.strip() for line in data.decode("utf-8").splitlines()]
    except UnicodeDecodeError:
        raise ManifestError(
            f"{file} is no list of files: it begins with {data[:8]!r}; expected a text file with "
            "one path a line"
        ) from None
    files = tuple(line for line in lines if line and not line.startswith("#"))
    if not files:
        raise ManifestError(f"{file} lists no files; expected one path a line")
    return _made(name or _name_of(file), own_role, files, known, role)


def _from_entry(
    name: str, entry: FilesetEntry, known: Mapping[str, Dataset], role: Role
) -> Dataset:
    """A data set of a fileset: its metadata win over what is known of its name."""
    metadata = entry.metadata
    like = _made(name, None, (), known, role)
    own_role: Role | None
    try:
        own_role = role_of({"role": like.role, **metadata}) or like.role
    except EventError as error:
        own_role = role_of(metadata)
        if own_role is None:
            raise ManifestError(
                f"data set {name!r}: {error}; name its role in the metadata, or with --role"
            ) from None
    numbers = known_numbers(metadata, name)._asdict()
    return replace(
        like,
        role=own_role,
        process=metadata.get("process") or like.process,
        label=like.label if not metadata.get("process") else "",
        files=tuple(one.path for one in entry.files),
        sha256=(),
        trees=tuple(one.tree for one in entry.files),
        steps=tuple(one.steps for one in entry.files),
        reader=metadata.get("reader") or "",
        reader_options=dict(metadata.get("reader_options") or {}),
        energy_tev=metadata.get("energy_tev"),
        preload=entry.preload,
        metadata={key: value for key, value in metadata.items() if key not in PLACED},
        **{key: value for key, value in numbers.items() if key in NUMBERS},
    )

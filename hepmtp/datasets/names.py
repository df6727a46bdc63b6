"""Words of a command line or a script become data sets: names of a manifest, or files.

The rule: files under a known name have its role and process.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

from hepmtp.datasets.manifest import Dataset
from hepmtp.errors import ManifestError
from hepmtp.events.record import ROLES, Role
from hepmtp.readers.formats import endings
from hepmtp.readers.lines import is_remote


def select(
    names: Iterable[str], datasets: Iterable[Dataset], *, role: Role = "background"
) -> tuple[Dataset, ...]:
    """Data sets by name, or made from files, in this order.

    Parameters
    ----------
    names
        each the name of one of `datasets`; or ``NAME=FILE``, ``NAME=FILE,FILE``, ``NAME:ROLE=FILE``
        or just ``FILE`` (the name is then that of the file) for files in no manifest. Patterns
        are fine.
    role
        role of files that name none; but files under the name of one of `datasets`, such as a
        converted ``4top.root``, have its role and process.

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
    for word in names:
        dataset = known.get(word) or _from_files(word, known, role)
        if dataset.name in found:
            raise ManifestError(
                f"data set {dataset.name!r} is asked for twice; give files a name with NAME=FILE"
            )
        found[dataset.name] = dataset
    return tuple(found.values())


def _from_files(word: str, known: Mapping[str, Dataset], role: Role) -> Dataset:
    left, equals, files = (
        ("", "", word) if is_remote(word.partition("=")[0]) else word.partition("=")
    )
    name, colon, own_role = left.partition(":")
    if not equals:
        ending = next(
            (ending for ending in endings() if word.endswith(ending)),
            None,
        )
        if ending is None:
            close = difflib.get_close_matches(word, known, cutoff=0.4) or list(known)[:6]
            raise ManifestError(
                f"data set {word!r} is unknown; there are {', '.join(close)} and more (hepmtp "
                "datasets lists all); for files of your own write NAME=FILE or the name of a file "
                f"that ends in {', '.join(endings())}"
            )
        name, files = Path(word).name.removesuffix(ending), word
    if not name or not all(files.split(",")):
        raise ManifestError(
            f"data set {word!r} has no name or no file; expected NAME=FILE or NAME=FILE,FILE"
        )
    like = known.get(name) or Dataset(name=name, process=name, role=role, files=())
    if colon:
        if own_role not in ROLES:
            raise ManifestError(
                f"data set {word!r}: key 'role' is {own_role!r}, expected one of {', '.join(ROLES)}"
            )
        role = cast(Role, own_role)
    else:
        role = like.role
    return Dataset(
        name=name, process=like.process, label=like.label, role=role, files=tuple(files.split(","))
    )

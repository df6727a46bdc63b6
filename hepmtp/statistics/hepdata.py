"""Tables and files as a HEPData submission: one archive, which hepdata-validator has passed.

The rule: what is refused is not written. hepdata_lib writes the YAML. The archive says nothing of
the machine that it was made on: the same tables give the same bytes.
"""

from __future__ import annotations

import contextlib
import gzip
import tarfile
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hepmtp.errors import OptionError, StorageError, missing_library
from hepmtp.storage import new_file

#: HEPData takes no longer name of a table, and no larger file beside the tables [bytes].
LONGEST_NAME, LARGEST_FILE = 64, 100_000_000
#: Significant digits of what is written; bin edges and counts must survive.
DIGITS = 8
#: What stands where there is no number.
NONE = "-"
#: A number or text, or the edges of a bin.
Value = str | float | tuple[float, float]
#: Name, value and unit of what a column was measured under.
Qualifier = tuple[str, str | float, str]


class Uncertainty(NamedTuple):
    """An uncertainty of a column: one number for each value, or (down, up) with their signs."""

    label: str
    values: Sequence[float | None] | Sequence[tuple[float, float]]


class Column(NamedTuple):
    """A variable of a table; `values` are numbers, texts, or bins (low, high)."""

    name: str
    values: Sequence[Value]
    units: str = ""
    uncertainties: Sequence[Uncertainty] = ()
    qualifiers: Sequence[Qualifier] = ()


class Table(NamedTuple):
    """A table of HEPData.

    Parameters
    ----------
    name, description
        its name, cut off where HEPData takes no more, and what it holds.
    independent, dependent
        columns that say which row it is, and those with its numbers; all of one length.
    location
        where the numbers come from.
    keywords
        of "observables", "reactions", "cmenergies" and "phrases" -> values.
    """

    name: str
    description: str
    independent: Sequence[Column]
    dependent: Sequence[Column]
    location: str = ""
    keywords: Mapping[str, Sequence[str | float]] = {}


class Resource(NamedTuple):
    """A file beside the tables; `kind` is HEPData's, "HistFactory" for a workspace."""

    path: Path
    description: str
    kind: str = ""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide what HEPData's libraries warn of in themselves: an old import, files left open."""
    with warnings.catch_warnings():
        for category in (DeprecationWarning, ResourceWarning):
            warnings.simplefilter("ignore", category)
        yield


@_quiet()
def need_libraries() -> None:
    """Raise OptionError that says what to install, if a library of HEPData is missing."""
    try:
        import hepdata_lib  # noqa: F401, PLC0415 - an extra
        import hepdata_validator  # noqa: F401, PLC0415 - an extra
    except ImportError as error:
        raise OptionError(missing_library(error) or str(error)) from error


def write_submission(
    path: str | Path, tables: Sequence[Table], *, comment: str, resources: Sequence[Resource] = ()
) -> Path:
    """Write a submission as an archive (.tar.gz), which can be uploaded as it is.

    Parameters
    ----------
    path
        the archive; nothing is written if the submission is not valid.
    tables, resources
        what it holds.
    comment
        what HEPData shows above the tables.

    Raises
    ------
    OptionError
        without tables, for columns of different length, and for files that HEPData does not take.
    StorageError
        with the words of hepdata-validator, if that refuses the submission.

    Examples
    --------
    >>> Table("Yields", "Events.", [Column("Region", ["SR"])], [Column("ttW", [54.3])]).name
    'Yields'
    """
    need_libraries()
    import hepdata_lib  # noqa: PLC0415 - an extra

    _check(path, tables, resources)
    names = _file_names([one.name for one in tables])
    submission = hepdata_lib.Submission()
    submission.comment = comment
    for name, table in zip(names, tables, strict=True):
        submission.add_table(_table(name, table))
    for one in resources:
        words = {"copy_file": True} | ({"file_type": one.kind} if one.kind else {})
        submission.add_additional_resource(one.description, str(one.path.resolve()), **words)
    with tempfile.TemporaryDirectory(prefix="hepmtp-hepdata-") as temporary:
        files = Path(temporary) / "submission"
        with contextlib.chdir(temporary):  # hepdata_lib leaves an archive in the working folder
            submission.create_files(str(files), validate=False)
        validate(files)
        pack(path, sorted(files.iterdir()))
    return Path(path)


@_quiet()
def validate(folder: str | Path) -> None:
    """Let hepdata-validator read a submission; StorageError with its words if it is not valid."""
    from hepdata_validator.full_submission_validator import (  # noqa: PLC0415 - an extra
        FullSubmissionValidator,
    )

    validator = FullSubmissionValidator()
    if validator.validate(directory=str(folder)):
        return
    found = [
        f"{Path(name).name}: {message.message}"
        for name, messages in validator.get_messages().items()
        for message in messages
    ]
    raise StorageError(
        f"hepdata-validator refuses the submission ({len(found)} messages): "
        f"{'; '.join(found[:5]) or 'it does not say why'}"
    )


def pack(path: str | Path, members: Iterable[Path]) -> Path:
    """Pack files and folders into a .tar.gz, without owners and times."""
    with (
        new_file(path) as temporary,
        temporary.open("wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as archive,
    ):
        for one in members:
            for inside in (one, *sorted(one.rglob("*"))):
                name = inside.relative_to(one.parent).as_posix()
                archive.add(inside, arcname=name, recursive=False, filter=_anonymous)
    return Path(path)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.isdir() else 0o644
    return member


def _check(path: str | Path, tables: Sequence[Table], resources: Sequence[Resource]) -> None:
    if not str(path).endswith(".tar.gz"):
        raise OptionError(f"{path}: HEPData takes an archive; give a name that ends in .tar.gz")
    if not tables:
        raise OptionError(f"{path}: a submission without tables is none; there is nothing to write")
    for table in tables:
        columns = [*table.independent, *table.dependent]
        lengths = {column.name: len(column.values) for column in columns}
        if len(set(lengths.values())) != 1 or not (table.independent and table.dependent):
            found = ", ".join(f"{name}: {n}" for name, n in lengths.items()) or "none"
            raise OptionError(
                f"table {table.name!r} needs columns of both kinds and of one length, found {found}"
            )
    names = [one.path.name for one in resources]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise OptionError(f"two files are named {', '.join(twice)}: HEPData keeps them in a folder")
    for one in resources:
        if (size := one.path.stat().st_size) > LARGEST_FILE:
            raise OptionError(
                f"{one.path} has {size / 1e6:.0f} MB; HEPData takes {LARGEST_FILE / 1e6:.0f} MB: "
                "leave it out, or put it elsewhere and link it"
            )


def _file_names(names: Sequence[str]) -> list[str]:
    """Names of tables that HEPData takes, and that give one file each.

    Examples
    --------
    >>> _file_names(["a/b in SR", "A-b in sr"])
    ['a-b in SR', 'A-b in sr (2)']
    """
    found: list[str] = []
    taken: set[str] = set()
    for name in names:
        plain = name.replace("/", "-")
        candidate, n = plain[:LONGEST_NAME], 1
        while (file := candidate.lower().replace(" ", "_")) in taken:
            n += 1
            end = f" ({n})"
            candidate = plain[: LONGEST_NAME - len(end)] + end
        taken.add(file)
        found.append(candidate)
    return found


def _table(name: str, table: Table) -> Any:
    import hepdata_lib  # noqa: PLC0415 - an extra

    out = hepdata_lib.Table(name)
    out.description = table.description
    out.location = table.location or "hepmtp"
    out.keywords = {key: list(values) for key, values in table.keywords.items()}
    for columns, independent in ((table.independent, True), (table.dependent, False)):
        for column in columns:
            out.add_variable(_variable(column, independent=independent))
    return out


def _variable(column: Column, *, independent: bool) -> Any:
    import hepdata_lib  # noqa: PLC0415 - an extra

    out = hepdata_lib.Variable(
        column.name,
        is_independent=independent,
        is_binned=bool(column.values) and isinstance(column.values[0], tuple),
        units=column.units,
        values=list(column.values),
        zero_uncertainties_warning=False,
    )
    out.digits = DIGITS
    for label, values in column.uncertainties:
        symmetric = not any(isinstance(one, tuple) for one in values)
        one = hepdata_lib.Uncertainty(label, is_symmetric=symmetric)
        one.values = list(values)
        out.add_uncertainty(one)
    for name, value, units in column.qualifiers:
        out.add_qualifier(name, value, units)
    return out

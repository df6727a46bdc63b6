"""Jets of the data sets that the words of a command name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hepmtp.cli.chosen import able, chosen_datasets
from hepmtp.errors import OptionError

if TYPE_CHECKING:
    import awkward as ak

    from hepmtp.events.record import Role


def read_jets(
    names: list[str] | None,
    role: Role,
    folder: Path | None,
    manifest: Path | None,
    *,
    untyped: bool = False,
) -> dict[str, ak.Array]:
    """The jets of each data set.

    Parameters
    ----------
    untyped
        files of jets that a model has made are taken as well.
    """
    from hepmtp.datasets.files import read

    found = {}
    for one in chosen_datasets(names, role=role, folder=folder, manifest=manifest):
        takes = able(one, "untyped") if untyped else {}
        more = {"untyped": True} if takes and all(takes.values()) else {}
        events = read([replace(one, reader_options={**more, **one.reader_options})])
        if "Jet" not in events.fields:
            raise OptionError(
                f"data set {one.name!r} has events, not jets: expected files in the layout of "
                "JetClass, or what hepmtp convert made of them"
            )
        found[one.name] = events
    return found

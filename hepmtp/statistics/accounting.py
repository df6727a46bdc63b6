"""What a run read of its files, and what it did not: files, chunks, events, weight.

The rule: what was expected is what was read and what was skipped or lost, and each of these has a
file and a reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

#: Said of a data set with lost files whose events nobody could count.
_GUESSED = (
    " (where a sum of weights is given for the data set, such files are taken for as large as its "
    "others on average)"
)


class Loss(NamedTuple):
    """Events of a file that were not analysed.

    `skipped` are lines or entries that their reader left out as it was told; `lost` are whole files
    or chunks that could not be read. `events` and `weight` are None where nobody knows them.
    """

    kind: Literal["skipped", "lost"]
    file: str
    chunks: int
    events: int | None
    weight: float | None
    reason: str


@dataclass
class Account:
    """Accounting of one data set; `weight_read` is None if the events have no weights.

    Weights are those of the files, before they are scaled to a luminosity.
    """

    files: int = 0
    files_read: int = 0  #: files of which something was read
    chunks: int = 0
    chunks_read: int = 0
    events: int = 0  #: expected, as far as it is known
    events_read: int = 0
    weight_read: float | None = None
    losses: list[Loss] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether all that was expected was read."""
        return not self.losses

    def total(self, kind: str) -> tuple[int, float | None]:
        """Known events and weight that were "skipped" or "lost"; None if a weight is unknown."""
        rows = [one for one in self.losses if one.kind == kind]
        weights = [one.weight for one in rows]
        known = None if None in weights else sum(one for one in weights if one is not None)
        return sum(one.events or 0 for one in rows), known

    def as_dict(self) -> dict[str, Any]:
        """Plain data, as accounting.json holds them."""
        plain = {name: value for name, value in vars(self).items() if name != "losses"}
        return plain | {
            "complete": self.complete,
            "losses": [one._asdict() for one in self.losses],
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Account:
        """What `as_dict` gave."""
        known = {name: value for name, value in plain.items() if name != "complete"}
        return cls(**{**known, "losses": [Loss(**one) for one in plain["losses"]]})


#: Accounting of a run, by data set.
Accounting = Mapping[str, Account]


def incomplete(accounts: Accounting) -> list[str]:
    """A sentence for each data set of which something was skipped or lost."""
    found = []
    for name, one in accounts.items():
        for kind in ("skipped", "lost"):
            rows = [loss for loss in one.losses if loss.kind == kind]
            if not rows:
                continue
            events, weight = one.total(kind)
            how_many = f"{events} events" if _known(rows) else f"{events} events or more"
            of_weight = "" if weight is None else f" of weight {weight:.6g}"
            files = len({loss.file for loss in rows})
            found.append(
                f"{name}: {how_many}{of_weight} in {files} of {one.files} files were {kind}; "
                f"first: {rows[0].reason}" + ("" if _known(rows) else _GUESSED)
            )
    return found


def _known(rows: Iterable[Loss]) -> bool:
    return all(one.events is not None for one in rows)

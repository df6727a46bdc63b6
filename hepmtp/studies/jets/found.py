"""What a study of jets has found, and its files: a table as text and as data, figures.

The rule: every number has its error beside it, and says what it cost.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from hepmtp import storage
from hepmtp.plotting.style import save
from hepmtp.report.tables import cells, markdown, records
from hepmtp.studies.jets.figures import Figures

#: Columns as a reader sees them.
TITLES: dict[str, str] = {
    "auc": "AUC",
    "w": "W",
    "w_over_floor": "W / floor",
    "n_jets": "jets a side",
    "outside": "outside [%]",
    "in_outer_bins": "in outer bins [%]",
    "published_w": "published W",
    "r30": "1/ε_B at ε_S = 0.3",
    "r50": "1/ε_B at ε_S = 0.5",
    "cpu_seconds": "CPU [s]",
    "n_background": "jets of background",
    "n_signal": "of signal",
    "w_multiplicity": "W multiplicity",
    "w_mass": "W mass [GeV]",
    "w_log_pt": "W log pt",
    "floor_multiplicity": "its floor",
    "floor_mass": "its floor (mass)",
    "floor_log_pt": "its floor (log pt)",
    "n_parameters": "parameters",
    "mean_difference": "mean abs(log p - log p of all)",
    "difference": "AUC minus the ratio's",
    "gain": "gain over scratch",
    "not_stopped": "jets without stop [%]",
}


class Found(NamedTuple):
    """Rows (NamedTuples of one type) under headings, figures, and what to know of them."""

    title: str
    tables: Mapping[str, Sequence[Any]]
    remarks: Sequence[str] = ()
    figures: Figures = MappingProxyType({})

    def text(self) -> str:
        """Tables and remarks as markdown."""
        lines = [f"## {self.title}", ""]
        for heading, rows in self.tables.items():
            lines += [f"**{heading}**", "", table_of(rows)]
        lines += [f"- {one}" for one in self.remarks]
        return "\n".join(lines).rstrip() + "\n"


def table_of(rows: Sequence[Any]) -> str:
    """Rows as a markdown table with rounded numbers."""
    titles = {**{name: name.replace("_", " ") for name in rows[0]._fields}, **TITLES}
    return markdown(cells(records(rows), titles=titles))


def write_found(folder: Path, name: str, found: Found, *, command: str = "") -> str:
    """Write ``name.md``, ``name.json`` and figures (PNG and PDF); gives the text."""
    text = found.text()
    if command:
        text += f"\nMade by `{command}`.\n"
    plain = {
        "title": found.title,
        "command": command,
        "tables": {
            heading: [row._asdict() for row in rows] for heading, rows in found.tables.items()
        },
        "remarks": list(found.remarks),
    }
    for path, content in (
        (folder / f"{name}.md", text),
        (folder / f"{name}.json", json.dumps(plain, indent=1, ensure_ascii=False) + "\n"),
    ):
        with storage.new_file(path) as temporary:
            temporary.write_text(content, encoding="utf-8")
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    for key, figure in found.figures.items():
        save(figure, folder / "figures", key, pdf=True)
    return text

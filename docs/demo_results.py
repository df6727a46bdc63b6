"""Write what a demo found into the pages: its tables, the README's, and the first figure.

python docs/demo_results.py hepmtp-demo     # the folder of `hepmtp demo --seed 0`

Text stays as it is. A row of the README's table belongs to the score that it begins with.
"""

from __future__ import annotations

import csv
import re
import sys
from pathlib import Path

from gallery import DOCS, write_small

from hepmtp.report.tables import rounded

#: Tables of the demo in the order of the page.
TABLES = ("fit/fit.md", "fit/limits.md", "fit/predictions.md", "performance.md", "selection.md")
SIGNALS = ("4top", "glgl1600_neutralino800")
TABLE = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)


def with_tables(page: str, demo: Path) -> str:
    """The page of results with the tables of this demo, one for one."""
    tables = []
    for name in TABLES:
        found = TABLE.search((demo / name).read_text(encoding="utf-8").rstrip() + "\n")
        if found is None:
            raise SystemExit(f"{demo / name} has no table: give the folder of a whole demo")
        tables.append(found.group())
    if len(TABLE.findall(page)) != len(tables):
        raise SystemExit(f"the page has {len(TABLE.findall(page))} tables, expected {len(TABLES)}")
    fresh = iter(tables)
    return TABLE.sub(lambda _: next(fresh), page)


def with_rows(page: str, demo: Path) -> str:
    """The README with AUC in the signal region and significance of each score that it names."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in _rows(demo / "performance.csv"):
        if row["region"] == "SR":
            value, error = (float(row[f"auc_balanced{end}"]) for end in ("", "_error"))
            found[row["detector"], row["signal"]] = [f"{value:.3f} ± {error:.3f}"]
    for row in _rows(demo / "fit" / "fit.csv"):
        z = rounded(float(row["z"]), float(row["z_error"]))
        found[row["score"], row["signal"]].append(z)
    scores = {score for score, _ in found}

    def fresh(line: re.Match[str]) -> str:
        score = line["score"]
        if score not in scores:
            return line.group()
        cells = [cell for signal in SIGNALS for cell in found[score, signal]]
        return f"| {line['words']} | {' | '.join(cells)} |"

    words = r"(?P<words>\**(?P<score>\w+)\**[^|]*?)"
    return re.sub(rf"^\| {words} \|(?:[^|\n]*±[^|\n]*\|){{4}}$", fresh, page, flags=re.MULTILINE)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def main(demo: Path) -> None:
    for path, fresh in ((DOCS / "results.md", with_tables), (DOCS.parent / "README.md", with_rows)):
        path.write_text(fresh(path.read_text(encoding="utf-8"), demo), encoding="utf-8")
    picture = (demo / "figures" / "calibrated.png").read_bytes()
    write_small(picture, DOCS / "figures" / "calibrated.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

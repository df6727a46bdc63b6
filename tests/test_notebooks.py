"""Notebooks: they are kept without output, and their cells run one after the other."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "examples").glob("*.ipynb"))


def cells(path: Path) -> list[dict[str, Any]]:
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["nbformat"] == 4
    return [cell for cell in content["cells"] if cell["cell_type"] == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_no_output_is_kept(path: Path) -> None:
    assert all(not one["outputs"] and one["execution_count"] is None for one in cells(path))


# pyhf 0.7 asks jsonschema for what that will drop
@pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning")
def test_from_files_to_limits(
    tmp_path: Path,
    undrawn: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (path,) = (one for one in NOTEBOOKS if one.name == "06_statistics.ipynb")
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "notebook.py"
    script.write_text("\n\n".join("".join(cell["source"]) for cell in cells(path)))
    names = runpy.run_path(str(script))
    text = capsys.readouterr().out
    assert "expected significance" in text
    assert (tmp_path / "results" / "fit" / "fit.csv").exists()
    best = {row.signal: row.score for row in reversed(names["found"].rows)}
    assert set(best) == {"4top", "glgl1600_neutralino800"}
    assert all(row.z > 0 and row.z_error > 0 for row in names["found"].rows)
    assert names["fit"].limit.expected > 0
    page = (tmp_path / "results" / "report.html").read_text(encoding="utf-8")
    assert "What the fit finds" in page

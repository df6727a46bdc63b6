"""Notebooks: they are kept without output, and run from top to bottom in a kernel of their own.

The rule: the smaller numbers that tests run them with stand in a cell behind the one that is tagged
"parameters", as papermill does it.
"""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[1] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
#: Pictures that each shows.
FIGURES = {
    "01_events_and_tokens": 5,
    "02_train_and_look_inside": 9,
    "03_control_and_signal_region": 4,
    "04_my_processor": 2,
    "05_on_dask": 1,
    "07_jets": 7,
}
#: Lines that a cell may print.
MOST_LINES = 60

Run = Callable[..., Any]


def cells(path: Path) -> list[dict[str, Any]]:
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["nbformat"] == 4
    return [cell for cell in content["cells"] if cell["cell_type"] == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_no_output_is_kept(path: Path) -> None:
    assert all(not one["outputs"] and one["execution_count"] is None for one in cells(path))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_it_begins_with_what_it_needs_takes_and_shows(path: Path) -> None:
    first = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
    assert all(word in first for word in ("*Needs:*", "*Takes:*", "*Shows:*"))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A function (name, parameters) that runs a notebook in a new folder; gives it with outputs."""

    def execute(name: str, **parameters: Any) -> Any:
        notebook = nbformat.read(EXAMPLES / f"{name}.ipynb", 4)
        tags = [cell.metadata.get("tags", []) for cell in notebook.cells]
        (place,) = (i for i, one in enumerate(tags) if "parameters" in one)
        given = "\n".join(f"{name} = {value!r}" for name, value in parameters.items())
        notebook.cells.insert(place + 1, nbformat.v4.new_code_cell(given))
        folder = {"metadata": {"path": str(tmp_path)}}
        # a slow, busy machine must not matter
        times = {"timeout": 1500, "startup_timeout": 600}
        NotebookClient(notebook, kernel_name="python3", resources=folder, **times).execute()
        return notebook

    return execute


def outputs(notebook: Any) -> list[Any]:
    return [one for cell in notebook.cells if cell.cell_type == "code" for one in cell.outputs]


def figures(notebook: Any) -> int:
    """Pictures that it shows; also checks that no cell warns or prints without end."""
    for cell in notebook.cells:
        texts = [one.text for one in cell.get("outputs", []) if one.output_type == "stream"]
        assert sum(text.count("\n") for text in texts) <= MOST_LINES, cell.source
    errors = [one.text for one in outputs(notebook) if one.get("name") == "stderr"]
    assert errors == []
    return pictures(notebook)


def pictures(notebook: Any) -> int:
    return sum("image/png" in one.get("data", {}) for one in outputs(notebook))


def said(notebook: Any) -> str:
    return "".join(one.text for one in outputs(notebook) if one.output_type == "stream")


def test_events_and_tokens(run: Run) -> None:
    notebook = run("01_events_and_tokens", n_events=400)
    assert figures(notebook) == FIGURES["01_events_and_tokens"]
    text = said(notebook)
    assert "885 ids made of (('type', 7), ('pt', 5)" in text
    assert "<TokenBatch of 400 events: " in text


def test_train_and_look_inside(run: Run, tmp_path: Path) -> None:
    notebook = run("02_train_and_look_inside", n_events=600, epochs=1)
    assert figures(notebook) == FIGURES["02_train_and_look_inside"]
    bars = [
        one for one in outputs(notebook) if "<progress" in one.get("data", {}).get("text/html", "")
    ]
    assert len(bars) == 2  # one for each training
    assert "epoch 1 of 1, training loss" in bars[0].data["text/plain"]
    losses = [float(line.split()[1]) for line in said(notebook).splitlines() if "nats" in line]
    assert losses[0] < losses[1]  # the transformer reads the event
    assert (tmp_path / "detectors" / "masked_token").is_dir()


def test_control_and_signal_region(run: Run) -> None:
    notebook = run("03_control_and_signal_region", n_events=600, epochs=1)
    assert figures(notebook) == FIGURES["03_control_and_signal_region"]
    rows = [line.split() for line in said(notebook).splitlines() if "+-" in line]
    assert [row[0] for row in rows] == ["masked_token", "n_b", "ht"]
    assert all(float(row[2]) > 0 for row in rows)


@pytest.fixture
def real(shared: Path) -> Path:
    return shared / "data" / "real" / "coffea"


def test_my_processor_on_events_of_ours(run: Run) -> None:
    notebook = run("04_my_processor", n_events=300, epochs=1)
    assert figures(notebook) == FIGURES["04_my_processor"]
    text = said(notebook)
    assert "4top: {'initial': 300" in text
    assert "give the path of a PHYSLITE file" in text


def test_my_processor_on_real_files(run: Run, real: Path) -> None:
    notebook = run(
        "04_my_processor",
        n_events=300,
        epochs=1,
        nanoaod={"tt": [str(real / "nano_tt_v12.root")]},
        physlite=str(real / "PHYSLITE_example.root"),
        delphes=str(real / "delphes.root"),
    )
    text = said(notebook)
    assert "tt: {'initial': 200" in text
    assert "PHYSLITE: 100 events, scores from" in text
    assert "Delphes: 25 events, scores from" in text
    assert pictures(notebook) == FIGURES["04_my_processor"]


def test_on_dask(run: Run) -> None:
    notebook = run("05_on_dask", n_events=600, chunksize=5000, chosen=["ttbarW", "4top"])
    assert figures(notebook) == FIGURES["05_on_dask"]
    text = said(notebook)
    assert "events in each, and equal histograms" in text


def test_jets(run: Run) -> None:
    notebook = run("07_jets", n_jets=500, epochs=1, made_jets=80)
    assert figures(notebook) == FIGURES["07_jets"]
    text = said(notebook)
    assert "<TokenBatch of 500 events: " in text
    assert "| made, true |" in text
    areas = {line.split(":")[0].strip() for line in text.splitlines() if ": AUC" in line}
    assert areas == {"-log p per term", "mass", "width", "multiplicity"}


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

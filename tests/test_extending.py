"""The code of docs/extending.md, run as the files of a user's own package beside hepmtp.

A fenced python block there begins with the name of its file, ``# mine/bag.py``. A section of the
page is a set of such files: modules of the package ``mine``, and scripts that use them.
"""

from __future__ import annotations

import csv
import functools
import importlib
import json
import re
import runpy
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from contracts import check_detector, check_model

import hepmtp as hm
from hepmtp.errors import StorageError
from hepmtp.statistics.histogram_files import load
from hepmtp.statistics.histograms import canonical

ONE_EPOCH = hm.TrainingOptions(epochs=1)
ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
SECTIONS = re.findall(r"^## (.+)$", PAGE, flags=re.MULTILINE)


def files_of(section: str) -> dict[str, str]:
    """{file name: code} of the python blocks below this heading, in their order."""
    _, _, rest = PAGE.partition(f"\n## {section}\n")
    text, _, _ = rest.partition("\n## ")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    files = {}
    for block in blocks:
        found = re.match(r"# (\S+\.py)\n", block)
        assert found, f"section {section!r}: a block does not begin with its file:\n{block[:80]}"
        assert found[1] not in files, f"section {section!r}: {found[1]} stands there twice"
        files[found[1]] = block
    return files


def write_files(section: str, folder: Path) -> list[Path]:
    """Write the files of a section into a folder; the scripts, which lie in no package."""
    for name, code in files_of(section).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(code, encoding="utf-8")
    return [folder / name for name in files_of(section) if "/" not in name]


def run(folder: Path, *arguments: str | Path) -> str:
    """What a fresh python prints that can import the modules of this folder; it must succeed."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_here(script: Path) -> None:
    """Run a script as python would in its folder, without the seconds that a new process takes."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.chdir(script.parent)
        patch.syspath_prepend(script.parent)
        try:
            runpy.run_path(str(script), run_name="__main__")
        finally:
            forget_mine()


def forget_mine() -> None:
    """Let the next package `mine` be imported."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "mine"]:
        del sys.modules[name]


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function from a section to the folder where its scripts have run, once for all tests."""

    @functools.cache
    def folder_of(section: str) -> Path:
        folder = tmp_path_factory.mktemp("package")
        scripts = write_files(section, folder)
        assert scripts, "no block uses what the others define"
        for script in scripts:
            if section == "A model" and script.name == "look_again.py":
                run(folder, script)  # one of them indeed elsewhere
            else:
                run_here(script)
        return folder

    return folder_of


@pytest.mark.parametrize("section", [one for one in SECTIONS if files_of(one)])
def test_the_code_of_a_section_runs(section: str, packages: Callable[[str], Path]) -> None:
    assert packages(section).is_dir()


# A model


@pytest.fixture
def bag(packages: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module of the page's model, imported here."""
    monkeypatch.syspath_prepend(packages("A model"))
    yield importlib.import_module("mine.bag")
    forget_mine()


def events_of_the_page() -> Any:
    background = (one for one in hm.embedded() if one.name in ("ttbarW", "ttbarZ"))
    return hm.read(background, stop=500)


def test_a_model_takes_forty_lines_at_most() -> None:
    assert len(files_of("A model")["mine/bag.py"].splitlines()) <= 40


def test_a_model_keeps_the_contract(bag: ModuleType) -> None:
    tokenizer = hm.LookupTokenizer().fit(events_of_the_page())
    check_model(bag.Bag(width=8), tokenizer, tokenizer.encode(events_of_the_page()[:30]))


def test_a_detector_with_a_model_keeps_the_contract(bag: ModuleType, tmp_path: Path) -> None:
    def make() -> hm.MaskedTokenDetector:
        return hm.MaskedTokenDetector(model=bag.Bag(width=8), training=ONE_EPOCH, tail_events=300)

    check_detector(make, events_of_the_page(), tmp_path, rtol=1e-5, order=1e-4)


def test_a_model_is_reported(packages: Callable[[str], Path]) -> None:
    results = packages("A model") / "results"
    assert "masked_token" in (results / "report.html").read_text(encoding="utf-8")
    with (results / "performance.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {(row["signal"], row["detector"]) for row in rows} == {("4top", "masked_token")}


def test_a_model_is_opened_again(packages: Callable[[str], Path], bag: ModuleType) -> None:
    """In a process that knows the saved folder, and can import the package, and nothing else."""
    training = hm.TrainingOptions(epochs=2)
    fitted = hm.MaskedTokenDetector(model=bag.Bag(width=16), training=training)
    expected = fitted.fit(events_of_the_page()).score(events_of_the_page())
    code = (
        "import json, hepmtp as hm\n"
        "background = (one for one in hm.embedded() if one.name in ('ttbarW', 'ttbarZ'))\n"
        "hm.allow_plugins('mine')\n"
        "detector = hm.load_detector('detectors/bag')\n"
        "print(json.dumps(detector.score(hm.read(background, stop=500)).tolist()))\n"
    )
    found = json.loads(run(packages("A model"), "-c", code))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_model_that_cannot_be_imported(
    packages: Callable[[str], Path], nothing_allowed: None
) -> None:
    saved = packages("A model") / "detectors" / "bag"
    with pytest.raises(StorageError, match=r"'mine.bag:Bag' is named in a file, and is no class"):
        hm.load_detector(saved)
    hm.allow_plugins("mine")
    with pytest.raises(StorageError, match=r"'mine.bag:Bag', which cannot be imported here"):
        hm.load_detector(saved)


@pytest.mark.slow
def test_workers_open_the_saved_model(packages: Callable[[str], Path]) -> None:
    folder = packages("A model")
    (folder / "on_workers.py").write_text(
        "import hepmtp as hm\n"
        "from hepmtp.statistics.histogram_files import save\n"
        "from processors.anomaly import AnomalyProcessor\n"
        "if __name__ == '__main__':\n"
        "    hm.allow_plugins('mine')\n"
        "    names = ('ttbarW', 'ttbarZ', '4top')\n"
        "    files = hm.fileset([one for one in hm.embedded() if one.name in names])\n"
        "    processor = AnomalyProcessor(['detectors/bag'])\n"
        "    for name in ('futures', 'dask'):\n"
        "        with hm.make_executor(name, workers=1) as opened:\n"
        "            output = hm.HepRunner(opened)(files, processor)\n"
        "        save(f'{name}.json', output['scores'])\n"
    )
    run(folder, "on_workers.py")
    here, *there = (
        canonical(load(folder / name)["masked_token"])
        for name in ("results/histograms.json", "futures.json", "dask.json")
    )
    for one in there:
        np.testing.assert_allclose(one.values(flow=True), here.values(flow=True))

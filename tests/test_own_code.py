"""A user's regions, variables and processor: by file, for workers that do not have it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import coffea.util
import numpy as np
import pytest
from contracts import hepmtp

import hepmtp as hm
from hepmtp.detectors.observables import Observable
from hepmtp.errors import OptionError
from hepmtp.events.channels import CHANNELS
from hepmtp.events.record import make_events
from hepmtp.report.info import read_info
from hepmtp.run.own_code import own, region_of, regions_of, variables_of, write_more
from hepmtp.statistics.histogram_files import load

SAVED = Path(__file__).parent / "saved"
NEAR = """
import numpy as np

def leading(events):
    import awkward as ak
    return np.asarray(ak.fill_none(ak.max(events.Particle.pt, axis=1), 0.0))
"""
MINE = """
import hist
import hepmtp as hm
from my_neighbour import leading
from processors.anomaly import AnomalyProcessor

PT = hm.Variable("leading_pt", "leading $p_T$ [GeV]", leading, 50, 0.0, 1000.0)
HARD = hm.Region("hard", "hard", (hm.window("pt > 200", PT, above=200),), "signal")
SOFT = hm.Region("soft", "soft", (hm.window("pt <= 200", PT, upto=200),), "control")
REGIONS = [HARD, SOFT]
NUMBER = 3

class Mine(AnomalyProcessor):
    def process(self, events):
        found = super().process(events)
        h = hist.Hist(hist.axis.Regular(10, 0, 1000, name="pt"), storage="double")
        return found | {"mine": h.fill(leading(events))}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """my_analysis.py, and a module beside it that it imports."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "my_neighbour.py").write_text(NEAR)
    (folder / "my_analysis.py").write_text(MINE)
    yield folder / "my_analysis.py"
    for name in ("my_neighbour", "my_analysis"):
        sys.modules.pop(name, None)


def jets(n: int, pt: float) -> str:
    """Lines of Dark Machines CSV: one hard jet and as much MET, a little different each."""
    lines = (
        f"{i};x;1;{1000 * (pt + i)};3.0;j,{1000 * (pt + i)},{1000 * (pt + i)},0.0,-0.1;"
        for i in range(n)
    )
    return "".join(f"{line}\n" for line in lines)


def test_a_run_with_all_that_is_ones_own(file: Path) -> None:
    Path("qcd.csv").write_text(jets(200, 100.0))
    Path("x.csv").write_text(jets(40, 300.0))
    words = [f"--regions={file}:REGIONS", f"--variables={file}:PT", f"--processor={file}:Mine"]
    code = hepmtp("run", "qcd.csv", "x:signal=x.csv", "-d", SAVED / "ht", "-o", "out", *words)
    assert code == 0
    assert [one.name for one in read_info("out").regions] == ["hard", "soft"]
    h = load(Path("out/histograms.json"))["leading_pt"]
    assert h.sum(flow=True).value > 200
    assert coffea.util.load("out/more.coffea")["mine"].sum(flow=True) == 240
    assert write_more("out", {"scores": {}}) is None


def test_workers_need_no_file(file: Path, request: pytest.FixtureRequest) -> None:
    csv = Path("qcd.csv").resolve()
    csv.write_text(jets(50, 170.0))
    made = own(f"{file}:Mine", "--processor")(
        [SAVED / "ht"],
        regions=regions_of([f"{file}:REGIONS"]),
        variables=variables_of([f"{file}:PT"]),
    )
    shutil.rmtree(file.parent)
    client = request.getfixturevalue("dask_client")
    with hm.make_executor("dask", client=client, status=False) as executor:
        fileset = {"qcd": {"files": [str(csv)], "metadata": {"role": "data"}}}
        output = hm.HepRunner(executor, chunksize=20)(fileset, made)
    assert output["cutflow"]["qcd"]["hard"]["raw"] == 19
    assert output["mine"].sum(flow=True) == 50
    there = client.run(lambda: "my_analysis" in __import__("sys").modules)
    assert set(there.values()) == {False}


def test_words(file: Path) -> None:
    assert [one.name for one in regions_of(["CR,chan3", f"{file}:SOFT"])] == ["CR", "chan3", "soft"]
    assert regions_of(None) == hm.REGIONS
    assert [one.name for one in variables_of(["met,n_b"])] == ["n_jets", "met", "n_b"]
    assert region_of(f"{file}:SOFT", "--sideband").name == "soft"
    assert region_of("CR", "--sideband").name == "CR"
    assert own("hepmtp.events.regions:SR", "--regions").name == "SR"
    again = own(f"{file}:REGIONS", "--regions")
    assert again is own(f"{file}:REGIONS", "--regions")


def test_a_file_that_python_finds_by_itself(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(file.parent))  # as in its folder, or with PYTHONPATH
    assert [one.name for one in regions_of([f"{file}:REGIONS"])] == ["hard", "soft"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("SR9", r"--regions SR9: expected FILE\.py:NAME, or of preselection, CR,"),
        ("gone.py:REGIONS", r"--regions gone\.py:REGIONS: there is no file .*gone\.py"),
        ("no.module:REGIONS", r"--regions no\.module:REGIONS: No module named 'no'"),
        ("{file}:NOTHING", r"has no 'NOTHING'; it has .*REGIONS"),
        ("{file}:NUMBER", r"is int, expected a Region of hepmtp, or a list of them"),
        ("{file}:PT", r"is Variable, expected a Region of hepmtp"),
        ("json.py:REGIONS", r"'json' cannot be the name of your module; rename the file"),
        ("bad.py:REGIONS", r"bad\.py cannot be run \(ZeroDivisionError: division by zero\)"),
    ],
)
def test_what_is_no_region(file: Path, word: str, message: str) -> None:
    Path("bad.py").write_text("REGIONS = 1 / 0\n")
    Path("json.py").write_text("REGIONS = []\n")
    with pytest.raises(OptionError, match=message):
        regions_of([word.format(file=file)])


def test_a_processor_that_is_none(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("qcd.csv").write_text(jets(2, 100.0))
    assert hepmtp("run", "qcd.csv", "-d", SAVED / "ht", "--processor", f"{file}:PT") == 2
    assert "expected a class that derives from" in capsys.readouterr().err


# Dark Machines' channels


def events(*found: tuple[float, list[tuple[float, int]]]) -> Any:
    """Events of MET and of particles (pt, type)."""
    flat = [one for _, some in found for one in some]
    pt = np.array([pt for pt, _ in flat])
    none = np.zeros(len(flat))
    return make_events(
        counts=[len(some) for _, some in found],
        pt=pt, eta=none, phi=none, energy=pt, type=[kind for _, kind in flat],
        met=[met for met, _ in found], met_phi=np.zeros(len(found)),
    )  # fmt: skip


def test_channels() -> None:
    found = events(
        (250.0, [(400.0, 0), (100.0, 1), (60.0, 0), (60.0, 0)]),  # 1 and 3
        (250.0, [(190.0, 0), (190.0, 1), (160.0, 0), (160.0, 0)]),  # 3: no jet above 200
        (150.0, [(700.0, 0)]),  # 3: a single jet
        (60.0, [(20.0, 2), (20.0, 5), (16.0, 3)]),  # 2a and 2b
        (60.0, [(40.0, 2), (20.0, 5), (14.0, 3)]),  # 2b: the third lepton is soft
        (90.0, [(700.0, 0), (20.0, 6)]),
        (60.0, [(20.0, 2), (20.0, 5)]),  # HT of 40
        (210.0, [(900.0, 0), (300.0, 1), (60.0, 0), (60.0, 0)]),  # 3: MET/HT of 0.16
    )
    masks = {one.name: np.flatnonzero(one.select(found)).tolist() for one in CHANNELS}
    assert masks == {"chan1": [0], "chan2a": [3], "chan2b": [3, 4], "chan3": [0, 1, 2, 7]}


def test_a_monojet_file_gives_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("background_chan3.csv").write_text(jets(300, 610.0))
    Path("monojet_chan3.csv").write_text(jets(60, 900.0))
    detector = Observable("ht").fit(hm.read(hm.embedded()[:1], stop=500))
    detector.save("ht")
    words = ("background_chan3.csv", "monojet:signal=monojet_chan3.csv", "-d", "ht", "-o", "out")
    assert hepmtp("run", *words) == 1  # nothing is in regions of two leptons
    assert hepmtp("run", *words, "--regions", "chan3", "--overwrite") == 0
    text = Path("out/report.html").read_text(encoding="utf-8")
    assert "channel 3" in text
    rows = Path("out/performance.csv").read_text(encoding="utf-8").splitlines()
    assert any(row.startswith("monojet") or ",monojet," in row for row in rows[1:])

"""Open data: the page's own commands, from simulation to blind data, on small files of CMS."""

from __future__ import annotations

import json
import re
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import yaml
from contracts import hepmtp

import hepmtp as hm
from hepmtp.datasets.published import load_records
from hepmtp.datasets.records import items_of, wanted_files
from hepmtp.datasets.transfer import Transfer
from hepmtp.events.observables import n_jets
from hepmtp.readers.nanoaod import NanoAOD
from hepmtp.statistics.histogram_files import load
from hepmtp.statistics.histograms import spectrum

pytestmark = pytest.mark.usefixtures("short_training")

PAGE = Path(__file__).parent.parent / "docs" / "open_data.md"


def blocks(language: str) -> list[str]:
    """The blocks of one language of the page."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def commands(first: str) -> list[list[str]]:
    """The page's command lines that begin so."""
    lines = [line.split()[2:] for line in blocks("console")[0].splitlines()]
    return [words for words in lines if words[0] == first]


def test_names_on_the_page_are_those_of_the_manifest() -> None:
    rows = {one.name: one for one in hm.load_manifest() if one.name.startswith(("cms-", "atlas-"))}
    table = dict(re.findall(r"\| `([\w-]+)` \|.*\[(10\.7483/[\w./]+)\]", PAGE.read_text()))
    assert table == {name: one.doi for name, one in rows.items()}
    for words in commands("train") + commands("run"):
        assert {word for word in words if word.startswith("cms-")} <= set(rows)
    assert {one.licence for one in rows.values()} == {"CC0-1.0"}
    assert {name: one.role for name, one in rows.items()} == {
        "cms-ttbar2l": "background",
        "cms-ttW": "background",
        "cms-doublemuon": "data",
        "atlas-data16": "data",
    }


def test_the_page_fetches_one_file_of_each_record_of_cms() -> None:
    ((_, group, *_),) = commands("fetch")
    chosen, wanted = wanted_files([group], hm.load_manifest(folder="open_data"), load_records())
    assert [one.name for one in chosen] == ["cms-ttbar2l", "cms-ttW", "cms-doublemuon"]
    for dataset, (record, downloads) in zip(chosen, wanted, strict=True):
        (item,) = items_of(record, downloads, Transfer())
        assert dataset.files == (f"open_data/{item.wanted.target}",)
        assert re.fullmatch(rf"{record.url}/[0-9A-F-]{{36}}\.root", item.url)
        assert record.doi == dataset.doi
        assert record.unchecked
    assert commands("inspect")[0][1] == chosen[-1].files[0]


@pytest.fixture
def stand_ins(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A manifest with small files of CMS under the names of the page, and its regions."""
    monkeypatch.chdir(tmp_path)
    Path("regions.py").write_text(blocks("python")[0])
    real = shared / "data" / "real"
    files = {
        "cms-ttbar2l": ("background", real / "coffea" / "nano_tt_v12.root", "btagDeepFlavB"),
        "cms-ttW": (
            "background",
            real / "scikit-hep-testdata" / "nanoAOD_2015_CMS_Open_Data_ttbar.root",
            "btagDeepB",
        ),
        "cms-doublemuon": ("data", real / "coffea" / "nano_dimuon.root", "btagDeepFlavB"),
    }
    rows = [
        {
            "name": name,
            "process": name,
            "role": role,
            "reader": "hepmtp:NanoAOD",
            "reader_options": {"b_tag": tagger, "photons": None},  # one has none
            "files": [str(path)],
        }
        for name, (role, path, tagger) in files.items()
    ]
    Path("small.yaml").write_text(yaml.safe_dump({"datasets": rows}))
    return real / "coffea" / "nano_dimuon.root"


def test_from_simulation_to_blind_data(stand_ins: Path, undrawn: None) -> None:
    (train,), (run,) = commands("train"), commands("run")
    assert hepmtp(*train, "--manifest", "small.yaml", "--epochs", "1") == 0
    assert hepmtp(*run, "--manifest", "small.yaml", "--variations", "none") == 0

    few = ak.to_numpy(n_jets(NanoAOD(photons=None).read(str(stand_ins)))) <= 3
    assert 0 < few.sum() < len(few)
    cutflow = json.loads(Path("results/cutflow.json").read_text())["cms-doublemuon"]
    assert {name: one["raw"] for name, one in cutflow.items()} == {"all": 40, "few": few.sum()}
    for histogram in load("results/histograms.json").values():
        shown = [
            spectrum(histogram, ["cms-doublemuon"], region).values(flow=True).sum()
            for region in ("few", "many")
        ]
        assert shown == [few.sum(), 0]
    scores = ak.from_parquet("scores.parquet")
    data = scores[scores.dataset == "cms-doublemuon"]
    assert data.entry.to_list() == np.flatnonzero(few).tolist()  # the others are blind
    assert not ak.any(data["region:many"])
    assert np.isfinite(ak.to_numpy(data["score:anomaly"])).all()
    simulation = scores[scores.dataset != "cms-doublemuon"]
    assert ak.any(simulation["region:many"])
    assert "Data are blind in many" in Path("results/report.html").read_text()

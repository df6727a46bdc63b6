"""Events of a user's own collections: as readers give them, by any schema, in any processor."""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path
from typing import Any

import awkward as ak
import hist
import numpy as np
import pytest
import vector
from coffea.analysis_tools import PackedSelection, Weights
from coffea.nanoevents import (
    BaseSchema,
    DelphesSchema,
    NanoAODSchema,
    NanoEventsFactory,
    PHYSLITESchema,
)
from coffea.processor import DaskExecutor, IterativeExecutor, ProcessorABC, Runner
from coffea.util import coffea_console

import hepmtp as hm
from hepmtp.detectors.observables import Observable
from hepmtp.errors import EventError, TrainingError
from hepmtp.events.collections import events_from
from hepmtp.events.folds import BY_NUMBERS, NAMELESS
from hepmtp.events.naming import USUAL_TREES
from hepmtp.events.record import metadata
from hepmtp.events.split import Trained, check_names, split_of, unseen
from hepmtp.readers.delphes import Delphes
from hepmtp.readers.nanoaod import NanoAOD
from hepmtp.readers.physlite import Physlite

pytestmark = pytest.mark.filterwarnings(  # of coffea, on what its schemas find in old files
    "ignore:Missing cross-reference", "ignore:Branch Photon_", "ignore:Skipping"
)


@pytest.fixture
def files(shared: Path) -> Path:
    return shared / "data" / "real" / "coffea"


@pytest.fixture(scope="module")
def ht(background: ak.Array) -> Observable:
    return Observable("ht").fit(background)


def opened(path: Path, tree: str, schema: Any, **more: Any) -> Any:
    """Virtual NanoEvents of a file."""
    return NanoEventsFactory.from_root({str(path): tree}, schemaclass=schema, **more).events()


def of_nanoaod(events: Any, jets: Any = None, **more: Any) -> ak.Array:
    """The selection of our reader, by the words of coffea."""
    electrons, muons = events.Electron, events.Muon
    electrons = electrons[
        (electrons.pt >= 15) & (abs(electrons.eta) <= 2.5) & (electrons.cutBased >= 3)
    ]
    muons = muons[(muons.pt >= 15) & (abs(muons.eta) <= 2.4) & muons.mediumId]
    muons = muons[muons.pfRelIso04_all <= 0.25]
    if jets is None:
        jets = events.Jet[(events.Jet.pt >= 25) & (abs(events.Jet.eta) <= 4.7)]
        jets = jets[(jets.jetId & 2) != 0]
    return events_from(
        events,
        jets=jets,
        electrons=electrons,
        muons=muons,
        photons=None,  # the file has none
        met=events.PuppiMET,
        b_tag=("btagDeepFlavB", 0.2783),
        **more,
    )


def same_particles(found: ak.Array, expected: ak.Array) -> None:
    assert ak.num(found.Particle).to_list() == ak.num(expected.Particle).to_list()
    assert found.Particle["type"].to_list() == expected.Particle["type"].to_list()
    for name in ("pt", "eta", "phi", "energy"):
        np.testing.assert_allclose(
            ak.flatten(found.Particle[name]), ak.flatten(expected.Particle[name]), rtol=1e-6
        )
    np.testing.assert_allclose(found.MET.pt, expected.MET.pt, rtol=1e-6)


# as the readers


def test_nanoaod_is_as_its_reader_reads_it(files: Path) -> None:
    path = files / "nano_tt_v12.root"
    read = NanoAOD(overlap=0.0, photons=None).read(str(path), 0, 200)
    found = of_nanoaod(opened(path, "Events", NanoAODSchema))
    same_particles(found, read)
    assert (found.source == BY_NUMBERS).to_list() == [True] * 200
    assert len(set(found.event.to_list())) == 200
    assert set(found.weight.to_list()) == {1.0}


def test_delphes_is_as_its_reader_reads_it(files: Path) -> None:
    path = files / "delphes.root"
    events = opened(path, "Delphes", DelphesSchema)
    found = events_from(
        events,
        jets=events.Jet,
        electrons=events.Electron,
        muons=events.Muon,
        photons=events.Photon,
        met=ak.zip({"pt": events.MissingET.MET, "phi": events.MissingET.Phi}),
        b_tag="BTag",
    )
    same_particles(found, Delphes().read(str(path), 0, 25))
    with pytest.raises(EventError, match="these events have no name"):
        split_of(found)
    assert Observable("ht").score(found).shape == (25,)


def test_physlite_is_as_its_reader_reads_it(files: Path) -> None:
    path = files / "PHYSLITE_example.root"
    events = opened(path, "CollectionTree", PHYSLITESchema)
    options: dict[str, Any] = {"jet_id": None, "electron_id": None, "photon_id": None}
    options |= dict.fromkeys(("jets", "electrons", "muons", "photons"), (0.0, 10.0))
    reader = Physlite(
        b_tagger=None, muon_quality=None, lepton_isolation=None, overlap=0.0, **options
    )
    read = reader.read(str(path), 0, 100)
    collections = {
        "jets": events.Jets,
        "electrons": events.Electrons,
        "muons": events.Muons,
        "photons": events.Photons,
    }
    # PHYSLITE has the soft term of the MET only: the analysis makes it
    met = ak.zip({"pt": 1000 * read.MET.pt, "phi": read.MET.phi})
    same_particles(events_from(events, **collections, met=met, b_tag=None, unit="MeV"), read)
    with pytest.raises(EventError, match=r"that looks like MeV, so say unit='MeV'"):
        events_from(events, **collections, met=met, b_tag=None)


def test_columns_without_a_schema(files: Path) -> None:
    path = files / "nano_tt_v12.root"
    events = opened(path, "Events", BaseSchema)
    names = ("pt", "eta", "phi", "mass")
    jets = ak.zip({name: events[f"Jet_{name}"] for name in names})
    muons = ak.zip({name: events[f"Muon_{name}"] for name in (*names, "charge")})
    met = ak.zip({"pt": events.PuppiMET_pt, "phi": events.PuppiMET_phi})
    tags = events.Jet_btagDeepFlavB > 0.2783
    none: dict[str, Any] = {"electrons": None, "photons": None}
    found = events_from(events, jets=jets, muons=muons, met=met, b_tag=tags, **none)
    assert (
        found.event.to_list() == of_nanoaod(opened(path, "Events", NanoAODSchema)).event.to_list()
    )
    assert ak.sum(found.Particle["type"] == 1) == ak.sum(tags)


# virtual arrays


def test_only_what_is_needed_is_read(files: Path) -> None:
    log: list[Any] = []
    path = files / "nano_tt_v12.root"
    events = opened(path, "Events", NanoAODSchema, access_log=log)
    none: dict[str, Any] = {"electrons": None, "photons": None}
    events_from(events, jets=events.Jet, muons=events.Muon, met=events.MET, b_tag=None, **none)
    assert {one.branch for one in log} == {
        *(f"Jet_{name}" for name in ("pt", "eta", "phi", "mass")),
        *(f"Muon_{name}" for name in ("pt", "eta", "phi", "charge")),
        *("nJet", "nMuon", "MET_pt", "MET_phi", "run", "luminosityBlock", "event"),
    }


@pytest.mark.parametrize("n", [0, 1, 7])
def test_a_cut_before_is_a_cut_after(files: Path, n: int, ht: Observable) -> None:
    events = opened(files / "nano_tt_v12.root", "Events", NanoAODSchema)
    before, after = of_nanoaod(events[:n]), of_nanoaod(events)[:n]
    assert before.to_list() == after.to_list()
    np.testing.assert_array_equal(ht.score(before), ht.score(after))


# numbers


def plain(n: int = 2, **more: Any) -> ak.Array:
    """Two events: a jet of 50 and of 30 GeV, a muon; and nothing. Or as the arguments say."""
    jet = {"eta": 0.5, "phi": 1.0, "mass": 5.0, "tag": 0.2}
    given: dict[str, Any] = {
        "jets": ak.Array([[{"pt": 30.0, **jet}, {"pt": 50.0, **jet, "tag": 0.9}], [], []])[:n],
        "electrons": None,
        "muons": ak.Array([[{"pt": 20.0, "eta": 0.0, "phi": 4.0, "charge": -1}], [], []])[:n],
        "photons": None,
        "met": ak.Array([{"pt": 40.0, "phi": 0.0}] * 3)[:n],
        "b_tag": ("tag", 0.5),
    }
    return events_from(ak.Array([{}] * n), **given | more)


def test_plain_records() -> None:
    found = plain()
    assert found.Particle["type"].to_list() == [[1, 0, 5], []]
    assert found.Particle.pt.to_list() == [[50.0, 30.0, 20.0], []]
    energy = np.hypot(np.array([50.0, 30.0]) * np.cosh(0.5), 5.0)
    np.testing.assert_allclose(found.Particle.energy[0, :2], energy)
    assert found.Particle.phi[0, 2] == pytest.approx(4.0 - 2 * np.pi)
    assert found.source.to_list() == [NAMELESS] * 2
    weighted = plain(weight=[2.0, 3.0])
    assert weighted.weight.to_list() == [2.0, 3.0]


def test_energies_vectors_and_masked_particles() -> None:
    columns = {"px": [[30.0, 5.0]], "py": [[40.0, 0.0]], "pz": [[0.0, 0.0]], "E": [[60.0, 6.0]]}
    jets = vector.zip({name: ak.Array(values) for name, values in columns.items()})
    found = plain(1, jets=ak.mask(jets, jets.pt > 20), b_tag=None, muons=None)
    assert found.Particle.to_list() == [
        [
            {
                "pt": 50.0,
                "eta": 0.0,
                "phi": pytest.approx(0.9273, abs=1e-4),
                "energy": 60.0,
                "type": 0,
            }
        ]
    ]


def test_shifted_jets_are_the_same_events() -> None:
    jets = ak.Array([[{"pt": 60.0, "eta": 0.5, "phi": 1.0, "mass": 9.0, "tag": 0.2}], []])
    nominal, up = plain(), plain(jets=jets)
    assert up.event.to_list() == nominal.event.to_list()
    assert up.Particle.pt.to_list() == [[60.0, 20.0], []]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unit": "TeV"}, r"unit is 'TeV', expected 'GeV' or 'MeV'"),
        ({"unit": "MeV"}, r"typical pt is 0\.03 GeV if the unit is MeV: that looks like GeV"),
        ({"b_tag": "btag"}, r"jets has no field 'btag' \(found: pt, eta, phi, mass, tag\)"),
        ({"b_tag": "tag"}, r"b_tag='tag' of jets is no flag but a discriminator: give its working"),
        ({"b_tag": ak.Array([[0.2, 0.9], []])}, r"b_tag has values of type float64, expected bool"),
        ({"b_tag": ak.Array([[True], []])}, r"b_tag: not one value for each of jets"),
        ({"jets": None}, r"b_tag is given, but jets is None"),
        ({"jets": ak.Array([[]])}, r"jets has 1 events, expected 2"),
        ({"electrons": ak.Array([1.0, 2.0])}, r"electrons must be a list of records in each"),
        (
            {"electrons": ak.Array([[{"pt": 9.0, "eta": 0.0, "phi": 0.0}], []])},
            r"electrons has no field 'charge' \(found: pt, eta, phi\); give records that have it",
        ),
        (
            {"muons": ak.Array([[{"pt": 9.0, "eta": 0.0, "phi": 0.0, "charge": 2}], []])},
            r"event 0: charge of muons is 2\.0, expected 1 or -1",
        ),
        (
            {"jets": ak.Array([[{"pt": 9.0, "eta": 0.0, "phi": 0.0}], []]), "b_tag": None},
            r"jets has no field 'mass or energy'",
        ),
        (
            {"met": ak.Array([{"pt": 30_000.0, "phi": 0.0}] * 2)},
            r"typical MET is 3e\+04 GeV if the unit is GeV, and the typical pt [\d.]+ GeV: give",
        ),
        ({"weight": [1.0, 2.0, 3.0]}, r"weight has shape \(3,\), expected one number or 2"),
        ({"met": ak.Array([{"pt": 1.0}] * 2)}, r"met has no field 'phi' \(found: pt\)"),
        ({"met": ak.Array([{"pt": 1.0, "phi": 0.0}])}, r"pt of met must be one number for each"),
        (
            {"met": ak.Array([{"pt": np.nan, "phi": 0.0}] * 2)},
            r"event 0: MET\.pt is nan, expected finite",
        ),
        ({"identity": "name"}, r"identity is 'name', expected 'numbers' or 'entries'"),
        ({"identity": "entries"}, r"needs a whole chunk of coffea's Runner"),
    ],
)
def test_what_is_no_event_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(EventError, match=message):
        plain(**change)


# names


def test_the_usual_trees_are_those_of_the_readers() -> None:
    assert {one.trees[0] for one in (NanoAOD, Physlite, Delphes)} == set(USUAL_TREES)


def test_names_by_numbers_are_no_names_by_entries() -> None:
    x = ak.with_field(plain(), [BY_NUMBERS] * 2, "source")
    of_file, of_numbers = Trained(7, 0, 100), Trained(BY_NUMBERS, 0, 100)
    with pytest.raises(TrainingError, match="nobody can tell which of them have trained"):
        unseen(x, [of_file])
    with pytest.raises(TrainingError, match="nobody can tell which of them have trained"):
        unseen(x, None)
    with pytest.raises(TrainingError, match="nobody can tell"):
        unseen(ak.with_field(x, [7, 7], "source"), [of_numbers])
    keep, _ = unseen(x, [of_numbers])
    assert keep.tolist() == (split_of(x) == "analysis").tolist()
    for role in ("signal", "data"):
        assert unseen(hm.events.with_metadata(x, dataset="x", role=role), [of_file])[0].all()
    check_names(x[:0], [of_file])


# in processors


class Mine(ProcessorABC):  # type: ignore[misc]
    """A score beside a histogram of the analysis, with its weights, selection and variations."""

    def __init__(self, detector: Any) -> None:
        self.detector = detector

    def process(self, events: Any) -> dict[str, Any]:
        """One chunk."""
        weights, selection = Weights(len(events)), PackedSelection()
        weights.add("generator", np.sign(events.genWeight))
        jets = events.Jet[events.Jet.pt > 30]
        selection.add("jets", ak.num(jets) >= 2)
        selection.add("lepton", ak.num(events.Muon) + ak.num(events.Electron) >= 1)
        keep = selection.all("jets", "lepton")
        shift = hist.axis.StrCategory([], growth=True, name="shift")
        h = hist.Hist(
            shift, hist.axis.Regular(20, 0, 2000, name="score"), storage=hist.storage.Weight()
        )
        mine = hist.Hist(hist.axis.Regular(20, 0, 500, name="met"), storage=hist.storage.Weight())
        for name, factor in (("nominal", 1.0), ("up", 1.05), ("down", 0.95)):
            shifted = ak.with_field(jets, jets.pt * factor, "pt")
            x = of_nanoaod(events, shifted, identity="entries")
            events["anomaly"] = self.detector.score(x)
            h.fill(shift=name, score=events.anomaly[keep], weight=weights.weight()[keep])
        mine.fill(met=events.PuppiMET.pt[keep], weight=weights.weight()[keep])
        names = {(int(s), int(e)) for s, e in zip(x.source, x.event, strict=True)}
        return {"score": h, "met": mine, "names": names, "metadata": {str(metadata(x))}}


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coffea_console, "quiet", True)


def ran(executor: Any, files: Path, processor: Any) -> Any:
    """A stock Runner on a file with and one without events."""
    paths = [str(files / name) for name in ("nano_tt_v12.root", "nano_dy_empty.root")]
    fileset = {"tt": {"files": paths[:1], "metadata": {"isMC": True, "role": "background"}}}
    runner = Runner(executor, schema=NanoAODSchema, chunksize=70)
    return runner(fileset, processor, treename="Events")


@pytest.mark.usefixtures("quiet")
def test_a_score_in_a_processor_of_its_own(
    files: Path, ht: Observable, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    ht.save(tmp_path / "ht")
    found = ran(IterativeExecutor(status=False, retries=0), files, Mine(ht))
    nominal, up, down = (
        found["score"][name, :].project("score") for name in ("nominal", "up", "down")
    )
    inside = nominal.sum(flow=True).value
    assert 0 < inside < 200
    for h in (up, down, found["met"]):
        assert h.sum(flow=True).value == inside
    mean = {name: np.average(h.axes[0].centers, weights=h.values()) for name, h in
            {"nominal": nominal, "up": up, "down": down}.items()}  # fmt: skip
    assert mean["down"] < mean["nominal"] < mean["up"]
    read = NanoAOD(photons=None).read(str(files / "nano_tt_v12.root"), 0, 200)
    names = zip(read.source.to_list(), read.event.to_list(), strict=True)
    assert found["names"] == set(names)
    assert found["metadata"] == {"{'dataset': 'tt', 'role': 'background'}"}
    client = request.getfixturevalue("dask_client")
    there = ran(DaskExecutor(client=client, status=False, retries=0), files, Mine(ht))
    np.testing.assert_allclose(there["score"].values(), found["score"].values())
    assert there["names"] == found["names"]


def test_no_events(files: Path, ht: Observable) -> None:
    events = opened(files / "nano_dy_empty.root", "Events", NanoAODSchema)
    none: dict[str, Any] = {"electrons": None, "photons": None, "muons": None}
    x = events_from(events, jets=events.Jet, met=events.MET, b_tag=None, **none)
    assert ht.score(x).shape == (0,)


@pytest.mark.usefixtures("quiet")
def test_the_job_of_the_readme(
    files: Path, ht: Observable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(hm.__file__).parents[1]
    example = root / "examples" / "my_processor.py"
    text = example.read_text(encoding="utf-8")
    assert f"```python\n{text}```" in (root / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 25
    shutil.copy(files / "nano_tt_v12.root", tmp_path / "nano.root")
    ht.save(tmp_path / "detectors" / "anomaly")
    monkeypatch.chdir(tmp_path)
    output = runpy.run_path(str(example))["output"]
    assert output.axes["score"].label == ht.axis.label
    weights = opened(files / "nano_tt_v12.root", "Events", NanoAODSchema).genWeight
    for shift in ("nominal", "up"):
        total = output[{"shift": shift}].sum(flow=True).value
        assert total == pytest.approx(np.sum(ak.to_numpy(weights), dtype=np.float64))
    means = [
        np.average(ht.axis.centers, weights=output[{"shift": shift}].values())
        for shift in ("nominal", "up")
    ]
    assert means[0] < means[1]

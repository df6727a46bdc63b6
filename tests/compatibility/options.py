"""Every option of every reader: a value that changes what is read, and one that cannot be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from compatibility import Place, row
from compatibility.files import LINES, NEAR

options = partial(row, "options")


def seen(events: Any) -> str:
    """Events, their weight, MET and the types of their particles."""
    from hepmtp.events.particles import CONSTITUENT_TYPES  # noqa: PLC0415 (awkward is slow)

    kinds = [one for event in events.Particle["type"].to_list() for one in event]
    counts = Counter(CONSTITUENT_TYPES[one] for one in kinds)
    what = ", ".join(f"{n} {kind}" for kind, n in sorted(counts.items())) or "no particle"
    met = sum(events.MET.pt.to_list())
    return f"{len(events)} events, weight {sum(events.weight.to_list()):g}, MET {met:.3g}; {what}"


def _read(name: str, path: Path, *words: str) -> str:
    from hepmtp.cli.chosen import options_of  # noqa: PLC0415 (as a command does)
    from hepmtp.readers.formats import load_reader  # noqa: PLC0415 (the same)

    return seen(load_reader(f"hepmtp:{name}", **options_of(words)).read(str(path)))


def _option(
    reader: str, file: Callable[[Place], Path], text: str, *, works: str | None = None,
    refused: str | None = None, also: tuple[str, ...] = (),
) -> None:  # fmt: skip
    """A row for ``key=value`` of a reader, beside other options that it needs."""
    tried = " ".join(f"`{word}`" for word in (text, *also))

    @options(f"{reader} `{text.partition('=')[0]}`", tried, works=works, refused=refused)
    def _(place: Place) -> str:
        return _read(reader, file(place), text, *also)


ALL = "3 events, weight 3.5, MET 90; 1 b, 1 e-, 1 g, 1 j, 1 m+"
ONES = ALL.replace("3.5", "3")


def _without(*kinds: str, text: str = ALL) -> str:
    return "; ".join(
        ", ".join(word for word in part.split(", ") if word[2:] not in kinds)
        for part in text.split("; ")
    )


# Dark Machines CSV


def _bad(place: Place) -> Path:
    return place.files.text("bad.csv", (LINES[0], "2;tt;1;much;1;", LINES[2]))


def _miscounted(place: Place) -> Path:
    lines = ("=1=", "1;20000;0.1;j,50000,0.1,1;", "2")
    return place.files.text("miscounted.csv", lines)


_csv = partial(_option, "DarkMachinesCSV")
_csv(_bad, "on_bad=skip", works="2 events, weight 2.5, MET 60; 1 b, 1 e-, 1 j")
_csv(_bad, "on_bad=raise", refused="line 2")
_csv(_bad, "on_bad=drop", refused="expected 'raise' or 'skip'")
_csv(lambda place: place.files.csv, "variant=challenge", works=ALL)
_csv(lambda place: place.files.csv, "variant=bare", refused="line 1")
_csv(lambda place: place.files.csv, "variant=mine", refused="expected 'auto'")
_csv(_miscounted, "check_count=true", refused="says that it wrote 2 events")
_csv(_miscounted, "check_count=false", works="1 events, weight 1, MET 20; 1 j")
_csv(_miscounted, "check_count=perhaps", refused="expected true or false")
_csv(lambda place: place.files.csv, "units=MeV", works=ALL)
_csv(lambda place: place.files.csv, "units=GeV", works=ALL.replace("MET 90", "MET 9e+04"))
_csv(lambda place: place.files.csv, "units=TeV", refused="expected 'MeV' or 'GeV'")
_csv(lambda place: place.files.csv, "tree=Events", refused="has no option 'tree'")

# Delphes


def _delphes(place: Place) -> Path:
    return place.files.delphes()


_del = partial(_option, "Delphes", _delphes)
_del("jets=55,2.5", works=_without("j"))
_del("jets=55", refused="expected the smallest pt")
_del("electrons=30,2.5", works=_without("e-"))
_del("electrons=30,-1", refused="expected the smallest pt")
_del("muons=10,0.1", works=_without("m+"))
_del("muons=low", refused="expected the smallest pt")
_del("photons=10,0.5", works=_without("g"))
_del("photons=none", refused="expected the smallest pt")
_del("b_tag_bits=2", works="3 events, weight 3.5, MET 90; 1 e-, 1 g, 2 j, 1 m+")
_del("b_tag_bits=1.5", refused="expected a whole number")
_option(
    "Delphes",
    lambda place: place.files.delphes("near.root", near=True),
    "overlap=0.4",
    works=_without("b"),
)
_del("overlap=far", refused="expected a number")
_del("weight=none", works=ONES)
_del("weight=Event.X", refused="has no branch 'Event.X'")
_del("weight=4", refused="expected a name")
_del("tree=Delphes", works=ALL)
_del("tree=Mine", refused="has no tree 'Mine'")
_del("tree=''", refused="expected a name or None")
_del("names=photons=none", works=_without("g"))
_del("names=jet_btag=Jet.Mass", works="3 events, weight 3.5, MET 90; 2 b, 1 e-, 1 g, 1 m+")
_del("names=taus=Tau", refused="has no key 'taus'")


# NanoAOD


def _nano(place: Place) -> Path:
    return place.files.nano()


def _nano_more(place: Place) -> Path:
    """With a second b-tagger, MET and weight, a jet that fails its ID, and an overlap."""
    more: dict[str, Any] = {
        "Jet_btagPNetB": [[0.9, 0.9], [], []],
        "Jet_jetId": [[2, 6], [], []],
        "MET_pt": [1.0, 2.0, 3.0],
        "MET_phi": [0.0, 0.0, 0.0],
        "w": [1.0, 2.0, 3.0],
        "Muon_phi": [[], [0.0], []],
        "Jet_pt_up": [[70.0, 80.0], [], []],
    }
    return place.files.nano("nano_more.root", **more)


def _nano_near(place: Place) -> Path:
    """The electron is at the b-jet."""
    more: dict[str, Any] = {f"Electron_{name}": values for name, values in NEAR.items()}
    more |= {"Electron_charge": [[-1], [], []], "Electron_cutBased": [[4], [], []]}
    return place.files.nano("nano_near.root", **more)


_nan = partial(_option, "NanoAOD", _nano)
_more = partial(_option, "NanoAOD", _nano_more)
_nan("jets=55,2.5", works=_without("j"))
_nan("jets=none", refused="expected the smallest pt")
_nan("electrons=30,2.5", works=_without("e-"))
_nan("electrons=30", refused="expected the smallest pt")
_nan("muons=25,2.4", works=_without("m+"))
_nan("muons=30", refused="expected the smallest pt")
_nan("photons=none", works=_without("g"))
_nan("photons=20,2.5,3", refused="or None")
_more("b_tag=btagPNetB", works="3 events, weight 3.5, MET 90; 2 b, 1 e-, 1 g, 1 m+")
_nan("b_tag=btagDeepB", refused="has no branch 'Jet_btagDeepB'")
_nan("b_tag=mine", refused="a working_point with it")
_nan("working_point=0.05", also=("b_tag=btagDeepFlavB",),
     works="3 events, weight 3.5, MET 90; 2 b, 1 e-, 1 g, 1 m+")  # fmt: skip
_nan("working_point=0.05", refused="the b_tag that it is of")
_more("jet_id=tight lepton veto", works=_without("j"))
_nan("jet_id=loose", refused="expected 'tight'")
_nan("electron_id=5", works=_without("e-"))
_nan("electron_id=tight", refused="expected a whole number or None")
_nan("muon_id=tightId", works=_without("m+"))
_nan("muon_id=none", works=ALL)
_nan("muon_id=superId", refused="has no branch 'Muon_superId'")
_nan("muon_isolation=0.05", works=_without("m+"))
_nan("muon_isolation=tight", refused="expected a number or None")
_nan("photon_id=mvaID_WP80", works=_without("g"))
_nan("photon_id=(1,)", refused="expected names")
_option("NanoAOD", _nano_near, "overlap=0", works=ALL)
_option("NanoAOD", _nano_near, "overlap=0.4", works=_without("b"))
_nan("overlap=true", refused="expected a number")
_more("met=MET", works=ALL.replace("MET 90", "MET 6"))
_nan("met=MyMET", refused="MyMET_pt")
_more("weight=w", works=ALL.replace("3.5", "6"))
_nan("weight=none", works=ONES)
_nan("weight=1", refused="expected a name or None")
_option("NanoAOD", lambda place: place.files.nano("skim.root", tree="skim"), "tree=skim",
        works=ALL)  # fmt: skip
_nan("tree=mine", refused="has no tree 'mine'")
_more("names=photons=none,jet_pt=Jet_pt_up", works=_without("g"))
_nan("names=jets=JetPUPPI", refused="no collection 'JetPUPPI'")
_nan("names=jets", refused="expected names")


# PHYSLITE: MET is made of what is chosen


def _physlite(place: Place) -> Path:
    return place.files.physlite()


def _physlite_failing(place: Place) -> Path:
    """The first jet, the electron and the photon fail what identifies them."""
    more: dict[str, Any] = {
        "AnalysisJetsAuxDyn.NNJvtPass": [[0, 1], [], []],
        "AnalysisElectronsAuxDyn.DFCommonElectronsLHMedium": [[], [], [0]],
        "AnalysisPhotonsAuxDyn.DFCommonPhotonsIsEMTight": [[], [0], []],
    }
    return place.files.physlite("physlite_failing.root", **more)


def _physlite_near(place: Place) -> Path:
    """The electron is at the b-jet."""
    around = "ptvarcone30_Nonprompt_All_MaxWeightTTVALooseCone_pt1000"
    more: dict[str, Any] = {
        "pt": [[25e3], [], []],
        "eta": NEAR["eta"],
        "phi": NEAR["phi"],
        "charge": [[-1], [], []],
        "DFCommonElectronsLHMedium": [[1], [], []],
        around: [[0.0], [], []],
    }
    named = {f"AnalysisElectronsAuxDyn.{name}": one for name, one in more.items()}
    return place.files.physlite("physlite_near.root", **named)


_phy = partial(_option, "Physlite", _physlite)
_failing = partial(_option, "Physlite", _physlite_failing)
_near = partial(_option, "Physlite", _physlite_near)
_phy("jets=55,2.5", works="3 events, weight 3.5, MET 114; 1 b, 1 e-, 1 g, 1 m+")
_phy("jets=none", refused="expected the smallest pt")
_phy("electrons=30,2.5", works="3 events, weight 3.5, MET 89.6; 1 b, 1 g, 1 j, 1 m+")
_phy("electrons=30", refused="expected the smallest pt")
_phy("muons=25,2.4", works="3 events, weight 3.5, MET 115; 1 b, 1 e-, 1 g, 1 j")
_phy("muons=30", refused="expected the smallest pt")
_phy("photons=35,2.5", works="3 events, weight 3.5, MET 103; 1 b, 1 e-, 1 j, 1 m+")
_phy("photons=none", refused="expected the smallest pt")
_phy("b_tagger=none", works="3 events, weight 3.5, MET 113; 1 e-, 1 g, 2 j, 1 m+")
_phy("b_tagger=GN2v01", works="3 events, weight 3.5, MET 113; 1 b, 1 e-, 1 g, 1 j, 1 m+")
_phy("b_tagger=DL1", refused="DL1")
_phy("b_cut=2.1", works="3 events, weight 3.5, MET 113; 1 e-, 1 g, 2 j, 1 m+")
_phy("b_cut=2", works="3 events, weight 3.5, MET 113; 1 b, 1 e-, 1 g, 1 j, 1 m+")
_phy("b_cut=tight", refused="expected a number or None")
_phy(
    "b_fractions=0.2,0.1",
    also=("b_cut=2.1",),
    works="3 events, weight 3.5, MET 113; 1 b, 1 e-, 1 g, 1 j, 1 m+",
)
_phy("b_fractions=0.2", refused="expected two numbers")
_failing("jet_id=none", works="3 events, weight 3.5, MET 79.6; 1 b, 1 j, 1 m+")
_failing("jet_id=NNJvtPass", works="3 events, weight 3.5, MET 80.8; 1 b, 1 m+")
_phy("jet_id=Mine", refused="has no branch")
_failing("electron_id=none", works="3 events, weight 3.5, MET 104; 1 b, 1 e-, 1 m+")
_phy("electron_id=Mine", refused="has no branch")
_phy("muon_quality=0", works="3 events, weight 3.5, MET 115; 1 b, 1 e-, 1 g, 1 j")
_phy("muon_quality=tight", refused="expected a whole number or None")
_failing("photon_id=none", works="3 events, weight 3.5, MET 90.8; 1 b, 1 g, 1 m+")
_phy("photon_id=Mine", refused="has no branch")
_phy("lepton_isolation=0.05", works="3 events, weight 3.5, MET 115; 1 b, 1 e-, 1 g, 1 j")
_phy("lepton_isolation=tight", refused="expected a number or None")
_near("overlap=0.4", works="3 events, weight 3.5, MET 72.3; 1 e-, 1 g, 1 j, 1 m+")
_near("overlap=0", works="3 events, weight 3.5, MET 107; 1 b, 1 e-, 1 g, 1 j, 1 m+")
_phy("overlap=far", refused="expected a number")
_phy("weight=none", works="3 events, weight 3, MET 113; 1 b, 1 e-, 1 g, 1 j, 1 m+")
_phy("weight=mine", refused="has no branch")
_phy("tree=EventData", works="3 events, weight 3.5, MET 113; 1 b, 1 e-, 1 g, 1 j, 1 m+")
_phy("tree=mine", refused="has no tree 'mine'")
_phy("names=photons=none", works="3 events, weight 3.5, MET 103; 1 b, 1 e-, 1 j, 1 m+")
_phy("names=taus=Tau", refused="has no key 'taus'")

# flat ntuples of ATLAS


def _flat(place: Place) -> Path:
    return place.files.flat()


def _flat_near(place: Place) -> Path:
    """The electron is at the b-jet."""
    more: dict[str, Any] = {f"el_{name}": values for name, values in NEAR.items()}
    return place.files.flat("flat_near.root", **more, el_charge=[[-1], [], []])


_fla = partial(_option, "FlatNtuple", _flat)
_gev = partial(_option, "FlatNtuple", _flat, also=("units=GeV",))
_fla("units=GeV", works=ALL)
_fla("units=MeV", works=ALL.replace("MET 90", "MET 0.09"))
_fla("units=TeV", refused="expected 'MeV', 'GeV' or None")
_gev("jets=55,2.5", works=_without("j"))
_gev("jets=55", refused="expected the smallest pt")
_gev("electrons=30,2.5", works=_without("e-"))
_gev("electrons=30", refused="expected the smallest pt")
_gev("muons=25,2.5", works=_without("m+"))
_gev("muons=low", refused="expected the smallest pt")
_gev("photons=35,2.5", works=_without("g"))
_gev("photons=none", refused="expected the smallest pt")
_gev("b_tag=none", works="3 events, weight 3.5, MET 90; 1 e-, 1 g, 2 j, 1 m+")
_gev("b_tag=jet_mine", refused="has no branch 'jet_mine'")
_option("FlatNtuple", _flat, "working_point=0.1", also=("units=GeV", "b_tag=jet_score"),
        works="3 events, weight 3.5, MET 90; 2 b, 1 e-, 1 g, 1 m+")  # fmt: skip
_gev("working_point=0.1", refused="the b_tag that it is of")
_option("FlatNtuple", _flat_near, "overlap=0.4", also=("units=GeV",), works=_without("b"))
_gev("overlap=far", refused="expected a number")
_gev("weight=weight_mc,weight_pileup", works=ALL.replace("3.5", "7"))
_gev("weight=mine", refused="has no branch 'mine'")
_gev("tree=nominal", works=ALL)
_gev("tree=mine", refused="has no tree 'mine'")
_gev("names=photons=none", works=_without("g"))
_gev("names=taus=Tau", refused="has no key 'taus'")

# the others


def _ntuple(place: Place) -> Path:
    return place.files.ntuple


_ntu = partial(_option, "DMNtuple", _ntuple)
_ntu("weight=w", works=ALL)
_ntu("weight=mine", refused="has no branch 'mine'")
_ntu("tree=mytree", works=ONES)
_ntu("tree=mine", refused="has no tree 'mine'")
# MET is then sqrt(2) pt sin(phi): 2.82, 8.43 and 16.72 GeV
_ntu("names=obj_px=obj_py", works="3 events, weight 3, MET 28; 1 b, 1 e-, 1 g, 1 j, 1 m+")
_ntu("names=jets=Jet", refused="has no key 'jets'")


def _jetclass(place: Place) -> Path:
    return place.files.jets


_jet = partial(_option, "JetClass", _jetclass)
_jet("weight=event_weight", works="3 events, weight 3.5, MET 0; 1 e-, 1 g, 1 h+, 1 h-, 1 m+")
_jet("weight=mine", refused="has no branch 'mine'")
_jet("tree=tree", works="3 events, weight 3, MET 0; 1 e-, 1 g, 1 h+, 1 h-, 1 m+")
_jet("tree=mine", refused="has no tree 'mine'")
_jet("names=part_isMuon=part_isElectron,part_isElectron=part_isMuon",
     works="3 events, weight 3, MET 0; 1 e+, 1 g, 1 h+, 1 h-, 1 m-")  # fmt: skip
_jet("names=jets=Jet", refused="has no key 'jets'")
_jet("untyped=true", works="3 events, weight 3, MET 0; 1 e-, 1 g, 1 h+, 1 h-, 1 m+")
_jet("untyped=maybe", refused="untyped")


def _own(place: Place) -> Path:
    return place.files.converted(".root")


_roo = partial(_option, "RootReader", _own)
_roo("tree=Events", works=ALL)
_roo("tree=mine", refused="has no tree 'mine'")
_roo("names=weight=MET_pt", works=ALL.replace("3.5", "90"))
_roo("names=weight=none", refused="cannot be none")


def _hdf5(place: Place) -> Path:
    return place.files.fourtops()


_four = partial(_option, "FourTopsHDF5", _hdf5)
_LEPTONS, _SCALE = "lepton_order=e+,e-,m+,m-", "scale=log_mev"
_four(_SCALE, also=(_LEPTONS,), works=ONES)
_four("scale=raw_gev", also=(_LEPTONS,), refused="scale")
_four("scale=mev", also=(_LEPTONS,), refused="expected 'log_mev'")
_four(_LEPTONS, also=(_SCALE,), works=ONES)
_four("lepton_order=e-,e+,m-,m+", also=(_SCALE,),
      works="3 events, weight 3, MET 90; 1 b, 1 e+, 1 g, 1 j, 1 m-")  # fmt: skip
_four("lepton_order=e,m", also=(_SCALE,), refused="expected an order of")
_option("FourTopsHDF5", lambda place: place.files.fourtops("met.h5", met=1.0), "met_scale=log_gev",
        also=(_SCALE, _LEPTONS), works=ONES)  # fmt: skip
_four("met_scale=gev", also=(_SCALE, _LEPTONS), refused="expected 'log_mev'")
_option("FourTopsHDF5", lambda place: place.files.fourtops("val.h5", val=True), "split=val",
        also=(_SCALE, _LEPTONS), works="1 events, weight 1, MET 20; 1 b, 1 j")  # fmt: skip
_four("split=half", also=(_SCALE, _LEPTONS), refused="expected 'all'")
_four("process=4top", also=(_SCALE, _LEPTONS), works="1 events, weight 1, MET 20; 1 b, 1 j")
_four("process=tttt", also=(_SCALE, _LEPTONS), refused="expected '4top'")


@options("ParquetReader", "`tree=Events`: it has no options", refused="it has none")
def _(place: Place) -> str:
    return _read("ParquetReader", place.files.converted(".parquet"), "tree=Events")

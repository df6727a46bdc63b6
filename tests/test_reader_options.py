"""Options of readers: from numbers and from text, and refused before a file is read."""

from __future__ import annotations

from typing import Any

import pytest

from hepmtp.errors import OptionError
from hepmtp.readers.darkmachines.reader import DarkMachinesCSV
from hepmtp.readers.delphes import Delphes
from hepmtp.readers.formats import load_reader
from hepmtp.readers.fourtops import FourTopsHDF5
from hepmtp.readers.jetclass import JetClass
from hepmtp.readers.nanoaod import NanoAOD
from hepmtp.readers.physlite import Physlite
from hepmtp.readers.root import RootReader


def test_text_and_numbers_mean_the_same() -> None:
    assert NanoAOD(jets="30,2.4", photon_id="mvaID_WP80", overlap="0.3") == NanoAOD(
        jets=(30.0, 2.4), photon_id=("mvaID_WP80",), overlap=0.3
    )
    assert NanoAOD(photons=None).photons is None
    assert NanoAOD(photon_id="").photon_id == ()
    assert Physlite(b_cut="1.5", b_fractions="0.2,0.1") == Physlite(
        b_cut=1.5, b_fractions=(0.2, 0.1)
    )
    assert NanoAOD(photons="None", weight="none") == NanoAOD(photons=None, weight=None)
    assert Delphes(b_tag_bits="2", muons=[10, 2.5]) == Delphes(b_tag_bits=2, muons=(10.0, 2.5))


@pytest.mark.parametrize(
    ("cls", "options", "message"),
    [
        (
            NanoAOD,
            {"jets": 30.0},
            r"NanoAOD: option jets is 30\.0, expected the smallest pt \[GeV\] and the large",
        ),
        (NanoAOD, {"jets": None}, r"option jets is None, expected the smallest pt"),
        (NanoAOD, {"jets": (30, -2.4)}, r"option jets is \(30, -2\.4\), expected"),
        (NanoAOD, {"photons": "20,2.5,3"}, r"option photons is '20,2\.5,3', expected .* or None"),
        (
            NanoAOD,
            {"electron_id": "tight"},
            r"option electron_id is 'tight', expected a whole number or None",
        ),
        (
            NanoAOD,
            {"muon_isolation": float("nan")},
            r"option muon_isolation is nan, expected a number or None",
        ),
        (NanoAOD, {"weight": 1}, r"option weight is 1, expected a name or None"),
        (NanoAOD, {"photon_id": (1,)}, r"option photon_id is \(1,\), expected names, as text a,b"),
        (
            Physlite,
            {"b_fractions": "0.2"},
            r"Physlite: option b_fractions is '0\.2', expected two numbers, as text 0\.2,0\.1",
        ),
        (Delphes, {"b_tag_bits": 1.5}, r"option b_tag_bits is 1\.5, expected a whole number"),
        (Delphes, {"overlap": True}, r"option overlap is True, expected a number"),
        (
            DarkMachinesCSV,
            {"check_count": 2},
            r"option check_count is 2, expected true or false \(also yes, no, 1, 0\)",
        ),
        (DarkMachinesCSV, {"check_count": "off"}, r"option check_count is 'off', expected true"),
        (DarkMachinesCSV, {"check_count": 0.0}, r"option check_count is 0\.0, expected true"),
        (DarkMachinesCSV, {"check_count": None}, r"option check_count is None, expected true"),
        (DarkMachinesCSV, {"units": "TeV"}, r"option units is 'TeV', expected 'MeV' or 'GeV'"),
        (DarkMachinesCSV, {"on_bad": None}, r"option on_bad is None, expected 'raise' or 'skip'"),
        (
            FourTopsHDF5,
            {"lepton_order": 3},
            r"option lepton_order is 3, expected names, .* or None",
        ),
        (RootReader, {"tree": 1}, r"RootReader: option tree is 1, expected a name"),
        (JetClass, {"tree": ""}, r"JetClass: option tree is '', expected a name or None"),
        (NanoAOD, {"names": "jets"}, r"option names is 'jets', expected names, as text jets=JetP"),
        (NanoAOD, {"names": "jets=a=b"}, r"option names is 'jets=a=b', expected names"),
        (NanoAOD, {"names": {"jets": 1}}, r"option names is \{'jets': 1\}, expected names"),
        (
            NanoAOD,
            {"names": "taus=Tau"},
            r"NanoAOD: option names has no key 'taus'; it has jets, .*, jet_pt, .*, met, weight",
        ),
        (NanoAOD, {"names": "met=none"}, r"met cannot be none; jets, .*, photons, weight can"),
        (
            NanoAOD,
            {"names": "photons=none,photon_pt=Photon_e"},
            r"photons is none, but photon_pt is given; keep one",
        ),
        (RootReader, {"names": "weight=none"}, r"weight cannot be none; nothing of this layout"),
        (
            Delphes,
            {"names": "weight=Event.W", "weight": "Event.X"},
            r"Delphes: option weight is 'Event.X', but names says 'Event.W'; say it once",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    cls: type, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        cls(**options)
    with pytest.raises(OptionError, match=message):
        load_reader(f"{cls.__module__}:{cls.__name__}", **options)


@pytest.mark.parametrize(
    ("value", "meaning"),
    [
        *((value, True) for value in (True, "true", "True", "YES", "yes", "1", 1)),
        *((value, False) for value in (False, "false", "False", "No", "NO", "0", 0, " false ")),
    ],
)
def test_truth_is_what_it_says_however_it_is_written(value: Any, meaning: bool) -> None:
    reader = load_reader("hepmtp:DarkMachinesCSV", check_count=value)
    assert isinstance(reader, DarkMachinesCSV)
    assert reader.check_count is meaning


def test_an_unknown_option_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(
        OptionError,
        match=r"hepmtp:Delphes has no option 'btag'; it has jets, electrons, .*, b_tag_bits",
    ):
        load_reader("hepmtp:Delphes", btag=1)
    with pytest.raises(
        OptionError, match=r"hepmtp:ParquetReader has no option 'tree'; it has none"
    ):
        load_reader("hepmtp:ParquetReader", tree="Events")

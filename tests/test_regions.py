"""Regions: each cut by written-out events, disjoint for any, and counts of the sample."""

from __future__ import annotations

import gzip
import pickle

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from hepmtp.errors import OptionError, RegionError
from hepmtp.events.cuts import window
from hepmtp.events.dileptons import NO_PAIR, distance_to_z
from hepmtp.events.particles import PARTICLE_TYPES
from hepmtp.events.record import make_events
from hepmtp.events.region_info import described, named, regions_of, threshold_regions, wholes
from hepmtp.events.regions import (
    CR,
    PARTS,
    PRESELECTION,
    REGIONS,
    SR,
    VR,
    Region,
    region_named,
    same_sign_or_three_leptons,
)
from hepmtp.events.variables import N_B
from hepmtp.readers.darkmachines.reader import DarkMachinesCSV

#: Raw events of the embedded sample in (CR, VR, SR), as `plain_regions` below counts them.
COUNTS = {
    "ttbarW": (2936, 442, 454),
    "ttbarZ": (4040, 1917, 1841),
    "ttbarHiggs": (2703, 1631, 1716),
    "ttbarWW": (1439, 1472, 1492),
    "4top": (836, 1295, 6013),
    "glgl1600_neutralino800": (519, 806, 4478),
}


PART_NAMES = [one.name for one in PARTS]


def event(labels: str, pt: float | list[float] = 100.0):
    """One event of these particles, e.g. ``"j j b m+ m+"``, all of this pt [GeV]."""
    return events_of([(labels.split(), pt)])


def events_of(listed, met: float | list[float] = 0.0):
    types = [PARTICLE_TYPES.index(label) for labels, _ in listed for label in labels]
    pts = np.concatenate(
        [np.broadcast_to(np.asarray(pt, dtype=float), len(labels)) for labels, pt in listed]
    )
    zero = np.zeros(len(types))
    return make_events(
        counts=[len(labels) for labels, _ in listed],
        pt=pts,
        eta=zero,
        phi=zero,
        energy=pts,
        type=types,
        met=np.broadcast_to(met, len(listed)),
        met_phi=np.zeros(len(listed)),
    )


def pair_of_mass(mass: float, labels: tuple[str, str], more: str = "j j j b e+"):
    """One event with a back-to-back pair of this mass [GeV] beside particles of pt 100 GeV."""
    types = [PARTICLE_TYPES.index(one) for one in (*labels, *more.split())]
    pt = np.array([mass / 2] * 2 + [100.0] * (len(types) - 2))
    phi = np.array([0.0, np.pi] + [1.0] * (len(types) - 2))
    zero = np.zeros(len(types))
    return make_events(
        counts=[len(types)],
        pt=pt,
        eta=zero,
        phi=phi,
        energy=pt,
        type=types,
        met=[0.0],
        met_phi=[0.0],
    )


@pytest.mark.parametrize(
    ("mass", "labels", "expected"),
    [
        (91.2, ("m+", "m-"), "ttZ"),
        (91.2, ("e-", "e+"), "ttZ"),
        (81.3, ("m+", "m-"), "ttZ"),
        (81.1, ("m+", "m-"), "CR1b"),
        (101.1, ("m+", "m-"), "ttZ"),
        (101.3, ("m+", "m-"), "CR1b"),
        (91.2, ("m+", "e-"), "CR1b"),  # of different flavour
        (91.2, ("m+", "m+"), "CR1b"),  # of the same sign
    ],
)
def test_a_pair_near_the_mass_of_the_z(mass, labels, expected):
    assert names(pair_of_mass(mass, labels)) == ["preselection", expected]


def test_events_without_a_pair_are_no_z():
    for labels in ("", "m+", "m+ e-", "j j b"):
        assert distance_to_z(event(labels)).tolist() == [NO_PAIR]
    assert distance_to_z(event("")[:0]).shape == (0,)
    assert distance_to_z(pair_of_mass(90.188, ("m+", "m-")))[0] == pytest.approx(1.0)


def names(events):
    return [region.name for region in REGIONS if region.select(events)[0]]


@pytest.mark.parametrize(
    ("labels", "selected"),
    [
        ("m+ m+", True),
        ("e- m-", True),
        ("e+ m+ g j b", True),
        ("m+ m-", False),
        ("e+ m-", False),
        ("m+ m- e+", True),
        ("m+ m- e+ e-", True),
        ("m+", False),
        ("", False),
        ("g g j j b", False),
    ],
)
def test_same_sign_or_three_leptons(labels, selected):
    assert same_sign_or_three_leptons(event(labels)).tolist() == [selected]


@pytest.mark.parametrize(
    ("labels", "pt", "expected"),
    [
        # signal region: at least 6 jets, b-jets among them, at least 2 b, HT above 500 GeV
        ("j j j j b b m+ m+", 100, ["preselection", "SR"]),
        ("j j j b b b e+ m- m+ g", 100, ["preselection", "SR"]),
        ("b b b b b b b b m- m-", 100, ["preselection", "SR"]),
        ("j j j j b b m+ m+", 62.5, ["preselection"]),  # HT = 500 exactly
        ("j j j j b b m+ m+", 62.6, ["preselection", "SR"]),
        ("j j j j b b m+ m-", 100, []),
        # validation region: 1 b
        ("j j j j j b m+ m+", 100, ["preselection", "VR"]),
        ("j j j j j b m+ m+", 62.5, ["preselection"]),
        ("j j j j j j m+ m+", 100, []),  # no b
        # control region: 4 or 5 jets, at least 2 b, HT above 300 GeV
        ("j j j b b m+ m+", 100, ["preselection", "CR"]),
        ("j j b b m+ m+", 100, ["preselection", "CR"]),
        ("b b b b b m+ m+", 100, ["preselection", "CR"]),
        ("j j b b m+ m+", 50, []),  # HT = 300 exactly
        ("j j b b m+ m+", 50.1, ["preselection", "CR"]),
        ("j b b m+ m+", 100, ["preselection"]),  # 3 jets
        ("j j j j b m+ m+", 100, ["preselection", "ttW+"]),  # 5 jets, 1 b
        # control regions of one b-jet, by the leptons
        ("j j b m+ e+", 100, ["preselection", "ttW+"]),  # 3 jets
        ("j j j b m- e-", 100, ["preselection", "ttW-"]),
        ("j j b m- m-", 60, []),  # HT = 300 exactly
        ("j j b m- m-", 60.1, ["preselection", "ttW-"]),
        ("j j b b m- m-", 60.1, ["preselection", "CR"]),  # 2 b
        ("j j j j j b m- m-", 62.5, ["preselection"]),  # 6 jets
        ("j j b m+ e+ m+", 100, ["preselection"]),  # three leptons without a Z, 3 jets
        ("j j j b m+ e+ e+", 100, ["preselection", "CR1b"]),
        ("j j j j b m+ e+ e-", 100, ["preselection", "CR1b"]),  # a pair of mass 0
        ("j b m+ m+", 200, []),  # 2 jets
        ("", 100, []),
    ],
)
def test_every_cut(labels, pt, expected):
    assert [name for name in names(event(labels, pt)) if name not in PART_NAMES] == expected


@pytest.mark.parametrize(
    ("labels", "met", "part"),
    [
        ("j j j j b b m+ m+", 0.0, "SR_2b_MET0"),
        ("j j j j b b m+ m+", 150.0, "SR_2b_MET0"),
        ("j j j j b b m+ m+", 150.1, "SR_2b_MET150"),
        ("j j j j b b m+ m+", 300.0, "SR_2b_MET150"),
        ("j j j j b b m+ m+", 300.1, "SR_2b_MET300"),
        ("j j j b b b m+ m+", 300.1, "SR_3b_MET150"),
        ("b b b b b b b b m- m-", 20.0, "SR_3b_MET0"),
        ("j j j j j b m+ m+", 200.0, "VR_MET150"),
        ("j j j b b m+ m+", 400.0, "CR_MET300"),
        ("j j j j b m+ m+", 400.0, None),  # ttW+ has no parts
    ],
)
def test_parts_are_by_b_jets_and_met(labels, met, part):
    events = events_of([(labels.split(), 100.0)], met)
    assert [name for name in names(events) if name in PART_NAMES] == [part] * (part is not None)


@settings(max_examples=40)
@given(
    st.lists(st.lists(st.sampled_from(PARTICLE_TYPES), max_size=14), max_size=12),
    st.sampled_from([40.0, 90.0]),
    st.lists(st.floats(0.0, 500.0), min_size=12, max_size=12),
)
def test_the_regions_share_no_event_and_lie_in_the_preselection(listed, pt, met):
    lines = [(labels, pt) for labels in listed]
    events = events_of(lines, met[: len(lines)]) if listed else event("")[:0]
    selected = {region: region.select(events) for region in REGIONS}
    disjoint = [one for one in REGIONS[1:] if not one.part_of]
    assert len(disjoint) == 7
    assert np.all(sum(selected[region].astype(int) for region in disjoint) <= 1)
    for region in disjoint:
        assert not np.any(selected[region] & ~selected[PRESELECTION])
    for whole in (CR, VR, SR):
        parts = sum(selected[one].astype(int) for one in PARTS if one.part_of == whole.name)
        assert parts.tolist() == selected[whole].astype(int).tolist()


def plain_regions(line: str) -> str:
    """The region of one line of a file in plain Python; the sample has its lepton cut already."""
    particles = [group.split(",") for group in line.rstrip().rstrip(";").split(";")[5:]]
    jets = sum(label in "jb" for label, *_ in particles)
    b = sum(label == "b" for label, *_ in particles)
    ht = sum(float(pt) for _, _, pt, _, _ in particles) / 1000
    if jets >= 6 and ht > 500 and b:
        return "SR" if b >= 2 else "VR"
    return "CR" if jets in {4, 5} and b >= 2 and ht > 300 else ""


@pytest.mark.parametrize("dataset", COUNTS)
def test_counts_of_the_embedded_sample(sample, dataset):
    path = sample / f"{dataset}.csv.gz"
    events = DarkMachinesCSV().read(str(path))
    found = tuple(int(region.select(events).sum()) for region in (CR, VR, SR))
    assert found == COUNTS[dataset]
    assert PRESELECTION.select(events).all()
    with gzip.open(path, "rt") as file:
        plain = [plain_regions(line) for line in file]
    assert found == tuple(plain.count(name) for name in ("CR", "VR", "SR"))


def test_counts_of_the_signal_region_add_up():
    background = sum(COUNTS[name][2] for name in ("ttbarW", "ttbarZ", "ttbarHiggs", "ttbarWW"))
    assert (background, COUNTS["4top"][2], COUNTS["glgl1600_neutralino800"][2]) == (
        5503,
        6013,
        4478,
    )


def test_a_region_of_ones_own():
    own = Region("mine", "mine", lambda events: np.arange(len(events)) == 1)
    events = events_of([(["j"], 1.0), (["b"], 1.0)])
    assert own.select(events).tolist() == [False, True]
    assert region_named("mine", [*REGIONS, own]) is own
    assert region_named("SR") is SR


def test_cuts_have_names_and_all_have_to_pass():
    events = events_of(
        [
            (["j", "j", "j", "j", "b", "b", "m+", "m+"], 62.5),
            (["j", "j", "j", "j", "b", "b", "m+", "m+"], 100.0),
        ]
    )
    masks = SR.masks(events)
    assert list(masks) == [
        "2 same-sign or 3 leptons",
        "HT > 500 GeV",
        "at least 6 jets",
        "at least 2 b",
    ]
    assert masks["HT > 500 GeV"].tolist() == [False, True]
    own = Region("own", "", (window("one b", N_B, above=0.5, upto=1.5), *SR.cuts[:1]), "signal")
    assert own.select(events).tolist() == [False, False]
    with pytest.raises(OptionError, match="region 'none' has no cut"):
        Region("none", "", ())


def test_what_a_run_says_of_regions_keeps_their_order_and_purpose():
    found = sorted(described(REGIONS) | described(REGIONS))
    assert [(one.name, one.purpose) for one in found] == [
        ("preselection", ""),
        ("CR", "control"),
        ("VR", "validation"),
        ("SR", "signal"),
        ("ttW+", "control"),
        ("ttW-", "control"),
        ("ttZ", "control"),
        ("CR1b", "control"),
        *((one.name, one.purpose) for one in PARTS),
    ]
    purposes = ["control"] * 3 + ["validation"] * 3 + ["signal"] * 5
    assert [one.purpose for one in PARTS] == purposes
    assert [one.name for one in wholes(found)] == [one.name for one in found[:8]]
    assert threshold_regions(found) == ["CR"]
    assert [one.axis for one in found] == [
        *("", "n_b", "n_jets", "score", "n_jets", "n_jets", "", "n_jets"),
        *(["n_b"] * 3 + ["n_jets"] * 3 + ["score"] * 5),
    ]
    assert named(found, "control", "validation") == ["CR", "VR", "ttW+", "ttW-", "ttZ", "CR1b"]
    assert regions_of({"regions": [list(one) for one in reversed(found)]}) == found


@pytest.mark.parametrize(
    ("name", "purpose", "message"),
    [
        ("SR", "search", "region 'SR': purpose must be one of 'control', .* found 'search'"),
        ("", "", "a region's name must be text without '/', found ''"),
        ("1b/6j", "signal", "a region's name must be text without '/', found '1b/6j'"),
    ],
)
def test_a_region_that_cannot_be_is_refused(name, purpose, message):
    with pytest.raises(OptionError, match=message):
        Region(name, "", SR.selection, purpose)


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (lambda events: np.ones(len(events)), r"'bad' gives float64 \(1,\), expected bool \(1,\)"),
        (lambda _: np.array([True, False]), r"'bad' gives bool \(2,\), expected bool \(1,\)"),
        (lambda _: True, r"'bad' gives bool \(\), expected bool \(1,\)"),
    ],
)
def test_a_selection_that_is_no_selection_is_refused(selection, message):
    with pytest.raises(RegionError, match=message):
        Region("bad", "bad", selection).select(event("j"))


def test_an_unknown_region_names_the_known_ones():
    with pytest.raises(
        RegionError, match="region 'XR' is unknown; the regions are preselection, CR, VR, SR"
    ):
        region_named("XR")


def test_regions_pickle_for_worker_processes():
    assert pickle.loads(pickle.dumps(REGIONS)) == REGIONS

"""A small league: its numbers by hand, what its detectors get to see, and what it does again when
called again.
"""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass, field, replace
from typing import ClassVar

import awkward as ak
import matplotlib as mpl
import numpy as np
import pytest

from hepmtp import storage
from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.detectors import (
    BaseDetector,
    axis_from,
    load_detector,
    plain_axis,
    score_axis,
    training_events,
)
from hepmtp.detectors.combination import Combination
from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.detectors.observables import Observable
from hepmtp.errors import (
    HepmtpError,
    ManifestError,
    NotFittedError,
    OptionError,
    RegionError,
    ScoreError,
    TrainingError,
)
from hepmtp.events.observables import ht
from hepmtp.events.record import metadata
from hepmtp.events.regions import SR
from hepmtp.events.split import FRACTIONS, part_of, split_of
from hepmtp.plotting import SIMULATION
from hepmtp.report.tables import read_csv
from hepmtp.statistics.metrics import auc_difference
from hepmtp.statistics.performance import performance, scores
from hepmtp.studies.league.challenge import ChallengeRow, read_challenge
from hepmtp.studies.league.entries import AGAINST, ENTRIES, GROUPS, choose
from hepmtp.studies.league.entry import Entry, entry_of
from hepmtp.studies.league.figures import Bar, auc_bars
from hepmtp.studies.league.run import run_league
from hepmtp.tokenizers.continuous import ContinuousInputs

STOP = 900
BACKGROUND = ["ttbarW", "ttbarWW", "ttbarZ", "ttbarHiggs"]


@dataclass(eq=False)
class Noisy(BaseDetector):
    """HT with noise that depends on the seed; counts how often it is fitted and scores."""

    seed: int = 0
    width: float = 300.0
    name: str = "noisy"
    description: str = "HT with noise that depends on the seed."
    axis_: object = field(default=None, init=False, repr=False)
    fits: ClassVar[list[int]] = []
    scored: ClassVar[list[int]] = []

    @property
    def axis(self):
        if self.axis_ is None:
            raise NotFittedError("call fit(background events) first")
        return self.axis_

    def fit(self, events):
        assert metadata(events)["role"] == "background"
        assert "analysis" not in split_of(events)
        self.fits.append(self.seed)
        self.axis_ = score_axis(self._values(training_events(events)), label="noisy")
        return self

    def score(self, events):
        assert set(split_of(events)) <= {"analysis"}
        self.scored.append(self.seed)
        return self._values(events)

    def save(self, path):
        with storage.new_folder(path) as folder:
            meta = {"seed": self.seed, "width": self.width, "axis": plain_axis(self.axis)}
            storage.write(folder, storage.kind_of(self), meta, {})

    @classmethod
    def load(cls, path):
        meta, _ = storage.read(path, storage.kind_of(cls))
        found = cls(meta["seed"], meta["width"])
        found.axis_ = axis_from(meta["axis"])
        return found

    def _values(self, events):
        return ht(events) + self.width * np.sin(ak.to_numpy(events.event) * (self.seed + 1.7))


@dataclass(eq=False)
class Told(Noisy):
    """Adds the multiplicity in the direction that the signal lies in."""

    name: str = "told"
    signal: ak.Array | None = field(default=None, repr=False)
    supervised: ClassVar[bool] = True
    fits: ClassVar[list[int]] = []
    n_parameters: ClassVar[int] = 1

    def fit(self, events):
        assert metadata(self.signal)["role"] == "signal"
        assert set(split_of(self.signal)) == {"train", "validation"}
        return super().fit(events)

    def _values(self, events):
        return ht(events) + 300 * ak.to_numpy(ak.num(events.Particle))


@dataclass(eq=False)
class Formed(Noisy):
    """Has a second form of its score."""

    form: str = "plain"

    def with_score(self, form):
        other = replace(self, form=form)
        other.axis_ = self.axis_
        return other

    def _values(self, events):
        return ht(events) * (-1 if self.form == "turned" else 1)


NOISY = Entry("noisy", Noisy)
TOLD = Entry("told", lambda seed, signal: Told(seed, signal=signal), kind="supervised")
FORMED = Entry("formed", Formed, forms=("turned",), seeded=False)
PLAIN = [ENTRIES[name] for name in ("multiplicity", "ht")]


def no_library(seed):
    return importlib.import_module("no_such_library")


def not_a_number(self, events):
    return np.full(len(events), np.nan)


def sets(*signals):
    return [one for one in embedded() if one.name in {*BACKGROUND, *signals}]


def small(folder, entries, **options):
    """A league of one signal in the SR without figures."""
    given = {"seeds": (0, 1), "regions": ("SR",), "stop": STOP, "figures": False, **options}
    return run_league(folder, sets("4top"), entries, **given)


@pytest.fixture(scope="module")
def league(tmp_path_factory):
    folder = tmp_path_factory.mktemp("league")
    published = [ChallengeRow("4top", "paper", "3", 0.99, (None, None, None))]
    return small(
        folder,
        [*PLAIN, NOISY, FORMED, TOLD],
        against="noisy",
        command="hepmtp league",
        published=published,
        figures=True,
    )


@pytest.fixture(scope="module")
def columns(league):
    """Scores of the saved detectors, computed again, one seed after the other."""
    found = []
    for seed in (0, 1):
        table = {}
        for dataset in sets("4top"):
            events = part_of(read([dataset], stop=STOP), "analysis")
            table[dataset.name] = {
                "weight": ak.to_numpy(events.weight) / FRACTIONS["analysis"],
                "region:SR": SR.select(events),
                "score:noisy": load_detector(league.folder / "detectors" / f"noisy-{seed}").score(
                    events
                ),
                "score:ht": load_detector(league.folder / "detectors" / "ht-0").score(events),
                "score:told": load_detector(
                    league.folder / "detectors" / f"told-{seed}-4top"
                ).score(events),
            }
        found.append(table)
    return found


def row_of(league, detector, region="SR"):
    (row,) = [row for row in league.rows if (row.detector, row.region) == (detector, region)]
    return row


def test_numbers_are_means_over_seeds_of_the_performance_table(league, columns):
    row = row_of(league, "noisy")
    each = [
        next(
            one
            for one in performance(table, background=BACKGROUND, signals=["4top"], regions=["SR"])
            if one.detector == "noisy"
        )
        for table in columns
    ]
    for name in (
        "auc_balanced",
        "auc_balanced_error",
        "auc",
        "auc_error",
        "max_sic",
        "max_sic_error",
    ):
        assert getattr(row, name) == pytest.approx(np.mean([getattr(one, name) for one in each]))
    assert row.auc_balanced_spread == pytest.approx(
        abs(each[0].auc_balanced - each[1].auc_balanced) / np.sqrt(2)
    )
    assert row.auc_balanced_spread > 0
    assert row.eps_s_at_0p001 is None
    assert (row.n_signal, row.n_background, row.seeds) == (
        each[0].n_signal,
        each[0].n_background,
        2,
    )
    assert row.fit_seconds > 0
    assert row.events_per_second > 0


def test_differences_are_paired_seed_by_seed(league, columns):
    def difference(first, second):
        pairs = []
        for table in columns:
            a, b = (
                scores(table, name, signal="4top", background=BACKGROUND, region="SR")
                for name in (first, second)
            )
            weights = {"signal_weight": a.signal_weight, "background_weight": a.balanced_weight}
            pairs.append(
                auc_difference((a.signal, b.signal), (a.background, b.background), **weights)
            )
        return [
            float(np.mean([getattr(pair, name) for pair in pairs])) for name in ("value", "error")
        ], pairs

    noisy = row_of(league, "noisy")
    assert noisy.rival == "formed"  # not told, which has labels
    ht_row = row_of(league, "ht")
    (value, error), pairs = difference("ht", "noisy")
    assert ht_row.against == "noisy"
    assert (ht_row.over_against, ht_row.over_against_error) == pytest.approx((value, error))
    assert ht_row.over_against_spread == pytest.approx(
        np.std([pair.value for pair in pairs], ddof=1)
    )
    assert 0 < ht_row.over_against_error < ht_row.auc_balanced_error
    assert (noisy.against, noisy.over_against) == ("", None)
    assert ht_row.auc_balanced - noisy.auc_balanced == pytest.approx(ht_row.over_against)


def test_the_share_of_the_ceiling(league, columns):
    row, told = row_of(league, "ht"), row_of(league, "told")
    assert row.of_ceiling == pytest.approx((row.auc_balanced - 0.5) / (told.auc_balanced - 0.5))
    rng = np.random.default_rng(3)  # the error against a bootstrap of the same events
    a, b = (
        scores(columns[0], name, signal="4top", background=BACKGROUND, region="SR")
        for name in ("ht", "told")
    )
    shares = []
    for _ in range(150):
        s, t = (rng.integers(len(one), size=len(one)) for one in (a.signal, a.background))
        w = {"signal_weight": a.signal_weight[s], "background_weight": a.balanced_weight[t]}
        areas = [
            auc_difference((x.signal[s], 0 * s), (x.background[t], 0 * t), **w).value
            for x in (a, b)
        ]
        shares.append(areas[0] / areas[1])
    assert row.of_ceiling_error == pytest.approx(np.std(shares), rel=0.25)
    assert told.of_ceiling == pytest.approx(1)
    assert told.of_ceiling_error == pytest.approx(0, abs=1e-6)


def test_a_form_is_a_row_of_its_own_and_no_rival_of_its_own(league):
    formed, turned, plain = (row_of(league, name) for name in ("formed", "formed_turned", "ht"))
    assert formed.auc_balanced == pytest.approx(plain.auc_balanced)
    assert turned.auc_balanced == pytest.approx(1 - plain.auc_balanced)
    assert formed.rival == turned.rival == "noisy"
    assert (formed.seeds, formed.auc_balanced_spread) == (1, None)
    assert not (league.folder / "detectors" / "formed_turned-0").exists()


def test_the_chosen_one_is_compared_with_in_the_same_form(tmp_path):
    other = Entry("other", Noisy)
    league = small(
        tmp_path,
        [FORMED, replace(FORMED, name="again", forms=("turned",)), other],
        against="formed",
    )
    assert {row.detector: row.against for row in league.rows} == {
        "formed": "",
        "formed_turned": "formed",
        "again": "formed",
        "again_turned": "formed_turned",
        "other": "formed",
    }
    assert row_of(league, "again_turned").over_against == 0


def test_the_tables_are_for_readers(league):
    (search, first), (ceiling, second) = league.tables
    row = row_of(league, "noisy")
    assert search == f"4top, SR: {row.n_signal} signal and {row.n_background} background events"
    assert ceiling == "4top, SR: with labels, the ceiling"
    names = [line[0] for line in first.rows]
    assert sorted(names) == ["formed", "formed_turned", "ht", "multiplicity", "noisy"]
    values = [row_of(league, name).z for name in names]
    assert values == sorted(values, reverse=True)
    assert [line[0] for line in second.rows] == ["told"]
    cell = dict(zip(first.header, first.rows[names.index("noisy")], strict=True))
    assert cell["Z, 10 %"] == f"{row.z:.2f} ± {row.z_error:.2f}, over seeds {row.z_spread:.2f}"
    assert cell["Z, 30 %"] == f"{row.z_cautious:.2f} ± {row.z_cautious_error:.2f}"
    assert cell["AUC, balanced"] == f"{row.auc_balanced:.3f} ± {row.auc_balanced_error:.3f}"
    assert cell["Over the best other"].endswith(f"± {row.over_rival_error:.3f} (formed)")
    assert cell["Over the chosen one"] == "-"
    assert "Parameters" not in cell  # none of them has any
    assert dict(zip(second.header, second.rows[0], strict=True))["Parameters"] == "1"


def test_what_is_written(league):
    rows = read_csv(league.folder / "league.csv")
    assert [(row["detector"], row["region"], float(row["auc"])) for row in rows] == [
        (row.detector, row.region, row.auc) for row in league.rows
    ]
    content = json.loads((league.folder / "league.json").read_text())
    assert content["rows"][0]["auc"] == league.rows[0].auc
    assert (content["seeds"], content["command"]) == ([0, 1], "hepmtp league")
    text = (league.folder / "league.md").read_text()
    assert text.startswith("Made by `hepmtp league`.\n")
    in_common = read_csv(league.folder / "agreement.csv")
    assert {row["score"] for row in in_common} == {"noisy", "told"}  # the others have one seed
    assert {row["sample"] for row in in_common} == {"background", "4top"}
    for row in in_common:  # of two seeds
        assert float(row["common"]) == pytest.approx(float(row["by_two"]))
        assert 0 <= float(row["common"]) < 1.0001
    assert "**Do the seeds select the same events?**" in text
    assert (
        text.index("**4top, SR: ")
        < text.index("\n---\n\n**4top, SR: with labels")
        < text.index("| told |", text.index("**4top, SR: "))
    )
    figures = {path.name for path in (league.folder / "figures").iterdir()}
    assert figures == {f"{kind}_4top_SR.png" for kind in ("roc", "sic", "auc")}


def test_the_rows_of_the_challenge_and_their_places(league):
    found = read_challenge(league.folder / "challenge.csv")
    assert {(row.signal, row.model, row.chan) for row in found} == {
        ("4top", row.detector, row.region) for row in league.rows
    }
    one = next(row for row in found if (row.model, row.chan) == ("ht", "SR"))
    assert one.auc == pytest.approx(row_of(league, "ht").auc, abs=1e-4)
    assert one.eps_s[2] is None
    assert {(place.chan, place.place, place.of, place.best.model) for place in league.places} == {
        ("3", 2, 2, "paper")
    }
    assert {place.row.model for place in league.places} == {row.detector for row in league.rows} - {
        "told"
    }
    text = (league.folder / "league.md").read_text(encoding="utf-8")
    assert "Beside the published rows" in text
    assert f"| 4top | SR | ht | {one.auc:.3f} | 3 | 2 of 2 | paper | 0.990 |" in text


def test_a_second_call_fits_and_scores_nothing_again(league):
    before = len(Noisy.fits), len(Told.fits), len(Noisy.scored)
    again = small(league.folder, [*PLAIN, NOISY, FORMED, TOLD], against="noisy")
    assert (len(Noisy.fits), len(Told.fits), len(Noisy.scored)) == before
    assert again.rows == league.rows


def test_only_what_changed_is_done_again(tmp_path):
    first = small(tmp_path, [*PLAIN, NOISY])
    fits, scored = list(Noisy.fits), len(Noisy.scored)
    more = small(tmp_path, [*PLAIN, NOISY], seeds=(0, 1, 2))
    assert Noisy.fits == [*fits, 2]
    assert row_of(more, "noisy").seeds == 3
    small(
        tmp_path, [*PLAIN, NOISY], regions=("CR",)
    )  # other events to score: scored again with the saved detector
    assert Noisy.fits == [*fits, 2]
    assert len(Noisy.scored) > scored + len(BACKGROUND) + 1
    wide = small(tmp_path, [*PLAIN, Entry("noisy", lambda seed: Noisy(seed, width=900.0))])
    assert Noisy.fits == [*fits, 2, 0, 1]
    assert row_of(wide, "noisy").auc_balanced < row_of(first, "noisy").auc_balanced
    fewer = small(
        tmp_path, [*PLAIN, Entry("noisy", lambda seed: Noisy(seed, width=900.0))], stop=STOP - 100
    )
    assert Noisy.fits == [*fits, 2, 0, 1, 0, 1]
    assert row_of(fewer, "noisy").n_background < row_of(wide, "noisy").n_background


def test_an_interrupted_league_goes_on(tmp_path):
    def broken(seed):
        if seed == 1:
            raise KeyboardInterrupt
        return Noisy(seed)

    with pytest.raises(KeyboardInterrupt):
        small(tmp_path, [Entry("noisy", broken)])
    fits = list(Noisy.fits)
    row = row_of(small(tmp_path, [NOISY]), "noisy")
    assert Noisy.fits == [*fits, 1]
    assert row.seeds == 2


def test_damaged_scores_are_made_again(tmp_path):
    first = small(tmp_path, PLAIN)
    path = tmp_path / "scores" / "ht-0" / storage.ARRAYS
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert [row[:8] for row in small(tmp_path, PLAIN).rows] == [row[:8] for row in first.rows]
    assert path.read_bytes() == data


def test_parts_are_fitted_once_and_given_to_who_needs_them(tmp_path):
    given = []

    def make(seed, detectors):
        given.append([(type(one), one.seed) for one in detectors])
        return Noisy(seed)

    fits = list(Noisy.fits)
    joined = Entry("joined", make, parts=("noisy",))
    league = small(tmp_path, [NOISY, joined])
    assert given == [[(Noisy, 0)], [(Noisy, 1)]]
    assert Noisy.fits == [*fits, 0, 1, 0, 1]
    assert row_of(league, "joined").auc_balanced == row_of(league, "noisy").auc_balanced
    with pytest.raises(
        OptionError, match="entry 'joined' is made from noisy, which is not in this league"
    ):
        small(tmp_path / "other", [joined])


def test_the_progress_is_told(tmp_path):
    told = []
    small(tmp_path, [PLAIN[0], TOLD], seeds=(0,), progress=lambda *words: told.append(words))
    assert told == [("multiplicity, seed 0", 0, 2), ("told, seed 0, 4top", 1, 2)]


def test_a_region_without_events_makes_no_table(tmp_path, caplog):
    league = small(tmp_path, [PLAIN[0]], regions=("SR", "VR"), stop=5)
    assert {row.region for row in league.rows} == {"SR"}
    assert league.rows[0].z is None  # nothing of the signal is left for a fit
    assert any("holds any event of 4top" in one for one in league.remarks)
    with pytest.raises(
        HepmtpError, match="no event of a signal and of the background in VR: give more events"
    ):
        small(tmp_path / "none", [PLAIN[0]], regions=("VR",), stop=5)
    assert "region VR holds no events of 4top or of the background: no table" in caplog.text


@pytest.mark.parametrize(
    ("entries", "options", "error", "message"),
    [
        ([], {}, OptionError, "each with a name of its own; found none"),
        ([PLAIN[0], PLAIN[0]], {}, OptionError, "found multiplicity, multiplicity"),
        ([PLAIN[0]], {"seeds": ()}, OptionError, r"needs seeds, each once; found \[\]"),
        (
            [PLAIN[0]],
            {"against": "nobody"},
            OptionError,
            "there is no entry 'nobody' to compare with; there are multip",
        ),
        ([PLAIN[0]], {"regions": ("XR",)}, RegionError, "region 'XR' is unknown"),
        (
            [replace(NOISY, libraries=("numpy", "no_such_library"))],
            {},
            HepmtpError,
            (
                r'noisy: no_such_library not installed; run pip install "hepmtp\[league\]", or '
                r"choose "
                r"others with --only"
            ),
        ),
        (
            [Entry("x", no_library)],
            {},
            HepmtpError,
            r"entry 'x' needs no_such_library, which is not installed",
        ),
    ],
)
def test_wrong_leagues(entries, options, error, message, tmp_path):
    with pytest.raises(error, match=message):
        small(tmp_path, entries, **options)


def test_who_has_seen_labels_must_say_so(tmp_path):
    signal = read([one for one in embedded() if one.name == "4top"], stop=STOP)
    entry = Entry("told", lambda seed: Told(seed, signal=signal[split_of(signal) != "analysis"]))
    with pytest.raises(
        TrainingError, match="entry 'told' has learned from signal: its kind must be 'supervised'"
    ):
        small(tmp_path, [entry])
    assert not (tmp_path / "detectors").exists()


def test_labels_are_found_in_what_a_detector_is_made_from():
    signal = read([one for one in embedded() if one.name == "4top"], stop=20)
    graph = pytest.importorskip("hepmtp.tokenizers.graph_vq").GraphVQTokenizer
    told, plain = Told(), Observable("ht")
    for supervised in (
        told,
        Combination([plain, told], "or"),
        Combination([plain, Combination([Observable("met"), told], "and")], "or"),
        MaskedTokenDetector(graph(signal=signal)),
        MaskedTokenDetector(ContinuousInputs(graph(signal=signal))),
    ):
        assert supervised.supervised
    for other in (
        plain,
        Combination([plain, Noisy()], "or"),
        MaskedTokenDetector(ContinuousInputs(graph())),
    ):
        assert not other.supervised


def test_a_score_that_is_not_a_number_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(Noisy, "score", not_a_number)
    with pytest.raises(
        ScoreError, match=r"entry 'noisy' does not give each of \d+ events of \S+ a finite score"
    ):
        small(tmp_path, [NOISY])


def test_background_and_signal_are_needed(tmp_path):
    with pytest.raises(ManifestError, match="no data set with role signal among ttbarW"):
        run_league(tmp_path, sets(), PLAIN)
    with pytest.raises(ManifestError, match="no data set with role background among 4top"):
        run_league(tmp_path, [one for one in embedded() if one.name == "4top"], PLAIN)


def test_choosing_entries():
    assert [entry.name for entry in choose()] == [entry.name for entry in GROUPS["main"]]
    assert {entry.name for entry in choose("tokenizers")} >= {
        "lookup_visive2025",
        "vqvae",
        "fsq",
        "graph_vq",
    }
    assert [entry.name for entry in choose(only=["met", "vqvae"])] == ["met", "vqvae"]
    quick = choose(only=["masked_token"], quick=True)[0].make(3)
    assert (quick.training.epochs, quick.training.seed) == (1, 3)
    assert all(AGAINST[group] in ENTRIES for group in GROUPS)
    assert set(ENTRIES) == {entry.name for group in GROUPS.values() for entry in group}
    with pytest.raises(
        OptionError, match="entry 'masked_tokens' is unknown; there are masked_token"
    ):
        choose(only=["masked_tokens"])
    with pytest.raises(OptionError, match="group 'mine' is unknown; there are main, tokenizers"):
        choose("mine")


@pytest.mark.parametrize("name", ENTRIES)
def test_every_entry_can_be_made_in_both_sizes_with_its_seed(name, background):
    entry = ENTRIES[name]
    for library in entry.libraries:
        pytest.importorskip(library)
    given = {"signal": background} if entry.kind == "supervised" else {}
    if entry.parts:
        given["detectors"] = [ENTRIES[part].make(0) for part in entry.parts]
    for make in filter(None, (entry.make, entry.small)):
        first, other = (make(seed, **given) for seed in (0, 1))
        assert first.description
        if entry.seeded and not entry.parts:
            assert repr(first) != repr(other)
        else:
            assert repr(first) == repr(other) or entry.parts
    if entry.small and isinstance(first, MaskedTokenDetector):
        assert first.model.output == entry.make(0).model.output


def test_your_own_entries(tmp_path, league):
    entry = entry_of("mine=test_league:Noisy")
    assert (entry.name, entry.kind, entry.seeded, entry.make(5).seed) == (
        "mine",
        "background-only",
        True,
        5,
    )
    assert entry_of("hepmtp:TokenRarity").seeded is False
    assert entry_of("test_league:Told").kind == "supervised"
    saved = entry_of(f"kept={league.folder / 'detectors' / 'noisy-1'}")
    assert (saved.fitted, saved.seeded, saved.make(0).seed) == (True, False, 1)
    fits = list(Noisy.fits)
    found = small(tmp_path, [PLAIN[1], saved, entry_of("test_league:Told")])
    assert Noisy.fits == fits
    assert row_of(found, "kept").fit_seconds is None
    assert row_of(found, "told").kind == "supervised"
    for word in ("nothing", "no_such_module:Class", "test_league:Nothing", "math:cos"):
        with pytest.raises(
            OptionError, match=r"neither the folder of a saved detector nor a pkg\.module:Class"
        ):
            entry_of(word)


def test_bars():
    bars = [
        Bar("ht", "observable", 0.7, 0.01),
        Bar("told", "supervised", 0.9, 0.005, 0.01),
        Bar("b", "background-only", 0.4, 0.02),
    ]
    figure = auc_bars(bars, title="SR", caption=SIMULATION)
    (axis,) = figure.axes
    names = [label.get_text() for label in axis.get_yticklabels()]
    assert names == ["told", "$H_T$", "b"]
    assert [patch.get_width() for patch in axis.patches] == pytest.approx([0.4, 0.2, -0.1])
    texts = " ".join(text.get_text() for text in figure.findobj(mpl.text.Text))
    for expected in (
        "hepmtp",
        "SR",
        "0.900 $\\pm$ 0.005",
        "with labels",
        "plain observable",
        "trained on background",
    ):
        assert expected in texts
    assert axis.get_xlim()[0] < 0.38
    assert auc_bars([]).axes

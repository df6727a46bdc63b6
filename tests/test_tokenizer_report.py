"""The tokenizer report: numbers that can be checked by hand, analysis events only, and figures that
show what was measured.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import awkward as ak
import matplotlib as mpl
import numpy as np
import pytest

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.detectors import training_events
from hepmtp.detectors.observables import Observable
from hepmtp.detectors.token_rarity import TokenRarity
from hepmtp.errors import OptionError, StorageError, TokenError, TrainingError
from hepmtp.events.record import make_events
from hepmtp.events.split import part_of
from hepmtp.events.tokens import TokenBatch
from hepmtp.plotting import SIMULATION
from hepmtp.studies.tokenizer import figures
from hepmtp.studies.tokenizer.figures import OBSERVABLES, RESIDUALS
from hepmtp.studies.tokenizer.folder import tokenizer_of, write_tokenizer_report
from hepmtp.studies.tokenizer.measure import (
    AXES,
    CORRELATED,
    TokenizerReport,
    residuals,
    tokenizer_report,
    type_confusion,
)
from hepmtp.studies.tokenizer.text import report_markdown, write_text
from hepmtp.tokenizers.lookup import LookupTokenizer


@pytest.fixture(scope="module")
def signals() -> dict[str, ak.Array]:
    return {
        "glgl1600_neutralino800": read(
            [one for one in embedded() if one.name.startswith("glgl")], stop=900
        )
    }


@pytest.fixture(scope="module")
def tokenizer(background: ak.Array) -> LookupTokenizer:
    return LookupTokenizer().fit(training_events(background))


@pytest.fixture(scope="module")
def report(
    tokenizer: LookupTokenizer, background: ak.Array, signals: dict[str, ak.Array]
) -> TokenizerReport:
    return tokenizer_report(tokenizer, background, signals, name="published")


def some(**columns: list[float]) -> ak.Array:
    """Two events of two and one particles and MET, with other values where said."""
    default: dict[str, list[float]] = {
        "pt": [100.0, 50.0, 20.0],
        "eta": [1.0, -0.5, 2.0],
        "phi": [3.0, -3.0, 0.0],
        "energy": [500.0] * 3,
        "type": [0, 1, 4],
        "met": [200.0, 40.0],
        "met_phi": [3.1, 1.0],
    }
    return make_events(counts=[2, 1], **default | columns)


def texts(figure: Any) -> str:
    return " ".join(text.get_text() for text in figure.findobj(mpl.text.Text))


# Residuals and types, written out


def test_residuals_of_three_particles() -> None:
    after = some(
        pt=[110.0, 50.0, 19.0],
        eta=[1.3, 0.5, 1.9],
        phi=[-3.0, 3.0, 0.1],
        met=[100.0, 44.0],
        met_phi=[-3.1, 1.2],
    )
    found = residuals(some(), after)
    assert list(found) == ["pt", "eta", "abs_eta", "phi", "met", "met_phi"]
    turn = 2 * math.pi - 6
    values = {
        "pt": [0.1, 0.0, -0.05],
        "eta": [0.3, 1.0, -0.1],
        "abs_eta": [0.3, 0.0, -0.1],
        "phi": [turn, -turn, 0.1],  # across +-pi the short way
        "met": [-0.5, 0.1],
        "met_phi": [2 * math.pi - 6.2, 0.2],
    }
    for name, expected in values.items():
        low, middle, high = np.quantile(expected, [0.16, 0.5, 0.84])
        assert found[name].median == pytest.approx(middle)
        assert found[name].half_width == pytest.approx((high - low) / 2)
        assert found[name].counts.tolist() == np.histogram(expected, found[name].edges)[0].tolist()


def test_residuals_beyond_the_axis_are_counted_in_the_outer_bins() -> None:
    found = residuals(some(), some(pt=[1000.0, 50.0, 20.0], eta=[-9.0, -0.5, 2.0]))
    assert found["pt"].counts[-1] == 1
    assert found["eta"].counts[0] == 1
    assert found["pt"].counts.sum() == found["eta"].counts.sum() == 3


def test_no_missing_momentum_no_residual_and_0_has_no_relative_one() -> None:
    assert list(residuals(some(), some(met=[0.0, 0.0], met_phi=[0.0, 0.0]))) == [
        "pt",
        "eta",
        "abs_eta",
        "phi",
    ]
    found = residuals(some(pt=[0.0, 50.0, 20.0], met=[0.0, 40.0]), some())
    assert found["pt"].counts.sum() == 2
    assert found["met"].counts.sum() == 1


def test_types_true_in_the_row_decoded_in_the_column() -> None:
    matrix = type_confusion(some(), some(type=[1, 1, 2]))
    assert matrix.shape == (7, 7)
    assert {(int(i), int(j)): int(matrix[i, j]) for i, j in np.argwhere(matrix)} == {
        (0, 1): 1,
        (1, 1): 1,
        (4, 2): 1,
    }


# The report


def test_usage_and_perplexity_of_analysis_events(
    report: TokenizerReport,
    tokenizer: LookupTokenizer,
    background: ak.Array,
    signals: dict[str, ak.Array],
) -> None:
    shown = part_of(background, "analysis")
    counts = Counter(tokenizer.encode(shown).values.tolist())
    total = sum(counts.values())
    entropy = -sum(n / total * math.log(n / total) for n in counts.values())
    assert (report.name, report.vocab_size, report.supervised) == ("published", 885, False)
    assert (report.n_events, report.n_tokens) == (len(shown), total)
    assert report.in_use == pytest.approx(len(counts) / 885)
    assert report.perplexity == pytest.approx(math.exp(entropy))
    assert {i: n for i, n in enumerate(report.token_counts["background"].tolist()) if n} == dict(
        counts
    )
    signal = tokenizer.encode(part_of(signals["glgl1600_neutralino800"], "analysis"))
    assert report.token_counts["glgl1600_neutralino800"].sum() == len(signal.values)


def test_what_the_published_bins_keep(report: TokenizerReport) -> None:
    assert np.array_equal(report.type_confusion, np.diag(np.diag(report.type_confusion)))
    # bins of width 2 pi / 5: 68 % of a uniform residual
    assert report.residuals["phi"].half_width == pytest.approx(0.68 * math.pi / 5, rel=0.03)
    assert report.residuals["met_phi"].half_width == pytest.approx(0.68 * math.pi / 5, rel=0.1)
    assert (
        report.residuals["abs_eta"].half_width < 0.3 < report.residuals["eta"].half_width
    )  # the sign is lost


def test_correlations_of_events_with_two_jets(
    report: TokenizerReport, tokenizer: LookupTokenizer, background: ak.Array
) -> None:
    shown = part_of(background, "analysis")
    shown = shown[ak.sum(shown.Particle["type"] <= 1, axis=1) >= 2]
    for events, matrix in (
        (shown, report.correlation_before),
        (tokenizer.decode(tokenizer.encode(shown)), report.correlation_after),
    ):
        found = [[], [], []]
        for event in events:
            first, second = sorted(
                (p for p in event.Particle if p["type"] <= 1), key=lambda p: -p["pt"]
            )[:2]
            found[0].append(first["pt"])
            found[1].append(event.MET["pt"])
            found[2].append(first.deltaR(second))
        at = [CORRELATED.index(name) for name in ("jet_pt_1", "met", "delta_r_12")]
        np.testing.assert_allclose(matrix[np.ix_(at, at)], np.corrcoef(found), atol=1e-9)


def test_separation_before_and_after(
    report: TokenizerReport, background: ak.Array, signals: dict[str, ak.Array]
) -> None:
    (one,) = report.separations
    assert (one.signal, one.classifier) == ("glgl1600_neutralino800", "trees")
    assert one.continuous > one.tokens > 0.85
    assert one.lost == pytest.approx(one.continuous - one.tokens)
    assert 0 < one.lost_error < math.hypot(one.continuous_error, one.tokens_error)
    parts = [
        part_of(events, "analysis") for events in (background, signals["glgl1600_neutralino800"])
    ]
    assert (one.n_background, one.n_signal) == tuple(map(len, parts))
    # one bin each: what is left are the numbers of particles of each type
    coarse = LookupTokenizer(pt_bins=1, eta_bins=1, phi_bins=1, met_bins=0, met_phi_bins=0)
    worse = tokenizer_report(coarse.fit(training_events(background)), background, signals)
    assert worse.name == "LookupTokenizer"
    (other,) = worse.separations
    assert other.continuous == one.continuous
    assert other.tokens < one.tokens - 3 * other.lost_error
    # MET is the same in all events: no correlation, and none is made up
    met = CORRELATED.index("met")
    assert np.isnan(worse.correlation_after[met]).all()
    assert not np.isnan(worse.correlation_before).any()
    assert list(worse.residuals) == ["pt", "eta", "abs_eta", "phi"]


def test_training_events_are_not_shown(tokenizer: LookupTokenizer, background: ak.Array) -> None:
    whole = tokenizer_report(tokenizer, background)
    alone = tokenizer_report(tokenizer, part_of(background, "analysis"))
    assert report_markdown(whole) == report_markdown(alone)
    assert whole.separations == ()


def test_fewer_events_and_a_transformer(
    tokenizer: LookupTokenizer, background: ak.Array, signals: dict[str, ak.Array]
) -> None:
    quick = tokenizer_report(
        tokenizer, background, signals, classifiers=["trees", "transformer"], max_events=60
    )
    assert quick.n_events == 60
    assert [one.classifier for one in quick.separations] == ["trees", "transformer"]
    assert all(one.n_background == one.n_signal == 60 for one in quick.separations)
    assert all(one.continuous > 0.6 for one in quick.separations)


# Refusals


def test_refusals(
    tokenizer: LookupTokenizer, background: ak.Array, signals: dict[str, ak.Array]
) -> None:
    with pytest.raises(TrainingError, match=r"only background may be fitted on"):
        tokenizer_report(tokenizer, signals["glgl1600_neutralino800"])
    with pytest.raises(
        OptionError, match=r"classifiers \['forest'\] are unknown; there are trees, transformer"
    ):
        tokenizer_report(tokenizer, background, classifiers=["forest"])
    with pytest.raises(
        TrainingError, match=r"none of the 5 events is an analysis event with particles"
    ):
        tokenizer_report(tokenizer, part_of(background, "train")[:5])


class Loses(LookupTokenizer):
    """Decodes all but the first token of each event."""

    def decode(self, tokens: TokenBatch) -> ak.Array:
        return super().decode(TokenBatch.from_awkward(tokens.to_awkward()[:, 1:]))


def test_particles_must_match_one_to_one(background: ak.Array) -> None:
    with pytest.raises(TokenError, match=r"decoding gave other numbers of particles"):
        tokenizer_report(Loses().fit(training_events(background)), background)


# Text and json


def test_markdown(report: TokenizerReport) -> None:
    text = report_markdown(report)
    (one,) = report.separations
    for expected in (
        "# Tokenizer report: published",
        "885 ids",
        (
            f"| pt after / before - 1 | {report.residuals['pt'].median:z.3f} | "
            f"{report.residuals['pt'].half_width:.3f} |"
        ),
        "| abs(eta) after - before |",
        "Every particle keeps its type.",
        f"{one.n_signal} / {one.n_background}",
    ):
        assert expected in text
    assert "supervised" not in text
    wrong = report.type_confusion.copy()
    wrong[0, 1] += wrong[0, 0]
    marked = report_markdown(dataclasses.replace(report, supervised=True, type_confusion=wrong))
    assert "all here is supervised" in marked
    assert "jet 50.0 %, b-jet 100.0 %" in marked


def test_json_holds_all_numbers(report: TokenizerReport, tmp_path: Path) -> None:
    matrix = report.correlation_after.copy()
    matrix[0, 1] = np.nan
    paths = write_text(tmp_path / "x", dataclasses.replace(report, correlation_after=matrix))
    assert [path.name for path in paths] == ["report.md", "report.json"]
    found = json.loads(paths[1].read_text())
    assert set(found) == {field.name for field in dataclasses.fields(report)}
    assert found["perplexity"] == report.perplexity
    assert found["correlation_after"][0][1] is None
    assert found["correlation_before"] == report.correlation_before.tolist()
    assert found["separations"][0]["tokens"] == report.separations[0].tokens
    assert found["residuals"]["phi"]["counts"] == report.residuals["phi"].counts.tolist()
    assert found["token_counts"]["background"] == report.token_counts["background"].tolist()


# Figures


def test_figure_of_residuals(report: TokenizerReport) -> None:
    figure = figures.residuals(report)
    assert [axis.get_xlabel() for axis in figure.axes] == [RESIDUALS[name] for name in AXES]
    drawn = figure.axes[3].patches[0].get_data().values
    expected = report.residuals["phi"].counts
    assert drawn == pytest.approx(100 * expected / expected.sum())
    found = texts(figure)
    assert f"half of 68 %: {report.residuals['phi'].half_width:.3f}" in found
    assert "hepmtp" not in found
    assert "hepmtp" in texts(figures.residuals(report, caption=SIMULATION))
    assert "ATLAS" not in found
    few = dataclasses.replace(
        report, residuals={"pt": report.residuals["pt"], "phi": report.residuals["phi"]}
    )
    assert [axis.get_visible() for axis in figures.residuals(few).axes] == [True, True, False]


def test_figure_of_types(report: TokenizerReport) -> None:
    matrix = np.zeros((7, 7), dtype=np.int64)
    matrix[0, :2] = 3, 1
    figure = figures.type_confusion(
        dataclasses.replace(report, type_confusion=matrix, supervised=True)
    )
    assert np.asarray(figure.axes[0].collections[0].get_array())[0].tolist() == [
        0.75,
        0.25,
        0,
        0,
        0,
        0,
        0,
    ]
    assert "supervised" in texts(figure)


def test_figure_of_correlations(report: TokenizerReport) -> None:
    after = report.correlation_after.copy()
    after[4, :] = after[:, 4] = np.nan
    figure = figures.correlations(dataclasses.replace(report, correlation_after=after))
    drawn = [np.ma.filled(axis.collections[0].get_array(), np.nan) for axis in figure.axes[:3]]
    np.testing.assert_array_equal(drawn[0], report.correlation_before)
    np.testing.assert_array_equal(drawn[1], after)
    np.testing.assert_array_equal(drawn[2], after - report.correlation_before)
    assert "nan" not in texts(figure)
    assert tuple(OBSERVABLES) == CORRELATED


def test_figure_of_tokens(report: TokenizerReport) -> None:
    figure = figures.token_histogram(report)
    shares = [patch.get_data().values for patch in figure.axes[0].patches]
    assert (np.diff(shares[0]) <= 0).all()
    assert [share.sum() for share in shares] == pytest.approx([100, 100])
    used = shares[0] > 0
    ratio = np.asarray(figure.axes[1].get_lines()[1].get_ydata())
    np.testing.assert_allclose(ratio[used], shares[1][used] / shares[0][used])
    alone = dataclasses.replace(
        report, token_counts={"background": report.token_counts["background"]}
    )
    assert len(figures.token_histogram(alone).axes[0].patches) == 1


def test_all_is_written(
    tokenizer: LookupTokenizer, background: ak.Array, signals: dict[str, ak.Array], tmp_path: Path
) -> None:
    write_tokenizer_report(
        tmp_path, tokenizer, background, signals, name="published", max_events=100
    )
    names = ("residuals", "type_confusion", "correlations", "token_histogram")
    expected = {f"figures/{name}.png" for name in names} | {"report.md", "report.json"}
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")} == expected
    assert "published" in (tmp_path / "report.md").read_text()


# The tokenizer that a word names


def test_what_was_saved_is_taken_as_it_is(
    tokenizer: LookupTokenizer, background: ak.Array, tmp_path: Path
) -> None:
    tokenizer.save(tmp_path / "table")
    name, found = tokenizer_of(str(tmp_path / "table"), background[:0])
    assert name == "table"
    assert found.encode(background) == tokenizer.encode(background)
    TokenRarity(tokenizer).fit(background).save(tmp_path / "rare")
    name, found = tokenizer_of(str(tmp_path / "rare"), background[:0])
    assert name == "rare"
    assert found.encode(background) == tokenizer.encode(background)


def test_what_was_not_saved_is_fitted_on_the_training_part(
    tokenizer: LookupTokenizer, background: ak.Array
) -> None:
    for word, name in (
        ("visive2025", "visive2025"),
        ("hepmtp:LookupTokenizer", "LookupTokenizer"),
    ):
        found = tokenizer_of(word, background)
        assert found[0] == name
        assert found[1].encode(background) == tokenizer.encode(background)


def test_a_word_that_names_no_tokenizer(background: ak.Array, tmp_path: Path) -> None:
    with pytest.raises(
        OptionError,
        match=r"'nothing' is neither the folder .* a look-up table \(particles, met3, .*No module",
    ):
        tokenizer_of("nothing", background)
    with pytest.raises(
        OptionError,
        match=r"'hepmtp.events.tokens:TokenBatch' is neither .* from nothing: .*required",
    ):
        tokenizer_of("hepmtp.events.tokens:TokenBatch", background)
    with pytest.raises(OptionError, match=r"makes a 'hepmtp:ParquetReader', expected a tokenizer"):
        tokenizer_of("hepmtp:ParquetReader", background)
    Observable("ht").fit(background).save(tmp_path / "ht")
    with pytest.raises(
        StorageError, match=r"ht holds a 'hepmtp:Observable', expected a tokenizer or a"
    ):
        tokenizer_of(str(tmp_path / "ht"), background)

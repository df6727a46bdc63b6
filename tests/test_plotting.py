"""Figures show what they were given, say whose events it is, and leave the caller's style."""

from __future__ import annotations

import logging

import matplotlib as mpl
import numpy as np
import pytest
from hist.axis import Regular
from matplotlib.colors import to_hex, to_rgb

from hepmtp import plotting
from hepmtp.events.record import make_events
from hepmtp.plotting.colours import BACKGROUNDS, SIGNALS as SIGNAL_COLOURS
from hepmtp.statistics.comparison import compare
from hepmtp.statistics.histograms import book, fill
from hepmtp.statistics.metrics import roc

BACKGROUND, SIGNALS = ["ttbarW", "ttbarZ"], ["4top"]


@pytest.fixture
def h():
    rng = np.random.default_rng(1)
    one = book(Regular(12, -3, 3, name="score", label="Surprise"), name="surprise")
    for region, shift in (("CR", -0.5), ("SR", 0.5)):
        for i, name in enumerate([*BACKGROUND, *SIGNALS]):
            fill(
                one,
                dataset=name,
                region=region,
                score=rng.normal(shift + 0.5 * i, 1, 400),
                weight=0.1,
            )
    return one


@pytest.fixture
def curves():
    rng = np.random.default_rng(2)
    return {
        "surprise": roc(rng.normal(1, 1, 500), rng.normal(0, 1, 2000)),
        "ht": roc(np.arange(50), np.arange(40)),
    }


def texts(figure):
    return " ".join(text.get_text() for text in figure.findobj(mpl.text.Text))


def test_scores_of_the_regions(h):
    comparison = compare(h, "SR", "CR", datasets=BACKGROUND)
    figure = plotting.score_regions(
        h,
        comparison,
        background=BACKGROUND,
        signals=SIGNALS,
        signal_scale=10,
        thresholds={"99 % quantile": 1.0},
        caption=plotting.SIMULATION,
        content="Events",
    )
    found = texts(figure)
    for expected in (
        "hepmtp",
        "simulation",
        "139 fb",
        "CR: 4-5 jets",
        "SR: ",
        r"$t\bar{t}W$",
        "x 10",
        "99 % quantile",
        "Events / 0.5",
        "outer bins: with under- and overflow",
    ):
        assert expected in found
    assert "ATLAS" not in found
    assert "Sum of weights" not in found
    # the largest stack of the control region's panel is its content, the last step of the stack
    drawn = max(
        np.max(patch.get_data().values) for patch in figure.axes[0].patches if patch.get_fill()
    )
    yields = compare(h, "CR", "SR", datasets=BACKGROUND, normalise=False)
    assert drawn >= yields.first.max()
    assert drawn <= np.max(yields.first + yields.first_error) + 1e-9


CLAIMS = ("hepmtp", "simulation", "own files", "fb", "TeV", "Events")


def test_nothing_is_claimed_that_the_caller_has_not_said(h, curves):
    comparison = compare(h, "SR", "CR", datasets=BACKGROUND)
    drawn = [
        plotting.score_regions(h, comparison, background=BACKGROUND),
        plotting.score_panels(h, ["CR"], background=BACKGROUND),
        plotting.data_and_background(h, "CR", data=["4top"], background=BACKGROUND),
        plotting.shape_comparison(comparison),
        plotting.shape_comparison(compare(h, "SR", "CR", normalise=False)),
        plotting.roc(curves),
        plotting.sic(curves, title="mine"),
        plotting.token_occupancy([10, 30], [20, 20]),
        plotting.confusion(np.eye(2)),
    ]
    for figure in drawn:
        found = texts(figure)
        assert not [claim for claim in CLAIMS if claim in found], found
    assert "Sum of weights / 0.5" in texts(drawn[0])


@pytest.mark.parametrize(
    ("caption", "text"),
    [
        (plotting.Caption(energy=13.6), r"$\sqrt{s}$ = 13.6 TeV"),
        (plotting.Caption(luminosity=3.2), r"3.2 fb$^{-1}$"),
        (plotting.Caption("mine", "incomplete"), "mine"),
        (plotting.Caption("", "incomplete", 5, 13), r"$\sqrt{s}$ = 13 TeV, 5 fb$^{-1}$"),
    ],
)
def test_a_caption_says_what_it_knows_and_nothing_else(h, caption, text):
    figure = plotting.score_panels(h, ["CR"], background=BACKGROUND, caption=caption)
    found = texts(figure)
    assert text in found
    assert ("incomplete" in found) == (caption.text == "incomplete")
    assert ("TeV" in found) == (caption.energy is not None)
    assert ("fb" in found) == (caption.luminosity is not None)


@pytest.fixture
def counted():
    """Background of 4, 2, 0 and 3 - 4 in the CR; data of 4, 0, 1 and 1 there, 9 in the SR."""
    one = book(Regular(4, 0, 4, name="score", label="stranger"), name="surprise")
    fill(
        one,
        dataset="ttbarW",
        region="CR",
        score=[0.5, 1.5, 3.5, 9.0],
        weight=[4.0, 2.0, 3.0, -4.0],
    )
    fill(one, dataset="ttbarW", region="SR", score=[0.5], weight=2.0)
    fill(one, dataset="run2", region="CR", score=[-1.0, 0.1, 0.2, 0.3, 2.5, 3.5], weight=1)
    fill(one, dataset="run2", region="SR", score=[1.5] * 9, weight=1)
    return one


def points(axis):
    """x, y and the ends of the vertical error bars of the points on an axis."""
    (container,) = axis.containers[-1:]
    line, _, (bars,) = container
    ends = [one[:, 1].tolist() for one in bars.get_segments() if len(one)]  # no bar, no ends
    return line.get_xdata(), line.get_ydata(), ends


def test_data_are_points_with_poisson_errors_where_they_are_not_blind(counted):
    shown = {"background": ["ttbarW"], "data": ["run2"], "blind": ["SR"], "names": {"run2": "2022"}}
    figure = plotting.score_panels(counted, ["CR", "SR"], **shown)
    x, y, bars = points(figure.axes[0])
    assert x.tolist() == [0.5, 2.5, 3.5]
    assert y.tolist() == [4, 1, 1]
    # central intervals of 68.27 % (Garwood): 4 -1.91 +3.16 and 1 -0.83 +2.30
    assert np.array(bars) == pytest.approx(
        np.array([[2.0857, 7.1628], [0.1727, 3.2995], [0.1727, 3.2995]]), abs=2e-4
    )
    assert "2022" in texts(figure)
    panels = [" ".join(text.get_text() for text in axis.texts) for axis in figure.axes]
    assert "(data blind)" in panels[1]
    assert "(data blind)" not in panels[0]
    assert figure.axes[1].containers == []
    assert all(np.max(axis.get_ylim()) < 3000 for axis in figure.axes)  # not that of 9 events


def test_data_over_background(counted):
    figure = plotting.data_and_background(
        counted, "CR", data=["run2"], background=["ttbarW"], content="Events"
    )
    x, y, bars = points(figure.axes[1])
    x, y = x[np.isfinite(y)], y[np.isfinite(y)]
    # no ratio without background in the third bin, nor with -1 in the fourth, its overflow included
    assert x.tolist() == [0.5]
    assert y.tolist() == [1]
    assert np.array(bars) == pytest.approx(np.array([[2.0857 / 4, 7.1628 / 4]]), abs=1e-4)
    assert figure.axes[1].get_ylabel() == "Data / bkg."


def test_data_without_background_are_drawn_alone(counted):
    figure = plotting.score_panels(counted, ["SR"], background=[], data=["run2"])
    assert points(figure.axes[0])[1].tolist() == [9]


def test_stacks_of_negative_weights_are_drawn(counted, tmp_path):
    fill(counted, dataset="ttbarZ", region="CR", score=[0.5, 1.5, 2.5], weight=[-1, 1, -2])
    fill(counted, dataset="ttbarZ", region="SR", score=[0.5, 1.5, 2.5], weight=[-3, 1, -2])
    figure = plotting.score_panels(counted, ["CR", "SR"], background=["ttbarW", "ttbarZ"])
    plotting.save(figure, tmp_path, "negative")
    shape = plotting.shape_comparison(compare(counted, "CR", "SR", datasets=["ttbarW", "run2"]))
    plotting.save(shape, tmp_path, "shape")
    low = compare(counted, "CR", "SR", datasets="ttbarW", normalise=False)
    assert low.first.tolist() == pytest.approx([4, 2, 0, -1])
    bottom, top = plotting.shape_comparison(low).axes[0].get_ylim()
    assert bottom < -1.0 - 5.0  # its error
    assert top > 4


def test_a_stack_that_is_negative_everywhere_is_drawn(counted, tmp_path):
    fill(counted, dataset="ttbarZ", region="SR", score=[0.5], weight=-3)
    figure = plotting.score_panels(counted, ["SR"], background=["ttbarZ"])
    plotting.save(figure, tmp_path, "negative")
    bottom, top = figure.axes[0].get_ylim()
    assert 0 < bottom < top


def test_scores_of_any_number_of_regions(h):
    figure = plotting.score_panels(
        h,
        ["SR", "CR", "SR"],
        background=BACKGROUND,
        signals=SIGNALS,
        labels={"SR": r"$\geq 6$ jets", "CR": ""},
    )
    panels = [" ".join(text.get_text() for text in axis.texts) for axis in figure.axes]
    below = "outer bins: with under- and overflow"
    assert panels[1:] == ["CR", rf"SR: $\geq 6$ jets {below}"]
    limits = {axis.get_ylim() for axis in figure.axes}
    assert len(limits) == 1
    assert figure.axes[-1].get_xlabel() == "Surprise"


def test_more_signals_than_line_styles_are_all_drawn(h):
    names = [f"signal{i}" for i in range(6)]
    for name in names:
        for region in ("CR", "SR"):
            fill(h, dataset=name, region=region, score=[0.0], weight=1)
    figure = plotting.score_regions(
        h, compare(h, "SR", "CR", datasets=BACKGROUND), background=BACKGROUND, signals=names
    )
    assert all(name in texts(figure) for name in names)


def test_shape_comparison(h):
    comparison = compare(h, "SR", "CR", datasets=BACKGROUND)
    figure = plotting.shape_comparison(comparison)
    assert f"{comparison.chi2:.1f} / {comparison.ndof}" in texts(figure)
    (bars,) = figure.axes[2].patches
    assert np.asarray(bars.get_data().values) == pytest.approx(comparison.pull, nan_ok=True)
    _, ratio, _ = points(figure.axes[1])
    inside = np.isfinite(ratio)
    assert ratio[inside] == pytest.approx(comparison.ratio[inside])


@pytest.mark.parametrize("draw", [plotting.roc, plotting.sic])
def test_curves_stop_where_too_few_events_pass(draw, curves):
    figure = draw(curves, title="SR")
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    assert lines["surprise"].get_xdata().min() >= 25 / 2000
    assert lines["$H_T$"].get_xdata().min() >= 25 / 40
    # a score of whole numbers has a point for each, and no cut between them
    assert lines["$H_T$"].get_drawstyle() == "steps-post"
    assert lines["$H_T$"].get_xdata() == pytest.approx(np.arange(25, 41) / 40)
    assert lines["surprise"].get_drawstyle() == "default"
    assert "at least 25 raw background events" in texts(figure)


def test_curves_without_any_quoted_point():
    figure = plotting.roc({"ht": roc([1.0, 2.0], [0.0, 1.0])})
    assert "$H_T$" in texts(figure)


def test_training_curve_marks_the_best_epoch():
    history = [
        {"epoch": 0, "train_loss": 3.0, "validation_loss": 3.1},
        {"epoch": 1, "train_loss": 2.0, "validation_loss": 2.2},
        {"epoch": 2, "train_loss": 1.5, "validation_loss": 2.4},
    ]
    assert "best: epoch 1" in texts(plotting.training_curve(history))


def test_token_occupancy():
    figure = plotting.token_occupancy([10, 30, 0], [20, 20, 0], labels=["jet", "b-jet", "photon"])
    ratio = figure.axes[1].get_lines()[-1].get_ydata()
    assert np.asarray(ratio) == pytest.approx([2, 2 / 3, np.nan], nan_ok=True)
    assert "b-jet" in texts(figure)
    assert plotting.token_occupancy(np.ones(885), np.arange(885)).axes[1].get_xlim() == (
        -0.5,
        884.5,
    )


def test_confusion_rows_are_normalised():
    figure = plotting.confusion([[3, 1], [0, 0]], labels=["low", "high"], title="MET tokens")
    found = texts(figure)
    assert "0.75" in found
    assert "0.25" in found
    assert "MET tokens" in found
    plotting.confusion(np.eye(40))


def test_a_confusion_can_say_its_counts_and_its_quantity():
    labels = ["< 42", "42-1000"]
    figure = plotting.confusion([[3, 1], [0, 5]], labels=labels, what="MET [GeV]", show_counts=True)
    assert [one.get_text() for one in figure.axes[0].texts[:3]] == ["0.75\n3", "0.25\n1", "1.00\n5"]
    assert figure.axes[0].get_xlabel() == "Predicted MET [GeV]"
    assert [one.get_text() for one in figure.axes[0].get_xticklabels()] == labels


def test_tokens_before_after():
    events = make_events(
        counts=[2, 0],
        pt=[50, 30],
        eta=[0.1, -2],
        phi=[1, -1],
        energy=[60, 90],
        type=[0, 1],
        met=[20, 70],
        met_phi=[0, 1],
    )
    figure = plotting.tokens_before_after(events, events)
    assert len(figure.axes) == 4


def test_the_style_stays_inside(h, tmp_path, caplog):
    before = dict(mpl.rcParams)
    with caplog.at_level(logging.WARNING):
        figure = plotting.shape_comparison(compare(h, "SR", "CR"))
        paths = plotting.save(figure, tmp_path / "figures", "shape", pdf=True)
    assert dict(mpl.rcParams) == before
    assert [path.name for path in paths] == ["shape.png", "shape.pdf"]
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    assert paths[1].read_bytes().startswith(b"%PDF")
    assert not caplog.records  # matplotlib logs fonts and signs that it does not find
    first = paths[1].read_bytes()
    assert plotting.save(figure, tmp_path, "again", pdf=True)[1].read_bytes() == first
    assert [path.name for path in plotting.save(figure, tmp_path, "png")] == ["png.png"]


def test_processes_keep_their_colours():
    style = plotting.process_style(["4top", "mine", "ttbarW"], {"ttbarW": "own"})
    assert style["ttbarW"] == ("own", plotting.PROCESSES["ttbarW"][1])
    assert style["4top"] == plotting.PROCESSES["4top"]
    assert style["mine"][0] == "mine"
    colours = [to_hex(colour) for _, colour in plotting.PROCESSES.values()]
    assert len(set(colours)) == len(colours)


def lab(colour, matrix):
    """CIE Lab of a colour as eyes see it that a matrix of linear RGB stands for."""
    rgb = np.array(to_rgb(colour))
    linear = matrix @ np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    to_xyz = [[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]]
    x, y, z = np.cbrt(np.clip(to_xyz @ linear / np.array([0.9505, 1, 1.089]), 1e-3, None))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


#: Machado, Oliveira and Fernandes, doi:10.1109/TVCG.2009.113, severity 1.
EYES = {
    "all": np.eye(3),
    "protanopia": np.array(
        [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]
    ),
    "deuteranopia": np.array(
        [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]
    ),
}


@pytest.mark.parametrize("eyes", EYES)
def test_signals_differ_from_each_other_and_from_every_background(eyes):
    found = {one: lab(one, EYES[eyes]) for one in (*BACKGROUNDS, *SIGNAL_COLOURS)}
    for one in SIGNAL_COLOURS:
        others = [np.linalg.norm(found[one] - found[other]) for other in found if other != one]
        assert min(others) > 10, (one, min(others))


def test_ten_unknown_backgrounds_have_ten_colours():
    names = [f"b{i}" for i in range(10)] + ["x1", "x2"]
    style = plotting.process_style(names, {"x1": "$x_1$"}, signals=["x1", "x2"])
    assert list(style) == names
    assert len({colour for _, colour in style.values()}) == 12
    assert style["x1"] == ("$x_1$", SIGNAL_COLOURS[0])


def test_a_point_beyond_the_axis_is_an_arrow(counted):
    fill(counted, dataset="run2", region="CR", score=[1.5] * 900, weight=1)
    figure = plotting.data_and_background(counted, "CR", data=["run2"], background=["ttbarW"])
    axis = figure.axes[1]
    low, high = axis.get_ylim()
    assert (low, high) == (pytest.approx(0.6 * 0.6), 100)  # 900 / 2 is further than any axis
    _, y, _ = points(axis)
    assert y[np.isfinite(y)].tolist() == [1]
    (arrow,) = [line for line in axis.lines if line.get_marker() == "^"]
    assert arrow.get_xdata().tolist() == [1.5]
    assert [text.get_text() for text in axis.get_yticklabels() if text.get_text() == "1"]


def test_whole_numbers_have_a_bin_each():
    one = book(Regular(4, -0.5, 3.5, name="score", label="number of b-jets"), name="n_b")
    fill(one, dataset="ttbarW", region="SR", score=[0, 1, 1, 2], weight=1)
    figure = plotting.score_panels(one, ["SR"], background=["ttbarW"], content="Events")
    (axis,) = figure.axes
    assert axis.get_ylabel() == "Events"
    assert set(axis.get_xticks()) <= {-1, 0, 1, 2, 3, 4}
    assert "flow" not in texts(figure)

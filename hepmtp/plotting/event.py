"""The figure of one event: in eta and phi, and in the transverse plane.

The rule: every particle and MET is drawn once in each panel, in the same colour; the darker, the
stranger. Points grow with pt, and arrows are as long as it.
"""

from __future__ import annotations

from typing import Any

import awkward as ak
import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike

from hepmtp.errors import EventError, OptionError
from hepmtp.events.particles import CONSTITUENT_TYPES
from hepmtp.events.ragged import Floats
from hepmtp.events.record import check_fields
from hepmtp.plotting.colours import COLOURS
from hepmtp.plotting.names import PARTICLES
from hepmtp.plotting.style import UNKNOWN, Caption, StyledFigure, above, styled

#: Marker of each particle type.
MARKERS = dict(zip(CONSTITUENT_TYPES, "os^v^vD<>h.", strict=True))
MET = r"$E_T^{miss}$"
#: What particles look like whose surprise is not given.
PLAIN = COLOURS[1]
#: Arrows shorter than this share of the longest have no name: they are named in the other panel.
NAMED = 0.2
#: Texts are read on lines, too.
HALO: dict[str, Any] = {"path_effects": [withStroke(linewidth=2.5, foreground="white")]}


@styled
def event_display(
    event: ak.Record,
    surprise: ArrayLike | None = None,
    *,
    met_surprise: float | None = None,
    label: str = "Surprise",
    title: str = "",
    caption: Caption = UNKNOWN,
) -> Figure:
    """One event: particles, coloured by surprise and labelled by type, and MET as a dashed line.

    Parameters
    ----------
    event
        one of an event array: ``events[i]``.
    surprise
        how strange each particle is, shape (n_particles,), such as
        :func:`hepmtp.detectors.masked_token.why.particle_surprises` gives; all of one colour if
        not given.
    met_surprise
        the same of MET.
    label
        of the colours.
    title
        stands on the right above the panels.

    Raises
    ------
    EventError
        if it is not one event.
    OptionError
        if there is not one finite surprise for each particle.
    """
    if not isinstance(event, ak.Record):
        raise EventError(
            f"an event display shows one event, found {type(event).__name__}: take events[i]"
        )
    check_fields(event)
    particles = ak.drop_none(event.Particle)
    pt, eta, phi = (ak.to_numpy(particles[name]) for name in ("pt", "eta", "phi"))
    types = [CONSTITUENT_TYPES[kind] for kind in particles["type"]]
    signs = [(PARTICLES[one], MARKERS[one]) for one in types]
    met, met_phi = float(event.MET.pt), float(event.MET.phi)
    colours, scale = _colours(surprise, met_surprise, len(pt))

    figure = StyledFigure(figsize=(12.4, 5.6))
    plane = figure.add_axes((0.06, 0.12, 0.41, 0.78))
    circle = figure.add_axes((0.543, 0.12, 0.352, 0.78))
    for axis, left in ((plane, -0.085), (circle, -0.13)):
        axis.yaxis.set_label_coords(left, 1.0)
        axis.xaxis.set_label_coords(1.0, -0.075)
    _plane(plane, float(np.max(np.abs(eta), initial=0.0)))
    for i, (name, marker) in enumerate(signs):
        area = 40 + 560 * pt[i] / max(pt.max(), 1e-9)
        above_larger = 4 - pt[i] / max(pt.max(), 1e-9)
        how: dict[str, Any] = {"s": area, "marker": marker, "edgecolor": "black"}
        how["zorder"] = above_larger
        plane.scatter(eta[i], phi[i], color=[colours[i]], linewidth=0.8, **how)
        _beside(plane, (eta[i], phi[i]), f"{name} {pt[i]:.0f}", area)
    dashed: dict[str, Any] = {"color": colours[-1], "linestyle": "--", "linewidth": 2.2}
    plane.axhline(met_phi, zorder=2, **dashed)
    low = plane.get_xlim()[0]
    beside: dict[str, Any] = {"textcoords": "offset points", "fontsize": "small", **HALO}
    plane.annotate(f"{MET} {met:.0f}", (low, met_phi), (4, 8), **beside)

    largest = max(met, float(np.max(pt, initial=0.0)))
    _transverse(circle, largest)
    for i, (name, _) in enumerate(signs):
        named = name if pt[i] > NAMED * largest else ""
        _arrow(circle, pt[i], phi[i], named, {"color": colours[i], "linewidth": 2.2})
    _arrow(circle, met, met_phi, MET, dashed)
    if scale is not None:
        bar = figure.colorbar(scale, cax=figure.add_axes((0.915, 0.12, 0.015, 0.78)))
        bar.set_label(label)
        bar.ax.yaxis.set_label_coords(3.2, 1.0)
    above(plane, caption._replace(luminosity=None), "")
    circle.set_title(title, loc="right", fontsize="medium")
    return figure


def _colours(
    surprise: ArrayLike | None, met_surprise: float | None, n: int
) -> tuple[list[Any], ScalarMappable | None]:
    """Colour of each particle and, last, of MET, and the scale that they are taken from."""
    found = np.asarray([] if surprise is None else surprise, dtype=np.float64)
    if surprise is not None and found.shape != (n,):
        raise OptionError(
            f"surprise has shape {found.shape}, expected ({n},): one number for each particle"
        )
    values = np.append(found, [] if met_surprise is None else met_surprise)
    if not np.isfinite(values).all():
        raise OptionError(f"surprise must be finite, found {values[~np.isfinite(values)][0]}")
    scale = None
    if len(values):
        limits = min(0.0, values.min()), max(values.max(), 1e-9)
        scale = ScalarMappable(Normalize(*limits), _map())
    shades: list[Any] = [] if scale is None else list(scale.to_rgba(values))
    of_particles = [PLAIN] * n if surprise is None else shades[:n]
    return [*of_particles, "black" if met_surprise is None else shades[-1]], scale


def _map() -> Colormap:
    """From yellow to dark red, without what is too pale for a line on white."""
    shades = mpl.colormaps["YlOrRd"](np.linspace(0.22, 1, 256))
    return LinearSegmentedColormap.from_list("surprise", shades.tolist())


def _plane(axis: Axes, largest: float) -> None:
    """An empty plane of eta and phi."""
    edge = max(3.0, 1.15 * largest)
    axis.set(xlabel=r"$\eta$", ylabel=r"$\phi$", xlim=(-edge, edge), ylim=(-np.pi, np.pi))
    ticks = (r"$-\pi$", r"$-\pi/2$", "0", r"$\pi/2$", r"$\pi$")
    axis.set_yticks(np.linspace(-np.pi, np.pi, 5), ticks)


def _beside(axis: Axes, at: tuple[float, float], text: str, area: float) -> None:
    """A text beside a point of this area, on the side that has room."""
    right = at[0] < 0.55 * axis.get_xlim()[1]
    away = (3 + np.sqrt(area) / 2) * (1 if right else -1)
    how: dict[str, Any] = {"ha": "left" if right else "right", "va": "center", "zorder": 5, **HALO}
    axis.annotate(text, at, (away, 0), textcoords="offset points", fontsize="small", **how)


def _transverse(axis: Axes, largest: float) -> None:
    """An empty transverse plane, with circles of the pt that its ticks say."""
    edge = 1.25 * max(largest, 1e-9)
    axis.set(xlabel="$p_x$ [GeV]", ylabel="$p_y$ [GeV]", xlim=(-edge, edge), ylim=(-edge, edge))
    axis.set_aspect("equal")
    axis.locator_params(nbins=8)
    angle = np.linspace(0, 2 * np.pi, 200)
    for radius in axis.get_xticks():
        if 0 < radius < edge:
            line: Floats = radius * np.stack([np.cos(angle), np.sin(angle)])
            axis.plot(*line, color="0.88", linewidth=0.8, zorder=0)


def _arrow(axis: Axes, pt: float, phi: float, name: str, line: dict[str, Any]) -> None:
    """An arrow of this pt from the centre, with its name at the tip."""
    tip = np.array([np.cos(phi), np.sin(phi)])
    arrow = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, "mutation_scale": 13, **line}
    axis.annotate("", tuple(pt * tip), (0.0, 0.0), arrowprops=arrow)
    place = tuple((12 * tip).tolist())
    how: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": "small", **HALO}
    axis.annotate(name, tuple(pt * tip), place, textcoords="offset points", **how)

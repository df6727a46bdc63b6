r"""Look-up-table tokens: every particle becomes one id by the bins of its type, pt, eta and phi.

The rule: an id is a mixed-radix number of bins counted from 0,

.. math::

    \mathrm{id} = ((t \cdot n_{pt} + i_{pt}) \cdot n_{\eta} + i_{\eta}) \cdot n_{\phi} + i_{\phi},

then one id per MET bin and one per METphi bin. With 5 x 5 x 5 bins, ids 0..874 are particles,
875..879 MET and 880..884 METphi. These are the published tokens 1..885 of arXiv:2604.21035, less
one: there, 0 is padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Self

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp.errors import OptionError, fitted
from hepmtp.events import PARTICLE_TYPES, particle_types
from hepmtp.events.ragged import Floats, Ints
from hepmtp.tokenizers.binning import (
    Bins,
    angle_labels,
    bin_labels,
    fit_bins,
    flat,
    n_bins,
    phi_bin,
    phi_centre,
)
from hepmtp.tokenizers.particles_then_met import ParticleTokenizer

#: Inner quantiles of ten bins that resolve the upper tail, where new physics sits. The last bin
#: holds one value in a thousand.
TAILS = (0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.98, 0.995, 0.999)


class Table(NamedTuple):
    """Bins of a named look-up table, as LookupTokenizer takes them; 0 bins: no such token."""

    pt_bins: int | tuple[float, ...]
    eta_bins: int
    phi_bins: int
    met_bins: int | tuple[float, ...]
    met_phi_bins: int


#: The named look-up tables: without MET, with MET, and with MET and METphi tokens; bins as
#: published, finer, and of the tails. The last one knows no azimuth. How an event is turned means
#: nothing, and the balance of momenta holds for any event: a model that uses it is surprised by the
#: wrong things (measured: docs/studies.md).
PRESETS: dict[str, Table] = {
    #                     pt  eta phi  MET METphi
    "particles":   Table(   5,  5,  5,     0,  0),
    "met3":        Table(   5,  5,  5,     3,  0),
    "met5":        Table(   5,  5,  5,     5,  0),
    "met10":       Table(   5,  5,  5,    10,  0),
    "visive2025":  Table(   5,  5,  5,     5,  5),  # arXiv:2604.21035
    "met10_phi10": Table(   5,  5,  5,    10, 10),
    "fine":        Table(  10, 10, 10,    10, 10),
    "tails":       Table(TAILS, 5,  5, TAILS,  5),
    "no_azimuth":  Table(TAILS, 5,  0, TAILS,  0),
}  # fmt: skip


@dataclass(eq=False)
class LookupTokenizer(ParticleTokenizer):
    """Tokens from bins of type, pt, abs(eta), phi, MET and METphi.

    pt, abs(eta) and MET bins hold equal shares of the training background (or the given quantiles);
    phi bins have equal width. The outer bins are open.

    Parameters
    ----------
    pt_bins, eta_bins, met_bins
        number of equal-population bins, or the inner quantiles in (0, 1) themselves. For example,
        ``(0.5, 0.9, 0.99)`` resolves a tail. ``met_bins=0`` leaves the MET token out.
    phi_bins, met_phi_bins
        number of bins of width 2 pi / n. ``phi_bins=0`` leaves phi out of the particles' ids,
        ``met_phi_bins=0`` leaves the METphi token out.
    abs_eta
        bin abs(eta), as published, or eta.
    types
        order of the particle types in the id. It is saved: published codes disagree on the leptons.

    Attributes
    ----------
    bins_
        fitted bins of "pt" [GeV] and "eta"; `decode` gives back their ``centres``.
    met_
        fitted bins of MET [GeV].

    Examples
    --------
    >>> LookupTokenizer().vocab_size, LookupTokenizer(met_bins=0, met_phi_bins=0).vocab_size
    (885, 875)
    """

    met_arrays: ClassVar = ("edges.MET", "centres.MET")

    pt_bins: int | Sequence[float] = 5
    eta_bins: int | Sequence[float] = 5
    phi_bins: int = 5
    met_bins: int | Sequence[float] = 5
    met_phi_bins: int = 5
    abs_eta: bool = True
    types: tuple[str, ...] = PARTICLE_TYPES
    bins_: dict[str, Bins] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.types = tuple(self.types)
        if sorted(self.types) != sorted(PARTICLE_TYPES):
            raise OptionError(f"types must be an order of {PARTICLE_TYPES}, found {self.types}")

    @classmethod
    def preset(cls, name: str) -> Self:
        """One of the named look-up tables, `PRESETS`, not fitted yet.

        Examples
        --------
        >>> LookupTokenizer.preset("tails").factors
        (('type', 7), ('pt', 10), ('eta', 5), ('phi', 5), ('MET', 10), ('METphi', 5))
        """
        if name not in PRESETS:
            raise OptionError(
                f"there is no look-up table named {name!r}; there are {', '.join(PRESETS)}"
            )
        return cls(*PRESETS[name])

    @property
    def particle_factors(self) -> tuple[tuple[str, int], ...]:
        """Type, pt, eta and, if it is asked for, phi."""
        sizes = {
            "type": len(self.types),
            "pt": n_bins(self.pt_bins),
            "eta": n_bins(self.eta_bins),
            "phi": self.phi_bins,
        }
        return tuple((name, size) for name, size in sizes.items() if size)

    def labels(self, factor: str) -> list[str]:
        """What each digit of a factor is: a type, or a range of pt or MET [GeV], eta, an angle.

        Raises TokenError and NotFittedError as that of every tokenizer of particles.
        """
        if factor == "type":
            return list(self.types)
        if factor in ("pt", "eta"):
            return bin_labels(fitted(self.bins_, self)[factor].edges)
        if factor == "phi" and self.phi_bins:
            return angle_labels(self.phi_bins)
        return super().labels(factor)

    def fit(self, events: ak.Array) -> Self:
        """Set the bin edges to quantiles of background training events, shape (n_events,).

        Raises TrainingError and EventError as the fit of every tokenizer of particles.
        """
        super().fit(events)
        self.bins_ = {
            "pt": fit_bins("pt", flat(events, "pt"), self.pt_bins),
            "eta": fit_bins("eta", self._eta(events), self.eta_bins),
        }
        return self

    def _particle_ids(self, events: ak.Array) -> Ints:
        bins, sizes = fitted(self.bins_, self), dict(self.particle_factors)
        place = np.argsort([PARTICLE_TYPES.index(name) for name in self.types])
        ids = place[particle_types(events)]
        ids = ids * sizes["pt"] + np.digitize(flat(events, "pt"), bins["pt"].edges)
        ids = ids * sizes["eta"] + np.digitize(self._eta(events), bins["eta"].edges)
        if self.phi_bins:
            ids = ids * self.phi_bins + phi_bin(flat(events, "phi"), self.phi_bins)
        return np.asarray(ids)

    def _particles(self, ids: Ints, counts: Ints) -> dict[str, NDArray[Any]]:  # noqa: ARG002
        """Massless particles at the bin centres."""
        bins = fitted(self.bins_, self)
        kind, pt_bin, eta_bin, *phi_bins = self.particle_digits[ids].T
        pt, eta = bins["pt"].centres[pt_bin], bins["eta"].centres[eta_bin]
        return {
            "pt": pt,
            "eta": eta,
            "phi": phi_centre(phi_bins[0], self.phi_bins) if phi_bins else np.zeros(len(ids)),
            "energy": pt * np.cosh(eta),
            "type": np.array([PARTICLE_TYPES.index(name) for name in self.types])[kind],
        }

    def _arrays(self) -> dict[str, NDArray[Any]]:
        bins = fitted(self.bins_, self)
        edges = {f"edges.{name}": one.edges for name, one in bins.items()}
        return edges | {f"centres.{name}": one.centres for name, one in bins.items()}

    def _restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        self.bins_ = {
            name: Bins(arrays[f"edges.{name}"], arrays[f"centres.{name}"]) for name in ("pt", "eta")
        }

    def _eta(self, events: ak.Array) -> Floats:
        eta = flat(events, "eta")
        return np.abs(eta) if self.abs_eta else eta

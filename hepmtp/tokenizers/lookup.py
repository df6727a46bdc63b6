r"""Look-up-table tokens: every particle becomes one id by the bins of its type, pt, eta and phi.

The rule: an id is a mixed-radix number of bins counted from 0,

.. math:: \mathrm{id} = ((t \cdot n_{pt} + i_{pt}) \cdot n_{\eta} + i_{\eta}) \cdot n_{\phi} + i_{\phi},

then one id per MET bin and one per METphi bin. With 5 x 5 x 5 bins, ids 0..874 are particles, 875..879 MET and
880..884 METphi: the published tokens 1..885 of arXiv:2604.21035, less one (there, 0 is padding; here is none).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp import storage
from hepmtp.errors import NotFittedError, TokenError
from hepmtp.events.observables import particle_types
from hepmtp.events.particles import PARTICLE_TYPES
from hepmtp.events.record import make_events
from hepmtp.events.split import check_background
from hepmtp.events.tokens import TokenBatch
from hepmtp.tokenizers.binning import (
    Bins,
    behind_particles,
    check_bins,
    check_ids,
    digit_table,
    fit_bins,
    flat,
    met_ids,
    met_values,
    n_bins,
    phi_bin,
    phi_centre,
)

#: Inner quantiles of ten bins that resolve the upper tail, where new physics sits: the last bin holds one value in a thousand.
TAILS = (0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.98, 0.995, 0.999)


class Table(NamedTuple):
    """Bins of one named look-up table, in the order of LookupTokenizer's parameters; 0 bins: no such token."""

    pt_bins: int | tuple[float, ...]
    eta_bins: int
    phi_bins: int
    met_bins: int | tuple[float, ...]
    met_phi_bins: int


#: The named look-up tables: without MET, with MET, and with MET and METphi tokens; bins as published, finer, and of the tails. The
#: last one knows no azimuth: how an event is turned means nothing, and what the balance of momenta predicts holds for any event, so
#: that a model which uses it is surprised by the wrong things (measured: docs/studies.md).
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
class LookupTokenizer:
    """Tokens from bins of type, pt, abs(eta), phi, MET and METphi.

    pt, abs(eta) and MET bins hold equal shares of the training background (or the given quantiles); phi bins have
    equal width. Nothing is clipped away: the outer bins are open.

    Parameters
    ----------
    pt_bins, eta_bins, met_bins
        number of equal-population bins, or the inner quantiles in (0, 1) themselves, e.g. ``(0.5, 0.9, 0.99)`` for
        bins that resolve a tail. ``met_bins=0`` leaves the MET token out.
    phi_bins, met_phi_bins
        number of bins of width 2 pi / n. ``phi_bins=0`` leaves phi out of the particles' ids, ``met_phi_bins=0`` leaves the METphi
        token out.
    abs_eta
        bin abs(eta), as published, or eta.
    types
        order of the particle types in the id: published codes disagree on the leptons, so it is saved.

    Attributes
    ----------
    edges_
        inner bin edges of pt [GeV], eta and MET [GeV].
    centres_
        median training value in each of those bins: what `decode` gives back.

    Examples
    --------
    >>> LookupTokenizer().vocab_size, LookupTokenizer(met_bins=0, met_phi_bins=0).vocab_size
    (885, 875)
    """

    pt_bins: int | Sequence[float] = 5
    eta_bins: int | Sequence[float] = 5
    phi_bins: int = 5
    met_bins: int | Sequence[float] = 5
    met_phi_bins: int = 5
    abs_eta: bool = True
    types: tuple[str, ...] = PARTICLE_TYPES
    edges_: dict[str, NDArray[np.float64]] = field(default_factory=dict, init=False, repr=False)
    centres_: dict[str, NDArray[np.float64]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self.types = tuple(self.types)
        if sorted(self.types) != sorted(PARTICLE_TYPES):
            raise TokenError(f"types must be an order of {PARTICLE_TYPES}, found {self.types}")
        for name in ("pt_bins", "eta_bins", "met_bins", "phi_bins", "met_phi_bins"):
            setattr(self, name, check_bins(name, getattr(self, name)))

    @classmethod
    def preset(cls, name: str) -> Self:
        """One of the named look-up tables, `PRESETS`, not fitted yet.

        Examples
        --------
        >>> LookupTokenizer.preset("tails").factors
        (('type', 7), ('pt', 10), ('eta', 5), ('phi', 5), ('MET', 10), ('METphi', 5))
        """
        if name not in PRESETS:
            raise TokenError(
                f"there is no look-up table named {name!r}; there are {', '.join(PRESETS)}"
            )
        return cls(*PRESETS[name])

    @property
    def factors(self) -> tuple[tuple[str, int], ...]:
        """Names and sizes of an id's digits; phi, MET and METphi only if they are asked for."""
        sizes = {
            "type": len(self.types),
            "pt": n_bins(self.pt_bins),
            "eta": n_bins(self.eta_bins),
            "phi": self.phi_bins,
            "MET": n_bins(self.met_bins),
            "METphi": self.met_phi_bins,
        }
        return tuple((name, size) for name, size in sizes.items() if size)

    @property
    def vocab_size(self) -> int:
        """Number of ids."""
        return len(self.digits)

    @property
    def digits(self) -> NDArray[np.int64]:
        """Digit of each id for each factor, -1 where it has none, shape (vocab_size, n_factors)."""
        sizes = dict(self.factors)
        particle = [sizes[name] for name in ("type", "pt", "eta", "phi") if name in sizes]
        missing = [np.arange(sizes[name])[:, None] for name in ("MET", "METphi") if name in sizes]
        return digit_table(np.indices(particle).reshape(len(particle), -1).T, *missing)

    def fit(self, events: ak.Array) -> Self:
        """Set the bin edges to the quantiles of background training events, shape (n_events,).

        Raises
        ------
        TrainingError
            if the events are not background, or too few to fill the bins.
        EventError
            if there are particles of other types, as in jets' constituents; `encode` refuses them too.
        """
        check_background(events)
        particle_types(events)
        samples = {
            "pt": (flat(events, "pt"), self.pt_bins),
            "eta": (self._eta(events), self.eta_bins),
        }
        if n_bins(self.met_bins):
            samples["MET"] = (ak.to_numpy(events.MET.pt), self.met_bins)
        fitted = {name: fit_bins(name, values, bins) for name, (values, bins) in samples.items()}
        self.edges_ = {name: bins.edges for name, bins in fitted.items()}
        self.centres_ = {name: bins.centres for name, bins in fitted.items()}
        return self

    def encode(self, events: ak.Array) -> TokenBatch:
        """Tokens of each event: its particles in their order, then MET, then METphi."""
        self._check_fitted()
        sizes = dict(self.factors)
        place = np.argsort([PARTICLE_TYPES.index(name) for name in self.types])
        ids = place[particle_types(events)]
        ids = ids * sizes["pt"] + np.digitize(flat(events, "pt"), self.edges_["pt"])
        ids = ids * sizes["eta"] + np.digitize(self._eta(events), self.edges_["eta"])
        if "phi" in sizes:
            ids = ids * sizes["phi"] + phi_bin(flat(events, "phi"), self.phi_bins)
        first = sizes["type"] * sizes["pt"] * sizes["eta"] * sizes.get("phi", 1)
        missing = met_ids(events, first, self._met, self.met_phi_bins)
        return behind_particles(ids, ak.to_numpy(ak.num(events.Particle)), missing)

    def decode(self, tokens: TokenBatch) -> ak.Array:
        """Events at the bin centres (massless particles, weight 1); encoding them gives the same ids.

        Raises
        ------
        TokenError
            if an id is outside the vocabulary or an event does not hold one MET and one METphi token where there are any.
        """
        self._check_fitted()
        check_ids(tokens, self.vocab_size)
        column = {name: i for i, (name, _) in enumerate(self.factors)}
        digits = self.digits[tokens.values]
        particle = digits[:, column["type"]] >= 0
        kinds, pt_bin, eta_bin = digits[particle, :3].T
        phi = np.zeros(len(kinds))
        if "phi" in column:
            phi = phi_centre(digits[particle, column["phi"]], self.phi_bins)
        pt, eta = self.centres_["pt"][pt_bin], self.centres_["eta"][eta_bin]
        of = {name: digits[:, i] for name, i in column.items()}
        met, met_phi = met_values(tokens, of, self._met, self.met_phi_bins)
        return make_events(
            counts=np.bincount(tokens.owner[particle], minlength=len(tokens)),
            pt=pt,
            eta=eta,
            phi=phi,
            energy=pt * np.cosh(eta),
            type=np.array([PARTICLE_TYPES.index(name) for name in self.types])[kinds],
            met=met,
            met_phi=met_phi,
        )

    def save(self, path: str | Path) -> None:
        """Write options, edges and centres to a folder."""
        self._check_fitted()
        options = {key: value for key, value in asdict(self).items() if not key.endswith("_")}
        arrays = {f"edges.{name}": values for name, values in self.edges_.items()}
        arrays |= {f"centres.{name}": values for name, values in self.centres_.items()}
        with storage.new_folder(path) as folder:
            storage.write(folder, storage.kind_of(self), {"options": options}, arrays)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote."""
        meta, arrays = storage.read(path, storage.kind_of(cls))
        tokenizer = cls(**meta["options"])
        for name, values in arrays.items():
            kind, variable = name.split(".")
            (tokenizer.edges_ if kind == "edges" else tokenizer.centres_)[variable] = values
        return tokenizer

    @property
    def _met(self) -> Bins | None:
        return Bins(self.edges_["MET"], self.centres_["MET"]) if "MET" in self.edges_ else None

    def _eta(self, events: ak.Array) -> NDArray[Any]:
        eta = flat(events, "eta")
        return np.abs(eta) if self.abs_eta else eta

    def _check_fitted(self) -> None:
        if not self.edges_:
            raise NotFittedError(
                "this LookupTokenizer has no bin edges yet: call fit(background events) first"
            )

r"""Look-up-table tokens: every particle becomes one id by the bins of its type, pt, eta and phi.

The rule: an id is a mixed-radix number of bins counted from 0,

.. math:: \mathrm{id} = ((t \cdot n_{pt} + i_{pt}) \cdot n_{\eta} + i_{\eta}) \cdot n_{\phi} + i_{\phi},

then one id per MET bin and one per METphi bin. With 5 x 5 x 5 bins, ids 0..874 are particles, 875..879 MET and
880..884 METphi: the published tokens 1..885 of arXiv:2604.21035, less one (there, 0 is padding; here is none).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp import storage
from hepmtp.errors import NotFittedError, TokenError, TrainingError
from hepmtp.events import PARTICLE_TYPES, make_events
from hepmtp.split import check_background
from hepmtp.tokens import TokenBatch


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
        number of bins of width 2 pi / n. ``met_phi_bins=0`` leaves the METphi token out.
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
            bins = getattr(self, name)
            if isinstance(bins, int):
                least = 0 if name.startswith("met") else 1
                if bins < least:
                    raise TokenError(f"{name} must be {least} or more, found {bins}")
                continue
            if name.endswith("phi_bins"):
                raise TokenError(f"{name} must be a number of bins, found {bins!r}")
            inner = tuple(float(quantile) for quantile in bins)
            if not all(low < high for low, high in pairwise((0.0, *inner, 1.0))):
                raise TokenError(f"{name} must be a number of bins or rising quantiles in (0, 1), found {bins!r}")
            setattr(self, name, inner)

    @property
    def factors(self) -> tuple[tuple[str, int], ...]:
        """Names and sizes of an id's digits; MET and METphi only if there are such tokens."""
        sizes = {
            "type": len(self.types),
            "pt": _size(self.pt_bins),
            "eta": _size(self.eta_bins),
            "phi": self.phi_bins,
            "MET": _size(self.met_bins),
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
        particle = [sizes[name] for name in ("type", "pt", "eta", "phi")]
        tables = [np.indices(particle).reshape(4, -1).T]
        tables += [np.arange(sizes[name])[:, None] for name in ("MET", "METphi") if name in sizes]
        digits = np.full((sum(map(len, tables)), len(sizes)), -1, dtype=np.int64)
        row = column = 0
        for table in tables:
            digits[row : row + len(table), column : column + table.shape[1]] = table
            row, column = row + len(table), column + table.shape[1]
        return digits

    def fit(self, events: ak.Array) -> Self:
        """Set the bin edges to the quantiles of background training events, shape (n_events,).

        Raises
        ------
        TrainingError
            if the events are not background, or too few to fill the bins.
        """
        check_background(events)
        samples = {"pt": (_flat(events, "pt"), self.pt_bins), "eta": (self._eta(events), self.eta_bins)}
        if _size(self.met_bins):
            samples["MET"] = (ak.to_numpy(events.MET.pt), self.met_bins)
        edges, centres = {}, {}
        for name, (values, bins) in samples.items():
            inner = _quantiles(bins)
            if len(values) <= len(inner):
                raise TrainingError(
                    f"{len(values)} values of {name} cannot fill {len(inner) + 1} bins: give more events"
                )
            edges[name] = np.quantile(values, inner)
            index = np.digitize(values, edges[name])
            if (np.bincount(index, minlength=len(inner) + 1) == 0).any():
                raise TrainingError(f"a bin of {name} is empty: too many equal values for {len(inner) + 1} bins")
            centres[name] = np.array([np.median(values[index == i]) for i in range(len(inner) + 1)])
        self.edges_, self.centres_ = edges, centres
        return self

    def encode(self, events: ak.Array) -> TokenBatch:
        """Tokens of each event: its particles in their order, then MET, then METphi."""
        self._check_fitted()
        sizes = dict(self.factors)
        place = np.argsort([PARTICLE_TYPES.index(name) for name in self.types])
        ids = place[_flat(events, "type").astype(np.int64)]
        for name, digit in (
            ("pt", np.digitize(_flat(events, "pt"), self.edges_["pt"])),
            ("eta", np.digitize(self._eta(events), self.edges_["eta"])),
            ("phi", _phi_bin(_flat(events, "phi"), self.phi_bins)),
        ):
            ids = ids * sizes[name] + digit
        extra = []  # one token per event each, behind the particles
        first = sizes["type"] * sizes["pt"] * sizes["eta"] * sizes["phi"]
        if "MET" in sizes:
            extra.append(first + np.digitize(ak.to_numpy(events.MET.pt), self.edges_["MET"]))
            first += sizes["MET"]
        if "METphi" in sizes:
            extra.append(first + _phi_bin(ak.to_numpy(events.MET.phi), self.met_phi_bins))
        counts = ak.to_numpy(ak.num(events.Particle))
        ends = np.cumsum(counts)
        values = np.insert(ids, np.repeat(ends, len(extra)), np.stack(extra, axis=1).ravel()) if extra else ids
        return TokenBatch.from_counts(values, counts + len(extra))

    def decode(self, tokens: TokenBatch) -> ak.Array:
        """Events at the bin centres (massless particles, weight 1); encoding them gives the same ids.

        Raises
        ------
        TokenError
            if an id is outside the vocabulary or an event does not hold one MET and one METphi token where there are any.
        """
        self._check_fitted()
        if len(tokens.values) and not 0 <= tokens.values.min() <= tokens.values.max() < self.vocab_size:
            raise TokenError(
                f"ids must lie in 0..{self.vocab_size - 1}, found {tokens.values.min()}..{tokens.values.max()}"
            )
        column = {name: i for i, (name, _) in enumerate(self.factors)}
        digits = self.digits[tokens.values]
        particle = digits[:, column["type"]] >= 0
        kinds, pt_bin, eta_bin, phi_bin = digits[particle, :4].T
        pt, eta = self.centres_["pt"][pt_bin], self.centres_["eta"][eta_bin]
        missing = {}
        for name in ("MET", "METphi"):
            missing[name] = np.zeros(len(tokens), dtype=np.int64)
            if name in column:
                is_it = digits[:, column[name]] >= 0
                if not np.array_equal(tokens.owner[is_it], np.arange(len(tokens))):
                    raise TokenError(f"every event must hold exactly one {name} token to be decoded")
                missing[name] = digits[is_it, column[name]]
        return make_events(
            counts=np.bincount(tokens.owner[particle], minlength=len(tokens)),
            pt=pt,
            eta=eta,
            phi=_phi_centre(phi_bin, self.phi_bins),
            energy=pt * np.cosh(eta),
            type=np.array([PARTICLE_TYPES.index(name) for name in self.types])[kinds],
            met=self.centres_["MET"][missing["MET"]] if "MET" in column else np.zeros(len(tokens)),
            met_phi=_phi_centre(missing["METphi"], self.met_phi_bins) if "METphi" in column else np.zeros(len(tokens)),
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

    def _eta(self, events: ak.Array) -> NDArray[Any]:
        eta = _flat(events, "eta")
        return np.abs(eta) if self.abs_eta else eta

    def _check_fitted(self) -> None:
        if not self.edges_:
            raise NotFittedError("this LookupTokenizer has no bin edges yet: call fit(background events) first")


def _flat(events: ak.Array, name: str) -> NDArray[Any]:
    return np.asarray(ak.to_numpy(ak.flatten(events.Particle[name])))


def _quantiles(bins: int | Sequence[float]) -> NDArray[np.float64]:
    """Inner quantiles of the bins, shape (n_bins - 1,)."""
    if isinstance(bins, int):
        return np.arange(1, bins) / max(bins, 1)
    return np.asarray(bins, dtype=np.float64)


def _size(bins: int | Sequence[float]) -> int:
    return bins if isinstance(bins, int) else len(bins) + 1


def _phi_bin(phi: NDArray[Any], n: int) -> NDArray[np.int64]:
    # phi rounded to just beyond +-pi wraps around; +pi itself belongs to the last bin
    index = np.ceil((phi + np.pi) * (n / (2 * np.pi))).astype(np.int64) - 1
    return np.asarray(index % n)


def _phi_centre(index: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    return np.asarray((index + 0.5) * (2 * np.pi / n) - np.pi)

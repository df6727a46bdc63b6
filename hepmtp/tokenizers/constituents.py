"""Jets' constituents as tokens: bins of log pt and of eta and phi around the jet's axis.

The rule: constituents come by falling pt, one token each, however many there are. Edges are fitted
on background training jets once, and used for every other sample. Values beyond the first and the
last edge have bins of their own, so that every constituent has an id.

The default is that of Finke, Kraemer, Mueck and Toenshoff (arXiv:2303.07364). Log pt has
40 edges, equally spaced from the 0.001 quantile to the maximum; eta and phi have 30 on [-0.8, 0.8].
"""

from __future__ import annotations

import hashlib
import inspect
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, get_args

import awkward as ak
import numpy as np

from hepmtp import storage
from hepmtp.errors import OptionError, StorageError, TokenError, TrainingError, fitted
from hepmtp.events import make_events
from hepmtp.events.constituents import Angle, Constituents, constituents
from hepmtp.events.particles import CONSTITUENT_TYPES, UNSPECIFIED
from hepmtp.events.ragged import Bools, Floats, Ints, owner, wrap_phi
from hepmtp.events.record import behavior
from hepmtp.events.split import check_background
from hepmtp.events.tokens import TokenBatch

Spacing = Literal["equal_width", "equal_population"]

#: Share of the constituents below the first edge of log pt.
LOWEST = 0.001


@dataclass(eq=False)
class ConstituentTokenizer:
    """One token for each constituent of a jet.

    Parameters
    ----------
    pt_edges, eta_edges, phi_edges
        numbers of edges, each 2 or more; there is one bin more than edges.
    reach
        eta and phi have their edges between minus this and this.
    angle
        what "eta" is of constituent and jet. Jets are clustered in rapidity, so that few
        constituents lie beyond the reach in it; published tokens are of pseudorapidity.
    spacing
        "equal_width": edges as published; "equal_population": at quantiles of the training jets.

    Attributes
    ----------
    edges_
        rising edges of log pt, eta and phi, the two ends of the training range included, so that
        each has one number more than there are bins.

    Examples
    --------
    >>> ConstituentTokenizer().vocab_size, ConstituentTokenizer().factors
    (39401, (('pt', 41), ('eta', 31), ('phi', 31)))
    """

    pt_edges: int = 40
    eta_edges: int = 30
    phi_edges: int = 30
    reach: float = 0.8
    angle: Angle = "pseudorapidity"
    spacing: Spacing = "equal_width"
    edges_: tuple[Floats, ...] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if min(self.pt_edges, self.eta_edges, self.phi_edges) < 2 or not self.reach > 0:
            raise OptionError(f"edges must be 2 or more and reach above 0, found {self}")
        if self.angle not in get_args(Angle) or self.spacing not in get_args(Spacing):
            raise OptionError(
                f"angle is one of {', '.join(get_args(Angle))} and spacing one of "
                f"{', '.join(get_args(Spacing))}, found {self}"
            )

    @property
    def factors(self) -> tuple[tuple[str, int], ...]:
        """Names and sizes of an id's digits."""
        edges = (self.pt_edges, self.eta_edges, self.phi_edges)
        return tuple((name, n + 1) for name, n in zip(("pt", "eta", "phi"), edges, strict=True))

    @property
    def vocab_size(self) -> int:
        """Number of ids."""
        return int(np.prod([size for _, size in self.factors]))

    @property
    def digits(self) -> Ints:
        """Bin of pt, of eta and of phi of each id; the last changes fastest, (vocab_size, 3)."""
        return np.indices([size for _, size in self.factors]).reshape(3, -1).T.astype(np.int64)

    @property
    def supervised(self) -> bool:
        """Whether signal is used in the training: never."""
        return False

    @property
    def centres(self) -> tuple[Floats, ...]:
        """Middle of each bin of log pt, eta and phi, shapes (41,), (31,), (31,) by default."""
        return tuple((one[1:] + one[:-1]) / 2 for one in fitted(self.edges_, self))

    @property
    def mirrors(self) -> Ints:
        """Ids of each id as it is, and reflected in eta, in phi and in both, (4, vocab_size).

        Where bins of eta or phi are not symmetric, (1, vocab_size): as it is alone.
        """
        sizes = [size for _, size in self.factors]
        ids = np.arange(self.vocab_size).reshape(sizes)
        inner = [one[1:-1] for one in fitted(self.edges_, self)[1:]]
        if not all(np.allclose(one, -one[::-1]) for one in inner):
            return ids.reshape(1, -1)
        images = (ids, ids[:, ::-1], ids[:, :, ::-1], ids[:, ::-1, ::-1])
        return np.stack([one.ravel() for one in images])

    @property
    def identity(self) -> str:
        """The sha256 of options and edges; equal for tokenizers that give the same ids."""
        found = hashlib.sha256(repr(self._options()).encode())
        for edges in fitted(self.edges_, self):
            found.update(edges.tobytes())
        return found.hexdigest()

    def fit(self, events: ak.Array) -> Self:
        """Fit the edges on background training jets, shape (n_jets,).

        Raises
        ------
        TrainingError
            if the jets are not background, or have fewer constituents than there are bins.
        """
        check_background(events)
        *values, counts = self.constituents(events)
        if len(values[0]) <= max(size for _, size in self.factors):
            raise TrainingError(
                f"{len(counts)} jets with {len(values[0])} constituents are too few for "
                f"{self.factors[0][1]} bins of pt: give more jets, or fewer edges"
            )
        numbers = (self.pt_edges, self.eta_edges, self.phi_edges)
        inner = [self._edges(i, *one) for i, one in enumerate(zip(values, numbers, strict=True))]
        self.edges_ = tuple(
            _with_ends(edges, one) for edges, one in zip(inner, values, strict=True)
        )
        return self

    def constituents(self, events: ak.Array) -> Constituents:
        """What the bins are of (:func:`hepmtp.events.constituents.constituents`)."""
        return constituents(events, angle=self.angle)

    def encode(self, events: ak.Array) -> TokenBatch:
        """Tokens of each jet, by falling pt."""
        edges = fitted(self.edges_, self)
        *values, counts = self.constituents(events)
        ids = np.zeros(len(values[0]), dtype=np.int64)
        for (_, size), some, one in zip(self.factors, values, edges, strict=True):
            ids = ids * size + _bins(some, one[1:-1])
        return TokenBatch.from_counts(ids, counts)

    def outside(self, events: ak.Array) -> Bools:
        """Jets with a constituent beyond the training range, where no density is known."""
        edges = fitted(self.edges_, self)
        *values, counts = self.constituents(events)
        beyond = np.zeros(len(values[0]), dtype=bool)
        for some, one in zip(values, edges, strict=True):
            beyond |= (some < one[0]) | (some > one[-1])
        return np.bincount(owner(counts)[beyond], minlength=len(counts)) > 0

    def log_volumes(self, tokens: TokenBatch) -> Floats:
        """Logarithm of each token's volume in log pt, eta and phi, shape (n_tokens,)."""
        widths = [np.log(np.diff(one)) for one in fitted(self.edges_, self)]
        parts = [one[part] for one, part in zip(widths, self._digits_of(tokens), strict=True)]
        return np.asarray(np.sum(parts, axis=0))

    def decode(self, tokens: TokenBatch, *, rng: np.random.Generator | None = None) -> ak.Array:
        """Jets of massless constituents without type, and with ``Jet``: the axis, at eta = phi = 0.

        Parameters
        ----------
        rng
            spreads constituents uniformly in their bins; without it they stand in the middle.
            Either way the jets encode to the same ids.

        Raises
        ------
        TokenError
            if an id is outside the vocabulary.
        """
        edges, n = fitted(self.edges_, self), len(tokens.values)
        place = np.full((3, n), 0.5) if rng is None else rng.random((3, n))
        log_pt, eta, phi = (
            one[part] + share * np.diff(one)[part]
            for one, part, share in zip(edges, self._digits_of(tokens), place, strict=True)
        )
        # neighbours in one bin of pt come by falling pt, too
        same = np.stack([tokens.owner, self._digits_of(tokens)[0]])
        run = np.cumsum(np.any(np.diff(same, axis=1, prepend=same[:, :1]) != 0, axis=0))
        log_pt = log_pt[np.lexsort((-log_pt, run))]
        pt = np.exp(log_pt)
        energy = pt * np.cosh(eta)
        events = make_events(
            counts=tokens.counts,
            pt=pt,
            eta=eta,
            phi=np.asarray(wrap_phi(phi)),
            energy=energy,
            type=np.full(n, UNSPECIFIED),
            met=np.zeros(len(tokens)),
            met_phi=np.zeros(len(tokens)),
            types=CONSTITUENT_TYPES,
        )
        px, py, total = (_sums(one, tokens.counts) for one in (
            pt * np.cos(phi), pt * np.sin(phi), energy,
        ))  # fmt: skip
        at_0 = np.zeros(len(tokens))
        jet = {"pt": np.hypot(px, py), "eta": at_0, "phi": at_0, "energy": total}
        return ak.with_field(events, ak.zip(jet, with_name="Momentum4D", behavior=behavior), "Jet")

    def save(self, path: str | Path) -> None:
        """Write options and edges to a folder."""
        names = [name for name, _ in self.factors]
        arrays = dict(zip(names, fitted(self.edges_, self), strict=True))
        with storage.new_folder(path) as folder:
            meta = {"options": self._options(), "identity": self.identity}
            storage.write(folder, storage.kind_of(self), meta, arrays)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote; a damaged folder or one of another kind raises StorageError."""
        meta, arrays = storage.read(path, storage.kind_of(cls))
        try:
            tokenizer = cls(**meta["options"])
            tokenizer.edges_ = tuple(arrays[name] for name, _ in tokenizer.factors)
        except (KeyError, TypeError) as error:
            raise StorageError(
                f"{path}: what was saved does not fit the options ({error}); save it again"
            ) from None
        return tokenizer

    def _options(self) -> dict[str, Any]:
        """What the constructor takes, as plain data."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def _digits_of(self, tokens: TokenBatch) -> tuple[Ints, ...]:
        """Bins of pt, eta and phi of each token."""
        ids = tokens.values
        if len(ids) and not 0 <= ids.min() <= ids.max() < self.vocab_size:
            raise TokenError(
                f"ids must lie in 0..{self.vocab_size - 1}, found {ids.min()}..{ids.max()}"
            )
        return np.unravel_index(ids, [size for _, size in self.factors])

    def _edges(self, factor: int, values: Floats, n: int) -> Floats:
        """The edges between bins, shape (n,)."""
        if self.spacing == "equal_population":
            edges = np.quantile(values, np.arange(1, n + 1) / (n + 1))
        elif factor == 0:
            edges = np.linspace(np.quantile(values, LOWEST), values.max(), n)
        else:
            edges = np.linspace(-self.reach, self.reach, n)
        if not (np.diff(edges) > 0).all():
            raise TrainingError(
                f"edges of {self.factors[factor][0]} coincide: too many equal values for {n} edges"
            )
        return np.asarray(edges)


def _bins(values: Floats, edges: Floats) -> Ints:
    """As `numpy.digitize`; of edges of equal width, in a third of the time."""
    n, width = len(edges), (edges[-1] - edges[0]) / (len(edges) - 1)
    if np.abs(edges - np.linspace(edges[0], edges[-1], n)).max() > width / 4:
        return np.asarray(np.digitize(values, edges))
    # a NaN is behind all edges
    found: Ints = np.fmax(np.fmin((values - edges[0]) / width + 1, n), 0).astype(np.int64)
    # rounding may be wrong by one bin; nothing is at or above a NaN
    found += values >= np.append(edges, np.nan)[found]
    found -= values < np.insert(edges, 0, -np.inf)[found]
    return found


def _sums(values: Floats, counts: Ints) -> Floats:
    return np.bincount(owner(counts), values, minlength=len(counts)).astype(np.float64)


def _with_ends(edges: Floats, values: Floats) -> Floats:
    """The edges with the ends of the training range, at least one bin beyond them."""
    low = min(float(values.min()), float(2 * edges[0] - edges[1]))
    high = max(float(values.max()), float(2 * edges[-1] - edges[-2]))
    return np.concatenate([[low], edges, [high]])

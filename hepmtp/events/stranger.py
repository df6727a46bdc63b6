"""Background made stranger: events in which there is more of something than there was.

The rule: an operation adds (jets, b-jets, momentum, MET), with a strength that is drawn event by
event, and takes no particle away. MET is added as a vector, so now and then there is less of it.
What passed cuts from below on particles passes them still. Leptons stay: they are what events are
selected by, and those of two events together are odd in a way that no signal is. No signal is used:
the events are synthetic ones, to train a classifier on and to choose between scores by (the idea of
*outlier exposure*, arXiv:1812.04606).

The balance of transverse momenta is not kept: use them with numbers that do not tell it, such as
counts, pt and masses. :mod:`hepmtp.events.distortions` keeps it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import awkward as ak
import numpy as np

from hepmtp.errors import OptionError
from hepmtp.events.flat import (
    FlatParticles,
    changed,
    each_by_one,
    met_of,
    particles_of,
    with_met,
    with_particles,
)
from hepmtp.events.particles import B_JET, JET
from hepmtp.events.ragged import Floats, Ints, ragged_arange, starts


class State(NamedTuple):
    """Events while they are changed: their particles and the components of MET [GeV]."""

    particles: FlatParticles
    met_x: Floats  #: (n_events,)
    met_y: Floats

    def with_met(self, size: Floats, rng: np.random.Generator) -> State:
        """The same with MET of this size added to each event, in any direction."""
        phi = rng.uniform(-np.pi, np.pi, len(size))
        return self.moved(size * np.cos(phi), size * np.sin(phi))

    def moved(self, x: Floats, y: Floats) -> State:
        """The same with this added to MET."""
        return self._replace(met_x=self.met_x + x, met_y=self.met_y + y)

    def and_(self, particles: FlatParticles) -> State:
        """The same with these particles added."""
        return self._replace(particles=self.particles.and_(particles))


#: Changes events by a strength in [0, 1] each, (n_events,), 0 for not at all. Takes the events as
#: they are now, the unchanged ones, from which particles are added, the strength and a generator.
Operation = Callable[[State, State, Floats, np.random.Generator], State]

#: Most jets that are added, and the largest probability that one of them is a b-jet.
MOST_JETS, MOST_B = 6, 0.7
#: Largest factor on all momenta.
LARGEST_SCALE = 3.0
#: Smallest and largest MET that is added [GeV].
ADDED_MET = (30.0, 800.0)
#: Largest probability that a light jet becomes a b-jet.
MOST_TAGGED = 0.7
#: Largest factor on a jet's pt, and the share of jets that get it.
HARDEST, HARD_SHARE = 4.0, 0.4
#: Most particles that a decay adds, and what a missing one adds to MET [GeV].
MOST_DECAYS, MISSING = 8, 50.0
#: How uneven the shares of jets, b-jets and missing particles of a decay are (Dirichlet).
UNEVEN = 0.7


def overlay(now: State, before: State, strength: Floats, rng: np.random.Generator) -> State:
    """Each jet of another event with the probability of the strength, and that share of its MET."""
    n = len(strength)
    other = (np.arange(n) + rng.integers(1, max(n, 2), size=n)) % max(n, 1)
    donors = _of_events(before.particles, other)
    chosen = rng.random(len(donors.owner)) < strength[donors.owner]
    kept = donors.keep(chosen & (donors.columns["type"] <= B_JET))
    return now.and_(kept).moved(strength * before.met_x[other], strength * before.met_y[other])


def add_jets(now: State, before: State, strength: Floats, rng: np.random.Generator) -> State:
    """Up to six jets of other events at random azimuth; each event has a share of b-jets."""
    counts = np.ceil(MOST_JETS * strength).astype(np.int64)
    b_share = np.repeat(rng.uniform(0, MOST_B, len(counts)), counts)
    pool = np.flatnonzero(before.particles.columns["type"] <= B_JET)
    if not len(pool):
        return now
    added = _drawn(before.particles, [pool], np.zeros(len(b_share), dtype=int), counts, rng)
    kind = np.where(rng.random(len(b_share)) < b_share, B_JET, JET)
    added.columns["type"] = kind.astype(added.columns["type"].dtype)
    return now.and_(added)


def scale(now: State, _: State, strength: Floats, __: np.random.Generator) -> State:
    """All pt and MET times up to 3."""
    factor = LARGEST_SCALE**strength
    flat = now.particles.moved(pt=now.particles.columns["pt"] * factor[now.particles.owner])
    return State(flat, now.met_x * factor, now.met_y * factor)


def add_met(now: State, _: State, strength: Floats, rng: np.random.Generator) -> State:
    """MET of 30 to 800 GeV added, in any direction."""
    low, high = ADDED_MET
    return now.with_met(np.where(strength > 0, low * (high / low) ** strength, 0.0), rng)


def tag(now: State, _: State, strength: Floats, rng: np.random.Generator) -> State:
    """Light jets taken for b-jets."""
    flat = now.particles
    kind = flat.columns["type"]
    tagged = (kind == JET) & (rng.random(len(kind)) < MOST_TAGGED * strength[flat.owner])
    columns = {**flat.columns, "type": np.where(tagged, B_JET, kind).astype(kind.dtype)}
    return now._replace(particles=FlatParticles(columns, flat.counts))


def harden(now: State, _: State, strength: Floats, rng: np.random.Generator) -> State:
    """Some jets of up to four times the pt."""
    flat = now.particles
    kind = flat.columns["type"]
    hard = (kind <= B_JET) & (rng.random(len(kind)) < HARD_SHARE)
    factor = np.where(hard, HARDEST ** strength[flat.owner], 1.0)
    return now._replace(particles=flat.moved(pt=flat.columns["pt"] * factor))


def decay(now: State, before: State, strength: Floats, rng: np.random.Generator) -> State:
    """Up to eight jets or missing particles of one scale, as of something heavy that decays.

    Of which kinds and how hard is drawn event by event. The jets are those of other events.
    """
    n = len(strength)
    counts = np.ceil(MOST_DECAYS * strength).astype(np.int64)
    upto = np.cumsum(rng.dirichlet(np.full(3, UNEVEN), n), axis=1)[:, :2].repeat(counts, axis=0)
    kind = (rng.random(len(upto))[:, None] > upto).sum(axis=1)  # jet, b-jet, missing
    hardness = HARDEST ** rng.uniform(0, 1, n)
    types = before.particles.columns["type"]
    pools = [np.flatnonzero(types == one) for one in (JET, B_JET)]
    added = _drawn(before.particles, pools, kind, counts, rng)
    added = added.moved(pt=added.columns["pt"] * hardness[added.owner])
    missing = np.bincount(np.repeat(np.arange(n), counts)[kind == len(pools)], minlength=n)
    return now.and_(added).with_met(MISSING * missing * hardness, rng)


#: The operations by name, in the order in which a mixture applies them.
OPERATIONS: Mapping[str, Operation] = {
    "overlay": overlay,
    "add": add_jets,
    "scale": scale,
    "met": add_met,
    "tag": tag,
    "harden": harden,
    "decay": decay,
}


class Recipe(NamedTuple):
    """How events are made stranger.

    Each of the operations with this probability (one that is alone: always), with a strength that
    is uniform in [0, `damp`].
    """

    operations: tuple[str, ...] = tuple(OPERATIONS)
    damp: float = 0.5
    probability: float = 0.5


def recipes(without: str = "") -> tuple[Recipe, ...]:
    """Mixtures of all operations with several strengths, and each operation alone.

    Parameters
    ----------
    without
        an operation to leave out, so that it can judge what has not learned it.

    Raises
    ------
    OptionError
        if there is no such operation.
    """
    if without and without not in OPERATIONS:
        raise OptionError(f"operation {without!r} is unknown; there are {', '.join(OPERATIONS)}")
    names = tuple(name for name in OPERATIONS if name != without)
    mixtures = (Recipe(names, damp) for damp in (0.4, 0.5, 0.5, 0.7, 0.7, 1.0))
    return (*mixtures, *(Recipe((name,), 1.0) for name in names))


def make_stranger(
    events: ak.Array, rng: np.random.Generator, chosen: Sequence[Recipe] = ()
) -> ak.Array:
    """Every event after one of the recipes, drawn at random in equal shares.

    Shape (n_events,), in the same order, with the same weights.

    Parameters
    ----------
    events
        shape (n_events,); what is added to one of them comes from the others, so give many.
    rng
        the same state gives the same events.
    chosen
        default: `recipes`.

    Raises
    ------
    OptionError
        for an operation that does not exist, or a strength or probability outside (0, 1].

    Examples
    --------
    >>> from hepmtp.events import make_events
    >>> events = make_events(
    ...     counts=[1], pt=[50.0], eta=[0.1], phi=[1.0], energy=[60.0], type=[1],
    ...     met=[20.0], met_phi=[0.0],
    ... )
    >>> more = make_stranger(events, np.random.default_rng(1), [Recipe(("met",), 1.0)])
    >>> bool(more.MET.pt[0] == 20.0), float(more.Particle.pt[0, 0])
    (False, 50.0)
    """
    return each_by_one(events, rng, _changes(chosen))


def numbers_of_stranger(
    events: ak.Array,
    numbers: Callable[[ak.Array], Floats],
    rng: np.random.Generator,
    chosen: Sequence[Recipe] = (),
) -> Floats:
    """Numbers of the events of `make_stranger`, which are in memory one recipe at a time.

    Parameters
    ----------
    numbers
        events -> numbers of each, (n_events, n_numbers).
    """
    found = np.empty((len(events), numbers(events[:0]).shape[1]))
    for where, made in changed(events, rng, _changes(chosen)):
        found[where] = numbers(made)
    return found


def _changes(
    chosen: Sequence[Recipe],
) -> list[Callable[[ak.Array, np.random.Generator], ak.Array]]:
    chosen = tuple(chosen) or recipes()
    for one in chosen:
        _check(one)
    return [partial(_stranger, one) for one in chosen]


def _stranger(recipe: Recipe, events: ak.Array, rng: np.random.Generator) -> ak.Array:
    now = before = State(particles_of(events), *met_of(events))
    for name in recipe.operations:
        strength = rng.uniform(0, recipe.damp, len(events))
        if len(recipe.operations) > 1:
            strength *= rng.random(len(events)) < recipe.probability
        now = OPERATIONS[name](now, before, strength, rng)
    return with_met(with_particles(events, now.particles), now.met_x, now.met_y)


def _check(recipe: Recipe) -> None:
    if not recipe.operations or (unknown := set(recipe.operations) - set(OPERATIONS)):
        raise OptionError(
            f"operations {sorted(unknown) if recipe.operations else '(none)'} are unknown; there "
            f"are {', '.join(OPERATIONS)}"
        )
    if not (0 < recipe.damp <= 1 and 0 < recipe.probability <= 1):
        raise OptionError(f"damp and probability must be above 0 and at most 1, found {recipe}")


def _of_events(flat: FlatParticles, events: Ints) -> FlatParticles:
    """The particles of these events, in this order."""
    counts = flat.counts[events]
    at = ragged_arange(counts, starts(flat.counts)[events])
    return FlatParticles({name: column[at] for name, column in flat.columns.items()}, counts)


def _drawn(
    flat: FlatParticles, pools: Sequence[Ints], kind: Ints, counts: Ints, rng: np.random.Generator
) -> FlatParticles:
    """So many particles for each event, at random azimuth, each out of the pool of its kind.

    One whose pool does not exist or is empty is left out.
    """
    at = np.full(len(kind), -1)
    for number, pool in enumerate(pools):
        if len(pool):
            wanted = np.flatnonzero(kind == number)
            at[wanted] = rng.choice(pool, len(wanted))
    owner = np.repeat(np.arange(len(counts)), counts)[at >= 0]
    columns = {name: column[at[at >= 0]] for name, column in flat.columns.items()}
    columns["phi"] = rng.uniform(-np.pi, np.pi, len(owner))
    return FlatParticles(columns, np.bincount(owner, minlength=len(counts)))

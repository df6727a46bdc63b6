"""A systematic variation: events, or their weights, as they would be one sigma off.

The rule: an object variation gives other events, before anything is made of them; a weight
variation gives a factor for each event. Nothing is fitted or drawn here, data are never varied, and
what comes back is checked. One of your own is a `Variation` object, or comes from a file of
correctionlib (:mod:`hepmtp.events.corrections`); nothing is registered.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp.errors import EventError, OptionError
from hepmtp.events.entering import as_events
from hepmtp.events.ragged import Floats
from hepmtp.events.record import ROLES, metadata, role_of, with_fields

Kind = Literal["object", "weight"]
Direction = Literal["up", "down"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)

#: Category of a histogram's axis for events as they are.
NOMINAL = "nominal"
#: Names that stand for several variations.
GROUPS: dict[str, tuple[Kind, ...]] = {
    "all": get_args(Kind),
    "objects": ("object",),
    "weights": ("weight",),
}
#: What an object variation must leave as it is.
_KEPT = ("source", "event", "weight")


@dataclass(frozen=True)
class Variation:
    """One source of uncertainty, one sigma up and down.

    Parameters
    ----------
    name
        letters, digits, "_", "." or "-"; categories of histograms are ``name_up``, ``name_down``.
    label
        words for tables and figures.
    kind
        "object": `up` and `down` take events and give as many, changed; "weight": they take events
        and give a factor for each, shape (n_events,).
    up, down
        functions of a module, so that they pickle. Without `down`, a weight's is 1 / up, and an
        object's does not exist: such a variation is one-sided, and a fit mirrors it.
    datasets
        names of data sets, processes or roles that it acts on; empty is all but data.

    Raises
    ------
    OptionError
        for a name that cannot be a category, a kind that does not exist, or no function.

    Examples
    --------
    >>> from hepmtp.events.record import make_events
    >>> events = make_events(
    ...     counts=[1, 0], pt=[50.0], eta=[0.1], phi=[1.0], energy=[60.0], type=[1],
    ...     met=[20.0, 30.0], met_phi=[0.0, 1.0],
    ... )
    >>> harder = lambda events: 1 + events.MET.pt / 100
    >>> hard = Variation("hard_met", "more hard MET", "weight", harder)
    >>> hard.factors(events, "up").tolist(), hard.category("down")
    ([1.2, 1.3], 'hard_met_down')
    """

    name: str
    label: str
    kind: Kind
    up: Callable[[ak.Array], Any]
    down: Callable[[ak.Array], Any] | None = None
    datasets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (
            not re.fullmatch(r"[A-Za-z0-9_.\-]+", self.name)
            or self.name in {NOMINAL, *GROUPS}
            or self.name.endswith(tuple(f"_{one}" for one in DIRECTIONS))
        ):
            raise OptionError(
                f"a variation's name must have letters, digits, '_', '.' and '-' alone, must not "
                f"end with _up or _down, and be none of {', '.join((NOMINAL, *GROUPS))}; found "
                f"{self.name!r}"
            )
        if self.kind not in get_args(Kind):
            raise OptionError(
                f"variation {self.name!r}: kind must be 'object' or 'weight', found {self.kind!r}"
            )
        for direction, function in (("up", self.up), ("down", self.down)):
            if not callable(function) and not (direction == "down" and function is None):
                raise OptionError(
                    f"variation {self.name!r}: {direction} must be a function of events, found "
                    f"{function!r}"
                )
        if isinstance(self.datasets, str):  # type: ignore[unreachable]
            raise OptionError(
                f"variation {self.name!r}: datasets must be a tuple of names, found the text "
                f"{self.datasets!r}: write ({self.datasets!r},)"
            )
        object.__setattr__(self, "datasets", tuple(self.datasets))

    @property
    def directions(self) -> tuple[Direction, ...]:
        """("up", "down"), or ("up",) for an object variation without `down`."""
        return DIRECTIONS if self.kind == "weight" or self.down is not None else ("up",)

    def category(self, direction: Direction) -> str:
        """Its category on a histogram's axis of variations."""
        return f"{self.name}_{self._checked(direction)}"

    def acts_on(self, events: ak.Array) -> bool:
        """Whether it changes these events, by the dataset, process and role of their metadata.

        Raises
        ------
        EventError
            if it acts on some data sets only, and the events do not say which they are of.
        """
        found = metadata(events)
        role = role_of(found)
        if role == "data":
            return False
        if not self.datasets:
            return True
        dataset, process = (str(found.get(key) or "") for key in ("dataset", "process"))
        if {dataset, process, role} & set(self.datasets):
            return True
        unnamed = not (dataset or process) and set(self.datasets) - set(ROLES)
        roleless = role is None and set(self.datasets) & set(ROLES)
        glued = set(dataset.split("+")) & set(self.datasets)
        if unnamed or roleless or glued:
            raise EventError(
                f"variation {self.name!r} acts on {', '.join(self.datasets)} alone, and it is not "
                f"known whether these events are such: data set {dataset!r}, process {process!r}, "
                f"role {role!r}. Give make_events dataset and role; vary glued data sets apart"
            )
        return False

    def shifted(self, events: ak.Array, direction: Direction) -> ak.Array:
        """The events of an object variation, shape (n_events,), checked.

        Their number, source, event and weight stay, and so does the metadata. Events that it does
        not act on come back as they are.

        Raises
        ------
        EventError
            naming the variation, for other events or values that break the record.
        OptionError
            for a weight variation, or a direction that it does not have.
        """
        self._need("object", "shifted")
        function = self.up if self._checked(direction) == "up" else self.down
        if function is None or not self.acts_on(events):
            return events
        what = f"variation {self.name!r}, {direction}"
        events = as_events(events)
        found = function(events)
        if not isinstance(found, ak.Array):
            raise EventError(f"{what}: expected events, found {type(found).__name__}")
        if len(found) != len(events):
            raise EventError(
                f"{what} gives {len(found)} events, expected {len(events)}: a region selects, a "
                "variation changes"
            )
        try:
            found = as_events(with_fields(found, metadata(events)))
        except EventError as error:
            raise EventError(f"{what}: {error}") from None
        for name in _KEPT:
            if not np.array_equal(ak.to_numpy(found[name]), ak.to_numpy(events[name])):
                raise EventError(
                    f"{what} changes {name}: an object variation keeps {', '.join(_KEPT)}; make a "
                    "weight variation for weights, and keep the order of the events"
                )
        return found

    def factors(self, events: ak.Array, direction: Direction) -> Floats:
        """Factors on the weights of a weight variation, shape (n_events,), checked.

        They are 1 for events that it does not act on.

        Raises
        ------
        EventError
            naming the variation, for another shape, or a factor that is not finite and >= 0.
        OptionError
            for an object variation.
        """
        self._need("weight", "factors")
        self._checked(direction)
        if not self.acts_on(events):
            return np.ones(len(events))
        what = f"variation {self.name!r}, {direction}"
        inverted = direction == "down" and self.down is None
        function = self.down if direction == "down" and self.down is not None else self.up
        found = _as_numpy(function(events))
        if found.shape != (len(events),) or found.dtype.kind not in "iuf":
            raise EventError(
                f"{what} gives {found.dtype} {found.shape}, expected numbers ({len(events)},): one "
                "factor for each event"
            )
        factors = found.astype(np.float64)
        legal = np.isfinite(factors) & ((factors > 0) if inverted else (factors >= 0))
        if not legal.all():
            first = int(np.flatnonzero(~legal)[0])
            raise EventError(
                f"{what}: the factor of event {first} is {factors[first]}, expected finite and "
                f"{'above 0, for down is 1 / up' if inverted else '>= 0'} "
                f"({int((~legal).sum())} such factors)"
            )
        return np.asarray(1.0 / factors) if inverted else factors

    def _need(self, kind: Kind, asked: str) -> None:
        if self.kind != kind:
            raise OptionError(
                f"{asked} was asked of variation {self.name!r}, which is of kind {self.kind!r}, "
                f"not {kind!r}"
            )

    def _checked(self, direction: Direction) -> Direction:
        if direction not in self.directions:
            raise OptionError(
                f"variation {self.name!r} has no direction {direction!r}; it has "
                f"{', '.join(self.directions)}"
            )
        return direction


def _as_numpy(values: Any) -> NDArray[Any]:
    """Values as numpy has them; lists of different lengths become objects."""
    try:
        return np.asarray(ak.to_numpy(values) if isinstance(values, ak.Array) else values)
    except ValueError:
        return np.asarray(ak.to_list(values), dtype=object)

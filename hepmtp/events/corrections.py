"""Variations from files of correctionlib, the format in which experiments give scale factors.

The rule: what a file asks for is given by name, and all of it; nothing is guessed. A value outside
the range of a correction is refused, unless the file itself says what holds there.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import correctionlib
import numpy as np
from numpy.typing import NDArray

from hepmtp.errors import OptionError, ReadError
from hepmtp.events.object_shifts import rescaled
from hepmtp.events.observables import KNOWN_FEATURES
from hepmtp.events.particles import (
    B_JET,
    ELECTRONS,
    JET,
    LEPTONS,
    MUONS,
    PARTICLE_TYPES,
    PHOTON,
)
from hepmtp.events.ragged import Floats
from hepmtp.events.variation import Kind, Variation

#: What a correction may be evaluated for, and the types of these particles; "event" has none.
OVER: dict[str, tuple[int, ...]] = {
    "event": (),
    "particles": tuple(range(len(PARTICLE_TYPES))),
    "jets": (JET, B_JET),
    "b_jets": (B_JET,),
    "untagged_jets": (JET,),
    "leptons": tuple(LEPTONS),
    "electrons": tuple(ELECTRONS),
    "muons": tuple(MUONS),
    "photons": (PHOTON,),
}
#: Numbers of a particle that an input may be named after; "abs_eta" beside "eta".
PARTICLE_NUMBERS = ("pt", "eta", "abs_eta", "phi", "energy", "type")

#: What an input is: the name of a number, a number, a text, or a function of events.
Input = str | float | Callable[[ak.Array], Any]


def from_correctionlib(
    path: str | Path,
    correction: str,
    *,
    name: str,
    inputs: Mapping[str, Input],
    over: str = "event",
    label: str = "",
    systematic: str | None = None,
    up: str = "up",
    down: str = "down",
    nominal: str | None = None,
    kind: Kind = "weight",
    datasets: tuple[str, ...] = (),
) -> Variation:
    """A variation of a correction in a file.

    Parameters
    ----------
    path
        a JSON file of correctionlib, also packed (``.json.gz``). Workers open it by this path.
    correction
        its name in the file, or that of a compound correction.
    inputs
        one for each input of the correction but `systematic`. For an input of text that is the text
        itself, such as a working point. For a number it is one, the name of a number, or a function
        of events, shape (n_events,), which is valid over events only. Names are
        `PARTICLE_NUMBERS` over particles [GeV], else those of
        :data:`hepmtp.events.observables.EVENT_FEATURES`.
    over
        one of `OVER`. Of particles, the factor of an event is the product of their values.
    systematic, up, down, nominal
        the input that says which systematic it is, and its texts. The factor is
        value(up) / value(nominal), or value(up) itself if no `nominal` is given. Without
        `systematic` the value is the factor up, and that down is 1 / up.
    kind
        "weight"; or "object": the value is a relative size by which these particles' four-momenta
        grow or shrink, such as that of a jet energy scale, and MET follows.
    name, label, datasets
        of the `Variation`; the label is the name if not given.

    Raises
    ------
    ReadError
        for a file that is missing or none of correctionlib.
    OptionError
        for a correction or an input that does not exist, or one that is not given.

    Examples
    --------
    Scale factors of leptons with their uncertainty::

        from_correctionlib(
            "muons.json.gz", "tight_id", name="muon_id", over="muons",
            inputs={"eta": "abs_eta", "pt": "pt"},
            systematic="scale_factors", up="systup", down="systdown", nominal="nominal",
        )
    """
    if over not in OVER:
        raise OptionError(f"over {over!r} is unknown; there are {', '.join(OVER)}")
    found = Correction(str(path), correction, tuple(inputs.items()), over, systematic)
    found.check()
    label = label or name
    if kind == "object":
        if over == "event" or systematic is not None:
            raise OptionError(
                f"variation {name!r} of kind 'object' needs the relative size of particles: name "
                f"them with over (found {over!r}), and give no systematic (found {systematic!r})"
            )
        bigger, smaller = (CorrectedScale(found, sign) for sign in (1.0, -1.0))
        return Variation(name, label, kind, bigger, smaller, datasets)
    if systematic is None:
        if nominal is not None:
            raise OptionError(
                f"nominal {nominal!r} is a text of the input that says which systematic it is: "
                "name that input with systematic"
            )
        return Variation(name, label, kind, CorrectedWeight(found), None, datasets)
    more, less = (CorrectedWeight(found, one, nominal) for one in (up, down))
    return Variation(name, label, kind, more, less, datasets)


@dataclass(frozen=True)
class Correction:
    """A correction in a file, and what its inputs are; opened where it is used."""

    path: str
    name: str
    inputs: tuple[tuple[str, Input], ...]
    over: str
    systematic: str | None = None

    def check(self) -> None:
        """Raise OptionError unless the file's inputs and ours are the same."""
        asked = {one.name: one.type for one in self._opened().inputs}
        given = dict(self.inputs)
        names = [*given, *([] if self.systematic is None else [self.systematic])]
        if sorted(names) != sorted(asked):
            raise OptionError(
                f"{self._where()} has the inputs {', '.join(asked)}; given are "
                f"{', '.join(names) or 'none'}: give each once in inputs, or as systematic"
            )
        known = KNOWN_FEATURES if self.over == "event" else PARTICLE_NUMBERS
        for name, value in given.items():
            text = isinstance(value, str)
            if asked[name] == "string" and not text:
                raise OptionError(f"{self._where()}: input {name!r} is a text, found {value!r}")
            if asked[name] != "string" and text and value not in known:
                raise OptionError(
                    f"{self._where()}: input {name!r} is to be {value!r}, which is unknown over "
                    f"{self.over}; there are {', '.join(known)}"
                )
            if callable(value) and self.over != "event":
                raise OptionError(
                    f"{self._where()}: input {name!r} is a function of events, and the correction "
                    f"is evaluated over {self.over}: leave over out, and give a product yourself"
                )

    def chosen(self, events: ak.Array) -> NDArray[np.bool_]:
        """Which particles of all events it is evaluated for, shape (n_particles,)."""
        return np.isin(ak.to_numpy(ak.flatten(events.Particle["type"])), OVER[self.over])

    def values(self, events: ak.Array, category: str | None) -> Floats:
        """Its value for each event, or for each particle that is `chosen`."""
        opened, given = self._opened(), dict(self.inputs)
        per_event = self.over == "event"
        chosen = np.zeros(0, dtype=bool) if per_event else self.chosen(events)
        n = len(events) if per_event else int(chosen.sum())
        arguments: list[Any] = []
        for one in opened.inputs:
            if one.name == self.systematic:
                arguments.append(category)
                continue
            value: Any = given[one.name]
            if one.type != "string":
                if isinstance(value, str):
                    value = _number(events, value) if per_event else _flat(events, value)[chosen]
                elif callable(value):
                    value = ak.to_numpy(value(events))
                value = np.broadcast_to(value, (n,)).astype(int if one.type == "int" else float)
            arguments.append(value)
        try:
            found = opened.evaluate(*arguments)
        except (RuntimeError, IndexError, ValueError) as error:
            raise OptionError(f"{self._where()} cannot be evaluated: {error}") from None
        return np.broadcast_to(np.asarray(found, dtype=np.float64), (n,))

    def _opened(self) -> Any:
        try:
            changed = Path(self.path).stat().st_mtime_ns
            opened = _open(self.path, changed)
        except OSError as error:
            raise ReadError(
                f"{self.path} cannot be opened ({error.strerror}); it should be a JSON file of "
                "correctionlib"
            ) from None
        for corrections in (opened, opened.compound):
            if self.name in tuple(corrections):  # asked itself, it raises IndexError
                return corrections[self.name]
        raise OptionError(
            f"{self.path} has no correction {self.name!r}; there are "
            f"{', '.join((*opened, *opened.compound))}"
        )

    def _where(self) -> str:
        return f"correction {self.name!r} of {self.path}"


@dataclass(frozen=True)
class CorrectedWeight:
    """The factor of each event from a correction: value(category) / value(nominal)."""

    correction: Correction
    category: str | None = None
    nominal: str | None = None

    def __call__(self, events: ak.Array) -> Floats:
        """Factor of each event, shape (n_events,)."""
        values = self.correction.values(events, self.category)
        if self.nominal is not None:
            nominal = self.correction.values(events, self.nominal)
            if (nominal == 0).any():
                raise OptionError(
                    f"correction {self.correction.name!r} of {self.correction.path} is 0 for "
                    f"{self.nominal!r}: no ratio to it can be taken"
                )
            values = values / nominal
        if self.correction.over == "event":
            return values
        factors = np.ones(len(self.correction.chosen(events)))
        factors[self.correction.chosen(events)] = values
        counts = ak.to_numpy(ak.num(events.Particle))
        return np.asarray(ak.to_numpy(ak.prod(ak.unflatten(factors, counts), axis=1)))


@dataclass(frozen=True)
class CorrectedScale:
    """Particles whose four-momenta are 1 + sign * value as large; MET follows."""

    correction: Correction
    sign: float

    def __call__(self, events: ak.Array) -> ak.Array:
        """The shifted events, shape (n_events,)."""
        chosen = self.correction.chosen(events)
        factors = np.ones(len(chosen))
        factors[chosen] += self.sign * self.correction.values(events, None)
        return rescaled(events, factors)


@functools.lru_cache(maxsize=16)
def _open(path: str, _changed: int) -> Any:
    try:
        return correctionlib.CorrectionSet.from_file(path)
    except (RuntimeError, UnicodeDecodeError) as error:
        raise ReadError(f"{path} is no JSON file of correctionlib: {error}") from None


def _number(events: ak.Array, name: str) -> NDArray[Any]:
    return np.asarray(KNOWN_FEATURES[name].function(events))


def _flat(events: ak.Array, name: str) -> NDArray[Any]:
    if name == "abs_eta":
        return np.asarray(np.abs(_flat(events, "eta")))
    return np.asarray(ak.to_numpy(ak.flatten(events.Particle[name])))

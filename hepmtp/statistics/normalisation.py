"""Weights become events: cross-section x luminosity x w / sum(w), if all of that is known.

The rule: sum(w) is that of all generated events, before any selection, and the metadata of a data
set or its files give it. If they do not, it is counted in the files, and the result says so. What
is not known stays a sum of weights and is called that.

==================  ==========================================================================
cross_section_pb    cross-section [pb], branching fractions and k-factors included; also `xsec`
luminosity_ifb      luminosity [1/fb] that is wanted, or, without a cross-section, the one that
                    the weights in the files stand for; also `lumi`
sum_weights         sum of the weights of all generated events of the data set; also
                    `sum_genweights`
n_generated         number of all generated events, for files without weights; also `nevts`
==================  ==========================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any, Literal, NamedTuple

from hepmtp.errors import OptionError
from hepmtp.events.ragged import Floats
from hepmtp.events.record import role_of

#: Keys of metadata, and the other spellings that users bring.
KEYS: dict[str, tuple[str, ...]] = {
    "cross_section_pb": ("xsec",),
    "luminosity_ifb": ("lumi",),
    "sum_weights": ("sum_genweights",),
    "n_generated": ("nevts",),
}
#: Key of a chunk's metadata that a runner writes: the chunk's share of the sum of the weights of
#: all generated events, so that chunks which are lost are accounted for.
GENERATED = "generated_weight"
#: No collider of this century gives more: such a number is in 1/pb [1/fb].
_LARGEST_LUMINOSITY = 5000.0

#: How a data set's weights came to be: scaled to a cross-section; expected events as the files have
#: them; observed events; or sums of weights that mean nothing more.
Kind = Literal["cross-section", "weights", "data", "none"]


_SCALED = (
    "some of these data have trained a detector; those that are left where they did are scaled up "
    "to stand for all, and are no counts"
)

_WEIGHTED = "these data have weights other than 1: what is called observed are sums of them"


class Known(NamedTuple):
    """What the metadata of a data set say of its normalisation; None if nothing."""

    cross_section_pb: float | None = None
    luminosity_ifb: float | None = None
    sum_weights: float | None = None
    n_generated: float | None = None


class Normalisation(NamedTuple):
    """How the weights of one data set were scaled.

    Parameters
    ----------
    kind
        see `Kind`.
    factor
        what every weight was multiplied with.
    luminosity_ifb
        what the scaled weights stand for [1/fb]; None if not known.
    cross_section_pb
        cross-section [pb]; None if not known.
    sum_weights
        sum of the weights of all generated events that the factor was made with; None without one.
    counted
        whether that sum was counted in the files, for nobody gave it.
    events, weight
        number of all events that were read, and the sum of their weights as the files have them.
    note
        what a reader must know: why a cross-section could not be used, or what it was taken for.
    """

    kind: Kind
    factor: float = 1.0
    luminosity_ifb: float | None = None
    cross_section_pb: float | None = None
    sum_weights: float | None = None
    counted: bool = False
    events: int = 0
    weight: float = 0.0
    note: str = ""

    def __add__(self, other: Any) -> Normalisation:
        """As accumulators add up: runs that were scaled differently do not."""
        if self != other:
            raise OptionError(
                "runs with different normalisations were added up: add the chunks of one run, or "
                "give each run's data sets names of their own"
            )
        return self


def known(metadata: Mapping[str, Any], dataset: str = "") -> Known:
    """What metadata say, by any of the spellings in `KEYS`.

    Raises
    ------
    OptionError
        for two spellings at once, a number that is not finite and positive, or a luminosity that
        can only be one in 1/pb.

    Examples
    --------
    >>> known({"xsec": 0.5, "lumi": 139}).cross_section_pb
    0.5
    """
    found: dict[str, float] = {}
    for name, others in KEYS.items():
        given = [key for key in (name, *others) if metadata.get(key) is not None]
        if len(given) > 1:
            raise OptionError(f"data set {dataset!r} has both {' and '.join(given)}: keep one")
        for key in given:
            value = metadata[key]
            legal = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not (legal and isfinite(value) and value > 0):
                raise OptionError(
                    f"data set {dataset!r}: {key} is {value!r}, expected a number above 0"
                )
            found[name] = float(value)
    luminosity = found.get("luminosity_ifb")
    if luminosity is not None and luminosity > _LARGEST_LUMINOSITY:
        raise OptionError(
            f"data set {dataset!r}: a luminosity of {luminosity:g} /fb is more than any collider "
            "gives; it must be in 1/fb and looks like 1/pb"
        )
    if "sum_weights" in found and "n_generated" in found:
        raise OptionError(
            f"data set {dataset!r} has both a sum of weights and a number of generated events: "
            "keep the sum of weights"
        )
    return Known(**found)


def events_or_weights(rows: Iterable[Normalisation]) -> str:
    """What a sum over these data sets is called: "Events", or "Sum of weights".

    Examples
    --------
    >>> events_or_weights([Normalisation("cross-section"), Normalisation("none")])
    'Sum of weights'
    """
    rows = list(rows)
    return "Sum of weights" if any(one.kind == "none" for one in rows) or not rows else "Events"


def tally(
    metadata: Mapping[str, Any], weight: Floats, *, events: int, skipped: int | None = None
) -> dict[str, Any]:
    """What `normalisation` needs of one chunk; adds up over chunks.

    Parameters
    ----------
    metadata
        of the chunk: what `known` reads, and `GENERATED` if the runner knows the chunk's share of
        the sum over all generated events.
    weight
        of all events that were read, before any selection, as the files have it, shape (n_read,).
    events
        number of entries that the chunk has; those that a reader left out make the share smaller.
    skipped
        how many it left out; by default all those that have no weight here. What else has none was
        cut before, and is no reason to make the share smaller.
    """
    share = metadata.get(GENERATED)
    given = known(metadata, str(metadata.get("dataset", "")))
    left = len(weight) if skipped is None else events - skipped
    return {
        "known": {given},
        "role": {role_of(metadata)},
        "events": len(weight),
        "weight": float(weight.sum()),
        "unweighted": int((weight == 1).sum()),
        "generated": 0.0 if share is None else float(share) * (left / events if events else 1.0),
        "shared": {share is not None},
        "cut": {len(weight) < left},
    }


def normalisation(found: Mapping[str, Any], *, luminosity: float | None = None) -> Normalisation:
    """How the weights of a data set become events.

    Parameters
    ----------
    found
        sum of `tally` over the chunks that were read.
    luminosity
        wanted [1/fb]; by default that of the data set.
    """
    read = {"events": found["events"], "weight": found["weight"]}
    if found["role"] == {"data"}:
        given = next(iter(found["known"])) if len(found["known"]) == 1 else Known()
        scaled = True in found.get("scaled", ())
        weighted = found["unweighted"] != found["events"]
        note = _SCALED if scaled else _WEIGHTED * weighted
        return Normalisation("data", luminosity_ifb=given.luminosity_ifb, note=note, **read)
    if len(found["known"]) > 1:
        return Normalisation(
            "none", note="its files have different cross-sections or luminosities", **read
        )
    (given,) = found["known"]
    wanted = luminosity or given.luminosity_ifb
    if given.cross_section_pb is None:
        if given.luminosity_ifb is None or wanted is None:
            return Normalisation("none", **read)
        return Normalisation("weights", wanted / given.luminosity_ifb, wanted, **read)
    read["cross_section_pb"] = given.cross_section_pb
    if wanted is None:
        note = "it has a cross-section, but no luminosity: give luminosity_ifb"
        return Normalisation("none", note=note, **read)
    total, note = _generated(found, given)
    if total is None and not note and True in found["cut"]:
        note = "events were cut before their weights were counted: give sum_weights"
        return Normalisation("none", note=note, **read)
    counted = total is None and not note
    total = found["weight"] if counted else total
    if total is None or not total > 0:
        note = note or f"the sum of its weights is {total:g}"
        return Normalisation("none", note=note, **read)
    if counted:
        note = (
            "its cross-section is shared out among the events in its files: right only if these "
            "are all that were generated; give sum_weights if not"
        )
    factor = given.cross_section_pb * 1000 * wanted / total  # 1/fb = 1000 / pb
    return Normalisation(
        "cross-section", factor, wanted, sum_weights=total, counted=counted, note=note, **read
    )


def _generated(found: Mapping[str, Any], given: Known) -> tuple[float | None, str]:
    """The sum of weights of all generated events, or None and why it cannot be had."""
    if given.n_generated is not None and found["unweighted"] != found["events"]:
        return None, (
            "n_generated (nevts) counts events, but the events have weights other than 1: give "
            "sum_weights"
        )
    if found["shared"] == {True}:
        return float(found["generated"]), ""
    if found["shared"] == {True, False}:
        return None, (
            "some of its files say how much was generated, and others do not: give sum_weights"
        )
    return given.sum_weights or given.n_generated, ""

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

#: Keys of metadata, and the other spellings that users bring.
KEYS: dict[str, tuple[str, ...]] = {
    "cross_section_pb": ("xsec",),
    "luminosity_ifb": ("lumi",),
    "sum_weights": ("sum_genweights",),
    "n_generated": ("nevts",),
}
#: No collider of this century gives more: such a number is in 1/pb [1/fb].
_LARGEST_LUMINOSITY = 5000.0

#: How a data set's weights came to be: scaled to a cross-section; expected events as the files have
#: them; observed events; or sums of weights that mean nothing more.
Kind = Literal["cross-section", "weights", "data", "none"]


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
    """

    kind: Kind
    factor: float = 1.0
    luminosity_ifb: float | None = None
    cross_section_pb: float | None = None
    sum_weights: float | None = None
    counted: bool = False


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

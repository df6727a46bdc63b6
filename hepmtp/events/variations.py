"""The shipped variations, and variations by name.

The rule: names stand here and nowhere else; where a size comes from is said beside it, in
:mod:`hepmtp.events.object_shifts` and :mod:`hepmtp.events.weight_factors`. Uncertainties of a
normalisation (luminosity, cross-sections) change no shape: a fit has them as numbers, and they are
no variations.
"""

from __future__ import annotations

from collections.abc import Iterable

from hepmtp.errors import OptionError
from hepmtp.events.object_shifts import (
    JER_GROWTH,
    JETS,
    LEPTON_SCALE,
    LEPTON_TYPES,
    UNCLUSTERED,
    EnergyResolution,
    EnergyScale,
    UnclusteredMET,
    jet_resolution,
    jet_scale_size,
)
from hepmtp.events.observables import ht, met, n_b, n_jets, n_leptons
from hepmtp.events.variation import GROUPS, Variation
from hepmtp.events.weight_factors import (
    B_TAG_SIZE,
    HT_SIZE,
    HT_START,
    HT_UNIT,
    LEPTON_SIZE,
    MET_SIZE,
    MET_START,
    MET_UNIT,
    MISTAG_SIZE,
    STEP,
    Mistag,
    Slope,
    Step,
    TagEfficiency,
)

__all__ = ["VARIATIONS", "Variation", "variations_named"]

#: The shipped variations: of particles, then of weights. Steps are uncertainties of how
#: backgrounds are modelled; a signal has models of its own.
VARIATIONS: tuple[Variation, ...] = (
    Variation(
        "jet_energy_scale",
        "jet energy scale",
        "object",
        EnergyScale(JETS, jet_scale_size),
        EnergyScale(JETS, jet_scale_size, -1.0),
    ),
    Variation(
        "jet_energy_resolution",
        "jet energy resolution",
        "object",
        EnergyResolution(JETS, jet_resolution, JER_GROWTH),
    ),
    Variation(
        "lepton_energy_scale",
        "electron and muon energy scale",
        "object",
        EnergyScale(LEPTON_TYPES, LEPTON_SCALE),
        EnergyScale(LEPTON_TYPES, LEPTON_SCALE, -1.0),
    ),
    Variation(
        "unclustered_met",
        "unclustered energy in MET",
        "object",
        UnclusteredMET(UNCLUSTERED),
        UnclusteredMET(UNCLUSTERED, -1.0),
    ),
    Variation(
        "b_tag_efficiency",
        "b-tag efficiency",
        "weight",
        TagEfficiency(B_TAG_SIZE),
        TagEfficiency(-B_TAG_SIZE),
    ),
    Variation("b_mistag", "b-mistag rate", "weight", Mistag(MISTAG_SIZE), Mistag(-MISTAG_SIZE)),
    Variation(
        "lepton_efficiency",
        "electron and muon efficiency",
        "weight",
        Step(LEPTON_SIZE, n_leptons),
    ),
    Variation(
        "jet_step",
        "a jet more, up to the 6th",
        "weight",
        Step(STEP, n_jets, start=4, least=4, most=6),
        datasets=("background",),
    ),
    Variation(
        "jet_step7",
        "a jet more, from the 7th on",
        "weight",
        Step(STEP, n_jets, start=6, least=6),
        datasets=("background",),
    ),
    Variation(
        "b_step",
        "a second b-jet",
        "weight",
        Step(STEP, n_b, start=1, least=1, most=2),
        datasets=("background",),
    ),
    Variation(
        "b_step3",
        "a b-jet more, from the 3rd on",
        "weight",
        Step(STEP, n_b, start=2, least=2),
        datasets=("background",),
    ),
    Variation(
        "met_slope",
        "more background at high MET",
        "weight",
        Slope(MET_SIZE, met, start=MET_START, unit=MET_UNIT),
        datasets=("background",),
    ),
    Variation(
        "ht_slope",
        "more background at high HT",
        "weight",
        Slope(HT_SIZE, ht, start=HT_START, unit=HT_UNIT),
        datasets=("background",),
    ),
    Variation(
        "ttw_jets",
        "a jet more in ttW",
        "weight",
        Step(STEP, n_jets, start=4),
        datasets=("ttbarW",),
    ),
)


def variations_named(
    names: Iterable[str | Variation], known: Iterable[Variation] = VARIATIONS
) -> tuple[Variation, ...]:
    """Variations by name, each once, in the order asked for.

    Parameters
    ----------
    names
        names of `known`; "all", "weights" or "objects" of them; or `Variation` objects.

    Raises
    ------
    OptionError
        for an unknown name, or two different variations of one name.

    Examples
    --------
    >>> [one.name for one in variations_named(["b_step", "objects"])]  # doctest: +ELLIPSIS
    ['b_step', 'jet_energy_scale', 'jet_energy_resolution', ...]
    """
    if isinstance(names, str):
        names = (names,)
    by_name = {one.name: one for one in known}
    found: dict[str, Variation] = {}
    for asked in names:
        if isinstance(asked, Variation):
            some = [asked]
        elif asked in GROUPS:
            some = [one for one in by_name.values() if one.kind in GROUPS[asked]]
        elif asked in by_name:
            some = [by_name[asked]]
        else:
            raise OptionError(
                f"variation {asked!r} is unknown; there are {', '.join((*GROUPS, *by_name))}. Give "
                "one of your own as a Variation object"
            )
        for one in some:
            if found.setdefault(one.name, one) != one:
                raise OptionError(
                    f"two different variations are named {one.name!r}: rename one of them"
                )
    return tuple(found.values())

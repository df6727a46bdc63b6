"""What is known of a run's data sets: whose events, energy, luminosity, and what their sums mean.

The rule: what the data sets do not say is not claimed, and what differs among them is a remark.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hepmtp.datasets.manifest import Dataset
from hepmtp.plotting import SIMULATION, UNKNOWN, Caption
from hepmtp.report.info import SIMULATION_NOTE
from hepmtp.statistics.normalisation import Normalisation, events_or_weights, normalisation

#: What the numbers of a data set are, by the kind of its normalisation.
KINDS = {
    "cross-section": "events, scaled to the cross-section",
    "weights": "events, by the weights in the files",
    "data": "observed events",
    "none": "sums of weights",
}
#: A number that some data sets have in common, or None -> their names.
Values = dict[float | None, list[str]]
#: Put behind what a figure's corner says of an incomplete run.
INCOMPLETE = "incomplete"


def normalisations(
    output: Mapping[str, Any], datasets: Sequence[Dataset]
) -> dict[str, Normalisation]:
    """How the weights of each data set were scaled.

    Of a processor that does not say so, the embedded sample and data alone are known.
    """
    said = output.get("normalisation", {})
    return {one.name: _said(said.get(one.name), one) for one in datasets}


def _said(found: Any, dataset: Dataset) -> Normalisation:
    """What a processor says; of one whose postprocess was not called, nothing was scaled."""
    if found is None:
        return _default(dataset)
    one = normalisation(found) if isinstance(found, Mapping) else Normalisation(*found)
    if isinstance(found, Mapping) and one.factor != 1.0:
        return one._replace(kind="none", factor=1.0)
    told_nothing = one.kind == "none" and not one.note
    return _default(dataset)._replace(events=one.events, weight=one.weight) if told_nothing else one


def _default(dataset: Dataset) -> Normalisation:
    if dataset.role == "data":
        return Normalisation("data", luminosity_ifb=dataset.luminosity_ifb)
    if dataset.embedded and dataset.luminosity_ifb is not None:
        return Normalisation("weights", luminosity_ifb=dataset.luminosity_ifb)
    return Normalisation("none")


def content_of(normalisation: Mapping[str, Normalisation]) -> str:
    """What sums over the data sets are: "Events", or "Sum of weights"."""
    return events_or_weights(normalisation.values())


def caption_of(datasets: Sequence[Dataset], normalisation: Mapping[str, Normalisation]) -> Caption:
    """What figures of these data sets may claim: what all of them say, and say alike."""
    whose = SIMULATION if datasets and all(one.embedded for one in datasets) else UNKNOWN
    luminosities = _luminosities(normalisation)
    energies = _energies(datasets)
    return Caption(
        whose.experiment,
        whose.text,
        luminosity=next(iter(luminosities)) if len(luminosities) == 1 else None,
        energy=next(iter(energies)) if len(energies) == 1 else None,
    )


def note_of(datasets: Sequence[Dataset]) -> str:
    """What kind of events these are."""
    own = [one.name for one in datasets if not one.embedded]
    if datasets and not own:
        return SIMULATION_NOTE
    if len(own) == len(datasets):
        return "These are the events of your own files."
    return (
        f"The events of {', '.join(own)} are those of your own files; the others are hepmtp's own "
        "simulation, not ATLAS and not Dark Machines data."
    )


def labels_of(datasets: Sequence[Dataset]) -> dict[str, str]:
    """TeX labels of the data sets that have one in their manifest."""
    return {one.name: one.label for one in datasets if one.label != one.process}


def about_datasets(
    datasets: Sequence[Dataset], normalisation: Mapping[str, Normalisation], filled: Iterable[str]
) -> dict[str, Any]:
    """What :class:`hepmtp.report.info.RunInfo` holds of the data sets, by field.

    One that was not filled, into any histogram, has no role in figures.
    """
    shown = set(filled)
    return {
        "note": note_of(datasets),
        "datasets": [_row(one, normalisation[one.name]) for one in datasets],
        "caption": caption_of(datasets, normalisation)._asdict(),
        "content": content_of(normalisation),
        "labels": labels_of(datasets),
        **{
            key: [name for name in names_of(datasets, role) if name in shown]
            for key, role in (("background", "background"), ("signals", "signal"), ("data", "data"))
        },
    }


def _row(dataset: Dataset, normalisation: Normalisation) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "role": dataset.role,
        "files": len(dataset.files),
        "events": dataset.events or "",
        "cross-section [pb]": dataset.cross_section_pb or "",
        "luminosity [1/fb]": normalisation.luminosity_ifb or "",
        "numbers are": KINDS[normalisation.kind],
        "from": "hepmtp simulation" if dataset.embedded else dataset.doi or "",
    }


def names_of(datasets: Sequence[Dataset], role: str) -> list[str]:
    """Names of the data sets of this role."""
    return [dataset.name for dataset in datasets if dataset.role == role]


def doubts(
    datasets: Sequence[Dataset], normalisation: Mapping[str, Normalisation]
) -> Iterator[str]:
    """Sentences on what is not known of these data sets, or differs among them."""
    unknown = [name for name, one in normalisation.items() if one.kind == "none"]
    if unknown:
        yield (
            f"The normalisation of {', '.join(unknown)} is not known, so sums of weights are no "
            "expected events: give cross_section_pb, luminosity_ifb and sum_weights."
        )
    for name, one in normalisation.items():
        if one.kind == "none" and one.note:
            yield f"{name} is not normalised: {one.note}."
        if one.kind == "data" and one.note:
            yield f"{name}: {one.note}."
    counted = [name for name, one in normalisation.items() if one.counted]
    if counted:
        yield (
            f"The sum of weights of {', '.join(counted)} was counted in the files that were read: "
            "right only if these hold every generated event."
        )
    for what, unit, known in (
        ("luminosity", "/fb", _luminosities(normalisation)),
        ("energy", "TeV", _energies(datasets)),
    ):
        given = {value: names for value, names in known.items() if value is not None}
        found = "; ".join(f"{value:g} {unit}: {', '.join(of)}" for value, of in given.items())
        if len(given) > 1:
            yield f"The data sets are not of one {what} ({found}): no figure claims any."
        elif given and None in known:
            yield f"The {what} of {', '.join(known[None])} is not known: no figure claims any."


def _luminosities(normalisation: Mapping[str, Normalisation]) -> Values:
    """Luminosity -> data sets; sums of weights stand for none."""
    found: Values = {}
    for name, one in normalisation.items():
        luminosity = None if one.kind == "none" else one.luminosity_ifb
        found.setdefault(luminosity, []).append(name)
    return found


def _energies(datasets: Sequence[Dataset]) -> Values:
    """Energy -> data sets."""
    found: Values = {}
    for one in datasets:
        found.setdefault(getattr(one, "energy_tev", None), []).append(one.name)
    return found

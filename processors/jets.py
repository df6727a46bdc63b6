"""JetProcessor: jets to histograms of what language models say of them, in regions of jets.

The rule: it is the AnomalyProcessor with scores that are made of models. So all that holds there
holds here, first of all that what has trained a model, of signal too, is never seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import awkward as ak
from numpy.typing import NDArray

from hepmtp import storage
from hepmtp.detectors import Detector, load_detector
from hepmtp.detectors.likelihood import JetLogDensity, JetRatioDetector
from hepmtp.errors import EventError, OptionError
from hepmtp.events.ragged import Bools, Floats
from hepmtp.events.record import metadata
from hepmtp.events.regions import Region
from hepmtp.events.variables import Variable
from hepmtp.jets.language_model import JetLanguageModel
from hepmtp.jets.observables import jet_mass, multiplicity
from hepmtp.jets.regions import JET_REGIONS, JET_VARIABLES
from processors.anomaly import AnomalyProcessor

Model = JetLanguageModel | Detector | str | Path


class JetProcessor(AnomalyProcessor):
    """Scores jets, each an event, and fills histograms.

    Parameters
    ----------
    models
        language models and detectors, or the folders of either; ``FOLDER#form`` names a form of a
        detector. Of each language model there are the scores ``log_p_NAME`` and
        ``log_p_per_term_NAME``. Of each pair of them, one of which is of background, there is
        ``jet_ratio_NAME_BACKGROUND``. Axes of these come from held-out jets.
    regions, variables
        what is filled; default: those of :mod:`hepmtp.jets.regions`.
    options
        the others of :class:`processors.anomaly.AnomalyProcessor`.

    Raises
    ------
    OptionError
        for models of different bins, or of one data set.

    Notes
    -----
    ``process`` returns what that processor does. Columns are also ``label``, where the files have
    one, ``mass`` [GeV] and ``multiplicity``.
    """

    def __init__(
        self,
        models: Sequence[Model],
        *,
        regions: Sequence[Region] = JET_REGIONS,
        variables: Sequence[Variable] = JET_VARIABLES,
        **options: Any,
    ) -> None:
        scores = list(scores_of(models))
        super().__init__(scores, regions=regions, variables=variables, **options)

    def process(self, events: ak.Array) -> dict[str, Any]:
        """Accumulator of one chunk, shape (n_jets,); raises EventError for what is no jet."""
        if "Jet" not in events.fields:
            raise EventError(
                f"data set {metadata(events).get('dataset', '')!r} has events, not jets: expected "
                "files in the layout of JetClass, or jets of hepmtp.jets_from"
            )
        return super().process(events)

    def _fill(
        self,
        out: dict[str, Any],
        dataset: str,
        events: ak.Array,
        masks: Mapping[str, Bools],
        weights: Mapping[str, Floats],
    ) -> tuple[ak.Array, dict[str, NDArray[Any]]]:
        events, table = super()._fill(out, dataset, events, masks, weights)
        if "label" in events.fields:
            table["label"] = ak.to_numpy(events.label)
        return events, table | {"mass": jet_mass(events), "multiplicity": multiplicity(events)}


def scores_of(models: Sequence[Model]) -> Iterator[Detector]:
    """The detectors among `models`, after what their language models say of jets."""
    opened = [_opened(one) if isinstance(one, str | Path) else one for one in models]
    language = [one for one in opened if isinstance(one, JetLanguageModel)]
    for one in language:
        log_p = JetLogDensity(one).fit_to_held_out()
        yield from (log_p.with_score(form) for form in log_p.forms)
    below = [one for one in language if one.role_ == "background" and not one.supervised_]
    above = [one for one in language if one not in below]
    for i, background in enumerate(below):
        for one in (*above, *below[i + 1 :]):
            yield JetRatioDetector(one, background).fit_to_held_out()
    yield from (one for one in opened if not isinstance(one, JetLanguageModel))


def _opened(path: str | Path) -> JetLanguageModel | Detector:
    folder, _, form = str(path).partition("#")
    if storage.read(folder)[0]["kind"] != storage.kind_of(JetLanguageModel):
        return load_detector(path)
    if form:
        raise OptionError(f"{path}: a language model has no forms: leave #{form} out")
    return JetLanguageModel.load(folder)

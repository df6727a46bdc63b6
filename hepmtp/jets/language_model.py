"""The language model of a data set of jets: bins, transformer, and what trained it.

The rule: it is a model of one named data set, of any role, and says which. Bins come from
background alone: a model of other jets starts from one of background, or takes its tokenizer.
"""

from __future__ import annotations

import copy
import logging
import weakref
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self, Unpack

import awkward as ak
import numpy as np

from hepmtp import storage
from hepmtp.errors import OptionError, TrainingError, fitted
from hepmtp.events.entering import as_events
from hepmtp.events.once import content_of
from hepmtp.events.ragged import Floats
from hepmtp.events.record import metadata
from hepmtp.events.split import Trained, in_one_order, joined, part_of, trained_by
from hepmtp.events.tokens import TokenBatch
from hepmtp.jets.calibration import Calibration, calibration
from hepmtp.jets.density import JetDensity, physical
from hepmtp.jets.generation import sample
from hepmtp.jets.terms import by_jet, by_term
from hepmtp.jets.weights import check_same_bins, load_bins, weights_of, with_weights
from hepmtp.models.autoregressive import AutoregressiveModel
from hepmtp.models.autoregressive_options import AutoregressiveOptions
from hepmtp.tokenizers.constituents import ConstituentTokenizer
from hepmtp.training.loop import History, Watch, seeded
from hepmtp.training.next_token import Jets, NextTokenOptions, first_counts, train
from hepmtp.training.threads import torch_threads

logger = logging.getLogger(__name__)
#: Held-out jets that are kept, at most, and how the names of their arrays begin.
_HELD_OUT, _KEPT = 1000, "held_out."


@dataclass(eq=False)
class JetLanguageModel:
    """Tokenizer and autoregressive model of one data set of jets.

    Parameters
    ----------
    tokenizer
        fitted with the model, if it is not fitted yet and the jets are background.
    model, training
        shape of the transformer, and how it is trained.
    max_constituents
        only so many leading constituents of each jet train; by default all of them.

    Attributes
    ----------
    model_, history_
        the trained model and its training curve.
    dataset_, role_, label_
        what it is a model of; the label is an index of `hepmtp.readers.jetclass.JET_LABELS`, -1 if
        the jets have none, or several.
    trained_
        which events were given to train on, to what it started from, too.
    supervised_
        whether signal was used in its training, or in that of what it started from.
    calibration_
        of held-out jets (:mod:`hepmtp.jets.calibration`).
    held_out_
        tokens of some of these, for the ranges of scores.
    """

    tokenizer: ConstituentTokenizer = field(default_factory=ConstituentTokenizer)
    model: AutoregressiveOptions = field(default_factory=AutoregressiveOptions)
    training: NextTokenOptions = field(default_factory=NextTokenOptions)
    max_constituents: int | None = None
    model_: AutoregressiveModel | None = field(default=None, init=False, repr=False)
    history_: History = field(default_factory=list, init=False, repr=False)
    dataset_: str = field(default="", init=False, repr=False)
    role_: str = field(default="", init=False, repr=False)
    label_: int = field(default=-1, init=False, repr=False)
    trained_: tuple[Trained, ...] = field(default=(), init=False, repr=False)
    supervised_: bool = field(default=False, init=False, repr=False)
    calibration_: list[Calibration] = field(default_factory=list, init=False, repr=False)
    held_out_: TokenBatch | None = field(default=None, init=False, repr=False)
    _last: tuple[Callable[[], Any], JetDensity] | None = field(default=None, init=False, repr=False)
    _saved: tuple[str, str] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.max_constituents is not None and self.max_constituents < 1:
            raise OptionError(
                f"max_constituents must be 1 or more, found {self.max_constituents}; leave it out "
                "for all"
            )

    @property
    def fitted_model(self) -> AutoregressiveModel:
        """The trained model."""
        return fitted(self.model_, self)

    def fit(
        self,
        events: ak.Array,
        *,
        start_from: JetLanguageModel | None = None,
        **watch: Unpack[Watch],
    ) -> Self:
        """Train on the train part of jets of one data set; the validation part stops the training.

        Weights are not used.

        Parameters
        ----------
        events
            shape (n_jets,), background or signal.
        start_from
            a trained model, whose bins, shape and weights are taken up.
        watch
            ``checkpoint`` and ``progress`` of :func:`hepmtp.training.loop.train`.

        Raises
        ------
        TrainingError
            if the jets have no name or role, there are none of a part, or bins are missing or not
            those of `start_from`.
        """
        found = metadata(events)
        name, role = str(found.get("dataset", "")), found.get("role")
        if not name or role not in ("background", "signal"):
            raise TrainingError(
                f"a language model is one of a named data set of background or signal, found data "
                f"set {name!r} with role {role!r}: give both to make_events or with_metadata"
            )
        events = in_one_order(as_events(events))
        if ((weight := ak.to_numpy(events.weight)) != weight[:1]).any():
            logger.warning("%s: the weights of the jets are not used: each counts once", name)
        if start_from is not None:
            self._take_up(start_from)
        training = part_of(events, "train")
        if self.tokenizer.edges_ is None:
            if role != "background":
                raise TrainingError(
                    f"bins are fitted on background only, and {name!r} has the role {role!r}: "
                    "start from a language model of background, or give its tokenizer"
                )
            self.tokenizer.fit(training)
        whole = [self.tokenizer.encode(one) for one in (training, part_of(events, "validation"))]
        jets = [Jets.leading(one, self.max_constituents) for one in whole]
        model = self._new_model()
        if start_from is not None:
            model.load_state_dict(start_from.fitted_model.state_dict())
        elif self.model.counts:
            model.start_from_counts(first_counts(model, jets[0]))
        images = self.tokenizer.mirrors
        self.history_ = train(model, *jets, options=self.training, mirrors=images, **watch)
        self.model_, self.dataset_, self.role_ = model, name, str(role)
        self.trained_, self.label_ = trained_by(events), _label(events)
        self.held_out_ = whole[1].select(np.arange(min(len(whole[1]), _HELD_OUT)))
        self.supervised_, self._last, self._saved = role == "signal", None, None
        if start_from is not None:
            self.trained_ = joined([*start_from.trained_, *self.trained_])
            self.supervised_ |= start_from.supervised_
        with torch_threads(self.training.threads):
            self.calibration_ = calibration(model, jets[1])
        return self

    def density(self, events: ak.Array) -> JetDensity:
        """log p of each jet, whole, shape (n_jets,).

        That of the last array is remembered, so that several scores share the work.
        """
        if self._last is not None and self._last[0]() is content_of(events):
            return self._last[1]
        tokens, model = self.tokenizer.encode(events), self.fitted_model
        log_p, mean, variance = by_jet(model, tokens, model.moments, 3)
        in_space = physical(
            log_p.sum(axis=1),
            self.tokenizer.log_volumes(tokens),
            self.tokenizer.digits[tokens.values, 0],
            tokens,
        )
        found = JetDensity(
            log_p.sum(axis=1),
            tokens.counts + 1,
            in_space,
            self.tokenizer.outside(events),
            log_p,
            mean.sum(axis=1),
            variance.sum(axis=1),
        )
        self._last = weakref.ref(content_of(events)), found
        return found

    def log_prob(self, tokens: TokenBatch) -> Floats:
        """log p of the tokens of each jet, (n_jets, n_factors or 1); their sum is that of the jet.

        The first column holds pt and stop.
        """
        return np.asarray(by_jet(self.fitted_model, tokens, self.fitted_model.log_prob)[0])

    def terms(self, tokens: TokenBatch) -> Floats:
        """log p of each term, (n_tokens + n_jets, n_factors or 1); jets in the order of the batch.

        Rows of a jet lie together, its stop last.
        """
        return np.asarray(by_term(self.fitted_model, tokens, self.fitted_model.log_prob)[0])

    def sample(self, n_jets: int, *, seed: int = 0, **options: Any) -> TokenBatch:
        """Tokens of jets that the model makes up, by :func:`hepmtp.jets.generation.sample`."""
        return sample(self.fitted_model, n_jets, seed=seed, **options)

    def save(self, path: str | Path) -> None:
        """Write model, training curve, calibration, tokenizer and what trained it to a folder."""
        self.write(path)
        self._saved = (str(Path(path).resolve()), storage.digest(path))

    def write(self, path: str | Path) -> None:
        """As `save`, into the folder of something that is made of this model."""
        model = self.fitted_model
        meta = {
            "dataset": self.dataset_,
            "role": self.role_,
            "label": self.label_,
            "model": asdict(self.model),
            "training": asdict(self.training),
            "max_constituents": self.max_constituents,
            "history": self.history_,
            "trained": self.trained_,
            "supervised": self.supervised_,
            "calibration": self.calibration_,
            "bins": self.tokenizer.identity,
        }
        arrays = weights_of(model)
        if self.held_out_ is not None:
            arrays[f"{_KEPT}values"] = self.held_out_.values.astype(np.int32)
            arrays[f"{_KEPT}counts"] = self.held_out_.counts.astype(np.int32)
        with storage.new_folder(path) as folder:
            storage.write(folder, storage.kind_of(self), meta, arrays)
            self.tokenizer.save(folder / "tokenizer")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote; a damaged folder or one of another kind raises StorageError."""
        meta, arrays = storage.read(path, storage.kind_of(cls))
        one = cls(
            load_bins(path, meta["bins"]),
            AutoregressiveOptions(**meta["model"]),
            NextTokenOptions.from_saved(meta["training"]),
            meta["max_constituents"],
        )
        if f"{_KEPT}values" in arrays:
            values, counts = (arrays.pop(f"{_KEPT}{name}") for name in ("values", "counts"))
            one.held_out_ = TokenBatch.from_counts(values.astype(np.int64), counts)
        one.model_ = with_weights(one._new_model(), arrays, path)
        one.history_ = meta["history"]
        one.dataset_, one.role_, one.label_ = meta["dataset"], meta["role"], meta["label"]
        one.trained_ = tuple(Trained(*span) for span in meta["trained"])
        one.calibration_ = [Calibration(*row) for row in meta["calibration"]]
        one.supervised_ = meta.get("supervised", one.role_ == "signal")
        one._saved = (str(Path(path).resolve()), storage.digest(path))
        return one

    def __reduce__(self) -> Any:
        """A saved model travels to workers as path and digest, and is opened once in each."""
        if self._saved is None or not Path(self._saved[0]).is_dir():
            return super().__reduce__()
        return storage.open_once, (JetLanguageModel, *self._saved)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_last": None}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """A copy that may be trained on; nothing is shared with what `storage.open_once` keeps."""
        other = type(self)()
        other.__dict__.update(copy.deepcopy(self.__getstate__(), memo))
        return other

    def _take_up(self, other: JetLanguageModel) -> None:
        """Bins and shape of another model."""
        check_same_bins(self.tokenizer, other.tokenizer)
        self.tokenizer, self.model = other.tokenizer, other.model
        _ = other.fitted_model

    def _new_model(self) -> AutoregressiveModel:
        """The model with the random weights of the training's seed."""
        tokenizer = self.tokenizer
        with seeded(self.training.seed):
            return AutoregressiveModel(
                tokenizer.factors, tokenizer.digits, self.model, centres=tokenizer.centres
            )


def _label(events: ak.Array) -> int:
    """The one label of all jets, or -1."""
    if "label" not in events.fields:
        return -1
    labels = np.unique(ak.to_numpy(events.label))
    return int(labels[0]) if len(labels) == 1 else -1

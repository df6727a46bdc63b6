"""The masked-token detector: how badly a model, trained on background, predicts each particle.

The rule: each token is predicted from all others of its event; :mod:`hepmtp.detectors.masked_token.forms`
says how an event's tokens become one number.
"""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import awkward as ak
import numpy as np
import torch
from hist.axis import Regular

from hepmtp import storage
from hepmtp.detectors import BaseDetector, axis_from, plain_axis, score_axis, training_events
from hepmtp.detectors.masked_token.forms import COMMON_FORMS, describe, label, parts_of
from hepmtp.detectors.masked_token.surprise import Surprises, surprises
from hepmtp.detectors.masked_token.tails import TailCombination
from hepmtp.errors import OptionError, StorageError, check_protocol, fitted
from hepmtp.events.ragged import Floats, Ints
from hepmtp.events.tokens import TokenBatch
from hepmtp.models import TokenModel, check_model
from hepmtp.models.masked import ModelOptions
from hepmtp.tokenizers import Tokenizer, load_tokenizer
from hepmtp.tokenizers.lookup import LookupTokenizer
from hepmtp.training.loop import History, Progress
from hepmtp.training.masking import TrainingOptions, train
from hepmtp.training.threads import torch_threads


class ModelRecord(Protocol):
    """Options of a model: a dataclass of plain data that builds it."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def build(self, factors: tuple[tuple[str, int], ...], digits: Ints) -> TokenModel:
        """A model with random weights for the ids of a tokenizer with these factors and digits."""


@dataclass(eq=False)
class MaskedTokenDetector(BaseDetector):
    """Tokenizer, masked-token model and background tail probabilities as one detector.

    Parameters
    ----------
    tokenizer
        default: the look-up table "no_azimuth".
    model, training
        shape of the model and how it is trained.
    form
        of the score; this module's docstring lists them.
    tail_events
        at most so many training events are scored to fit the tail probabilities and the ranges of the axes.

    Attributes
    ----------
    model_, history_
        the trained model and its training curve.
    """

    tokenizer: Tokenizer = field(default_factory=lambda: LookupTokenizer.preset("no_azimuth"))
    model: ModelRecord = field(default_factory=ModelOptions)
    training: TrainingOptions = field(default_factory=TrainingOptions)
    form: str = "joined"
    tail_events: int = 50_000
    history_: History = field(default_factory=list, init=False, repr=False)
    model_: TokenModel | None = field(default=None, init=False, repr=False)
    _state: _State | None = field(default=None, init=False, repr=False)
    _saved: tuple[str, str] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        check_protocol(self.tokenizer, Tokenizer)

    @property
    def name(self) -> str:
        """``masked_token``, followed by the form unless it is the default one."""
        return "masked_token" if self.form == "joined" else f"masked_token_{self.form}"

    @property
    def axis(self) -> Regular:
        """Axis of this form of the score."""
        return axis_from(self._fitted().axes[self.form])

    @property
    def fitted_model(self) -> TokenModel:
        """The trained model."""
        return fitted(self.model_, self)

    @property
    def description(self) -> str:
        """What this form of the score is, in a sentence."""
        return describe(self.form)

    @property
    def forms(self) -> tuple[str, ...]:
        """The forms that the score can have."""
        return (*COMMON_FORMS, *self._heads())

    @property
    def n_parameters(self) -> int:
        """Trainable parameters of the model."""
        return sum(one.numel() for one in self.fitted_model.parameters())

    @property
    def supervised(self) -> bool:
        """Whether signal is used in the training of the tokenizer."""
        return self.tokenizer.supervised

    def with_score(self, form: str) -> Self:
        """The same detector with another form of the score; both share the model and what it has computed."""
        self._check_form(form)
        other = type(self)(self.tokenizer, self.model, self.training, form, self.tail_events)
        for name in ("history_", "model_", "_state", "_saved"):
            setattr(other, name, getattr(self, name))
        return other

    def fit(
        self,
        events: ak.Array,
        *,
        checkpoint: str | Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Fit tokenizer, model and tail probabilities on background events; only their train and validation parts are used.

        Parameters
        ----------
        events
            background, shape (n_events,).
        checkpoint
            folder from which an interrupted training goes on (:func:`hepmtp.training.loop.train`).
        progress
            called after each batch.
        """
        training, validation = (training_events(events, part) for part in ("train", "validation"))
        self.tokenizer.fit(training)
        tokens = [self.tokenizer.encode(part) for part in (training, validation)]
        return self.fit_tokens(*tokens, checkpoint=checkpoint, progress=progress)

    def fit_tokens(
        self,
        training: TokenBatch,
        validation: TokenBatch,
        *,
        checkpoint: str | Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """As `fit`, for tokens of the fitted tokenizer, such as :class:`processors.corpus.CorpusProcessor` gives."""
        self._check_form(self.form)
        model = self._new_model()
        self.history_ = train(
            model,
            training,
            validation,
            options=self.training,
            checkpoint=checkpoint,
            progress=progress,
        )
        self.model_ = model
        rng = np.random.default_rng(self.training.seed)
        some = np.sort(rng.permutation(len(training))[: self.tail_events])
        state = _State()
        self._state, self._saved = state, None
        parts = self._parts(training.select(some))
        state.tails.fit(parts["questions"])
        state.axes = {
            form: plain_axis(score_axis(self._form(parts, form), label=label(form)))
            for form in self.forms
        }
        return self

    def score(self, events: ak.Array) -> Floats:
        """Score of each event, shape (n_events,)."""
        self._fitted()
        return self._form(self._parts(self.tokenizer.encode(events)), self.form)

    def surprises(self, tokens: TokenBatch) -> Surprises:
        """Leave-one-out surprises of each token; the last batch is remembered, so that forms share the work."""
        state = self._fitted()
        if state.last is None or state.last[0] != tokens:
            with torch_threads(1):
                state.last = (tokens, surprises(self.fitted_model, tokens))
        return state.last[1]

    def save(self, path: str | Path) -> None:
        """Write model, tail probabilities, axes, training curve and tokenizer to a folder."""
        state = self._fitted()
        meta = {
            "model": asdict(self.model),
            "model_kind": storage.kind_of(self.model),
            "training": asdict(self.training),
            "form": self.form,
            "tail_events": self.tail_events,
            "history": self.history_,
            "axes": state.axes,
        }
        arrays = {
            f"model.{key}": value.numpy(force=True)
            for key, value in self.fitted_model.state_dict().items()
        }
        arrays |= {f"tails.{key}": value for key, value in state.tails.arrays().items()}
        with storage.new_folder(path) as folder:
            storage.write(folder, storage.kind_of(self), meta, arrays)
            self.tokenizer.save(folder / "tokenizer")
        self._saved = (str(Path(path).resolve()), storage.digest(path))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote."""
        meta, arrays = storage.read(path, storage.kind_of(cls))
        detector = cls(
            load_tokenizer(Path(path) / "tokenizer"),
            _record(path, meta),
            TrainingOptions.from_saved(meta["training"]),
            meta["form"],
            meta["tail_events"],
        )
        model = detector._new_model()  # its weights are replaced at once
        weights = {
            key[6:]: torch.as_tensor(value)
            for key, value in arrays.items()
            if key.startswith("model.")
        }
        try:
            model.load_state_dict(weights)
        except RuntimeError as error:
            raise StorageError(
                f"{path}: the weights do not fit the tokenizer's vocabulary ({error}); save it again"
            ) from None
        tails = {key[6:]: value for key, value in arrays.items() if key.startswith("tails.")}
        detector._state = _State(TailCombination.from_arrays(tails), meta["axes"])
        detector.model_, detector.history_ = model.eval(), meta["history"]
        detector._saved = (str(Path(path).resolve()), storage.digest(path))
        return detector

    def __reduce__(self) -> Any:
        """A saved detector travels to workers as its path and digest, and is opened once in each."""
        if self._saved is None:
            return super().__reduce__()
        return _open, (*self._saved, self.form)

    def _fitted(self) -> _State:
        return fitted(self._state, self)

    def _check_form(self, form: str) -> None:
        if form not in self.forms:
            raise OptionError(f"score form {form!r} is unknown; there are {', '.join(self.forms)}")

    def _heads(self) -> list[str]:
        model = self.model_ or self._new_model()
        return [head.name for head in model.heads]

    def _new_model(self) -> TokenModel:
        """A model with random weights, drawn from the seed; torch's generator stays as it was."""
        if not hasattr(self.model, "build"):
            raise OptionError(
                f"the model of a MaskedTokenDetector is a record of options with build(factors, "
                f"digits), such as hepmtp.ModelOptions; found {type(self.model).__name__}"
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.training.seed)
            return check_model(self.model.build(self.tokenizer.factors, self.tokenizer.digits))

    def _parts(self, tokens: TokenBatch) -> dict[str, Floats]:
        return parts_of(self.surprises(tokens), tokens, self._heads())

    def _form(self, parts: dict[str, Floats], form: str) -> Floats:
        if form != "joined":
            return parts[form]
        return self._fitted().tails.score(parts["questions"])


def _record(path: str | Path, meta: dict[str, Any]) -> ModelRecord:
    """The options of a saved model; folders of before they had a kind hold those of hepmtp's own."""
    options = dict(meta["model"])
    if "model_kind" not in meta:
        options["output"] = options.pop("form")
    kind = meta.get("model_kind", storage.kind_of(ModelOptions))
    try:
        found: ModelRecord = storage.resolve(kind)(**options)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise StorageError(
            f"{path}: its model is of a {kind!r}, which cannot be made here ({error}): "
            "install its package"
        ) from None
    return found


@dataclass
class _State:
    """What all forms of a detector share."""

    tails: TailCombination = field(default_factory=TailCombination)
    axes: dict[str, dict[str, Any]] = field(default_factory=dict)
    last: tuple[TokenBatch, Surprises] | None = None  # stays at home when pickled: it is large

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "last": None}


@functools.lru_cache(maxsize=4)
def _open_once(path: str, digest: str) -> MaskedTokenDetector:
    if storage.digest(path) != digest:
        raise StorageError(
            f"{path} is not the detector that the processor was made with (its sha256 differs): copy it again"
        )
    return MaskedTokenDetector.load(path)


def _open(path: str, digest: str, form: str) -> MaskedTokenDetector:
    return _open_once(path, digest).with_score(form)

"""The masked-token detector: how badly a model, trained on background, predicts each token.

Tokenizer, model and the form of the score (:mod:`hepmtp.detectors.masked_token.forms`) are parts
that a user may exchange.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self, Unpack

import awkward as ak
import numpy as np
from hist.axis import Regular

from hepmtp import storage
from hepmtp.detectors import BaseDetector, axis_from, plain_axis, score_axis, training_events
from hepmtp.detectors.masked_token.forms import (
    JOINED,
    check_form,
    check_types,
    description,
    forms_of,
    heads_of,
    label,
    questions,
    sums_in_blocks,
)
from hepmtp.detectors.masked_token.remembered import State, content_of, last_of
from hepmtp.detectors.masked_token.saved import arrays_of, load_weights, saved_config, tails_of
from hepmtp.detectors.masked_token.surprise import (
    Surprises,
    check_precision,
    predictor_of,
    surprises,
)
from hepmtp.detectors.sent import open_form
from hepmtp.errors import check_protocol, fitted
from hepmtp.events.ragged import Floats
from hepmtp.events.split import trained_by
from hepmtp.events.stored_tokens import Tokens
from hepmtp.events.tokens import TokenBatch
from hepmtp.models import ModelConfig, TokenModel, build, check_config
from hepmtp.models.masked import ModelOptions
from hepmtp.models.one_pass import Precision
from hepmtp.plugins import allow_class, allowed
from hepmtp.statistics.fisher import TailCombination
from hepmtp.tokenizers import Tokenizer, load_tokenizer
from hepmtp.tokenizers.lookup import LookupTokenizer
from hepmtp.training.loop import History, Watch, seeded
from hepmtp.training.masking import TrainingOptions, train
from hepmtp.training.threads import torch_threads


@dataclass(eq=False)
class MaskedTokenDetector(BaseDetector):
    """Tokenizer, masked-token model and background tail probabilities as one detector.

    Parameters
    ----------
    tokenizer
        default: the look-up table "no_azimuth".
    model
        what the model is made from (:class:`hepmtp.models.ModelConfig`); default: a transformer.
    training
        how it is trained.
    form
        of the score (:mod:`hepmtp.detectors.masked_token.forms`).
    tail_events
        at most so many training events are scored to fit the tail probabilities and the ranges of
        the axes.
    precision
        of products with weights in scoring: "float32", or "bfloat16", which is sooner on
        processors that multiply such (:doc:`/benchmarks`).

    Attributes
    ----------
    model_, history_
        the trained model and its training curve.

    Raises
    ------
    OptionError
        if `model` is no dataclass with a method ``build``, or the precision is unknown.
    """

    tokenizer: Tokenizer = field(default_factory=lambda: LookupTokenizer.preset("no_azimuth"))
    model: ModelConfig = field(default_factory=ModelOptions)
    training: TrainingOptions = field(default_factory=TrainingOptions)
    form: str = "joined"
    tail_events: int = 50_000
    precision: Precision = "float32"
    history_: History = field(default_factory=list, init=False, repr=False)
    model_: TokenModel | None = field(default=None, init=False, repr=False)
    _state: State | None = field(default=None, init=False, repr=False)
    _saved: tuple[str, str] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        check_protocol(self.tokenizer, Tokenizer)
        check_config(self.model)
        check_precision(self.precision)
        for part in (self.tokenizer, self.model):  # a saved one names their classes
            allow_class(storage.kind_of(part))

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
    def tails_(self) -> dict[str, TailCombination]:
        """The tail probabilities of background that each form that is joined combines."""
        return self._fitted().tails

    @property
    def description(self) -> str:
        """What this form of the score is, in a sentence."""
        return description(self.form)

    @property
    def forms(self) -> tuple[str, ...]:
        """The forms that the score can have."""
        if self._state is not None:  # older folders do not know all of them
            return tuple(self._state.axes)
        return forms_of(heads_of(self._new_model()))

    @property
    def n_parameters(self) -> int:
        """Trainable parameters of the model."""
        return sum(one.numel() for one in self.fitted_model.parameters())

    @property
    def supervised(self) -> bool:
        """Whether signal is used in the training of the tokenizer."""
        return self.tokenizer.supervised

    def with_score(self, form: str) -> Self:
        """The same detector with another form of the score.

        Both share the model and what it has computed.
        """
        check_form(form, self.forms)
        return self._changed(form=form)

    def with_precision(self, precision: Precision) -> Self:
        """The same detector, scoring in another precision; its tails and axes are those of before.

        OptionError for an unknown one, and for a model that has none but float32.
        """
        check_precision(precision, self.fitted_model)
        other = self._changed(precision=precision)
        state = self._fitted()
        other._state, other._saved = State(state.tails, state.axes), None
        return other

    def _changed(self, **changes: Any) -> Self:
        """With other options, and all else shared."""
        other = replace(self, **changes)
        for name in ("history_", "model_", "trained_", "card_", "_state", "_saved"):
            setattr(other, name, getattr(self, name))
        return other

    def fit(self, events: ak.Array, **watch: Unpack[Watch]) -> Self:
        """Fit tokenizer, model and tail probabilities on background events, shape (n_events,).

        Only their train and validation parts are used. `watch` is that of
        :class:`hepmtp.training.loop.Watch`.
        """
        training, validation = (training_events(events, part) for part in ("train", "validation"))
        self.tokenizer.fit(training)
        check_types(self.tokenizer, training)
        tokens = [self.tokenizer.encode(part) for part in (training, validation)]
        self.fit_tokens(*tokens, **watch)
        self.trained_ = trained_by(events)
        self.describe(training)
        return self

    def fit_tokens(self, training: Tokens, validation: Tokens, **watch: Unpack[Watch]) -> Self:
        """As `fit`, for tokens of the fitted tokenizer, in memory or in files.

        :class:`processors.corpus.CorpusProcessor` gives such. Which events they are of is not
        known here: whoever knows sets ``trained_``, and describes them (``describe``). Nor are
        the digits of a factor "type" checked (`check_types`).
        """
        self.trained_ = self.card_ = None
        model = self._new_model().eval()
        check_precision(self.precision, model)
        forms = forms_of(heads_of(model))
        check_form(self.form, forms)
        self.history_ = train(model, training, validation, options=self.training, **watch)
        self.model_ = model
        rng = np.random.default_rng(self.training.seed)
        some = np.sort(rng.permutation(len(training))[: self.tail_events])
        state = State()
        self._state, self._saved = state, None
        values = self._sums(training.select(some))
        for form in set(forms) & set(JOINED):
            asked = questions(values, heads_of(model), form)
            state.tails[form] = TailCombination().fit(asked)
        state.axes = {
            form: plain_axis(score_axis(self._form(values, form), label=label(form)))
            for form in forms
        }
        return self

    def score(self, events: ak.Array) -> Floats:
        """Score of each event, shape (n_events,)."""
        return self._form(self._sums(self._tokens(events)), self.form)

    def parts(self, events: ak.Array) -> Floats:
        """What a form that is joined is made of, (n_events, n_parts), or else its one score."""
        forms = self._sums(self._tokens(events))
        if self.form not in JOINED:
            return forms[self.form][:, None]
        return questions(forms, heads_of(self.fitted_model), self.form)

    def surprises(self, tokens: TokenBatch) -> Surprises:
        """Leave-one-out surprises of each token.

        Those of the last batch are remembered.
        """
        last, model = self._fitted().last, self.fitted_model
        if last.found is None or last.found[0] != tokens:
            with torch_threads(1):
                predict = predictor_of(model, tokens, self.precision)
                last.found = (tokens, surprises(model, tokens, predict=predict))
        return last.found[1]

    def save(self, path: str | Path) -> None:
        """Write model, tail probabilities, axes, training curve and tokenizer to a folder."""
        state = self._fitted()
        meta = {
            "model_kind": storage.kind_of(self.model),
            "model": asdict(self.model),
            "training": asdict(self.training),
            "form": self.form,
            "tail_events": self.tail_events,
            "precision": self.precision,
            "history": self.history_,
            "axes": state.axes,
        }
        arrays = arrays_of(self.fitted_model, state.tails)
        with storage.new_folder(path) as folder:
            self._write(folder, meta, arrays)
            self.tokenizer.save(folder / "tokenizer")
        self._saved = (str(Path(path).resolve()), storage.digest(path))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote."""
        meta, arrays = storage.read(path, storage.kind_of(cls))
        detector = cls(
            load_tokenizer(Path(path) / "tokenizer"),
            saved_config(path, meta),
            TrainingOptions.from_saved(meta["training"]),
            meta["form"],
            meta["tail_events"],
            meta.get("precision", "float32"),
        )
        model = detector._new_model()
        weights = load_weights(path, model, arrays)
        digest = storage.digest(path)
        made_of = [meta.get("model_kind"), meta["model"], storage.digest(Path(path) / "tokenizer")]
        last = last_of(content_of(weights, repr([detector.precision, *made_of])))
        detector._state = State(tails_of(arrays), meta["axes"], last)
        detector.model_, detector.history_ = model.eval(), meta["history"]
        detector._recall(meta)
        detector._saved = (str(Path(path).resolve()), digest)
        return detector

    def __reduce__(self) -> Any:
        """A saved detector travels to workers as path and digest, and is opened once in each.

        One that was saved as a part of another has no such path: it travels as it is.
        """
        if self._saved is None or not Path(self._saved[0]).is_dir():
            return super().__reduce__()
        return open_form, (MaskedTokenDetector, *self._saved, self.form, allowed())

    def _fitted(self) -> State:
        return fitted(self._state, self)

    def _new_model(self) -> TokenModel:
        """The model with the random weights of the training's seed."""
        with seeded(self.training.seed):
            return build(self.model, self.tokenizer.factors, self.tokenizer.digits)

    def _tokens(self, events: ak.Array) -> TokenBatch:
        self._fitted()
        return self.tokenizer.encode(self._entering(events))

    def _sums(self, tokens: TokenBatch) -> dict[str, Floats]:
        """Every form but those that are joined, each (n_events,).

        Those of the last batch are remembered, so that forms share the work.
        """
        last, model = self._fitted().last, self.fitted_model
        if last.sums is None or last.sums[0] != tokens:
            with torch_threads(1):
                found = sums_in_blocks(model, self.tokenizer, tokens, self.precision)
                last.sums = (tokens, found)
        return last.sums[1]

    def _form(self, forms: dict[str, Floats], form: str) -> Floats:
        if form not in JOINED:
            return forms[form]
        asked = questions(forms, heads_of(self.fitted_model), form)
        return self._fitted().tails[form].score(asked)

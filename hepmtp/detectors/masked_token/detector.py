"""The masked-token detector: how badly a transformer, trained on background, predicts each particle from the others.

The rule: every form of the score is larger for stranger events. With s the surprise -log p of a hidden token's digit, t the tail
surprise -log P(d or more), H and V expected value and variance of s under the model's own prediction (:mod:`hepmtp.detectors.masked_token.surprise`):

- ``"sum"``: all s of the event; grows with the particle count by itself;
- ``"mean"``: the sum over the number of tokens;
- ``"excess"``: (sum s - sum H) / sqrt(sum V), over all factors: centred and scaled;
- a factor's name (``"type"``, ``"pt"``, ``"eta"``, ``"MET"``, ...): the sum of that factor alone, of t for pt and MET, where new
  physics lies above and not below what is expected, of s for the others;
- ``"joined"``, the default: three questions, each answered by the share of background that is at least as strange, and Fisher's
  combination of the three (:mod:`hepmtp.detectors.masked_token.tails`). What the particles are (sum of s of the type), how hard they are (sum of t of
  pt), and what is missing (t of MET). Directions (eta, phi, METphi) are not asked for: nothing says where new physics would
  point. What has no such name (a code, a joint token) is asked for by its s as one question.
"""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import awkward as ak
import numpy as np
import torch
from hist.axis import Regular
from numpy.typing import NDArray

from hepmtp import storage
from hepmtp.detectors import axis_from, plain_axis, score_axis, training_events
from hepmtp.detectors.masked_token.surprise import Surprises, surprises
from hepmtp.detectors.masked_token.tails import TailCombination
from hepmtp.errors import NotFittedError, OptionError, StorageError
from hepmtp.events.tokens import TokenBatch
from hepmtp.models.masked import MaskedTokenModel, ModelOptions, output_heads
from hepmtp.tokenizers import Tokenizer, load_tokenizer
from hepmtp.tokenizers.lookup import LookupTokenizer
from hepmtp.training.loop import History, Progress
from hepmtp.training.masking import TrainingOptions, train
from hepmtp.training.threads import torch_threads

Floats = NDArray[np.float64]

#: Factors of which only a large value is strange.
UPWARDS = ("pt", "MET")
#: Factors that the joined score does not ask for: directions.
NOT_ASKED = ("eta", "phi", "METphi")


@dataclass(eq=False)
class MaskedTokenDetector:
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
    model: ModelOptions = field(default_factory=ModelOptions)
    training: TrainingOptions = field(default_factory=TrainingOptions)
    form: str = "joined"
    tail_events: int = 50_000
    history_: History = field(default_factory=list, init=False, repr=False)
    model_: MaskedTokenModel | None = field(default=None, init=False, repr=False)
    _state: _State | None = field(default=None, init=False, repr=False)
    _saved: tuple[str, str] | None = field(default=None, init=False, repr=False)

    @property
    def name(self) -> str:
        """``masked_token``, followed by the form unless it is the default one."""
        return "masked_token" if self.form == "joined" else f"masked_token_{self.form}"

    @property
    def axis(self) -> Regular:
        """Axis of this form of the score."""
        return axis_from(self._fitted().axes[self.form])

    @property
    def fitted_model(self) -> MaskedTokenModel:
        """The trained model."""
        if self.model_ is None:
            raise NotFittedError(
                "this MaskedTokenDetector is not trained yet: call fit(background events) first"
            )
        return self.model_

    @property
    def description(self) -> str:
        """What this form of the score is, in a sentence."""
        plain = {
            "joined": "How badly a transformer, trained on background, predicts what the particles are, how hard they are and what is "
            "missing from the rest of the event: for each of the three the share of background that is at least as strange, and Fisher's "
            "combination of these.",
            "sum": "Sum of -log p over everything that the transformer predicts; grows with the particle count by itself.",
            "mean": "The sum divided by the number of tokens.",
            "excess": "The sum minus what the model expects, over the spread that it expects.",
        }
        above = "a value as large or larger" if self.form in UPWARDS else "the value"
        return plain.get(
            self.form,
            f"Sum of -log of the probability that the transformer gives to {above} of {self.form}.",
        )

    @property
    def forms(self) -> tuple[str, ...]:
        """The forms that the score can have."""
        return ("joined", "sum", "mean", "excess", *self._heads())

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
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.training.seed)
            model = MaskedTokenModel(self.tokenizer.factors, self.tokenizer.digits, self.model)
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
            form: plain_axis(score_axis(self._form(parts, form), label=_label(form)))
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
            ModelOptions(**meta["model"]),
            TrainingOptions.from_saved(meta["training"]),
            meta["form"],
            meta["tail_events"],
        )
        with torch.random.fork_rng(devices=[]):  # the weights drawn here are replaced at once
            model = MaskedTokenModel(
                detector.tokenizer.factors, detector.tokenizer.digits, detector.model
            )
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
        if self._state is None:
            raise NotFittedError(
                "this MaskedTokenDetector is not trained yet: call fit(background events) first"
            )
        return self._state

    def _check_form(self, form: str) -> None:
        if form not in self.forms:
            raise OptionError(f"score form {form!r} is unknown; there are {', '.join(self.forms)}")

    def _heads(self) -> list[str]:
        heads, _ = output_heads(self.model.form, self.tokenizer.factors, self.tokenizer.digits)
        return [head.name for head in heads]

    def _parts(self, tokens: TokenBatch) -> dict[str, Floats]:
        """Every form but the joined one, each shape (n_events,), and the components of that, (n_events, n_components)."""
        found = self.surprises(tokens)

        def total(part: Floats) -> Floats:
            return np.bincount(tokens.owner, part, minlength=len(tokens)).astype(np.float64)

        s, expected, variance = (
            total(part.sum(axis=1)) for part in (found.surprise, found.expected, found.variance)
        )
        parts = {"sum": s, "mean": s / np.maximum(tokens.counts, 1)}
        parts["excess"] = (s - expected) / np.sqrt(np.maximum(variance, 1e-9))
        heads = self._heads()
        for column, name in enumerate(heads):
            parts[name] = total((found.tail if name in UPWARDS else found.surprise)[:, column])
        named = [parts[name] for name in heads if name in ("type", *UPWARDS)]
        other = [parts[name] for name in heads if name not in ("type", *UPWARDS, *NOT_ASKED)]
        parts["questions"] = np.stack([*named, *([np.sum(other, axis=0)] if other else [])], axis=1)
        return parts

    def _form(self, parts: dict[str, Floats], form: str) -> Floats:
        if form != "joined":
            return parts[form]
        return self._fitted().tails.score(parts["questions"])


@dataclass
class _State:
    """What all forms of a detector share."""

    tails: TailCombination = field(default_factory=TailCombination)
    axes: dict[str, dict[str, Any]] = field(default_factory=dict)
    last: tuple[TokenBatch, Surprises] | None = None  # stays at home when pickled: it is large

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "last": None}


def _label(form: str) -> str:
    return "masked-token score" if form == "joined" else f"masked-token score ({form})"


@functools.lru_cache(maxsize=4)
def _open_once(path: str, digest: str) -> MaskedTokenDetector:
    if storage.digest(path) != digest:
        raise StorageError(
            f"{path} is not the detector that the processor was made with (its sha256 differs): copy it again"
        )
    return MaskedTokenDetector.load(path)


def _open(path: str, digest: str, form: str) -> MaskedTokenDetector:
    return _open_once(path, digest).with_score(form)

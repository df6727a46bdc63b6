"""The language model of a data set of jets: bins, transformer, and what trained it.

The rule: it is a model of one named data set, of any role, and says which. Bins come from
background alone: a model of other jets starts from one of background, or takes its tokenizer.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self, Unpack

import awkward as ak
import numpy as np
import torch

from hepmtp import storage
from hepmtp.errors import OptionError, StorageError, TrainingError, fitted
from hepmtp.events.entering import as_events
from hepmtp.events.ragged import Floats
from hepmtp.events.record import metadata
from hepmtp.events.split import Trained, in_one_order, part_of, trained_by
from hepmtp.events.tokens import TokenBatch
from hepmtp.jets.calibration import Calibration, calibration
from hepmtp.jets.density import JetDensity, physical
from hepmtp.jets.generation import sample
from hepmtp.models.attention import sort_by_multiplicity
from hepmtp.models.autoregressive import AutoregressiveModel
from hepmtp.models.autoregressive_options import AutoregressiveOptions
from hepmtp.tokenizers.constituents import ConstituentTokenizer
from hepmtp.training.loop import History, Watch, device_of, seeded
from hepmtp.training.next_token import Jets, NextTokenOptions, batches, first_counts, train
from hepmtp.training.threads import torch_threads

logger = logging.getLogger(__name__)


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
        which events were given to train on.
    calibration_
        of held-out jets (:mod:`hepmtp.jets.calibration`).
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
    calibration_: list[Calibration] = field(default_factory=list, init=False, repr=False)

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
        jets = [
            Jets.leading(self.tokenizer.encode(part), self.max_constituents)
            for part in (training, part_of(events, "validation"))
        ]
        model = self._new_model()
        if start_from is not None:
            model.load_state_dict(start_from.fitted_model.state_dict())
        elif self.model.counts:
            model.start_from_counts(first_counts(model, jets[0]))
        self.history_ = train(model, *jets, options=self.training, **watch)
        self.model_, self.dataset_, self.role_ = model, name, str(role)
        self.trained_, self.label_ = trained_by(events), _label(events)
        with torch_threads(self.training.threads):
            self.calibration_ = calibration(model, jets[1])
        return self

    def density(self, events: ak.Array) -> JetDensity:
        """log p of each jet, whole, shape (n_jets,)."""
        tokens = self.tokenizer.encode(events)
        by_factor = self.log_prob(tokens)
        log_p = by_factor.sum(axis=1)
        in_space = physical(
            log_p,
            self.tokenizer.log_volumes(tokens),
            self.tokenizer.digits[tokens.values, 0],
            tokens,
        )
        return JetDensity(
            log_p, tokens.counts + 1, in_space, self.tokenizer.outside(events), by_factor
        )

    def log_prob(self, tokens: TokenBatch) -> Floats:
        """log p of the tokens of each jet, (n_jets, n_factors or 1); their sum is that of the jet.

        The first column holds pt and stop.
        """
        terms = self.terms(tokens)
        rows = np.repeat(np.arange(len(tokens)), tokens.counts + 1)
        return np.stack(
            [np.bincount(rows, column, minlength=len(tokens)) for column in terms.T], axis=1
        )

    def terms(self, tokens: TokenBatch) -> Floats:
        """log p of each term, (n_tokens + n_jets, n_factors or 1); jets in the order of the batch.

        Rows of a jet lie together, its stop last.
        """
        model = self.fitted_model
        starts = np.concatenate([[0], np.cumsum(tokens.counts + 1)])
        out = np.zeros((starts[-1], len(model.outputs)))
        with torch_threads(1), torch.no_grad():
            for some in batches(tokens):
                order = some[sort_by_multiplicity(tokens.counts[some])[0]]
                batch = tokens.select(order)
                found = model.log_prob(
                    torch.as_tensor(batch.values, device=device_of(model)),
                    torch.as_tensor(batch.offsets, device=device_of(model)),
                )
                rows = TokenBatch(np.arange(starts[-1]), starts).select(order).values
                out[rows] = found.numpy(force=True)
        return out

    def sample(self, n_jets: int, *, seed: int = 0, **options: Any) -> TokenBatch:
        """Tokens of jets that the model makes up, by :func:`hepmtp.jets.generation.sample`."""
        return sample(self.fitted_model, n_jets, seed=seed, **options)

    def save(self, path: str | Path) -> None:
        """Write model, training curve, calibration, tokenizer and what trained it to a folder."""
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
            "calibration": self.calibration_,
            "bins": self.tokenizer.identity,
        }
        arrays = {name: one.numpy(force=True) for name, one in model.state_dict().items()}
        with storage.new_folder(path) as folder:
            storage.write(folder, storage.kind_of(self), meta, arrays)
            self.tokenizer.save(folder / "tokenizer")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote; a damaged folder or one of another kind raises StorageError."""
        meta, arrays = storage.read(path, storage.kind_of(cls))
        one = cls(
            ConstituentTokenizer.load(Path(path) / "tokenizer"),
            AutoregressiveOptions(**meta["model"]),
            NextTokenOptions.from_saved(meta["training"]),
            meta["max_constituents"],
        )
        if one.tokenizer.identity != meta["bins"]:
            raise StorageError(f"{path}: the bins are not those of the model; copy it again")
        model = one._new_model()
        try:
            model.load_state_dict({name: torch.as_tensor(one) for name, one in arrays.items()})
        except RuntimeError as error:
            raise StorageError(f"{path}: the weights do not fit the model ({error})") from None
        one.model_, one.history_ = model.eval(), meta["history"]
        one.dataset_, one.role_, one.label_ = meta["dataset"], meta["role"], meta["label"]
        one.trained_ = tuple(Trained(*span) for span in meta["trained"])
        one.calibration_ = [Calibration(*row) for row in meta["calibration"]]
        return one

    def _take_up(self, other: JetLanguageModel) -> None:
        """Bins and shape of another model."""
        mine = self.tokenizer
        if mine.edges_ is not None and mine.identity != other.tokenizer.identity:
            raise TrainingError(
                "the bins are not those of the model to start from: give the tokenizer of that "
                "model, or none"
            )
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

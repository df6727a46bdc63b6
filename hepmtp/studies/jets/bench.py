"""What the studies of jets share: data sets, their parts, trained models, pieces.

The rule: models train on the train part, the validation part stops them, and jets of the analysis
part judge. A model that is trained is kept in the folder, and so is each epoch of one that is not.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import awkward as ak
import numpy as np

from hepmtp import storage
from hepmtp.errors import OptionError, StorageError
from hepmtp.events.record import PARTICLE_FIELDS, metadata
from hepmtp.events.split import in_one_order, part_of
from hepmtp.events.tokens import TokenBatch
from hepmtp.jets.language_model import JetLanguageModel
from hepmtp.jets.tagger import JetTagger
from hepmtp.models.autoregressive_options import AutoregressiveOptions
from hepmtp.studies.jets.pieces import Piece, Pieces
from hepmtp.studies.jets.scale import Scale
from hepmtp.tokenizers.constituents import ConstituentTokenizer
from hepmtp.training.next_token import NextTokenOptions

log = logging.getLogger(__name__)

#: Called with what is trained now.
Said = Callable[[str], None]


class Trained(NamedTuple):
    """A language model, and what it took."""

    model: JetLanguageModel
    cpu_seconds: float
    steps: int
    digest: str  #: of its folder

    @property
    def cost(self) -> str:
        """In words; of a given model that is not known."""
        if not self.steps:
            return f"given, {len(self.model.history_)} epochs"
        return f"{self.steps} steps, {self.cpu_seconds:.0f} s of CPU"


@dataclass
class Bench:
    """Data sets of jets and the models of them.

    Parameters
    ----------
    folder
        of the study.
    samples
        name -> jets, (n_jets,): background, the signal, and the one that models are transferred to.
    scale
        sizes.
    given
        trained models by the name of their data set, which take the place of the study's own.
    """

    folder: Path
    samples: Mapping[str, ak.Array]
    scale: Scale
    given: Mapping[str, JetLanguageModel] = field(default_factory=dict)
    seed: int = 0
    said: Said = log.info
    pieces: Pieces = field(init=False)
    _known: dict[str, Trained] = field(default_factory=dict, init=False, repr=False)
    _tokenizer: ConstituentTokenizer | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.samples:
            raise OptionError("a study needs jets: give a data set of background first")
        name = next(iter(self.samples))
        if metadata(self.samples[name]).get("role") != "background":
            raise OptionError(
                f"the first data set of a study is background, {name!r} is not: give it first, or "
                f"as {name}:background=FILE"
            )
        for name, model in self.given.items():
            if model.dataset_ != name:
                raise OptionError(
                    f"a model of {model.dataset_} was given for the data set {name}: give that of "
                    f"{name}, or name the data set as the model does, {model.dataset_}=FILE"
                )
        self.samples = {key: self._cut(one) for key, one in self.samples.items()}
        digests = [_digest(one) for one in self.samples.values()]
        words = [*self.samples, *digests, str(self.seed), repr(self.scale.bins)]
        words += [f"{name} {weights_digest(one)}" for name, one in self.given.items()]
        of = hashlib.sha256(" ".join(words).encode()).hexdigest()
        self.pieces = Pieces(self.folder / "pieces", of)

    def name(self, place: int) -> str:
        """The data set at a place: 0 background, 1 the signal, 2 the one transferred to.

        Raises
        ------
        OptionError
            if there are not so many.
        """
        if place >= len(self.samples):
            what = ("background", "a signal", "a second signal")[place]
            raise OptionError(
                f"this study needs {place + 1} data sets, found {', '.join(self.samples)}: give "
                f"{what}, too, as NAME:signal=FILE"
            )
        return list(self.samples)[place]

    @property
    def tokenizer(self) -> ConstituentTokenizer:
        """Bins of background, or those of a given model of it."""
        if self._tokenizer is None:
            name = self.name(0)
            if name in self.given:
                self._tokenizer = self.given[name].tokenizer
            else:
                training = in_one_order(part_of(self.samples[name], "train"))
                self._tokenizer = self.scale.tokenizer().fit(training)
        return self._tokenizer

    @property
    def shape(self) -> AutoregressiveOptions:
        """Of all models: that of a given model of background, if there is one."""
        name = self.name(0)
        return self.given[name].model if name in self.given else self.scale.shape

    def analysis(self, name: str) -> ak.Array:
        """Jets that judge."""
        return in_one_order(part_of(self.samples[name], "analysis"))[: self.scale.judged]

    def tokens(self, name: str) -> TokenBatch:
        """Tokens of the same."""
        return self.tokenizer.encode(self.analysis(name))

    def training(self, name: str) -> TokenBatch:
        """Tokens of jets that train, in one order."""
        return self.tokenizer.encode(in_one_order(part_of(self.samples[name], "train")))

    def language_model(
        self,
        name: str,
        place: str = "",
        *,
        jets: ak.Array | None = None,
        start_from: Trained | None = None,
        max_constituents: int | None = None,
        shape: AutoregressiveOptions | None = None,
        training: NextTokenOptions | None = None,
    ) -> Trained:
        """A language model of a data set, from the folder or trained now.

        Parameters
        ----------
        place
            name of its folder; without one it is the plain model of the data set, and a given one
            is taken.
        jets
            others than all of the data set, (n_jets,).
        """
        if not place and name in self.given:
            return Trained(self.given[name], 0.0, 0, weights_digest(self.given[name]))
        place = place or name
        if place in self._known:
            return self._known[place]
        events = self.samples[name] if jets is None else jets
        model = JetLanguageModel(
            self.tokenizer,
            shape or self.shape,
            training or self.scale.training,
            max_constituents,
        )
        folder = self.folder / "models" / storage.file_name(place)
        key = (model, _digest(events), None if start_from is None else start_from.digest)
        start = None if start_from is None else start_from.model

        def make() -> Piece:
            self.said(f"training a language model of {name} ({place})")
            begun = time.process_time()
            with self.checkpoint(place, key) as checkpoint:
                model.fit(events, start_from=start, checkpoint=checkpoint)
                model.save(folder)
            n, batch = len(part_of(events, "train")), model.training.batch_events
            return {
                "digest": storage.digest(folder),
                "steps": len(model.history_) * -(-n // batch),
                "cpu_seconds": time.process_time() - begun,
                "loss": min(row["validation_loss"] for row in model.history_),
            }

        found = self.saved(f"model {place}", key, folder, make)
        model = JetLanguageModel.load(folder)
        self._known[place] = Trained(model, found["cpu_seconds"], found["steps"], found["digest"])
        return self._known[place]

    @contextmanager
    def checkpoint(self, name: str, key: object) -> Iterator[Path]:
        """Folder for the epochs of what is being trained; it goes when that is done."""
        mark = self.pieces.mark(key)[:8]
        path = self.folder / "checkpoints" / f"{storage.file_name(name)}-{mark}"
        yield path
        shutil.rmtree(path)

    def saved(self, name: str, key: object, folder: Path, make: Callable[[], Piece]) -> Piece:
        """A piece whose ``digest`` is that of a saved folder; without that it is made again."""
        found = self.pieces.get(name, key, make)
        try:
            whole = storage.digest(folder) == found["digest"]
        except StorageError:
            whole = False
        if not whole:
            self.pieces.path(name).unlink()
            found = self.pieces.get(name, key, make)
        return found

    def pair(self) -> tuple[Trained, Trained]:
        """Models of background and of signal; the second starts from the first."""
        background = self.language_model(self.name(0))
        signal = self.language_model(self.name(1), start_from=background)
        if signal.model.tokenizer.identity != self.tokenizer.identity:
            raise OptionError(
                f"the model of {self.name(1)} has other bins than that of {self.name(0)}: train it "
                "with --start-from"
            )
        return background, signal

    def tagger(self, **options: object) -> JetTagger:
        """A tagger that is not trained, with the bins and shape of all models."""
        return JetTagger(
            self.tokenizer,
            self.shape,
            self.scale.classifier.from_saved({**vars(self.scale.classifier), **options}),
        )

    def _cut(self, events: ak.Array) -> ak.Array:
        events = in_one_order(events)
        if self.scale.jets is None or len(events) <= self.scale.jets:
            return events
        some = np.random.default_rng([self.seed, 4]).permutation(len(events))[: self.scale.jets]
        return events[np.sort(some)]


def _digest(events: ak.Array) -> str:
    """Of all that studies read of jets."""
    columns = [ak.num(events.Particle), events.source, events.event]
    columns += [ak.flatten(events.Particle[name]) for name in PARTICLE_FIELDS]
    total = hashlib.sha256(str(metadata(events).get("dataset", "")).encode())
    for column in columns:
        total.update(np.ascontiguousarray(ak.to_numpy(column)).tobytes())
    return total.hexdigest()


def weights_digest(model: JetLanguageModel) -> str:
    """Of the bins and weights of a model."""
    total = hashlib.sha256(model.tokenizer.identity.encode())
    for name, value in model.fitted_model.state_dict().items():
        total.update(name.encode() + value.numpy(force=True).tobytes())
    return total.hexdigest()

"""Scores that are read off one language model of jets: forms, axes, folders, way to workers.

The rule: all forms share the model and what it has computed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from hist.axis import Regular

from hepmtp import storage
from hepmtp.detectors import BaseDetector, axis_from
from hepmtp.detectors.sent import open_form
from hepmtp.errors import OptionError, fitted
from hepmtp.jets.language_model import JetLanguageModel

#: Axes have a range from at most so many training jets.
MOST = 5000


@dataclass(eq=False)
class LanguageScore(BaseDetector):
    """What the scores of one model have in common; each says its ``forms``.

    Parameters
    ----------
    model
        trained with the detector, if it is not yet.
    form
        of the score.

    Attributes
    ----------
    axes_
        of each form, as plain data; None before `fit`.
    """

    model: JetLanguageModel = field(default_factory=JetLanguageModel)
    form: str = "mean"
    axes_: dict[str, dict[str, Any]] | None = field(default=None, init=False, repr=False)
    _saved: tuple[str, str] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self._check(self.form)

    @property
    def axis(self) -> Regular:
        """Axis of this form of the score."""
        return axis_from(fitted(self.axes_, self)[self.form])

    @property
    def n_parameters(self) -> int:
        """Trainable parameters of the model."""
        return self.model.fitted_model.n_parameters

    def with_score(self, form: str) -> Self:
        """The same detector with another form; raises OptionError if that is unknown."""
        self._check(form)
        other = type(self)(self.model, form)
        for name in ("axes_", "trained_", "card_", "_saved"):
            setattr(other, name, getattr(self, name))
        return other

    def save(self, path: str | Path) -> None:
        """Write axes and language model to a folder."""
        meta = {"form": self.form, "axes": fitted(self.axes_, self)}
        with storage.new_folder(path) as folder:
            self._write(folder, meta, {})
            self.model.write(folder / "model")
        self._saved = (str(Path(path).resolve()), storage.digest(path))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote."""
        meta, _ = storage.read(path, storage.kind_of(cls))
        detector = cls(JetLanguageModel.load(Path(path) / "model"), meta["form"])
        detector.axes_ = meta["axes"]
        detector._recall(meta)
        detector._saved = (str(Path(path).resolve()), storage.digest(path))
        return detector

    def __reduce__(self) -> Any:
        """A saved detector travels to workers as path and digest, and is opened once in each."""
        if self._saved is None or not Path(self._saved[0]).is_dir():
            return super().__reduce__()
        return open_form, (type(self), *self._saved, self.form)

    def _check(self, form: str) -> None:
        if form not in self.forms:
            raise OptionError(f"score form {form!r} is unknown; there are {', '.join(self.forms)}")

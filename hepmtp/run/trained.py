"""The folder of a training: detectors side by side, and a signed list of their digests.

The rule: the list says which detectors belong together. One that has changed since is refused; what
stands beside them is no part of the training.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

from hepmtp import folders, storage
from hepmtp.detectors import Detector, load_detector
from hepmtp.detectors.named import Named
from hepmtp.errors import OptionError, StorageError
from hepmtp.folders import Place
from hepmtp.storage import META

log = logging.getLogger(__name__)
#: The list, in the folder of a training.
TRAINED = "detectors.json"
#: Bytes that must be free for a training.
LEAST = 24_000_000


class Saved(NamedTuple):
    """A saved detector of a run: its folder, with #form, and the name that it is given, if any."""

    path: str
    name: str = ""

    def load(self) -> Detector:
        """The detector."""
        detector = load_detector(self.path)
        return Named(detector, self.name) if self.name else detector


def new_training(path: str | Path, *, overwrite: bool = False) -> AbstractContextManager[Place]:
    """The place of a training that is to be written; see :func:`hepmtp.folders.writing`."""
    return folders.writing(path, ours=_is_training, owned=_owned, overwrite=overwrite, least=LEAST)


def save_detectors(folder: Path, detectors: Iterable[Detector], *, command: str = "") -> None:
    """Save detectors into a folder, each under its name, and the list of their digests."""
    digests: dict[str, str] = {}
    for one in detectors:
        name = storage.file_name(one.name)
        one.save(folder / name)
        digests[name] = storage.digest(folder / name)
    content = {"format": storage.FORMAT, "command": command, "detectors": digests}
    (folder / TRAINED).write_text(storage.signed(content), encoding="utf-8")


def saved_detectors(words: Iterable[str | Path]) -> list[Saved]:
    """Single detectors: those of the folders themselves, or those of a training.

    Parameters
    ----------
    words
        a folder, or ``NAME=FOLDER`` of a single detector that is given this name.

    Raises
    ------
    OptionError
        if a name is given to all detectors of a training.
    StorageError
        if a training's list, or a detector of it, has changed since.
    """
    found: list[Saved] = []
    for word in map(str, words):
        name, equals, path = word.partition("=")
        if not equals or Path(word.partition("#")[0]).exists():
            name, path = "", word
        folder = Path(path.partition("#")[0])
        folders.recover(folder)
        single = (folder / META).is_file()
        of_training = [] if single else _of_training(folder)
        if name and of_training:
            raise OptionError(
                f"{folder} holds {len(of_training)} detectors, and {name} is the name of one: give "
                f"{name}={of_training[0]}"
            )
        found += [Saved(one) for one in of_training] or [Saved(path, name)]
    return found


def _of_training(folder: Path) -> Sequence[str]:
    inside = sorted(one.parent for one in folder.glob(f"[!.]*/{META}"))
    if not (folder / TRAINED).is_file():  # as hepmtp wrote them before there was a list
        return list(map(str, inside))
    digests = _digests(folder)
    for name, digest in sorted(digests.items()):
        if storage.digest(folder / name) != digest:
            raise StorageError(
                f"{folder / name} is not the detector that was trained with the others (its digest "
                f"differs): train again, or name it alone, --detectors {folder / name}"
            )
    if others := [one.name for one in inside if one.name not in digests]:
        log.warning(
            "%s: %s was not trained with the others and is left out; name it alone to use it",
            folder,
            ", ".join(others),
        )
    return [str(folder / name) for name in sorted(digests)]


def _digests(folder: Path) -> dict[str, str]:
    path = folder / TRAINED
    try:
        text = path.read_text(encoding="utf-8")
        content: Any = json.loads(text)
        digests = content["detectors"]
        whole = storage.is_signed(text) and isinstance(digests, dict)
    except (OSError, ValueError, TypeError, KeyError):
        whole = False
    if not whole:
        raise StorageError(
            f"{path} has changed since it was written: copy it again, or train again"
        )
    return {str(name): str(one) for name, one in digests.items()}


def _is_training(folder: Path) -> bool:
    return (folder / TRAINED).is_file() or any(folder.glob(f"[!.]*/{META}"))


def _owned(folder: Path) -> set[str]:
    """The detectors of the list; without one, all that hepmtp has saved there."""
    if (folder / TRAINED).is_file():
        return {TRAINED, *_digests(folder)}
    return {one.parent.name for one in folder.glob(f"[!.]*/{META}")}

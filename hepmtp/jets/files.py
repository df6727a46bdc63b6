"""Jets that a language model makes up, written to a file.

The rule: a new file in the layout of JetClass, batch by batch in bounded memory, which says what
has made it. One that was interrupted is no file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import awkward as ak
import numpy as np

from hepmtp import storage
from hepmtp.errors import OptionError
from hepmtp.jets.generation import stream
from hepmtp.jets.language_model import JetLanguageModel
from hepmtp.readers.jetclass import JET_LABELS, write_jetclass


def write_generated(
    path: str | Path,
    model: JetLanguageModel,
    n_jets: int,
    *,
    seed: int = 0,
    label: str | None = None,
    temperature: float = 1.0,
) -> str:
    """Write so many jets to a new ROOT file; gives the sentence about them that it keeps.

    Constituents have no type: reading them takes the option ``untyped`` of
    :class:`hepmtp.readers.jetclass.JetClass`.

    Parameters
    ----------
    label
        one of `hepmtp.readers.jetclass.JET_LABELS`; by default that of the model's jets.
    temperature
        of :func:`hepmtp.jets.generation.sample`; the sentence names any other than 1.

    Raises
    ------
    OptionError
        if the file exists, its name does not end in .root, or the label is unknown.
    """
    path = Path(path)
    if path.exists():
        raise OptionError(f"{path} exists already: choose another name, or remove it")
    if path.suffix != ".root":
        raise OptionError(f"{path}: choose a name that ends in .root")
    label = label or (JET_LABELS[model.label_] if model.label_ >= 0 else None)
    if label not in JET_LABELS:
        raise OptionError(f"the label is {label}, expected one of {', '.join(JET_LABELS)}")
    about = f"made by a language model of {model.dataset_}, seed {seed}"
    if temperature != 1:
        about += f", biased by a temperature of {temperature:g}"

    def batches() -> Iterator[ak.Array]:
        rng = np.random.default_rng([seed, 1])
        for tokens in stream(model.fitted_model, n_jets, seed=seed, temperature=temperature):
            yield model.tokenizer.decode(tokens, rng=rng)

    with storage.new_file(path) as temporary:
        write_jetclass(temporary, batches(), label=label, about=about)
    return about

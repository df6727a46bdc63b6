"""What models of jets share in their folders: weights, and the bins that these belong to.

The rule: weights are of use with their bins alone, so a folder that holds others is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from numpy.typing import NDArray
from torch import nn

from hepmtp.errors import StorageError, TrainingError
from hepmtp.tokenizers.constituents import ConstituentTokenizer

Network = TypeVar("Network", bound=nn.Module)


def weights_of(model: nn.Module) -> dict[str, NDArray[Any]]:
    """Weights by their names."""
    return {name: one.numpy(force=True) for name, one in model.state_dict().items()}


def with_weights(model: Network, weights: Mapping[str, NDArray[Any]], path: str | Path) -> Network:
    """The model with weights that were read from a folder, ready to be asked.

    Raises
    ------
    StorageError
        if they are not of its shape.
    """
    try:
        model.load_state_dict({name: torch.as_tensor(one) for name, one in weights.items()})
    except RuntimeError as error:
        raise StorageError(f"{path}: the weights do not fit the model ({error})") from None
    return model.eval()


def load_bins(path: str | Path, identity: str) -> ConstituentTokenizer:
    """The tokenizer in the folder of a model that has learned these bins.

    Raises
    ------
    StorageError
        if its bins are others.
    """
    found = ConstituentTokenizer.load(Path(path) / "tokenizer")
    if found.identity != identity:
        raise StorageError(f"{path}: the bins are not those of the model; copy it again")
    return found


def check_same_bins(mine: ConstituentTokenizer, start: ConstituentTokenizer) -> None:
    """Raise TrainingError if bins are fitted already, and not those of a model to start from."""
    if mine.edges_ is not None and mine.identity != start.identity:
        raise TrainingError(
            "the bins are not those of the model to start from: give the tokenizer of that model, "
            "or none"
        )

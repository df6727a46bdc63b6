"""What a folder of a masked-token detector holds, and the parts that are made from it again.

The rule: the folder is plain data, weights and tail probabilities as arrays. What does not fit
together is refused with the remedy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from hepmtp import storage
from hepmtp.errors import StorageError
from hepmtp.models import ModelConfig, TokenModel
from hepmtp.models.masked import ModelOptions
from hepmtp.plugins import check_options
from hepmtp.statistics.fisher import TailCombination

Arrays = Mapping[str, NDArray[Any]]

_WEIGHTS = "model."
#: What names of the arrays of each form's tails begin with.
_TAILS = {"joined": "tails.", "jets": "jets."}


def arrays_of(model: TokenModel, tails: Mapping[str, TailCombination]) -> dict[str, NDArray[Any]]:
    """Weights of the model, and tail probabilities of each form that is joined, by name."""
    state = model.state_dict()
    arrays = {f"{_WEIGHTS}{key}": value.numpy(force=True) for key, value in state.items()}
    for form, tail in tails.items():
        arrays |= {f"{_TAILS[form]}{key}": value for key, value in tail.arrays().items()}
    return arrays


def saved_config(path: str | Path, meta: dict[str, Any]) -> ModelConfig:
    """What the model of a saved detector is made from; older folders have no kind."""
    kind = meta.get("model_kind", storage.kind_of(ModelOptions))
    cls: Any = storage.class_in(path, str(kind))
    try:
        if not (isinstance(cls, type) and is_dataclass(cls) and hasattr(cls, "build")):
            raise TypeError("it is no dataclass with a method build")  # noqa: TRY301
        check_options(str(kind), cls, meta["model"])
        made: Any = cls(**meta["model"])
    except (AttributeError, TypeError, ValueError) as error:
        raise StorageError(
            f"{path} holds a model of {kind!r}, which cannot be made here ({error}): install the "
            "package that it was saved with"
        ) from None
    config: ModelConfig = made
    return config


def load_weights(path: str | Path, model: TokenModel, arrays: Arrays) -> dict[str, NDArray[Any]]:
    """Give a model the weights among these arrays, which are given back by their own names.

    StorageError, naming the folder, if they do not fit the model.
    """
    weights = _named(arrays, _WEIGHTS)
    try:
        model.load_state_dict({key: torch.as_tensor(one) for key, one in weights.items()})
    except RuntimeError as error:
        raise StorageError(
            f"{path}: the weights do not fit the model or the tokenizer's vocabulary "
            f"({error}); save it again"
        ) from None
    return weights


def tails_of(arrays: Arrays) -> dict[str, TailCombination]:
    """The tail probabilities of each form that is joined; older folders lack some."""
    return {
        form: TailCombination.from_arrays(found)
        for form, prefix in _TAILS.items()
        if (found := _named(arrays, prefix))
    }


def _named(arrays: Arrays, prefix: str) -> dict[str, NDArray[Any]]:
    """The arrays whose names begin so, under the rest of their names."""
    return {
        name.removeprefix(prefix): one for name, one in arrays.items() if name.startswith(prefix)
    }

"""Scores event by event as a file of a run's folder: plain arrays, no pickle.

The rule: a column is kept under ``data set/column``, and the rows of a data set are in the order of
(source, event), whatever the executor's was.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from hepmtp.errors import StorageError
from hepmtp.statistics.performance import Columns, values_of
from hepmtp.storage import new_file

#: Name of the file in the folder of a run.
COLUMNS = "columns.safetensors"


def save_columns(folder: str | Path, columns: Columns) -> Path:
    """Write the columns of a processor's output into a run's folder."""
    arrays: dict[str, NDArray[Any]] = {}
    for dataset, table in columns.items():
        plain = {name: values_of(one) for name, one in table.items()}
        keys = [plain[name] for name in ("event", "source") if name in plain]
        order = np.lexsort(keys) if keys else slice(None)
        for name, values in plain.items():
            arrays[f"{dataset}/{name}"] = np.ascontiguousarray(values[order])
    path = Path(folder) / COLUMNS
    with new_file(path) as temporary:
        temporary.write_bytes(safetensors.numpy.save(arrays))
    return path


def load_columns(folder: str | Path) -> dict[str, dict[str, NDArray[Any]]]:
    """What `save_columns` wrote: data set -> column -> values; StorageError if it is not there."""
    path = Path(folder) / COLUMNS
    try:
        arrays = safetensors.numpy.load(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise StorageError(
            f"{path} cannot be read as columns ({error}); run again to write it"
        ) from None
    found: dict[str, dict[str, NDArray[Any]]] = {}
    for key in sorted(arrays):
        dataset, _, name = key.rpartition("/")
        found.setdefault(dataset, {})[name] = arrays[key]
    return found

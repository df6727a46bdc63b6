"""Histograms of scores as files: uhi's json and zip, exact and complete, or ROOT.

The rule: what is written is in canonical order, and what an earlier version wrote can be read.
"""

from __future__ import annotations

import itertools
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hist
import numpy as np
import uproot
from hist.axis import Regular
from uhi.io import zip as uhi_zip
from uhi.io.json import default, object_hook

from hepmtp.errors import OptionError, StorageError
from hepmtp.statistics.histograms import (
    CATEGORIES,
    NOMINAL,
    Histogram,
    assemble,
    book,
    canonical,
    spectrum,
    with_variations,
)
from hepmtp.storage import new_file

#: Key and version of the files that `save` writes.
FORMAT = "hepmtp_histograms"
VERSION = 1


def save(path: str | Path, histograms: Mapping[str, Histogram]) -> Path:
    """Write histograms, one per detector, in canonical order.

    ``.json`` is uhi's own json, exact and complete, and so is ``.zip``, which is small where there
    are many variations. ``.root``, for who reads ROOT, holds one TH1D per (detector, region,
    dataset) at ``detector/region/dataset``, with squared weights; those of a variation are at
    ``variations/NAME/detector/region/dataset``.

    Raises
    ------
    OptionError
        for any other file name: a pickle runs whatever code is in it.
    """
    path = Path(path)
    ordered = {name: canonical(histograms[name]) for name in sorted(histograms)}
    with new_file(path) as temporary:
        if _kind(path) == ".json":
            temporary.write_text(
                json.dumps({FORMAT: VERSION, "histograms": ordered}, default=default) + "\n"
            )
        elif _kind(path) == ".zip":
            _write_zip(temporary, ordered)
        else:
            _write_root(temporary, ordered)
    return path


def load(path: str | Path) -> dict[str, Histogram]:
    """What `save` wrote: detector name -> histogram.

    A damaged or foreign file raises StorageError.
    """
    path = Path(path)
    if _kind(path) == ".root":
        return _read_root(path)
    try:
        if _kind(path) == ".zip":
            return _read_zip(path)
        content = json.loads(path.read_text(), object_hook=object_hook)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise _unreadable(path, error) from None
    if not isinstance(content, dict) or content.get(FORMAT) != VERSION:
        raise StorageError(
            f"{path} is not a file of histograms of this version; "
            f"expected {FORMAT}: {VERSION}; run again"
        )
    found = {name: hist.Hist(one) for name, one in content["histograms"].items()}
    return {name: with_variations(one) for name, one in found.items()}


def _unreadable(path: Path, error: Exception) -> StorageError:
    return StorageError(f"{path} cannot be read as histograms ({error}); run again to write it")


def _kind(path: Path) -> str:
    if path.suffix not in {".json", ".zip", ".root"}:
        raise OptionError(
            f"{path}: histograms are kept as .json or .zip (exact) or .root, "
            f"not as {path.suffix or 'no suffix'!r}"
        )
    return path.suffix


def _write_zip(path: Path, histograms: Mapping[str, Histogram]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(FORMAT, json.dumps({FORMAT: VERSION, "names": list(histograms)}))
        for i, h in enumerate(histograms.values()):
            uhi_zip.write(file, str(i), h)


def _read_zip(path: Path) -> dict[str, Histogram]:
    with zipfile.ZipFile(path) as file:
        content = json.loads(file.read(FORMAT))
        if content[FORMAT] != VERSION:
            raise ValueError(f"format {content[FORMAT]}, expected {VERSION}")
        names = enumerate(content["names"])
        return {name: hist.Hist(uhi_zip.read(file, str(i))) for i, name in names}


def _write_root(path: Path, histograms: Mapping[str, Histogram]) -> None:
    # uproot chooses the format by content, not by the temporary name
    with uproot.recreate(path) as file:
        for name, h in histograms.items():
            for place in itertools.product(*(h.axes[axis] for axis in CATEGORIES)):
                dataset, region, variation = place
                if "/" in "".join((name, *place)):
                    raise OptionError(
                        f"{name}, {', '.join(place)}: a name with '/' cannot be kept in ROOT; "
                        "use .json"
                    )
                start = "" if variation == NOMINAL else f"variations/{variation}/"
                file[f"{start}{name}/{region}/{dataset}"] = spectrum(h, dataset, region, variation)


def _read_root(path: Path) -> dict[str, Histogram]:
    slices: dict[str, dict[tuple[str, ...], Any]] = {}
    try:
        with uproot.open(path) as file:
            for key in file.keys(cycle=False, filter_classname="TH1D"):
                *first, name, region, dataset = key.split("/")
                variation = first[1] if first else NOMINAL
                slices.setdefault(name, {})[dataset, region, variation] = file[key].to_hist()
    except (OSError, ValueError, uproot.KeyInFileError) as error:
        raise _unreadable(path, error) from None
    found: dict[str, Histogram] = {}
    for name, parts in slices.items():
        names = [sorted({place[i] for place in parts}) for i in range(len(CATEGORIES))]
        axis = next(iter(parts.values())).axes[0]
        score = Regular(len(axis), axis.edges[0], axis.edges[-1], name="score", label=axis.label)
        rows = [parts[place].view(flow=True) for place in itertools.product(*names)]
        content = np.stack(rows).reshape(*map(len, names), len(axis) + 2)
        found[name] = assemble(book(score, name=name), names, content)
    return found

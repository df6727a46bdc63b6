"""Shared contracts: what every reader, tokenizer and detector must keep, in the manner of scikit-learn's check_estimator.

The rule: the test file of each such class calls its contract first.
"""

from __future__ import annotations

from pathlib import Path

import awkward as ak
import numpy as np
import pytest

from hepmtp.errors import ReadError
from hepmtp.events import PARTICLE_FIELDS, check_events, source_id
from hepmtp.readers import Reader


def columns(events: ak.Array) -> dict[str, list[object]]:
    """Every number of the events as lists, for exact comparison."""
    particles = {name: events.Particle[name].to_list() for name in PARTICLE_FIELDS}
    missing = {f"MET_{name}": events.MET[name].to_list() for name in ("pt", "phi")}
    return particles | missing | {name: events[name].to_list() for name in ("weight", "event", "source")}


def check_reader(reader: Reader, path: str, tmp_path: Path) -> None:
    """The contract of a reader, on a good file of at least three events."""
    assert isinstance(reader, Reader)
    n = reader.num_events(path)
    whole = reader.read(path)
    assert n == len(whole) >= 3
    check_events(whole)
    assert whole.event.to_list() == list(range(n))
    assert set(whole.source.to_list()) == {source_id(path)}
    assert {str(ak.type(whole.Particle[name])).rsplit(" ", 1)[-1] for name in ("pt", "eta", "phi", "energy")} == {
        "float64"
    }
    assert whole.Particle.mass.ndim == 2

    cut = n // 2
    parts = [reader.read(path, 0, cut), reader.read(path, cut, n)]
    glued = {name: a + b for (name, a), b in zip(columns(parts[0]).items(), columns(parts[1]).values(), strict=True)}
    assert glued == columns(whole)
    assert len(reader.read(path, cut, cut)) == 0
    assert reader.read(path, 0, 0).fields == whole.fields
    assert len(reader.read(path, n - 1, n + 100)) == 1
    assert len(reader.read(path, n + 5)) == 0

    with pytest.raises(ReadError, match=r"expected 0 <= start <= stop"):
        reader.read(path, 2, 1)
    with pytest.raises(ReadError, match=r"does not exist"):
        reader.read(str(tmp_path / "nothing" / Path(path).name))
    with pytest.raises(ReadError, match=r"is a folder"):
        reader.read(str(tmp_path))
    empty = tmp_path / f"empty-{Path(path).name}"
    empty.touch()
    with pytest.raises(ReadError, match=r"is empty"):
        reader.num_events(str(empty))
    junk = tmp_path / f"junk-{Path(path).name}"
    junk.write_bytes(np.random.default_rng(1).bytes(1000))
    with pytest.raises(ReadError, match=junk.name):
        reader.read(str(junk))

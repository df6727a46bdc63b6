"""Parquet files: what is read is what was written, row group by row group."""

from __future__ import annotations

import itertools
from pathlib import Path

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from contracts import check_reader, columns

from hepmtp.errors import ReadError
from hepmtp.events.record import make_events
from hepmtp.readers.parquet import ParquetReader, write_parquet

READER = ParquetReader()


def some_events(n: int = 7) -> ak.Array:
    rng = np.random.default_rng(3)
    counts = np.arange(n) % 3
    size = int(counts.sum())
    return make_events(
        counts=counts,
        pt=rng.exponential(50, size),
        eta=rng.normal(0, 2, size),
        phi=rng.uniform(-3, 3, size),
        energy=rng.exponential(90, size),
        type=rng.integers(0, 7, size),
        met=rng.exponential(50, n),
        met_phi=rng.uniform(-3, 3, n),
        weight=rng.normal(0, 1, n),
        source=5,
    )


def test_contract(tmp_path: Path) -> None:
    path = tmp_path / "sim.parquet"
    events = some_events()
    write_parquet(path, [events[:4], events[4:]])
    check_reader(READER, str(path), tmp_path)


@pytest.mark.parametrize("cuts", [[0, 7], [0, 2, 7], [0, 1, 1, 4, 7], [0, 0, 7, 7]])
def test_any_range_of_any_row_groups(tmp_path: Path, cuts: list[int]) -> None:
    path = tmp_path / "sim.parquet"
    events = some_events()
    write_parquet(path, [events[a:b] for a, b in itertools.pairwise(cuts)])
    for start in range(8):
        for stop in range(start, 9):
            assert columns(READER.read(str(path), start, stop)) == columns(events[start:stop])


def test_no_events(tmp_path: Path) -> None:
    write_parquet(tmp_path / "sim.parquet", [some_events()[:0]])
    assert (
        READER.num_events(str(tmp_path / "sim.parquet"))
        == len(READER.read(str(tmp_path / "sim.parquet")))
        == 0
    )


def test_the_columns_are_flat(tmp_path: Path) -> None:
    write_parquet(tmp_path / "sim.parquet", [some_events()])
    schema = pq.read_schema(tmp_path / "sim.parquet")
    assert str(schema.field("Particle_pt").type) in (
        "list<item: double not null>",
        "list<element: double not null>",
    )
    assert schema.names[:6] == ["event", "source", "weight", "MET_pt", "MET_phi", "nParticle"]


def test_wrong_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "sim.parquet"
    write_parquet(path, [some_events()])
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["weight"]), path)
    with pytest.raises(
        ReadError, match=r"sim\.parquet has no column 'weight' \(found: event, source, MET_pt,"
    ):
        READER.read(str(path))
    at = table.schema.get_field_index("weight")
    pq.write_table(table.set_column(at, "weight", pa.array([1.0, None] + [1.0] * 5)), path)
    with pytest.raises(ReadError, match=r"sim\.parquet has missing values in column 'weight'"):
        READER.read(str(path))
    pq.write_table(table.set_column(at, "weight", pa.array([1.0, np.inf] + [1.0] * 5)), path)
    with pytest.raises(ReadError, match=r"sim\.parquet, entries from 0 on: event 1: weight is inf"):
        READER.read(str(path))
    pq.write_table(table.set_column(at, "weight", pa.array(["heavy"] * 7)), path)
    with pytest.raises(
        ReadError,
        match=r"sim\.parquet: column 'weight' is 7 \* string, expected a number per event",
    ):
        READER.read(str(path))


def test_cut_and_damaged_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    path = tmp_path / "sim.parquet"
    write_parquet(path, [some_events(300)])
    whole = path.read_bytes()
    for _ in range(60):
        path.write_bytes(whole[: int(rng.integers(1, len(whole)))])
        with pytest.raises(
            ReadError, match=r"sim\.parquet is not a parquet file, or is cut short or damaged"
        ):
            READER.read(str(path))
    for _ in range(200):
        data = bytearray(whole)
        at = int(rng.integers(len(data) - 20))
        data[at : at + 20] = rng.bytes(20)
        path.write_bytes(data)
        try:
            READER.read(str(path))
        except ReadError as error:
            assert str(path) in str(error)  # noqa: PT017

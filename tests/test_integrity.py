"""What is converted stays what it was: one changed bit is refused, or changes no number."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

import hepmtp as hm
from hepmtp.errors import ReadError
from hepmtp.readers.columns import COLUMNS, flat
from hepmtp.readers.convert import convert
from hepmtp.readers.digests import DIGEST, check_digests, digest_of, digests
from hepmtp.readers.root import write_root, write_tree

FORMATS = {"a.root": False, "b.root": True, "c.parquet": False}


@pytest.fixture(scope="module")
def converted(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """40 events as TTree, RNTuple and parquet."""
    folder = tmp_path_factory.mktemp("integrity")
    source = folder / "few.csv"
    lines = hm.DarkMachinesCSV().read(str(sample / "ttbarW.csv.gz"), 0, 40)
    write_root(folder / "few.root", [lines], generated=12.5)
    found = {}
    for name, rntuple in FORMATS.items():
        found[name] = folder / name
        convert(folder / "few.root", found[name], rntuple=rntuple, chunk=16)
    assert not source.exists()
    return found


def all_of(path: Path) -> tuple[Any, ...]:
    reader: Any = hm.load_reader(
        "hepmtp:ParquetReader" if path.suffix == ".parquet" else "hepmtp:RootReader"
    )
    events = reader.read(str(path))
    columns = {name: ak.to_list(column) for name, column in flat(events).items()}
    return reader.num_events(str(path)), reader.generated_weight(str(path)), columns


@pytest.mark.parametrize("name", FORMATS)
def test_no_flipped_bit_is_read_in_silence(
    name: str, converted: dict[str, Path], tmp_path: Path
) -> None:
    data, expected = bytearray(converted[name].read_bytes()), all_of(converted[name])
    assert expected[:2] == (40, 12.5)
    random_numbers, refused = random.Random(len(name)), 0
    for _ in range(120):
        at, bit = random_numbers.randrange(len(data)), 1 << random_numbers.randrange(8)
        data[at] ^= bit
        (tmp_path / name).write_bytes(data)
        data[at] ^= bit
        try:
            assert all_of(tmp_path / name) == expected, f"byte {at}, bit {bit}"
        except ReadError:
            refused += 1
    assert refused > 20


def test_the_event_that_has_changed_is_named(converted: dict[str, Path], tmp_path: Path) -> None:
    events = hm.RootReader().read(str(converted["a.root"]))
    columns = flat(events)
    columns[DIGEST] = ak.Array(digests(columns, COLUMNS))
    check_digests("a", 0, columns, COLUMNS)
    columns["MET_pt"] = ak.Array(np.where(np.arange(40) == 7, 3.0, ak.to_numpy(columns["MET_pt"])))
    with pytest.raises(ReadError, match=r"a entry 107: a bit has changed .*1 of 40 events"):
        check_digests("a", 100, columns, COLUMNS)


@pytest.mark.parametrize(
    "change",
    [
        {"pt": [[2.0, 1.0], [], [3.0]]}, {"pt": [[1.0], [2.0], [3.0]]},
        {"pt": [[-1.0, 2.0], [], [3.0]]},
        {"pt": [[1.0, 2.0], [], [-3.0]], "n": [1, 2, 2]}, {"n": [1, 2, 2]}, {"n": [2, 1, 3]},
        {"n": [1.0, 2.0, 3.0]}, {"w": [0.0, 0.0, -0.0]}, {"pt": [[-1.0, -2.0], [], [3.0]]},
    ],
)  # fmt: skip
def test_a_digest_depends_on_every_bit_and_place(change: dict[str, Any]) -> None:
    content = {"n": [1, 2, 3], "w": [0.0, 0.0, 0.0], "pt": [[1.0, 2.0], [], [3.0]]}
    first = digests({key: ak.Array(one) for key, one in content.items()}, list(content))
    other = digests({key: ak.Array(one) for key, one in (content | change).items()}, list(content))
    changed = [content[name][i] != new[i] for name, new in change.items() for i in range(3)]
    assert (first != other).any()
    if "w" not in change and "n" not in change:
        assert (first != other).tolist() == changed
    assert digest_of([1.0, 2.0]) != digest_of([2.0, 1.0])


def test_events_without_digests_are_read_as_before(
    converted: dict[str, Path], tmp_path: Path
) -> None:
    events = hm.RootReader().read(str(converted["a.root"]))
    with uproot.recreate(tmp_path / "old.root") as file:
        assert write_tree(file, [events], rntuple=False) == 40
    with uproot.open(tmp_path / "old.root") as file:
        assert DIGEST not in file["Events"].keys()  # noqa: SIM118 - a tree is no mapping
    found = hm.RootReader().read(str(tmp_path / "old.root"))
    assert found.Particle.pt.to_list() == events.Particle.pt.to_list()
    assert hm.RootReader().num_events(str(tmp_path / "old.root")) == 40

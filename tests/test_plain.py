"""Branches of plain numbers: those of uproot's own ``array`` in any range, or left to it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

from hepmtp.events.lists import lists_of
from hepmtp.readers.branches import Branches
from hepmtp.readers.naming import Known
from hepmtp.readers.plain import Baskets, FieldColumns, plain

#: Lists with none at all in the second of the three parts that a file is written in, and numbers.
WHOLE: dict[str, Any] = {
    "pt": np.float32([1.5, 2.5, 3.5, 4.5, 4.5, 4.5, 4.5, 4.5, 5.5]),
    "index": np.int16([7, 8, 9, -1, -2, 32767]),
    "weight": np.array([0.5, 1.5, 2.5, -1.0, -2.0, -3.0, -4.0, np.inf, 1e-300]),
    "good": np.array([True, False, True, False, False, True, True, True, True]),
}
WHOLE["pt"] = ak.unflatten(WHOLE["pt"], [2, 0, 1, 0, 0, 0, 0, 5, 1])
WHOLE["index"] = ak.unflatten(WHOLE["index"], [1, 2, 0, 0, 0, 0, 0, 2, 1])
PARTS = [{name: one[a:b] for name, one in WHOLE.items()} for a, b in ((0, 3), (3, 7), (7, 9))]
N = 9


@pytest.fixture(params=[False, True], ids=["TTree", "RNTuple"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    with uproot.recreate(tmp_path / "a.root") as file:
        if request.param:
            new = file.mkrntuple("t", ak.zip(PARTS[0], depth_limit=1)[:0])
        else:
            types = {"pt": "var * float32", "index": "var * int16", "weight": "float64"}
            new = file.mktree("t", {**types, "good": "bool"})
        for part in PARTS:
            new.extend(ak.zip(part, depth_limit=1) if request.param else part)
    with uproot.open(tmp_path / "a.root") as file:
        yield file["t"]


@pytest.mark.parametrize("name", ["pt", "index", "weight", "good"])
def test_as_by_uproot_in_every_range(tree: Any, name: str) -> None:
    way = plain(tree[name])
    assert way is not None
    assert way.depth == (2 if name in ("pt", "index") else 1)
    for start in range(N):
        for stop in range(start + 1, N + 1):
            found = way.read(start, stop)
            array = tree[name].array(entry_start=start, entry_stop=stop, library="ak")
            expected = lists_of(array)
            assert found is not None
            assert expected is not None
            assert found.values.dtype == expected.values.dtype
            assert found.counts.dtype == expected.counts.dtype
            np.testing.assert_array_equal(found.values, expected.values)
            np.testing.assert_array_equal(found.counts, expected.counts)


def test_the_branches_of_a_tree_are_read_by_it(tree: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    branches = Branches("a.root", tree, 0, N, Known({"pt": "pt", "weight": "weight"}), 0)
    monkeypatch.setattr(Branches, "array", lambda *_: pytest.fail("uproot's own array was asked"))
    assert branches.part(2, 8).lists("pt").values.tolist() == [3.5] + [4.5] * 5
    assert branches.part(1, 3).numbers("weight").tolist() == [1.5, 2.5]


def test_what_is_not_plain_is_left_to_uproot(tmp_path: Path) -> None:
    columns = {
        "text": ak.Array(["a", "bc"]),
        "nested": ak.Array([[[1.0]], [[], [2.0]]]),
        "record": ak.Array([{"x": 1.0}, {"x": 2.0}]),
    }
    with uproot.recreate(tmp_path / "a.root") as file:
        file.mkrntuple("t", ak.zip(columns, depth_limit=1))
        file.mktree("tree", {"pair": np.dtype(("f8", (2,)))}).extend({"pair": np.ones((2, 2))})
    with uproot.open(tmp_path / "a.root") as file:
        for name in columns:
            assert plain(file["t"][name]) is None, name
        assert plain(file["tree"]["pair"]) is None


DATA = np.array([1, 2, 3], dtype=">i4")
GOOD = {"num_entries": 2, "data": DATA.view(np.uint8), "byte_offsets": np.array([0, 4, 12])}


@pytest.mark.parametrize(
    ("depth", "damage"),
    [
        (2, {"num_entries": 3}),
        (2, {"data": GOOD["data"][:-1]}),
        (2, {"byte_offsets": None}),
        (2, {"byte_offsets": np.array([0, 12, 4])}),
        (2, {"byte_offsets": np.array([-4, 4, 12])}),
        (2, {"byte_offsets": np.array([0, 4, 16])}),
        (2, {"byte_offsets": np.array([0, 4, 8, 12])}),
        (1, {}),
        (1, {"byte_offsets": None}),
    ],
)
def test_damaged_baskets_are_left_to_uproot(depth: int, damage: dict[str, Any]) -> None:
    def way(basket: dict[str, Any], depth: int) -> Baskets:
        branch = SimpleNamespace(basket=lambda _: SimpleNamespace(**basket))
        return Baskets(branch, DATA.dtype, np.dtype(np.int32), [0, 2], depth)

    assert way({**GOOD, **damage}, depth).read(0, 2) is None
    good = way(GOOD, 2).read(0, 2)
    assert good is not None
    assert (good.counts.tolist(), good.values.tolist()) == ([1, 2], [1, 2, 3])


@pytest.mark.parametrize(
    ("ends", "numbers"),
    [
        ([0, 1], [1, 2, 3]),
        ([0, 1, 4], [1, 2, 3]),
        ([0, 3, 1], [1, 2, 3]),
        ([0, 1, 3], [1.0, 2.0, 3.0]),
    ],
)
def test_damaged_columns_are_left_to_uproot(ends: list[int], numbers: list[float]) -> None:
    def way(ends: list[int], numbers: list[float]) -> FieldColumns:
        columns = {0: np.array(ends), 1: np.array(numbers)}
        ntuple = SimpleNamespace(read_cluster_range=lambda column, *_: columns[column])
        return FieldColumns(ntuple, np.array([0, 2]), 0, 1, np.dtype(np.int64))

    assert way(ends, numbers).read(0, 2) is None
    good = way([0, 1, 3], [1, 2, 3]).read(1, 2)
    assert good is not None
    assert (good.counts.tolist(), good.values.tolist()) == ([2], [2, 3])

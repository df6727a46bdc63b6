"""Saved folders: exact, atomic, and refused as soon as a byte is wrong."""

from __future__ import annotations

import json
import stat

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from hepmtp.errors import StorageError
from hepmtp.storage import ARRAYS, META, new_file, new_folder, read, write

EDGES = {
    "edges": np.array([0.1, 1 / 3, 1e300]),
    "counts": np.array([[1, 2], [3, 4]], dtype=np.int64),
}


def saved(folder, kind="lookup", arrays=EDGES, **meta):
    with new_folder(folder) as temporary:
        write(temporary, kind, meta, arrays)
    return folder


def test_a_round_trip_is_exact(tmp_path):
    meta, found = read(saved(tmp_path / "a" / "detector", order=["e+", "e-"], bins=5), "lookup")
    assert (meta["order"], meta["bins"], meta["kind"]) == (["e+", "e-"], 5, "lookup")
    assert {name: array.tolist() for name, array in found.items()} == {
        k: v.tolist() for k, v in EDGES.items()
    }
    assert found["counts"].dtype == np.int64
    assert read(tmp_path / "a" / "detector")[0] == meta  # any kind


@given(
    arrays(
        st.sampled_from([np.float64, np.float32, np.int64, np.bool_]),
        array_shapes(min_dims=1, min_side=0),
    )
)
def test_any_array_survives(tmp_path_factory, array):
    folder = saved(tmp_path_factory.mktemp("s") / "x", arrays={"array": array, "view": array[::-1]})
    found = read(folder)[1]
    assert found["array"].dtype == array.dtype
    assert found["array"].tobytes() == array.tobytes()
    assert found["view"].tobytes() == array[::-1].tobytes()


def test_the_folder_is_complete_or_not_there(tmp_path):
    with pytest.raises(TypeError, match="not JSON serializable"):
        saved(tmp_path / "detector", unfit=object())
    assert list(tmp_path.iterdir()) == []


def test_a_failed_save_keeps_the_older_folder(tmp_path):
    folder = saved(tmp_path / "detector", bins=5)
    with pytest.raises(TypeError, match="not JSON serializable"):
        saved(folder, bins=6, unfit=object())
    assert read(folder)[0]["bins"] == 5
    saved(folder, bins=7)
    assert read(folder)[0]["bins"] == 7
    assert [path.name for path in tmp_path.iterdir()] == ["detector"]


def test_a_folder_of_something_else_is_never_replaced(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("years")
    with pytest.raises(StorageError, match="not a folder that hepmtp wrote"):
        saved(tmp_path / "thesis")
    assert (tmp_path / "thesis" / "thesis.tex").read_text() == "years"


def test_others_may_open_a_saved_folder(tmp_path):
    assert stat.S_IMODE(saved(tmp_path / "detector").stat().st_mode) == 0o755


def test_a_folder_that_is_not_there_is_no_oserror(tmp_path):
    # coffea's skipbadfiles takes an OSError for a bad data file and drops the events
    with pytest.raises(StorageError, match="cannot be read as a lookup") as error:
        read(tmp_path / "absent", "lookup")
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__


def test_a_damaged_folder_is_refused(tmp_path):
    folder = saved(tmp_path / "detector")
    data = bytearray((folder / ARRAYS).read_bytes())
    data[-1] ^= 1
    (folder / ARRAYS).write_bytes(data)
    with pytest.raises(StorageError, match="has changed since it was saved"):
        read(folder)
    (folder / ARRAYS).unlink()
    with pytest.raises(StorageError, match="cannot be read as a hepmtp folder"):
        read(folder)


@pytest.mark.parametrize("text", ["", "{", '{"format": 1', "[1]", '"text"', "\x00"])
def test_a_damaged_description_is_refused(tmp_path, text):
    folder = saved(tmp_path / "detector")
    (folder / META).write_text(text)
    with pytest.raises(StorageError, match="save it again"):
        read(folder)


def test_another_kind_or_version_is_refused(tmp_path):
    folder = saved(tmp_path / "detector")
    with pytest.raises(StorageError, match="holds a 'lookup', expected a 'masked_token'"):
        read(folder, "masked_token")
    meta = json.loads((folder / META).read_text())
    (folder / META).write_text(json.dumps(meta | {"format": 99}))
    with pytest.raises(StorageError, match="has format 99, this hepmtp reads 1"):
        read(folder)


def interrupted(path):
    with new_file(path) as temporary:
        temporary.write_text("sec")
        raise RuntimeError("in the middle")


def test_a_new_file_is_complete_or_not_there(tmp_path):
    path = tmp_path / "new" / "table.csv"
    with new_file(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == ".csv"
        temporary.write_text("first")
    with pytest.raises(RuntimeError, match="in the middle"):
        interrupted(path)
    assert path.read_text() == "first"
    assert list(path.parent.iterdir()) == [path]

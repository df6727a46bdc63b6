"""A few damaged and hostile files of every format; benchmarks/fuzz.py has many more."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

PLACE = Path(__file__).parents[1] / "benchmarks" / "fuzz.py"
SPEC = importlib.util.spec_from_file_location("fuzz", PLACE)
assert SPEC is not None
assert SPEC.loader is not None
fuzz: Any = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(fuzz)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", fuzz.FORMATS)
def test_no_damaged_file_is_a_traceback_or_silent(name: str, tmp_path: Path) -> None:
    n = 15 if name.startswith(("ROOT", "CSV", "Dark")) else 60
    found = list(fuzz.outcomes(name, 0, n, tmp_path))
    assert len(found) == n
    assert [one for one in found if one[0] not in ("same", "refused", "other")] == []
    assert ("refused", "") in found


def test_an_input_follows_from_its_number() -> None:
    good, words = bytes(range(200)), (b"word",)
    inputs = [fuzz.changed(good, words, "x", i) for i in range(50)]
    assert inputs == [fuzz.changed(good, words, "x", i) for i in range(50)]
    assert len(set(inputs)) > 40


def test_a_fault_is_counted_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(path: Path) -> float:
        return 1 / path.read_bytes().count(b"c")

    def make(path: Path) -> None:
        path.write_bytes(b"c" * 20)

    one = fuzz.Format(checked=True, share=1, name="x", make=make, read=careless)
    monkeypatch.setitem(fuzz.FORMATS, "x", one)
    found = [outcome for outcome, _ in fuzz.outcomes("x", 0, 60, tmp_path)]
    assert "silent" in found
    kept = {"x": {"done": 60, "counts": {"silent": found.count("silent")}}}
    assert f"| x | yes | 60 | 0 | 0 | 0 | {found.count('silent')} | 0 | 0 |" in fuzz.table(kept)

"""Numbers and lines of Dark Machines CSV: the compiled loop gives what the slow truth gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from hepmtp.readers.darkmachines.chunk import BEYOND, Columns, columns_of, parse
from hepmtp.readers.darkmachines.line import (
    BARE,
    CHALLENGE,
    GENERATOR,
    Layout,
    fixed_layout,
    parse_line,
)

FIXED = fixed_layout(b"1 1 6 0 3 0 0 0 3 ")
assert FIXED is not None
START = {CHALLENGE: "1;p;", BARE: "", GENERATOR: ""}
# what numbers are made of, so that most texts are one
digits = st.text("0123456789", max_size=20)
numbers = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["", "", "-", "+"]),
        digits,
        st.sampled_from(["", ".", "."]),
        digits,
        st.sampled_from(["", "", "", "e5", "E-3", "e+22", "e-23", "e-0012", "e"]),
    ),
) | st.floats().map(repr)


def same(found: Columns, expected: Columns) -> None:
    """Equal to the last bit, the sign of 0 included."""
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        assert one.tobytes() == other.tobytes()


def check(texts: list[str], layout: Layout) -> int:
    """The loop takes no line that the slow truth refuses, and gives its numbers; how many."""
    lines = "".join(f"{text}\n" for text in texts)
    columns, left = parse(bytearray(lines.encode() + bytes(BEYOND)), layout)
    assert sorted([*columns.entry, *left]) == list(range(len(texts)))
    same(columns, columns_of([(i, parse_line(texts[i], layout=layout)) for i in columns.entry]))
    return len(columns.entry)


@settings(max_examples=500, deadline=None)
@given(st.lists(numbers, min_size=1, max_size=30))
def test_numbers_are_those_of_python(texts: list[str]) -> None:
    check([f"1;p;{text};2;3;" for text in texts], CHALLENGE)
    check([f"1;p;1;2;3;j,1,2,{text},0" for text in texts], CHALLENGE)


def test_all_that_is_written_is_taken() -> None:
    """Six digits and shortest texts of float64: none is left to the slow path."""
    rng = np.random.default_rng(1)
    values = rng.normal(size=5000) * 10.0 ** rng.integers(-4, 9, 5000)
    for form in (repr, "{:g}".format, "{:.6e}".format, "{:.3f}".format):
        texts = [f"{form(float(value))};{form(abs(float(value)))};0" for value in values]
        assert check(texts, BARE) == len(texts)


@pytest.mark.parametrize("text", ["9007199254740993e-1", "9007199254740992.5", "0.1" + "0" * 30])
def test_halves_and_long_numbers(text: str) -> None:
    check([f"{text};0;0"], BARE)


@settings(max_examples=300, deadline=None)
@given(
    layout=st.sampled_from([CHALLENGE, BARE, GENERATOR, FIXED]),
    counts=st.lists(st.integers(0, 4), min_size=1, max_size=6),
    damage=st.lists(
        st.tuples(st.integers(0, 400), st.sampled_from("0123456789.,;+-eEjbgamu \0\x7f")),
        max_size=3,
    ),
)
def test_damaged_lines_of_all_layouts(
    layout: Layout, counts: list[int], damage: list[tuple[int, str]]
) -> None:
    particles = {
        CHALLENGE: "j,5e4,49000.5,-0.671164,3.14;m-,7,6,-0,1.;",
        BARE: "b,5e4,49000.5,-0.671164,3.14;e+,7,6,-0,1.;",
        GENERATOR: "g49000.5,-0.671164,3.14;a,7,6,.5;mu-,7,6,-0;",
    }
    if layout is FIXED:
        rows = ["3,4,0.5,", "5,-.1,1", "0,0,-0", "6,1e-3,2", "0,0,0", "3,.1,-2"]
        texts = ["20000,1," + ",".join(rows[1 + (n + i) % 5] for i in range(4)) for n in counts]
    else:
        texts = [f"{START[layout]}0.5;20000;1.5;" + particles[layout] * n for n in counts]
    data = list("\n".join(texts))
    for at, byte in damage:
        data[at % len(data)] = byte
    check("".join(data).split("\n"), layout)


@pytest.mark.parametrize("writable", [True, False])
def test_the_loop_is_kept_where_there_is_a_place(tmp_path: Path, writable: bool) -> None:
    cache = tmp_path / "cache"
    if not writable:
        cache.write_text("no folder")
    code = (
        "from hepmtp.readers.darkmachines.chunk import BEYOND, parse\n"
        "import sys\n"
        "from hepmtp.readers.darkmachines.line import BARE\n"
        "assert 'numba' not in sys.modules\n"
        "import numba.core.caching as caching\n"
        "caching.CacheImpl._locator_classes = [caching.UserProvidedCacheLocator]\n"
        "assert len(parse(bytearray(b'1;2;3\\n' + bytes(BEYOND)), BARE)[0].entry) == 1\n"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        env={"NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": ":".join(sys.path)},
    )
    assert not writable or list(cache.rglob("*.nbi"))

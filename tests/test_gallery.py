"""The gallery: its pictures are there, small, and each stands above a command that makes it."""

from __future__ import annotations

import io
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_notebooks import FIGURES

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "gallery.md"
#: All pictures together, in bytes.
MOST = 1_500_000


@pytest.fixture(scope="module")
def gallery() -> dict[str, object]:
    return runpy.run_path(str(DOCS / "gallery.py"))


def test_all_pictures_are_small() -> None:
    assert sum(path.stat().st_size for path in (DOCS / "figures").glob("*")) < MOST


def test_each_picture_stands_above_the_command_that_makes_it(gallery: dict[str, object]) -> None:
    made: dict[str, dict[str, int]] = gallery["PICTURES"]  # type: ignore[assignment]
    parts = re.split(r"```console\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    shown = {}
    for text, command in zip(parts[::2], parts[1::2], strict=False):
        pictures = re.findall(r"!\[[^\]]+\]\(figures/(\w+)\.png\)", text)
        assert pictures, command
        assert all((DOCS / "figures" / f"{name}.png").is_file() for name in pictures)
        shown[command.strip()] = set(pictures)
    assert "![" not in parts[-1]
    for notebook, pictures in made.items():
        assert shown[f"$ python docs/gallery.py {notebook}"] == set(pictures)
        assert max(pictures.values()) < FIGURES[notebook]


def test_a_picture_is_made_small(gallery: dict[str, object], tmp_path: Path) -> None:
    picture = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 255, (60, 2200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(picture, format="png")
    gallery["write_small"](picture.getvalue(), tmp_path / "small.png")  # type: ignore[operator]
    small = Image.open(tmp_path / "small.png")
    assert small.size == (1100, 30)
    assert len(small.getcolors()) <= 128

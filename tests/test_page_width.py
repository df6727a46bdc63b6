"""The page fits a telephone and a screen: what is wide scrolls inside itself."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import escape, unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from test_report import small_run

from hepmtp.report.page import write_page
from hepmtp.statistics.accounting import Account, Loss

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run", "--hide-scrollbars"),
)
#: Opens all that is folded, and says how wide the page is and what lies outside of it.
MEASURE = """<script>
document.querySelectorAll("details").forEach(one => { one.open = true; });
const inside = one => one.parentElement.closest(".wide, pre");
const width = document.documentElement.clientWidth;
const outside = [...document.body.querySelectorAll("*")].filter(one =>
  !inside(one) && one.getBoundingClientRect().right > width + 0.5).map(one => one.outerHTML);
parent.document.title = JSON.stringify({width, scroll: document.documentElement.scrollWidth,
  outside: outside.map(one => one.slice(0, 80)),
  wide: [...document.querySelectorAll(".wide")].some(one => one.scrollWidth > one.clientWidth),
  paper: getComputedStyle(document.body).backgroundColor});
</script>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with names that no line holds."""
    folder = tmp_path_factory.mktemp("wide")
    small_run(folder)
    info = json.loads((folder / "run.json").read_text())
    info["title"] = f"Anomalies in {'a_name_without_any_space_' * 6}"
    info["command"] = f"hepmtp run {'/a/long/path/to/files' * 12}.root --output results"
    info["remarks"] = [f"{'x' * 300}: no number"]
    (folder / "run.json").write_text(json.dumps(info))
    loss = Loss("lost", f"{'/deep' * 60}.csv", 1, None, None, "is empty")
    accounting = {"ttbarW": Account(files=3, files_read=2, losses=[loss]).as_dict()}
    (folder / "accounting.json").write_text(json.dumps(accounting))
    return write_page(folder)


class Tags(HTMLParser):
    """Every tag with the tags and classes around it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.around: list[str] = []
        self.found: list[tuple[str, dict[str, Any], str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        given = dict(attrs)
        self.found.append((tag, given, " ".join(self.around)))
        if tag not in ("img", "meta", "br"):
            self.around.append(f"{tag}.{given.get('class', '')}")

    def handle_endtag(self, tag: str) -> None:
        assert self.around.pop().startswith(f"{tag}."), f"</{tag}> closes another tag"


def test_all_that_can_be_wide_scrolls_or_shrinks(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    tags = Tags(text)
    assert tags.around == []  # every tag is closed
    tables = [around for tag, _, around in tags.found if tag == "table"]
    assert tables
    assert all(around.endswith("div.wide") for around in tables)
    css = text.partition("<style>")[2].partition("</style>")[0]
    for rule in (
        r"\.wide \{[^}]*overflow-x: auto", r"pre \{[^}]*overflow-x: auto",
        r"figure img \{[^}]*max-width: min\(100%", r"body \{[^}]*overflow-wrap: anywhere",
        r"@media \(prefers-color-scheme: dark\)",
    ):  # fmt: skip
        assert re.search(rule, css), rule
    assert not [given for _, given, _ in tags.found if {"width", "style"} & given.keys()]
    assert 'name="viewport" content="width=device-width, initial-scale=1"' in text


def test_every_figure_has_a_caption_and_other_words_for_those_who_cannot_see(page: Path) -> None:
    tags = Tags(page.read_text(encoding="utf-8"))
    images = [given for tag, given, around in tags.found if tag == "img"]
    captions = [tag for tag, _, around in tags.found if tag == "figcaption"]
    assert len(images) == len(captions) > 0
    assert all(given["alt"].strip() for given in images)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_page(page: Path, width: int, dark: bool, tmp_path: Path) -> None:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"needs a browser to measure with: {', '.join(BROWSERS)}")
    measured = tmp_path / "measured.html"
    text = page.read_text(encoding="utf-8").replace("</body>", f"{MEASURE}</body>")
    # no window is as narrow as a telephone, but a frame is
    frame = f'<iframe style="border: 0" width="{width}" height="800" srcdoc="{escape(text)}">'
    scheme = '<meta name="color-scheme" content="light dark">'
    measured.write_text(f"<!DOCTYPE html>{scheme}{frame}</iframe>", encoding="utf-8")
    shades = ["--blink-settings=preferredColorScheme=0"] if dark else []
    command = [
        browser, *QUIET, *shades, f"--user-data-dir={tmp_path / 'browser'}",
        "--window-size=1400,900", "--dump-dom", measured.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    said = re.search(r"<title>(\{.*?\})</title>", done.stdout, re.DOTALL)
    assert said, done.stdout[:1000]
    found = json.loads(unescape(said[1]))
    assert found["width"] == width
    assert found["outside"] == []
    assert found["scroll"] <= width
    assert found["wide"] == (width == 390)  # the tables do scroll
    assert found["paper"] == ("rgb(22, 25, 28)" if dark else "rgb(255, 255, 255)")

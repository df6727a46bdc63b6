"""The code of docs/extending.md, run as the files of a user's own package beside hepmtp.

A fenced python block there begins with the name of its file, ``# mine/bag.py``. A section of the
page is a set of such files: modules of the package ``mine``, and scripts that use them.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
SECTIONS = re.findall(r"^## (.+)$", PAGE, flags=re.MULTILINE)


def files_of(section: str) -> dict[str, str]:
    """{file name: code} of the python blocks below this heading, in their order."""
    _, _, rest = PAGE.partition(f"\n## {section}\n")
    text, _, _ = rest.partition("\n## ")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    files = {}
    for block in blocks:
        found = re.match(r"# (\S+\.py)\n", block)
        assert found, f"section {section!r}: a block does not begin with its file:\n{block[:80]}"
        assert found[1] not in files, f"section {section!r}: {found[1]} stands there twice"
        files[found[1]] = block
    return files


def write_files(section: str, folder: Path) -> list[Path]:
    """Write the files of a section into a folder; the scripts, which lie in no package."""
    for name, code in files_of(section).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(code, encoding="utf-8")
    return [folder / name for name in files_of(section) if "/" not in name]


def run(folder: Path, *arguments: str | Path) -> str:
    """What a fresh python prints that can import the modules of this folder; it must succeed."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("section", [one for one in SECTIONS if files_of(one)])
def test_the_code_of_a_section_runs(section: str, tmp_path: Path) -> None:
    scripts = write_files(section, tmp_path)
    assert scripts, "no block uses what the others define"
    for script in scripts:
        run(tmp_path, script)

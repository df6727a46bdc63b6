"""Make the pictures of the gallery anew, from the notebooks of the examples.

python docs/gallery.py [NOTEBOOK...]     # all notebooks with pictures: some eight minutes

The pictures are written into docs/figures, with 128 colours, so that they are small. A picture is
found by the number that it has in its notebook, from 0.
"""

from __future__ import annotations

import base64
import io
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image

DOCS = Path(__file__).parent
EXAMPLES = DOCS.parent / "examples"
#: Notebook -> picture of the gallery -> its number in the notebook.
PICTURES: dict[str, dict[str, int]] = {
    "01_events_and_tokens": {"token_map": 1},
    "02_train_and_look_inside": {
        "training_curve": 0,
        "strange_event": 2,
        "attention": 3,
        "heard": 5,
        "confusion_type": 8,
    },
    "03_control_and_signal_region": {"regions": 2},
    "07_jets": {"jets_grid": 0},
}
#: Colours of a picture, and its largest width.
COLOURS, WIDTH = 128, 1100


def pictures(notebook: Any) -> list[bytes]:
    """All pictures of a notebook that was run, in their order."""
    data = [
        one.get("data", {})
        for cell in notebook.cells
        if cell.cell_type == "code"
        for one in cell.outputs
    ]
    return [base64.b64decode(one["image/png"]) for one in data if "image/png" in one]


def write_small(picture: bytes, path: Path) -> None:
    """A picture in few colours and of a page's width."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    if image.width > WIDTH:
        image = image.resize((WIDTH, image.height * WIDTH // image.width), Image.Resampling.LANCZOS)
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def main(names: list[str]) -> None:
    for name in names or PICTURES:
        notebook = nbformat.read(EXAMPLES / f"{name}.ipynb", 4)
        with tempfile.TemporaryDirectory() as folder:
            place = {"metadata": {"path": folder}}
            NotebookClient(notebook, timeout=3600, resources=place, kernel_name="python3").execute()
        found = pictures(notebook)
        for picture, number in PICTURES[name].items():
            write_small(found[number], DOCS / "figures" / f"{picture}.png")


if __name__ == "__main__":
    main(sys.argv[1:])

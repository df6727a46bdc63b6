"""Which reader takes a file: declared by each reader, and a user's own goes the whole way."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import awkward as ak
import numpy as np
import pytest
from coffea.processor import IterativeExecutor, ProcessorABC

from hepmtp.cli import main
from hepmtp.datasets.files import fileset, read
from hepmtp.datasets.manifest import load_manifest
from hepmtp.errors import OptionError, ReadError
from hepmtp.events import make_events, source_id
from hepmtp.plugins import allow_plugins
from hepmtp.readers import FileReader, Reader, formats
from hepmtp.readers.formats import endings, reader_for, reader_name, shipped
from hepmtp.run.runner import HepRunner

OWN = '''
from pathlib import Path
from hepmtp.events import make_events, source_id


class Words:
    """A line of each event: the pt of its jets, GeV."""

    def __init__(self, scale=1.0):
        self.scale = float(scale)

    def num_events(self, path):
        return len(Path(path).read_text().splitlines())

    def read(self, path, start=0, stop=None):
        lines = Path(path).read_text().splitlines()[start:stop]
        pts = [[self.scale * float(word) for word in line.split()] for line in lines]
        flat = [pt for event in pts for pt in event]
        nothing = [0.0] * len(flat)
        return make_events(
            counts=[len(event) for event in pts], pt=flat, eta=nothing, phi=nothing, energy=flat,
            type=[0] * len(flat), met=[1.0] * len(pts), met_phi=[0.0] * len(pts),
            event=range(start, start + len(pts)), source=source_id(path),
        )
'''


class Sum(ProcessorABC):  # type: ignore[misc]
    def process(self, events: Any) -> Any:
        return {"events": len(events), "pt": float(ak.sum(events.Particle.pt))}

    def postprocess(self, accumulator: Any) -> Any:
        return accumulator


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of a format that only a reader in another file knows."""
    (tmp_path / "my_words.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "mine.words"
    path.write_text("50 30\n\n20\n40 10 5\n")
    return path


def test_a_readers_own_file_is_all_that_it_takes(
    own: Path, capsys: pytest.CaptureFixture[str], nothing_allowed: None
) -> None:
    with pytest.raises(ReadError, match=r"mine\.words is of no known kind: it begins with b'50 30"):
        reader_for(str(own))
    with pytest.raises(SystemExit) as exit_:
        main(["inspect", str(own), "--reader", "my_words:Words", "--option", "scale=2", "--json"])
    assert exit_.value.code == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["format"], found["reader"], found["events"]) == ("Words", "my_words:Words", 4)
    assert found["pt"] == {"min": 10, "median": 50, "max": 100}
    manifest = own.with_name("mine.yaml")
    row = {"name": "mine", "process": "words", "role": "background", "files": [own.name]}
    row |= {"reader": "my_words:Words", "reader_options": {"scale": 2}}
    manifest.write_text(json.dumps({"datasets": [row]}))
    datasets = load_manifest(manifest)
    with pytest.raises(OptionError, match="'my_words:Words' is named in a file, and is no class"):
        read(datasets)
    allow_plugins("my_words")
    assert read(datasets).Particle.pt.to_list() == [[100, 60], [], [40], [80, 20, 10]]
    runner = HepRunner(IterativeExecutor(status=False), chunksize=3)
    assert runner(fileset(datasets), Sum()) == {"events": 4, "pt": 310.0}


@dataclass(frozen=True)
class Blocks(FileReader):
    """A reader as those of hepmtp: a number of events after four bytes."""

    format = "blocks"
    endings = (".blk",)
    magic = b"BLK!"
    labels: ClassVar[tuple[str, ...]] = ("one", "two")

    def num_events(self, path: str) -> int:
        return int(Path(path).read_bytes()[4:])

    def read(self, path: str, start: int = 0, stop: int | None = None) -> ak.Array:
        event = np.arange(self.num_events(path))[start:stop]
        n = len(event)
        events = make_events(
            counts=np.ones(n),
            pt=event + 7000,
            eta=event,
            phi=event * 0,
            energy=event + 1e6,
            type=event % 7,
            met=event,
            met_phi=event * 0,
            event=event,
            source=source_id(path),
        )
        return ak.with_field(events, event % 2, "label")


def test_a_new_reader_is_a_class_and_its_name_in_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "SHIPPED", (f"{__name__}:Blocks", *formats.SHIPPED))
    shipped.cache_clear()
    try:
        (tmp_path / "any.name").write_text("BLK!3")
        assert ".blk" in endings()
        assert reader_name(str(tmp_path / "any.name")) == f"{__name__}:Blocks"
        assert reader_name("https://a.b/c.blk") == f"{__name__}:Blocks"
        from hepmtp.readers.inspect_file import inspect  # noqa: PLC0415 (as users do)

        found = inspect(tmp_path / "any.name")
        assert (found.format, found.processes) == ("blocks", {"one": 2, "two": 1})
    finally:
        shipped.cache_clear()


def test_every_reader_declares_what_its_files_are_known_by() -> None:
    lines = (".csv.bz2", ".csv.zst", ".csv.gz", ".csv.xz")
    assert set(endings()) == {*lines, ".parquet", ".hdf5", ".root", ".csv", ".h5"}
    assert [len(ending) for ending in endings()] == sorted(map(len, endings()), reverse=True)
    roots = [name for name, cls in shipped().items() if ".root" in cls.endings]
    assert len({shipped()[name].branches for name in roots}) == len(roots) == 7
    for name, cls in shipped().items():
        assert isinstance(cls(), Reader), name
        assert cls.endings, name
        assert bool(cls.branches) == (name in [*roots, "hepmtp:ParquetReader"])


def test_a_file_is_told_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "a.root").write_text("1;ttbarW;0.5;20000;1.5;\n")
    assert reader_name(str(tmp_path / "a.root")) == "hepmtp:DarkMachinesCSV"
    assert reader_name("not/there.root") == "hepmtp:RootReader"
    assert reader_name("https://a.b/c.h5") == "hepmtp:FourTopsHDF5"
    for path, message in (
        ("not/there.txt", r"there\.txt does not exist"),
        ("https://a.b/c.txt", r"c\.txt: no reader is known for this name, only for \.csv\.bz2"),
        (str(tmp_path), r"is a folder; name the files in it"),
    ):
        with pytest.raises(ReadError, match=message):
            reader_name(path)


@pytest.mark.parametrize(
    "name",
    ["DAOD_PHYSLITE.1234._000001.pool.root.1", "DAOD_PHYSLITE", "events.parquet", "year=2018.h5"],
)
def test_the_name_of_a_file_does_not_matter(tmp_path: Path, shared: Path, name: str) -> None:
    real = shared / "data" / "real" / "coffea" / "PHYSLITE_example.root"
    (tmp_path / name).symlink_to(real)
    assert reader_name(str(tmp_path / name)) == "hepmtp:Physlite"


def test_a_file_without_an_ending_is_read(tmp_path: Path, shared: Path) -> None:
    path = tmp_path / "other"
    path.symlink_to(shared / "data" / "real" / "coffea" / "delphes.root")
    assert len(reader_for(str(path)).read(str(path), 0, 3)) == 3


def test_binary_files_are_not_packed(tmp_path: Path, shared: Path) -> None:
    real = shared / "data" / "real" / "coffea" / "delphes.root"
    (tmp_path / "a.root.gz").write_bytes(gzip.compress(real.read_bytes()[:1000]))
    with pytest.raises(ReadError, match=r"a \.root file packed by gzip; .*: unpack it first"):
        reader_name(str(tmp_path / "a.root.gz"))


def test_formats_load_no_library_before_a_file_is_asked_about() -> None:
    code = "import hepmtp.readers.formats, sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"uproot", "h5py", "pyarrow.parquet", "coffea"} & set(run.stdout.split()) == set()

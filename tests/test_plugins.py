"""Names that stand in files: what they may stand for, and that nothing else is imported."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from coffea.processor import IterativeExecutor
from test_formats import OWN, Sum

import hepmtp as hm
from hepmtp import plugins, storage
from hepmtp.cli import main
from hepmtp.errors import OptionError, ReadError, StorageError
from hepmtp.plugins import allow_plugins, registered_in, resolve_from_file
from hepmtp.readers.formats import reader_from_file

pytestmark = pytest.mark.usefixtures("nothing_allowed")
#: A module that leaves a trace when it is imported.
TRACE = "from pathlib import Path\nPath(__file__).with_name('IMPORTED').touch()\n" + OWN


class Words:
    """A reader that worker processes can import: a line of each event, the pt of its jets."""

    def num_events(self, path: str) -> int:
        return len(Path(path).read_text().splitlines())

    def read(self, path: str, start: int = 0, stop: int | None = None) -> Any:
        n = len(range(self.num_events(path))[start:stop])
        nothing = [0.0] * n
        return hm.make_events(
            counts=[0] * n, pt=[], eta=[], phi=[], energy=[], type=[], met=nothing,
            met_phi=nothing, event=range(start, start + n), source=[1] * n,
        )  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which is on the path, with a module, a data file and a manifest."""
    (tmp_path / "traced.py").write_text(TRACE)
    (tmp_path / "a.words").write_text("50 30\n20\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("traced", None)
    return tmp_path


def manifest(folder: Path, reader: str, **options: Any) -> Path:
    row = {"name": "x", "process": "x", "role": "background", "files": ["a.words"]}
    row |= {"reader": reader, "reader_options": options}
    (folder / "m.yaml").write_text(json.dumps({"datasets": [row]}))
    return folder / "m.yaml"


@pytest.mark.parametrize(
    "name",
    [
        "subprocess:Popen", "os:system", "builtins:eval", "hepmtp:importlib.import_module",
        "hepmtp.storage:shutil.rmtree", "hepmtp.storage:read", "hepmtp.cli:main", "traced:Words",
        "hepmtp_evil:Class", "hepmtp:_HOMES",
    ],
)  # fmt: skip
def test_a_file_names_classes_of_hepmtp_alone(name: str, here: Path) -> None:
    with pytest.raises(OptionError, match="is no class of hepmtp: nothing was imported"):
        resolve_from_file(name)
    assert not (here / "IMPORTED").exists()


@pytest.mark.parametrize("name", ["", "Popen", "a/b:C", "../x:C", "a.b:", "a b:C", "traced.py:W\n"])
def test_what_is_no_name_is_told_apart(name: str) -> None:
    with pytest.raises(OptionError, match="is no name of a class, expected 'package"):
        resolve_from_file(name)


def test_what_the_user_allows_is_found(here: Path) -> None:
    allow_plugins("traced")
    assert resolve_from_file("traced:Words").__name__ == "Words"
    with pytest.raises(OptionError, match=r"'traced:Path' is pathlib\S*:Path, no class of traced"):
        resolve_from_file("traced:Path")  # imported there, and not its own


def test_one_class_or_one_module_may_be_allowed(here: Path) -> None:
    allow_plugins("traced:Words", "other.readers")
    assert resolve_from_file("traced:Words").__name__ == "Words"
    for name in ("traced:More", "other:Mine", "other_readers:Mine"):
        with pytest.raises(OptionError, match="nothing was imported"):
            resolve_from_file(name)
    with pytest.raises(ModuleNotFoundError, match="No module named 'other'"):
        resolve_from_file("other.readers.words:Mine")


@pytest.mark.parametrize("name", ["mine.py", "a/b", "", "mine:", "mine:C()"])
def test_only_modules_and_classes_are_allowed(name: str) -> None:
    with pytest.raises(OptionError, match="is no module, expected"):
        allow_plugins(name)
    assert plugins.allowed() == ()


def test_installed_packages_register_classes_by_an_entry_point(tmp_path: Path) -> None:
    place = tmp_path / "site" / "mine-1.0.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (place / "entry_points.txt").write_text(
        "[console_scripts]\nmine = mine:main\n[hepmtp.plugins]\nwords = mine.words:Words\n"
    )
    assert registered_in([str(place.parent)]) == {"mine.words:Words"}
    assert registered_in([str(tmp_path)]) == frozenset()


def test_packages_of_the_current_folder_register_nothing(here: Path) -> None:
    evil = here / "evil-1.0.dist-info"
    evil.mkdir()
    (evil / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
    (evil / "entry_points.txt").write_text("[hepmtp.plugins]\ntraced = traced\n")
    plugins.registered.cache_clear()
    assert "traced" not in plugins.registered()


def test_a_manifest_runs_no_command(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = manifest(here, "subprocess:Popen", args=["touch", str(here / "RUN")])
    datasets = hm.load_manifest(path)
    runner = hm.HepRunner(IterativeExecutor(status=False), skipbadfiles=True)
    for read in (hm.read, lambda one: runner(hm.fileset(one), Sum())):
        with pytest.raises(OptionError, match="'subprocess:Popen' is named in a file, and is no"):
            read(datasets)
    with pytest.raises(SystemExit) as exit_:
        main(["train", "x", "--manifest", str(path), "--output", str(here / "detectors")])
    assert exit_.value.code == 2
    assert "add --allow-plugins subprocess to the command" in capsys.readouterr().err
    allow_plugins("subprocess")
    with pytest.raises(OptionError, match="'subprocess:Popen' is not a reader"):
        hm.read(datasets)
    assert not (here / "RUN").exists()


def test_options_of_a_reader_are_checked_before_it_is_made(here: Path) -> None:
    allow_plugins("traced")
    with pytest.raises(OptionError, match="traced:Words has no option 'shell'; it has scale"):
        hm.read(hm.load_manifest(manifest(here, "traced:Words", shell=True)))
    with pytest.raises(OptionError, match="hepmtp:Delphes has no option 'args'"):
        reader_from_file("hepmtp:Delphes", {"args": ["touch"]})
    with pytest.raises(OptionError, match="'hepmtp:MaskedTokenDetector' is not a reader"):
        reader_from_file("hepmtp:MaskedTokenDetector", {})


def test_a_fileset_names_no_class_either(here: Path) -> None:
    (here / "f.json").write_text(
        json.dumps({"x": {"files": ["a.words"], "metadata": {"reader": "traced:Words"}}})
    )
    runner = hm.HepRunner(IterativeExecutor(status=False))
    with pytest.raises(OptionError, match="'traced:Words' is named in a file"):
        runner(str(here / "f.json"), Sum())
    assert not (here / "IMPORTED").exists()
    allow_plugins("traced")
    assert runner(str(here / "f.json"), Sum()) == {"events": 2, "pt": 100.0}


def test_a_file_named_as_a_chunk_is_not_taken_for_one(here: Path) -> None:
    path = here / "a.words?entries=0-1&reader=subprocess:Popen"
    path.write_text("50\n")
    runner = hm.HepRunner(IterativeExecutor(status=False))
    with pytest.raises(ReadError, match="gives such names to the chunks of a file"):
        runner({"x": [str(path)]}, Sum())


@pytest.mark.slow
def test_workers_are_told_what_is_allowed(two_processes: Any, tmp_path: Path) -> None:
    (tmp_path / "a.words").write_text("1\n2\n3\n")
    reader = f"{__name__}:Words"
    allow_plugins(reader)
    fileset = {"x": {"files": [str(tmp_path / "a.words")], "metadata": {"reader": reader}}}
    assert hm.HepRunner(two_processes, chunksize=2)(fileset, Sum())["events"] == 3
    evil = two_processes.pool.submit(resolve_from_file, "subprocess:Popen")
    with pytest.raises(OptionError, match="nothing was imported"):
        evil.result()


class Saved:
    """Something that is saved."""

    def save(self, path: str | Path) -> None:
        with storage.new_folder(path) as folder:
            storage.write(folder, storage.kind_of(self), {}, {})

    @classmethod
    def load(cls, path: str | Path) -> Saved:
        storage.read(path, storage.kind_of(cls))
        return cls()


def test_what_this_process_has_saved_it_opens(tmp_path: Path) -> None:
    Saved().save(tmp_path / "a")
    assert isinstance(storage.load(tmp_path / "a"), Saved)
    plugins._allowed.clear()  # as another process
    with pytest.raises(StorageError, match=r"a: 'test_plugins:Saved' is named in a file"):
        storage.load(tmp_path / "a")
    assert isinstance(Saved.load(tmp_path / "a"), Saved)  # a class in hand
    allow_plugins("test_plugins")
    assert isinstance(storage.load(tmp_path / "a"), Saved)


def test_a_saved_folder_imports_nothing(here: Path) -> None:
    for kind in ("traced:Words", "subprocess:Popen"):
        with storage.new_folder(here / "evil") as folder:
            storage.write(folder, kind, {}, {})
        plugins._allowed.clear()
        for load in (hm.load_detector, hm.load_tokenizer):
            with pytest.raises(StorageError, match=f"{kind}' is named in a file.*--allow-plugins"):
                load(here / "evil")
    assert not (here / "IMPORTED").exists()
    with storage.new_folder(here / "evil") as folder:
        storage.write(folder, "hepmtp:HepRunner", {}, {})
    with pytest.raises(StorageError, match="'hepmtp:HepRunner', which is nothing that is saved"):
        hm.load_detector(here / "evil")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_kind": "traced:Words"}, "'traced:Words' is named in a file"),
        ({"model_kind": "hepmtp:Delphes"}, "no dataclass with a method build"),
        ({"model": {"shell": True}}, "hepmtp:ModelOptions has no option 'shell'"),
    ],
)
def test_the_model_of_a_saved_detector_is_checked_before_it_is_made(
    change: dict[str, Any], message: str, here: Path
) -> None:
    shutil.copytree(Path(__file__).parent / "saved" / "masked_token", here / "saved")
    meta, arrays = storage.read(here / "saved")
    meta.pop("sha256"), meta.pop("format")
    with storage.new_folder(here / "changed") as folder:
        storage.write(folder, meta.pop("kind"), meta | change, arrays)
        shutil.copytree(here / "saved" / "tokenizer", folder / "tokenizer")
    with pytest.raises(StorageError, match=message):
        hm.load_detector(here / "changed")
    assert not (here / "IMPORTED").exists()


def test_classes_of_hepmtp_may_be_named_by_their_module() -> None:
    found = resolve_from_file("hepmtp.readers.darkmachines.reader:DarkMachinesCSV")
    assert found is hm.DarkMachinesCSV
    with pytest.raises(OptionError, match=r"is named in a file, and is no class of hepmtp"):
        resolve_from_file("hepmtp.storage:shutil.rmtree")

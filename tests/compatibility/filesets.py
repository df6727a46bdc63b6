"""Filesets in every form that coffea takes or gives, as files of them, and what cannot be one."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from functools import partial
from typing import Any

import awkward as ak
import yaml

from compatibility import Place, row
from compatibility.files import LINES

filesets = partial(row, "filesets")
THREE = "3 events, weight 3.5, 185 GeV"
SIX = "6 events, weight 7, 370 GeV"
TWO = "2 events, weight 1.5, 160 GeV"
PATHS = "paths"
OF_COFFEA = "classes and output of coffea"
IN_FILES = "files of a fileset"
FORMS = "forms of a data set"
KEYS = "keys of a data set or file"
REFUSED = "what is refused"


def _files(place: Place) -> None:
    """a.root and b.root, NanoAOD of three events each; c.csv, the same."""
    place.folder.joinpath("a.root").write_bytes(place.files.nano().read_bytes())
    other = place.files.nano("nano_other.root")
    place.folder.joinpath("b.root").write_bytes(other.read_bytes())
    place.folder.joinpath("c.csv").write_bytes(place.files.csv.read_bytes())


def _form(subject: str, form: Any, *, tried: str = "", works: str | None = None,
          refused: str | None = None, whole: bool = False) -> None:  # fmt: skip
    """A row for a data set (or, with `whole`, a fileset) as it is written in Python."""

    @filesets(subject, tried or f"`{form!r}`", works=works, refused=refused)
    def _(place: Place) -> str:
        _files(place)
        return place.run(form, whole=True) if whole else place.run({"tt": form})


_STEPS = {"object_path": "Events", "steps": [[0, 1], [2, 3]]}
_OUTPUT = {
    "tt": {
        "files": {
            "a.root": {
                "object_path": "Events",
                "steps": [[0, 2]],
                "num_entries": 3,
                "format": "root",
                "uuid": "a9490124-3648-11ea-89e9-f5b55c90beef",
                "lfn": None,
                "pfn": None,
                "num_selected_entries": 2,
            }
        },
        "metadata": {"role": "background"},
        "format": "root",
        "compressed_form": None,
        "did": None,
    }
}

_form(FORMS, "a.root", works=THREE)
_form(FORMS, ["a.root", "b.root"], works=SIX)
_form(FORMS, ("a.root", "c.csv"), works=SIX)
_form(FORMS, ["a.root:Events"], works=THREE)
_form(FORMS, {"a.root": "Events"}, works=THREE)
_form(FORMS, {"a.root": None, "c.csv": None}, works=SIX)
_form(FORMS, {"a.root": {"object_path": "Events"}}, works=THREE)
_form(FORMS, {"a.root": _STEPS}, works="2 events, weight 2.5, 135 GeV")
_form(FORMS, {"c.csv": {"steps": [[0, 2]]}}, works=TWO)
_form(FORMS, {"files": "a.root"}, works=THREE)
_form(FORMS, {"files": ["a.root"], "treename": "Events"}, works=THREE)
_form(FORMS, {"files": {"a.root": "Events"}, "metadata": {"role": "data"}}, works=THREE)
_form(FORMS, {"files": ["c.csv"], "metadata": None}, works=THREE)


@filesets(FORMS, "`[Path('a.root')]`", works=THREE)
def _(place: Place) -> str:
    _files(place)
    return place.run({"tt": [place.folder / "a.root"]})


def _spec(name: str) -> Callable[..., Any]:
    from coffea.dataset_tools import filespec  # noqa: PLC0415 (coffea only when asked)

    found: Callable[..., Any] = getattr(filespec, name)
    return found


def _of_coffea(tried: str, works: str) -> Callable[[Callable[[], Any]], None]:
    def register(make: Callable[[], Any]) -> None:
        @filesets(OF_COFFEA, tried, works=works)
        def _(place: Place) -> str:
            _files(place)
            return place.run(make())

    return register


@_of_coffea("`DatasetSpec(files={'a.root': 'Events'})`", THREE)
def _() -> Any:
    return {"tt": _spec("DatasetSpec")(files={"a.root": "Events"})}


@_of_coffea("`DataGroupSpec({'tt': {'files': {'a.root': 'Events'}}})`", THREE)
def _() -> Any:
    return _spec("DataGroupSpec")({"tt": {"files": {"a.root": "Events"}}})


@_of_coffea("`InputFiles({'a.root': 'Events'})`", THREE)
def _() -> Any:
    return {"tt": _spec("InputFiles")({"a.root": "Events"})}


@_of_coffea("`{'files': InputFiles(...), 'metadata': {...}}`", THREE)
def _() -> Any:
    files = _spec("InputFiles")({"a.root": "Events"})
    return {"tt": {"files": files, "metadata": {"role": "signal"}}}


@_of_coffea("what `get_steps` gives, as a `DataGroupSpec`", THREE)
def _() -> Any:
    return _with_steps()


@_of_coffea("`max_chunks(..., 1)` of it", TWO)
def _() -> Any:
    from coffea.dataset_tools.manipulations import max_chunks  # noqa: PLC0415 (coffea, as above)

    return max_chunks(_with_steps(), 1)


@_of_coffea("`max_files(..., 1)` of it", THREE)
def _() -> Any:
    from coffea.dataset_tools.manipulations import max_files  # noqa: PLC0415 (coffea, as above)

    return max_files(_with_steps(), 1)


@_of_coffea("`split_fileset(...)[0]`", THREE)
def _() -> Any:
    from coffea.dataset_tools.splitting import split_fileset  # noqa: PLC0415 (coffea, as above)

    return split_fileset({"tt": {"files": {"a.root": "Events"}, "metadata": {"year": 18}}})[0]


@_of_coffea("what `preprocess` gives, with steps, num_entries, uuid, format, form", TWO)
def _() -> Any:
    return _OUTPUT


@_of_coffea("what `preprocess_legacy_root` gives", TWO)
def _() -> Any:
    one: Any = _OUTPUT["tt"]["files"]["a.root"]  # type: ignore[index]
    kept = {key: one[key] for key in ("object_path", "steps", "num_entries", "uuid")}
    return {"tt": {"files": {"a.root": kept}, "metadata": None, "form": None}}


def _with_steps() -> Any:
    from coffea.dataset_tools.preprocess import get_steps  # noqa: PLC0415 (coffea, as above)

    names = ("object_path", "steps", "num_entries", "uuid")
    path = os.path.abspath("a.root")  # noqa: PTH100
    given = {"file": path, **dict.fromkeys(names), "object_path": "Events"}
    (found,) = get_steps(ak.Array([given]), step_size=2).to_list()
    path = found.pop("file")
    return _spec("DataGroupSpec")({"tt": {"files": {path: found}}})


_CONTENT = {"tt": {"files": {"a.root": "Events"}, "metadata": {"role": "background"}}}
for _name, _bytes in {
    "fileset.json": json.dumps(_CONTENT).encode(),
    "fileset.json.gz": gzip.compress(json.dumps(_CONTENT).encode()),
    "fileset.yaml": yaml.safe_dump(_CONTENT).encode(),
    "preprocessed.json": json.dumps(_OUTPUT).encode(),
}.items():

    @filesets(IN_FILES, f"`{_name}`", works=TWO if _name.startswith("pre") else THREE)
    def _(place: Place, name: str = _name, data: bytes = _bytes) -> str:
        _files(place)
        place.folder.joinpath(name).write_bytes(data)
        return place.run(name, whole=True)


for _name, _bytes, _message in (
    ("broken.json", b'{"tt": ', "no JSON fileset"),
    ("twice.json", b'{"tt": ["a.root"], "tt": ["b.root"]}', "twice"),
    ("list.json", b'["a.root"]', "a fileset is a mapping"),
    ("manifest.yaml", b"datasets: []", "is a manifest and not a fileset"),
    ("events.json", b"PAR1\xff\xfe", "no JSON fileset"),
):

    @filesets(IN_FILES, f"`{_name}` that is none", refused=_message)
    def _(place: Place, name: str = _name, data: bytes = _bytes) -> Any:
        place.folder.joinpath(name).write_bytes(data)
        return place.run(name, whole=True)


def _path(tried: str, written: str, *, there: str = "", works: str = THREE) -> None:
    """A row for a path; `there` is what the file is called, if it is another than `written`."""

    @filesets(PATHS, tried, works=works)
    def _(place: Place) -> str:
        file = place.folder / (there or written)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f"{line}\n" for line in LINES))
        return place.run({"tt": [written]})


_path("`./c.csv`", "./c.csv", there="c.csv")
_path("`year=2018/c.csv`", "year=2018/c.csv")
_path("`with blank, comma.csv`", "with blank, comma.csv")
_path("`c:d#e?.csv`", "c:d#e?.csv")
_path("`q[1].csv`, which is there", "q[1].csv")
_path("pattern `run_*/c.csv`", "run_*/c.csv", there="run_1/c.csv")
_path("pattern `[ab].csv`", "[ab].csv", there="b.csv")
_path("pattern `**/deep.csv`", "**/deep.csv", there="x/y/deep.csv")
_path("pattern `year=*/c?.csv`", "year=*/c?.csv", there="year=18/c1.csv")


@filesets(PATHS, "`~/c.csv`", works=THREE)
def _(place: Place) -> str:
    _files(place)
    before = os.environ.get("HOME")
    os.environ["HOME"] = str(place.folder)
    try:
        return place.run({"tt": ["~/c.csv"]})
    finally:
        os.environ.pop("HOME") if before is None else os.environ.update(HOME=before)


@filesets(PATHS, "`file:///.../with%20blank.csv`", works=THREE)
def _(place: Place) -> str:
    place.folder.joinpath("with blank.csv").write_bytes(place.files.csv.read_bytes())
    return place.run({"tt": [f"file://{place.folder}/with%20blank.csv"]})


@filesets(PATHS, "`root://host:1094//store/a.root:Events`", works="address and tree are told apart")
def _(place: Place) -> str:
    from hepmtp.datasets.filesets import read_fileset  # noqa: PLC0415 (as the runner does)

    (one,) = read_fileset({"tt": ["root://host:1094//store/a.root:Events"]})["tt"].files
    assert one == ("root://host:1094//store/a.root", "Events", None)
    return "address and tree are told apart"


_form(KEYS, {"files": ["a.root"], "metadata": {"year": 2018}}, works=THREE)
_form(KEYS, {"files": ["a.root"], "tree": "Events"}, refused="write 'treename'")
_form(KEYS, {"files": ["a.root"], "xsec": 1}, refused="belong into 'metadata'")
_form(KEYS, {"files": ["a.root"], "treename": 4}, refused="expected the name of a tree")
_form(KEYS, {"files": ["c.csv"], "treename": "Events"}, refused="reads no trees")
_form(KEYS, {"files": {"a.root": "A"}, "treename": "B"}, refused="keep one")
_form(KEYS, {"a.root:A": "B"}, refused="keep one")
_form(KEYS, {"a.root": {"weight": 1}}, refused="key 'weight' is unknown")
_form(KEYS, {"a.root": {"steps": []}}, refused="list of steps is empty")
_form(KEYS, {"a.root": {"steps": [3]}}, refused="expected")
_form(KEYS, {"a.root": {"steps": [[0, 2], [1, 3]]}}, refused="overlaps")
_form(KEYS, {"a.root": {"steps": [[0, 9]], "num_entries": 3}}, refused="preprocess it again")
_form(KEYS, {"c.csv": {"steps": [[9, 12]]}}, refused="none of its steps")
_form(KEYS, {"a.root": {"num_entries": "3"}}, refused="expected a whole number")
_form(KEYS, {"[ab].root": {"steps": [[0, 2]]}}, refused="is a pattern and has steps")
_form(KEYS, {"files": ["a.root"], "metadata": 4}, refused="expected a mapping")
_form(KEYS, {"files": ["a.root"], "metadata": {"filename": "x"}}, refused="coffea's own")
_form(KEYS, {"files": ["a.root"], "preload": "Jet_pt"}, refused="expected a list of branches")
_form(REFUSED, [], tried="`[]` as the fileset", refused="a fileset is a mapping", whole=True)
_form(REFUSED, {}, tried="`{}` as the fileset", refused="is empty", whole=True)
_form(REFUSED, {"": ["a.root"]}, tried="`{'': ['a.root']}` as the fileset",
      refused="a name is text", whole=True)  # fmt: skip
_form(REFUSED, [], refused="has no files")
_form(REFUSED, None, refused="key 'files' is None")
_form(REFUSED, {"metadata": {}}, refused="has no key 'files'")
_form(REFUSED, ["a.root", 4], refused="expected a path")
_form(REFUSED, [["root://a//b.root", "root://c//b.root"]], refused="a list of replicas")
_form(REFUSED, ["a.root", "./a.root"], refused="there twice")
_form(REFUSED, ["a.root", "*.root"], refused="there twice")
_form(REFUSED, ["gone.root"], refused="does not exist")
_form(REFUSED, ["gone*.root"], refused="does not exist")
_form(REFUSED, ["."], refused="is a folder")


@filesets(REFUSED, "`['a.root', 'link.root']`, a link to it", refused="there twice, also as")
def _(place: Place) -> str:
    _files(place)
    place.folder.joinpath("link.root").symlink_to("a.root")
    return place.run({"tt": ["a.root", "link.root"]})

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import fsspec
import pytest
import uproot
import yaml
from coffea.dataset_tools.filespec import DataGroupSpec, DatasetSpec, InputFiles
from coffea.dataset_tools.manipulations import max_chunks, max_files
from coffea.dataset_tools.preprocess import get_steps, preprocess
from coffea.dataset_tools.splitting import split_fileset

from hepmtp.datasets.files import fileset, read
from hepmtp.datasets.filesets import FilesetEntry, Wanted, read_fileset
from hepmtp.datasets.names import select
from hepmtp.errors import ManifestError, OptionError, ReadError
from hepmtp.events.record import metadata

LINE = "{};ttbarW;0.5;20000;-1.5;j,60000,50000,0.1,1.0;b,70000,60000,0.2,-1.0;\n"
#: What coffea 2026.9.0 gave, with dask-awkward beside it, for a file of 40 events and one of none.
PREPROCESSED: dict[str, Any] = {
    "nano": {
        "files": {
            "a.root": {
                "object_path": "Events",
                "steps": [[0, 14], [14, 28], [28, 40]],
                "num_entries": 40,
                "format": "root",
                "lfn": None,
                "pfn": None,
                "uuid": "a9490124-3648-11ea-89e9-f5b55c90beef",
                "num_selected_entries": 40,
            },
            "b.root": {
                "object_path": "Events",
                "steps": [[0, 0]],
                "num_entries": 0,
                "format": "root",
                "lfn": None,
                "pfn": None,
                "uuid": "f73b274c-da3c-11f0-b00b-2100a8c0beef",
                "num_selected_entries": 0,
            },
        },
        "metadata": {"role": "background"},
        "format": "root",
        "compressed_form": "H4sIAEn7CGsC",
        "did": None,
    }
}
#: The same with preprocess_legacy_root.
LEGACY: dict[str, Any] = {
    "nano": {
        "files": {
            name: {key: one[key] for key in ("object_path", "steps", "num_entries", "uuid")}
            for name, one in PREPROCESSED["nano"]["files"].items()
        },
        "metadata": None,
        "form": None,
    }
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with files of names that are legal and rare."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.root", "b.root", "year=2018/x y,z.root", "c:d#e.csv", "q[1]?.csv"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    return tmp_path


def paths(entry: FilesetEntry) -> list[str]:
    return [one.path for one in entry.files]


@pytest.mark.parametrize(
    ("form", "tree"),
    [
        (["a.root", "b.root"], None),
        (("a.root", Path("b.root")), None),
        (["a.root:Events", "b.root:Events"], "Events"),
        ({"a.root": "Events", "b.root": "Events"}, "Events"),
        ({"a.root": None, "b.root": None}, None),
        ({"files": ["a.root", "b.root"], "treename": "Events"}, "Events"),
        ({"files": {"a.root": "Events", "b.root": "Events"}}, "Events"),
        ({"files": {"a.root": "", "b.root": None}, "treename": "Events"}, "Events"),
        ({"files": {"a.root": {"object_path": "Events"}, "b.root": "Events"}}, "Events"),
        ({"files": "?.root"}, None),
        ("[ab].root", None),
        ({"files": {"*.root": "Events"}}, "Events"),
        ({"files": ["./a.root", "../{folder}/b.root"]}, None),
        (DatasetSpec(files={"a.root": "Events", "b.root": "Events"}), "Events"),
        (InputFiles({"a.root": "Events", "b.root": "Events"}), "Events"),
        ({"files": InputFiles({"a.root": "Events", "b.root": "Events"})}, "Events"),
    ],
)
def test_every_form_of_a_data_set(folder: Path, form: Any, tree: str | None) -> None:
    if isinstance(form, dict) and isinstance(form.get("files"), list):
        form = {**form, "files": [one.format(folder=folder.name) for one in form["files"]]}
    (entry,) = read_fileset({"x": form}).values()
    assert {Path(one.path).resolve() for one in entry.files} == {
        folder / "a.root",
        folder / "b.root",
    }
    assert all(Path(one.path).is_absolute() for one in entry.files)
    assert {(one.tree, one.steps) for one in entry.files} == {(tree, None)}
    assert (entry.metadata, entry.preload) == ({}, None)


def test_the_tree_of_the_call_is_for_files_that_name_none(folder: Path) -> None:
    form = {"x": ["a.root"], "y": {"a.root": "mine"}, "z": {"files": ["a.root"], "treename": "own"}}
    found = read_fileset(form, treename="Events")
    assert [entry.files[0].tree for entry in found.values()] == ["Events", "mine", "own"]


def test_metadata_and_preload_arrive(folder: Path) -> None:
    given = {"role": "signal", "xsec": 0.5, "year": 2018, "isMC": True, "energy_tev": 13.6}
    form = {"files": ["a.root"], "metadata": given, "preload": ["Jet_pt", "Jet_eta"]}
    (entry,) = read_fileset({"x": form}).values()
    assert entry.metadata == given
    assert entry.preload == {"Jet_pt", "Jet_eta"}
    form["metadata"] = None
    assert read_fileset({"x": form})["x"].metadata == {}


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("year=2018/x y,z.root", "year=2018/x y,z.root"),
        ("year=*/x y,z.root", "year=2018/x y,z.root"),
        ("year=2018/x y,z.root:nominal/Delphes", "year=2018/x y,z.root"),
        ("c:d#e.csv", "c:d#e.csv"),
        ("q[1]?.csv", "q[1]?.csv"),  # it is there, so it is no pattern
        ("**/x*.root", "year=2018/x y,z.root"),
    ],
)
def test_paths_with_legal_characters(folder: Path, written: str, found: str) -> None:
    assert paths(read_fileset({"x": [written]})["x"]) == [str(folder / found)]


def test_homes_and_addresses(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    (folder / "with blank.root").write_text("x")
    written = ["~/a.root", "~/b*.root", f"file://{folder}/with%20blank.root"]
    assert paths(read_fileset({"x": written})["x"]) == [
        str(folder / name) for name in ("a.root", "b.root", "with blank.root")
    ]
    remote = [
        "root://eos.cern.ch:1094//store/a.root",
        "https://host/a.root?x=1#y",
        "davs://host/year=1/a b.root",
    ]
    assert paths(read_fileset({"x": remote})["x"]) == remote
    (one,) = read_fileset({"x": "root://eos:1094//a.root:Events"})["x"].files
    assert one == Wanted("root://eos:1094//a.root", "Events", None)


def test_a_pattern_of_an_address_is_filled_in() -> None:
    system = fsspec.filesystem("memory")
    for name in ("b", "a"):
        system.pipe(f"/filesets/{name}.root", b"x")
    try:
        assert paths(read_fileset({"x": "memory://filesets/*.root"})["x"]) == [
            "memory:///filesets/a.root",
            "memory:///filesets/b.root",
        ]
        with pytest.raises(ReadError, match=r"'x': memory://filesets/\*.csv does not exist"):
            read_fileset({"x": "memory://filesets/*.csv"})
    finally:
        system.rm("/filesets", recursive=True)
    with pytest.raises(ReadError, match=r"nowhere://\*: its files cannot be listed .*name each"):
        read_fileset({"x": "nowhere://*"})


@pytest.mark.parametrize("form", [PREPROCESSED, LEGACY])
@pytest.mark.parametrize("kind", ["dict", "json", "json.gz", "spec"])
def test_what_preprocess_gives_is_taken_as_it_is(folder: Path, form: Any, kind: str) -> None:
    given: Any = form
    if kind.startswith("json"):
        given = folder / f"out_available.{kind}"
        packed = json.dumps(form, indent=2).encode()
        given.write_bytes(gzip.compress(packed) if kind.endswith("gz") else packed)
    elif kind == "spec":
        given = DataGroupSpec({"nano": {"files": form["nano"]["files"]}})
    (entry,) = read_fileset(given).values()
    assert entry.files == (
        Wanted(str(folder / "a.root"), "Events", ((0, 14), (14, 28), (28, 40))),
        Wanted(str(folder / "b.root"), "Events", ((0, 0),)),
    )
    if form is PREPROCESSED and kind != "spec":
        assert entry.metadata == {"role": "background"}
    else:
        assert entry.metadata == {}


@pytest.fixture
def ntuple(tmp_path: Path) -> Path:
    """A real ROOT file of 40 events."""
    with uproot.recreate(tmp_path / "real.root") as file:
        file.mktree("Events", {"x": "f8"}).extend({"x": [float(i) for i in range(40)]})
    return tmp_path / "real.root"


def test_steps_that_coffea_makes_of_a_real_file(ntuple: Path) -> None:
    rows = ak.Array([
        {"file": str(ntuple), "object_path": "Events", "steps": None, "num_entries": None,
         "uuid": None}
    ])  # fmt: skip
    (step,) = get_steps(rows, step_size=15).to_list()
    spec = DatasetSpec(files={step.pop("file"): step})
    made = DataGroupSpec({"real": spec})
    steps = ((0, 14), (14, 28), (28, 40))
    assert read_fileset(made)["real"].files == (Wanted(str(ntuple), "Events", steps),)
    assert read_fileset(max_chunks(made, 2))["real"].files[0].steps == steps[:2]
    assert read_fileset(max_files(made, 1))["real"].files[0].steps == steps
    plain = {"real": {"files": {str(ntuple): "Events"}, "metadata": {"isMC": 1}}}
    (part,) = split_fileset(plain)
    assert read_fileset(part)["real"].metadata == {"isMC": 1}


def test_preprocess_itself(ntuple: Path) -> None:
    pytest.importorskip("dask_awkward")
    given = DataGroupSpec({"real": {"files": {str(ntuple): "Events"}}})
    available, updated = preprocess(given, step_size=15, scheduler="sync", save_form=True)
    for one in (available, updated, available.model_dump()):
        assert read_fileset(one)["real"].files == (
            Wanted(str(ntuple), "Events", ((0, 14), (14, 28), (28, 40))),
        )


def test_what_the_rucio_tools_save(folder: Path) -> None:
    saved = {"/TT/Run/NANO": {"files": {"root://a//b.root": "Events"}, "metadata": {"year": "18"}}}
    (folder / "out.yaml").write_text(yaml.safe_dump(saved))
    entry = read_fileset("out.yaml")["/TT/Run/NANO"]
    assert entry.files == (Wanted("root://a//b.root", "Events", None),)
    with pytest.raises(ManifestError, match=r"'x': file .* is a list of replicas; keep one of"):
        read_fileset({"x": [["root://a//b.root", "root://c//b.root"]]})


ONE = {"object_path": "Events"}


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ([], r"a fileset is a mapping of data set names to files, found \[\]; write"),
        ({}, r"the fileset is empty"),
        ({"": ["a.root"]}, r"data set '' of a fileset: a name is text"),
        ({"x": []}, r"data set 'x' has no files; name at least one"),
        ({"x": {"files": {}}}, r"data set 'x' has no files"),
        ({"x": None}, r"'x': key 'files' is None, expected a path, a list of paths, or a mapping"),
        ({"x": {"metadata": {}}}, r"data set 'x' has no key 'files', only metadata"),
        (
            {"x": {"files": ["a.root"], "xsec": 1}},
            (
                r"'x': key 'xsec' is unknown; allowed are files, "
                r"treename, metadata, preload .* of your own belong into 'metadata'"
            ),
        ),
        ({"x": {"files": ["a.root"], "tree": "T"}}, r"key 'tree' is unknown; .*write 'treename'"),
        ({"x": {"files": ["a.root"], "treename": 4}}, r"'x': treename is 4, expected the name of"),
        ({"x": ["a.root", 4]}, r"data set 'x': file 4, expected a path"),
        ({"x": ["a.root", " "]}, r"data set 'x': file ' ', expected a path"),
        ({"x": ["a.root", "./a.root"]}, r"a.root is there twice; its events would count twice"),
        ({"x": ["a.root", "[ab].root"]}, r"a.root is there twice"),
        (
            {"x": {"a.root": {**ONE, "weight": 1}}},
            (
                r"file 'a.root': key 'weight' is unknown; allowed"
                r" are object_path, steps, num_entries"
            ),
        ),
        ({"x": {"a.root": ["Events"]}}, r"'x', file 'a.root': found \['Events'\], expected a tree"),
        (
            {"x": {"files": {"a.root": "A"}, "treename": "B"}},
            (
                r"its tree is 'A', but the data set's "
                r"treename is 'B'; keep one"
            ),
        ),
        ({"x": {"a.root:A": "B"}}, r"'a.root:A' names the tree 'A', but 'B' is given"),
        ({"x": {"a.root": {**ONE, "steps": []}}}, r"its list of steps is empty; leave the file"),
        ({"x": {"a.root": {**ONE, "steps": [3]}}}, r"steps are \[3\], expected \[\[start, stop\]"),
        ({"x": {"a.root": {**ONE, "steps": 3}}}, r"steps are 3, expected"),
        ({"x": {"a.root": {**ONE, "steps": [[0, True]]}}}, r"steps are \[\[0, True\]\], expected"),
        ({"x": {"a.root": {**ONE, "steps": [[-1, 3]]}}}, r"steps are \[\[-1, 3\]\], expected"),
        ({"x": {"a.root": {**ONE, "steps": [[5, 3]]}}}, r"step \[5, 3\] ends before it begins"),
        ({"x": {"a.root": {**ONE, "steps": [[0, 5], [4, 8]]}}}, r"step \[4, 8\] .*overlaps"),
        (
            {"x": {"a.root": {**ONE, "steps": [[0, 50]], "num_entries": 40}}},
            r"step \[0, 50\] ends behind the file's 40 entries; preprocess it again",
        ),
        ({"x": {"a.root": {**ONE, "num_entries": "40"}}}, r"num_entries is '40', expected a whole"),
        ({"x": {"[ab].root": {**ONE, "steps": [[0, 5]]}}}, r"is a pattern and has steps"),
        ({"x": {"files": ["a.root"], "metadata": 4}}, r"'x': key 'metadata' is 4, expected"),
        (
            {"x": {"files": ["a.root"], "metadata": {"role": "Data"}}},
            (
                r"data set 'x': role 'Data' is"
                r" unknown; the roles are background, signal, data"
            ),
        ),
        ({"x": {"files": ["a.root"], "metadata": {"isMC": "perhaps"}}}, r"'x': isMC is 'perhaps'"),
        (
            {"x": {"files": ["a.root"], "metadata": {"isMC": False, "role": "background"}}},
            r"'x': isMC is False, but the role is 'background': correct one",
        ),
        (
            {"x": {"files": ["a.root"], "metadata": {"energy_tev": 13000}}},
            (
                r"energy_tev is 13000, "
                r"expected the collision energy in TeV"
            ),
        ),
        ({"x": {"files": ["a.root"], "metadata": {"reader": 4}}}, r"'x': reader is 4, expected"),
        ({"x": {"files": ["a.root"], "metadata": {"reader_options": "a=b"}}}, r"reader_options is"),
        (
            {"x": {"files": ["a.root"], "preload": "Jet_pt"}},
            (
                r"key 'preload' is 'Jet_pt', expected "
                r"a list of branches"
            ),
        ),
    ],
)
def test_what_is_wrong_is_named(folder: Path, form: Any, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        read_fileset(form)


def test_numbers_and_names_that_cannot_be(folder: Path) -> None:
    def with_metadata(**given: Any) -> dict[str, Any]:
        return {"x": {"files": ["a.root"], "metadata": given}}

    with pytest.raises(OptionError, match=r"data set 'x': xsec is '0.5', expected a number above"):
        read_fileset(with_metadata(xsec="0.5"))
    with pytest.raises(OptionError, match=r"'x' has both cross_section_pb and xsec: keep one"):
        read_fileset(with_metadata(xsec=1, cross_section_pb=1))
    with pytest.raises(ReadError, match=r"'x': metadata \['filename'\] are coffea's own"):
        read_fileset(with_metadata(filename="x"))


@pytest.mark.parametrize(
    ("key", "advice"),
    [
        ("Role", "write 'role'"),
        ("IsMC", "write 'isMC'"),
        ("Xsec", "write 'xsec'"),
        ("crossSection_pb", "write 'cross_section_pb'"),
        ("sumGenWeights", "write 'sum_genweights'"),
        ("units", r"say it to the reader, 'reader_options': \{'units'"),
        ("tree", "write 'treename' beside 'files'"),
    ],
)
def test_keys_that_would_have_no_effect(folder: Path, key: str, advice: str) -> None:
    metadata = {key: "data", "year": 2018}
    with pytest.raises(ManifestError, match=f"'x': the metadata key '{key}' would have.*{advice}"):
        read_fileset({"x": {"files": ["a.root"], "metadata": metadata}})


def test_keys_of_the_users_own_are_carried(folder: Path) -> None:
    metadata = {"type": "data", "year": 2018, "cross_section": 2.0, "Campaign": "a"}
    found = read_fileset({"x": {"files": ["a.root"], "metadata": metadata}})
    assert found["x"].metadata == metadata


def test_files_that_are_not_there(folder: Path) -> None:
    for path, message in (
        ("no.root", r"data set 'x': .*no.root does not exist; check the name"),
        ("no*.root", r"data set 'x': no\*.root does not exist"),
        ("year=2018", r"year=2018 is a folder; name the files in it"),
    ):
        with pytest.raises(ReadError, match=message):
            read_fileset({"x": [path]})
    found = read_fileset({"x": ["a.root", "no.root"]}, missing_ok=True)
    assert paths(found["x"]) == [str(folder / "a.root"), str(folder / "no.root")]
    (folder / "link.root").symlink_to(folder / "a.root")
    with pytest.raises(ManifestError, match=r"link.root is there twice, also as .*a.root"):
        read_fileset({"x": ["a.root", "link.root"]})


def test_files_that_are_no_fileset(folder: Path) -> None:
    for name, content, message in (
        ("a.json", b'{"x": ', r"a.json is no JSON fileset: Expecting value in line 1, column 7"),
        ("b.json", b"PAR1\xff\xfe", r"is no JSON fileset: it begins with b'PAR1"),
        ("c.json", b'{"x": ["a.root"], "x": ["b.root"]}', r"has the key 'x' twice in one mapping"),
        ("d.yaml", b"x: [", r"d.yaml is no YAML fileset: "),
        ("e.yaml", b"datasets: []", r"e.yaml is a manifest and not a fileset: name it with"),
        ("f.json", b'["a.root"]', r"a fileset is a mapping of data set names to files, found"),
    ):
        (folder / name).write_bytes(content)
        with pytest.raises(ManifestError, match=message):
            read_fileset(name)
    with pytest.raises(ReadError, match=r"no.json does not exist"):
        read_fileset("no.json")


@pytest.fixture
def csv(folder: Path) -> Callable[[str, int], str]:
    def write(name: str, n: int) -> str:
        (folder / name).write_text("".join(LINE.format(i) for i in range(n)))
        return name

    return write


def test_the_data_sets_of_a_fileset_are_selected_and_read(
    folder: Path, csv: Callable[[str, int], str]
) -> None:
    content = {
        "mine": {
            "files": {csv("m.csv", 8): {"object_path": None, "steps": [[1, 3], [5, 8]]}},
            "metadata": {"isMC": True, "xsec": 0.5, "nevts": 8, "year": 2018, "energy_tev": 13},
        },
        "taken": {"files": [csv("t.csv", 2)], "metadata": {"is_data": True}, "preload": ["MET"]},
        "4top": [csv("n.csv", 2)],
    }
    (folder / "all.json").write_text(json.dumps(content))
    from hepmtp.datasets.manifest import embedded  # noqa: PLC0415

    chosen = select(["all.json"], embedded(), role="background")
    assert [(one.name, one.role) for one in chosen] == [
        ("mine", "background"), ("taken", "data"), ("4top", "signal"),
    ]  # fmt: skip
    mine, taken, _ = chosen
    assert (mine.cross_section_pb, mine.n_generated, mine.energy_tev) == (0.5, 8, 13)
    assert read([mine]).event.to_list() == [1, 2, 5, 6, 7]
    assert read([mine], stop=3).event.to_list() == [1, 2, 5]
    assert metadata(read([taken])) == {"dataset": "taken", "role": "data"}
    found = fileset(chosen)
    assert found["mine"] == {
        "files": {str(folder / "m.csv"): {"object_path": None, "steps": [[1, 3], [5, 8]]}},
        "metadata": {
            "isMC": True, "year": 2018, "role": "background", "process": "mine",
            "cross_section_pb": 0.5, "n_generated": 8.0, "energy_tev": 13,
        },
    }  # fmt: skip
    assert found["taken"]["preload"] == ["MET"]
    again = read_fileset(found)
    assert again["mine"].files == (Wanted(str(folder / "m.csv"), None, ((1, 3), (5, 8))),)
    with pytest.raises(ManifestError, match=r"all.json is a fileset, whose data sets have names"):
        select(["x=all.json"], [])
    with pytest.raises(
        ManifestError, match=r"data set 'mine': isMC is True, but the role is 'data'"
    ):
        select(["all.json"], [], role="data")

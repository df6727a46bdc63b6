from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from jsonschema import Draft202012Validator

from hepmtp.datasets.files import check_files, fileset, read
from hepmtp.datasets.manifest import (
    Dataset,
    embedded,
    embedded_jets,
    load_manifest,
    shipped_manifest,
)
from hepmtp.datasets.names import select
from hepmtp.datasets.published import Download, Record, load_records
from hepmtp.datasets.schema import SCHEMA
from hepmtp.errors import ManifestError, OptionError, ReadError
from hepmtp.events.record import metadata
from hepmtp.readers.darkmachines.reader import DarkMachinesCSV
from hepmtp.statistics.normalisation import known

READER = "hepmtp:DarkMachinesCSV"
LINE = "{};ttbarW;0.5;20000;-1.5;j,60000,50000,0.1,1.0;b,70000,60000,0.2,-1.0;\n"
ROW = {
    "name": "mine",
    "process": "ttbarW",
    "role": "background",
    "reader": READER,
    "files": ["a.csv", "b.csv"],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.csv").write_text(LINE.format(1) + LINE.format(2))
    (tmp_path / "b.csv").write_text(LINE.format(1))
    return tmp_path


def write(folder: Path, *rows: dict[str, Any], **more: Any) -> Path:
    path = folder / "manifest.yaml"
    path.write_text(yaml.safe_dump({"datasets": list(rows), **more}))
    return path


def test_the_shipped_manifest_lists_the_embedded_sample_and_every_record() -> None:
    datasets = load_manifest()
    backgrounds = [dataset.name for dataset in embedded() if dataset.role == "background"]
    assert backgrounds == ["ttbarW", "ttbarWW", "ttbarZ", "ttbarHiggs"]
    assert [dataset.name for dataset in embedded() if dataset.role == "signal"] == [
        "4top",
        "glgl1600_neutralino800",
    ]
    records = {dataset.doi for dataset in datasets if dataset.doi}
    assert {one.rsplit(".", 1)[-1] for one in records if "zenodo" in one} == {
        "3961917",
        "4443151",
        "3685861",
        "6619768",
        "6772776",
        "7277951",
    }
    fourtops = {
        dataset.name: dataset for dataset in datasets if dataset.name.startswith("fourtops-")
    }
    assert sum(dataset.events or 0 for dataset in fourtops.values()) == 302072
    # selected files, whose sum of weights before the selection nobody knows: nothing to scale by
    assert {dataset.cross_section_pb for dataset in fourtops.values()} == {None}
    assert {name: dataset.note.split()[5:7] for name, dataset in fourtops.items()} == {
        "fourtops-ttbarW": ["0.35", "pb,"],
        "fourtops-ttbarWW": ["0.0085", "pb,"],
        "fourtops-ttbarZ": ["0.59", "pb,"],
        "fourtops-ttbarHiggs": ["0.46", "pb,"],
        "fourtops-4top": ["0.0096", "pb,"],
    }
    assert [dataset.luminosity_ifb for dataset in datasets if dataset.process == "background"] == [
        7.79,
        309.6,
        7.8,
        8.02,
    ]


def test_roles_of_the_challenge_follow_from_the_process() -> None:
    challenge = [dataset for dataset in load_manifest() if dataset.name.startswith("chan")]
    assert len(challenge) == 38  # 34 signals and 4 backgrounds
    assert all(
        (dataset.role == "background") == (dataset.process == "background") for dataset in challenge
    )


@pytest.mark.parametrize(("dataset", "label"), [*zip(embedded_jets(), (0, 8), strict=True)])
def test_the_embedded_jets_are_no_embedded_events(dataset: Dataset, label: int) -> None:
    assert dataset not in embedded()
    jets = read([dataset])
    assert len(jets) == 1500 == dataset.events
    assert set(jets.label.to_list()) == {label}
    assert 500 < np.min(jets.Jet.pt) < np.max(jets.Jet.pt) < 1000
    assert set(jets.weight.to_list()) == {1.0}
    assert sum(Path(one.files[0]).stat().st_size for one in embedded_jets()) < 6_000_000


def test_no_sha256_is_claimed_for_files_never_seen() -> None:
    assert all(
        sha256 is None
        for dataset in load_manifest()
        if not dataset.embedded
        for sha256 in dataset.sha256
    )


@pytest.mark.parametrize("dataset", embedded(), ids=lambda dataset: dataset.name)
def test_events_and_yields_of_the_embedded_sample(dataset: Any) -> None:
    expected = {
        "ttbarW": (10522, 1340.0),
        "ttbarWW": (7566, 52.4),
        "ttbarZ": (17302, 1365.9),
        "ttbarHiggs": (12619, 617.3),
        "4top": (8952, 70.7),
        "glgl1600_neutralino800": (6023, 51.0),
    }
    events = read([dataset])
    n_events, yields = expected[dataset.name]
    assert len(events) == n_events == dataset.events
    assert np.sum(events.weight) == pytest.approx(yields, abs=0.05)
    assert metadata(events) == {"dataset": dataset.name, "role": dataset.role}
    assert dataset.luminosity_ifb == 139.0
    # selected events are a part of cross-section x luminosity
    assert yields < dataset.cross_section_pb * 1000 * 139.0


def test_a_data_set_of_several_files(folder: Path) -> None:
    (dataset,) = load_manifest(write(folder, ROW))
    events = read([dataset])
    assert events.event.to_list() == [0, 1, 0]
    assert len(set(events.source.to_list())) == 2
    assert metadata(events) == {"dataset": "mine", "role": "background"}
    assert fileset([dataset]) == {
        "mine": {
            "files": [str(folder / "a.csv"), str(folder / "b.csv")],
            "metadata": {"role": "background", "process": "ttbarW", "reader": READER},
        }
    }


def test_data_sets_of_two_roles_lose_the_role(folder: Path) -> None:
    manifest = write(
        folder,
        {**ROW, "files": ["a.csv"]},
        {**ROW, "name": "s", "role": "signal", "files": ["b.csv"]},
    )
    found = metadata(read(load_manifest(manifest)))
    assert set(found.pop("datasets").values()) == {"mine", "s"}
    assert found == {"dataset": "mine+s"}


def test_a_pattern_stands_for_its_files_in_order(folder: Path) -> None:
    (dataset,) = load_manifest(write(folder, {**ROW, "files": ["*.csv"]}))
    assert check_files([dataset]) == {"mine": [str(folder / "a.csv"), str(folder / "b.csv")]}


def test_the_folder_is_an_option_then_a_variable_then_beside_the_manifest(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = write(folder, ROW)
    monkeypatch.setenv("HEPMTP_DATA", "/from/variable")
    assert load_manifest(manifest, folder="/from/option")[0].files[0] == str(
        Path("/from/option/a.csv")
    )
    assert load_manifest(manifest)[0].files[0] == str(Path("/from/variable/a.csv"))
    monkeypatch.delenv("HEPMTP_DATA")
    assert load_manifest(manifest)[0].files[0] == str(folder / "a.csv")


def test_a_missing_download_says_where_to_get_it(tmp_path: Path) -> None:
    (dataset,) = select(["fourtops-4top"], load_manifest(folder=tmp_path))
    with pytest.raises(
        ManifestError,
        match=(
            r"no file .*4top.csv; download it from https://doi.org/10.5281/zenodo.7277951; hepmtp "
            r"fetch fourtops-4top downloads it.*option folder or the variable HEPMTP_DATA"
        ),
    ):
        read([dataset])


def test_a_pattern_without_files_is_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"'darkmachines-sm': no file .*zenodo.3685861"):
        fileset(select(["darkmachines-sm"], load_manifest(folder=tmp_path)))


def test_a_changed_file_is_refused(folder: Path) -> None:
    (dataset,) = load_manifest(write(folder, {**ROW, "files": {"a.csv": "0" * 64}}))
    with pytest.raises(
        ManifestError,
        match=r"'mine': .*a.csv has sha256 \w{64}, expected 0{64}; the file has changed",
    ):
        fileset([dataset])


def test_names_and_files_are_selected_in_order() -> None:
    words = ["ttbarZ", "x=a.root", "y:signal=b=c.csv,d.csv", "e/f.csv.gz", "g:data=*.parquet"]
    found = [
        (dataset.name, dataset.role, dataset.files)
        for dataset in select(words, embedded(), role="background")
    ]
    assert found[0][:2] == ("ttbarZ", "background")
    assert found[1:] == [
        ("x", "background", ("a.root",)),
        ("y", "signal", ("b=c.csv", "d.csv")),
        ("f", "background", ("e/f.csv.gz",)),
        ("g", "data", ("*.parquet",)),
    ]


def test_files_under_a_known_name_have_its_role() -> None:
    found = select(["a/4top.root", "ttbarW=b.root"], embedded(), role="background")
    assert [(dataset.name, dataset.process, dataset.role) for dataset in found] == [
        ("4top", "4top", "signal"),
        ("ttbarW", "ttbarW", "background"),
    ]
    assert not any(dataset.embedded for dataset in found)
    assert select(["4top:data=a.root"], embedded())[0].role == "data"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["ttbarX"],
            r"'ttbarX' is unknown; there are ttbarZ, ttbarW, ttbarWW and more .* write NAME=FILE",
        ),
        (["4top", "4top"], r"'4top' is asked for twice"),
        (["a.csv", "b/a.root"], r"'a' is asked for twice"),
        (["x:noise=a.csv"], r"key 'role' is 'noise', expected one of background, signal, data"),
        (["=a.csv"], r"'=a.csv' has no name or no file"),
        (["x=a.csv,"], r"'x=a.csv,' has no name or no file"),
    ],
)
def test_words_that_name_no_data_set(words: list[str], message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        select(words, embedded())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"role": "noise"},
            r"entry 1 \(mine\): key 'role' is 'noise', expected one of background, signal, data",
        ),
        ({"units": "keV"}, r"key 'units' is 'keV', expected one of MeV, GeV"),
        ({"events": -1}, r"key 'events' is -1, expected a whole number"),
        ({"events": True}, r"key 'events' is True"),
        (
            {"cross_section_pb": "0.7"},
            r"key 'cross_section_pb' is '0.7', expected a number above 0",
        ),
        ({"luminosity_ifb": float("nan")}, r"key 'luminosity_ifb' is nan"),
        ({"embedded": "yes"}, r"key 'embedded' is 'yes', expected true or false"),
        ({"process": 4}, r"key 'process' is 4, expected text \(put numbers in quotes\)"),
        ({"files": "a.csv"}, r"key 'files' is 'a.csv', expected a list of paths"),
        ({"files": []}, r"key 'files' is \[\]"),
        (
            {"files": {"a.csv": "abc"}},
            r"line 3: entry 1 \(mine\): key 'a.csv' of 'files' is 'abc', expected 64 hex digits",
        ),
        ({"colour": "red"}, r"key 'colour' is unknown; allowed are name, process"),
        ({"sha256": "abc"}, r"key 'sha256' is unknown"),
        (
            {"files": {"*.csv": "0" * 64}},
            r"\*.csv has a sha256, but only a file on disk can have one, not a pattern",
        ),
        ({"files": [4]}, r"key 0 of 'files' is 4, expected a path"),
        ({"files": {4: None}}, r"key 'files' is 4, expected a path"),
        (
            {"record": "r"},
            (
                r"line \d+: entry 1 \(mine\): key 'record' is 'r', expected the name of one of the "
                r"records: there"
            ),
        ),
        ({"cross_section_pb": float("inf")}, r"key 'cross_section_pb' is inf"),
        ({"events": 2.0}, r"key 'events' is 2.0, expected a whole number"),
        (
            {"role": "noise", "units": "keV"},
            r"key 'role' is 'noise', .* \(and 1 more to be corrected\)",
        ),
    ],
)
def test_a_wrong_row_is_refused(folder: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        load_manifest(write(folder, {**ROW, **change}))


def test_needed_keys(folder: Path) -> None:
    with pytest.raises(
        ManifestError,
        match=r"manifest.yaml line 2: entry 1 \(mine\): key 'files', 'role' is missing; needed are",
    ):
        load_manifest(write(folder, {"name": "mine", "process": "p"}))


def test_a_name_twice_is_refused(folder: Path) -> None:
    with pytest.raises(
        ManifestError, match=r"entries 1 and 2 have the same name 'mine'; a name is unique"
    ):
        load_manifest(write(folder, ROW, ROW))


def test_what_is_no_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"missing.yaml cannot be read as a manifest"):
        load_manifest(tmp_path / "missing.yaml")
    (tmp_path / "broken.yaml").write_text("datasets: [")
    with pytest.raises(ManifestError, match=r"broken.yaml cannot be read as a manifest"):
        load_manifest(tmp_path / "broken.yaml")
    (tmp_path / "list.yaml").write_text("- name: mine\n")
    with pytest.raises(ManifestError, match=r"list.yaml has no list 'datasets' at its top"):
        load_manifest(tmp_path / "list.yaml")
    (tmp_path / "rows.yaml").write_text("datasets: [mine]\n")
    with pytest.raises(ManifestError, match=r"entry 1 is 'mine', expected keys and values"):
        load_manifest(tmp_path / "rows.yaml")
    with pytest.raises(
        ManifestError, match=r"key 'extra' is unknown; allowed are datasets, records, shared"
    ):
        load_manifest(write(tmp_path, ROW, extra=1))


MANIFEST = """\
shared:
  base: &base
    process: ttbarW
    role: {role}
  more: &more {{<<: *base, units: {units}}}

datasets:
  - name: first
    process: p
    role: background
    files: [a.csv]
  - <<: *more
    name: second
    files:
      a.csv: {sha256}
{extra}
records: [{record}]
"""
RIGHT = {
    "role": "signal",
    "units": "GeV",
    "sha256": "",
    "extra": "",
    "record": "{name: r, url: 'http://a', files: {x: }}",
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"role": "noise"}, r"line 4: entry 2 \(second\): key 'role' is 'noise', expected one of"),
        ({"units": "keV"}, r"line 5: entry 2 \(second\): key 'units' is 'keV'"),
        (
            {"sha256": "12"},
            r"line 15: entry 2 \(second\): key 'a.csv' of 'files' is 12, expected 64 hex",
        ),
        ({"extra": "    colour: red"}, r"line 16: entry 2 \(second\): key 'colour' is unknown"),
        ({"extra": "    name: third"}, r"line 16: key 'name' is in line 13 already; keep one"),
        ({"extra": "  - third"}, r"line 16: entry 3 is 'third', expected keys and values such as"),
        (
            {"extra": "  - {name: first, process: p, role: data, files: [x]}"},
            r"line 16: entries 1 and 3 have the same name",
        ),
        (
            {"extra": "  - {name: x, files: [x]}"},
            r"line 16: entry 3 \(x\): key 'process', 'role' is missing",
        ),
        (
            {"record": "{name: r}"},
            r"line 17: record 1 \(r\): key 'files' is missing; needed are name, files",
        ),
        (
            {"record": "{name: r, files: {x: }, url: 'ftp://a'}"},
            r"'url' is 'ftp://a', expected an address that begins with",
        ),
        (
            {"record": "{name: r, files: {x: {into: ../y}}, url: 'http://a'}"},
            r"key 'into' of 'x' of 'files' is '../y', expected",
        ),
        (
            {"record": "{name: r, files: {x: {into: /y}}, url: 'http://a'}"},
            r"key 'into' of 'x' of 'files' is '/y', expected",
        ),
        (
            {"record": "{name: r, files: {../x: }, url: 'http://a'}"},
            r"key 'files' is '../x', expected the name of a file",
        ),
        (
            {"record": "{name: r, files: {x: {md5: abc}}, url: 'http://a'}"},
            r"'abc', expected 32 hex digits of an md5",
        ),
        (
            {"record": "{name: r, files: {x: }}"},
            r"line 17: record 1 \(r\): needs either the key 'listing' or the key 'url'",
        ),
        (
            {"record": "{name: r, files: {'*.csv': }, url: 'http://a'}"},
            r"pattern '\*.csv' needs the key 'listing'",
        ),
        (
            {"record": "{name: r, files: {x.zip: {unpack: tar}}, url: 'http://a'}"},
            r"x.zip is to be unpacked as tar, but",
        ),
    ],
)
def test_an_error_names_the_line(tmp_path: Path, change: dict[str, str], message: str) -> None:
    path = tmp_path / "manifest.yaml"
    path.write_text(MANIFEST.format(**RIGHT))
    assert [dataset.units for dataset in load_manifest(path)] == [None, "GeV"]
    assert load_records(path)[0].files[0].target == "x"
    path.write_text(MANIFEST.format(**{**RIGHT, **change}))
    with pytest.raises(ManifestError, match=message):
        (load_manifest(path), load_records(path))


def test_the_schema_and_the_records_of_python_have_the_same_keys() -> None:
    schema = json.loads(SCHEMA.read_text())
    Draft202012Validator.check_schema(schema)
    for kind, name, own in (
        (
            Dataset,
            "dataset",
            {"sha256", "folder", "trees", "steps", "preload", "metadata"},
        ),
        (Record, "record", set()),
        (Download, "download", {"name"}),
    ):
        assert (
            set(schema["$defs"][name]["properties"]) == {field.name for field in fields(kind)} - own
        )


def test_every_record_of_the_shipped_manifest_has_an_address_and_says_what_is_unchecked() -> None:
    records = load_records()
    assert {record.doi for record in records} == {
        dataset.doi for dataset in load_manifest() if dataset.doi
    }
    for record in records:
        number = str(record.doi).rpartition(".")[2]
        if record.listing is not None:
            assert record.listing == f"https://zenodo.org/api/records/{number}"
        else:
            assert "OPENDATA" in str(record.doi)
            assert str(record.url).startswith("https://opendata.cern.ch/eos/opendata/")
    assert [record.name for record in records if not record.unchecked] == ["fourtops"]
    assert not any(file.sha256 or file.md5 for record in records for file in record.files)
    of = {dataset.name: dataset.record for dataset in load_manifest() if not dataset.embedded}
    assert all(of.values())


def test_remote_files_are_taken_as_they_are(folder: Path) -> None:
    (dataset,) = load_manifest(write(folder, {**ROW, "files": ["https://a.b/c.root", "a.csv"]}))
    assert check_files([dataset]) == {"mine": ["https://a.b/c.root", str(folder / "a.csv")]}
    (dataset,) = select(["mine=root://a.b//c.root"], [])
    assert check_files([dataset]) == {"mine": ["root://a.b//c.root"]}


def test_options_of_the_reader(folder: Path) -> None:
    (folder / "a.csv").write_text(
        "1;x;1;2000;0.1;j,60000,50000,0.1,1.0;\n2;x;1;2000;0.1;q,60000,50000,0.1,1.0;\n"
    )
    row = {**ROW, "files": ["a.csv"], "reader_options": {"on_bad": "skip"}}
    (dataset,) = load_manifest(write(folder, row))
    assert len(read([dataset])) == 1
    assert fileset([dataset])["mine"]["metadata"]["reader_options"] == {"on_bad": "skip"}
    assert len({dataset, dataset}) == 1
    del row["reader"]
    assert len(read(load_manifest(write(folder, row)))) == 1
    with pytest.raises(
        OptionError, match=r"DarkMachinesCSV has no option 'on_good'; it has on_bad"
    ):
        read(load_manifest(write(folder, {**row, "reader_options": {"on_good": "keep"}})))
    with pytest.raises(
        ManifestError,
        match=r"key 'reader_options' is 'skip', expected a mapping of options to their values",
    ):
        load_manifest(write(folder, {**row, "reader_options": "skip"}))


def test_an_unknown_reader(folder: Path) -> None:
    with pytest.raises(
        OptionError, match=r"'hepmtp.readers.nothing:Reader' is named in a file, and is"
    ):
        read(load_manifest(write(folder, {**ROW, "reader": "hepmtp.readers.nothing:Reader"})))


def test_without_a_reader_the_files_names_decide(folder: Path) -> None:
    row = {key: value for key, value in ROW.items() if key != "reader"}
    assert len(read(load_manifest(write(folder, row)))) == 3


def test_the_manifest_of_the_checkout_is_found() -> None:
    assert shipped_manifest().is_file()


def test_the_embedded_sample_is_normalised_to_what_its_weights_are() -> None:
    for name, entry in fileset(embedded()).items():
        given = known(entry["metadata"], name)
        assert given.cross_section_pb is not None
        assert given.luminosity_ifb is not None
        assert given.sum_weights is not None
        # exactly 1: its numbers do not change in the last bit
        factor = given.cross_section_pb * 1000 * given.luminosity_ifb / given.sum_weights
        assert (given.luminosity_ifb, factor) == (139.0, 1.0)
        assert entry["metadata"]["energy_tev"] == 13
        assert "treename" not in entry
        assert "reader_options" not in entry["metadata"]  # its units are what the reader takes


def test_what_is_known_of_a_row_arrives_in_the_metadata(folder: Path) -> None:
    row = {
        **ROW, "cross_section_pb": 0.5, "luminosity_ifb": 140, "n_generated": 1000,
        "energy_tev": 13.6, "tree": "nominal", "reader_options": {"on_bad": "skip"},
    }  # fmt: skip
    (entry,) = fileset(load_manifest(write(folder, row))).values()
    assert entry == {
        "files": [str(folder / "a.csv"), str(folder / "b.csv")],
        "treename": "nominal",
        "metadata": {
            "role": "background", "process": "ttbarW", "reader": READER,
            "reader_options": {"on_bad": "skip"}, "cross_section_pb": 0.5, "luminosity_ifb": 140,
            "n_generated": 1000, "energy_tev": 13.6,
        },
    }  # fmt: skip
    (plain,) = load_manifest(write(folder, ROW))
    assert "treename" not in fileset([plain])["mine"]
    assert fileset([plain], treename="Events")["mine"]["treename"] == "Events"
    with pytest.raises(OptionError, match=r"DarkMachinesCSV has no option 'tree'"):
        read(load_manifest(write(folder, {**ROW, "tree": "nominal"})))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"energy_tev": 13000},
            r"line 2: entry 1 \(mine\): .*energy_tev is 13000, expected the col",
        ),
        ({"luminosity_ifb": 139000}, r"entry 1 \(mine\): .*looks like 1/pb"),
        ({"sum_weights": 2.0, "n_generated": 4}, r"has both a sum of weights and a number of gen"),
        ({"sum_weights": 0}, r"key 'sum_weights' is 0, expected a number above 0"),
        ({"tree": ""}, r"key 'tree' is '', expected text"),
    ],
)
def test_numbers_that_cannot_be(folder: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        load_manifest(write(folder, {**ROW, **change}))


def test_units_are_those_of_the_reader_or_told_to_it_or_refused(folder: Path) -> None:
    told = "units" in {field.name for field in fields(DarkMachinesCSV)}
    (right, none) = load_manifest(write(folder, {**ROW, "units": "MeV"}, {**ROW, "name": "x"}))
    assert read([right]).to_list() == read([none]).to_list()
    (other,) = load_manifest(write(folder, {**ROW, "units": "GeV"}))
    if told:
        assert np.allclose(read([other]).MET.pt, 1000 * read([none]).MET.pt)
        (twice,) = load_manifest(
            write(folder, {**ROW, "units": "GeV", "reader_options": {"units": "MeV"}})
        )
        with pytest.raises(ManifestError, match=r"but the reader's option units is 'MeV'; keep"):
            fileset([twice])
    else:
        with pytest.raises(ManifestError, match=r"'mine': key 'units' is 'GeV', but its reader"):
            fileset([other])
    (delphes,) = load_manifest(write(folder, {**ROW, "units": "MeV", "reader": "hepmtp:Delphes"}))
    message = (
        r"'mine': key 'units' is 'MeV', but its reader hepmtp:Delphes takes energies for GeV and "
        r"has no option units; correct the key"
    )
    for call in (fileset, read):
        with pytest.raises(ManifestError, match=message):
            call([delphes])


def test_a_role_that_does_not_exist_is_no_data_set() -> None:
    with pytest.raises(ManifestError, match=r"data set 'x': key 'role' is 'Data', expected one of"):
        Dataset(name="x", process="x", role="Data", files=())  # type: ignore[arg-type]


def test_a_file_twice_in_a_row_is_refused(folder: Path) -> None:
    (dataset,) = load_manifest(write(folder, {**ROW, "files": ["*.csv", "a.csv"]}))
    with pytest.raises(ManifestError, match=r"'mine': .*a.csv is there twice; its events would"):
        fileset([dataset])


@pytest.fixture
def strange(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with files of legal names that words could take for something else."""
    monkeypatch.chdir(folder)
    names = ("year=2018/x.root", "a,b.csv", "x y.csv", "DAOD.x._1.pool.root.1", "events", "e.txt")
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(LINE.format(1))
    return folder


@pytest.mark.parametrize(
    ("word", "name", "files"),
    [
        ("year=2018/x.root", "x", ("year=2018/x.root",)),
        ("year=2018/*.root", "year=2018", ("year=2018/*.root",)),
        ("n=year=2018/x.root", "n", ("year=2018/x.root",)),
        ("n=a,b.csv", "n", ("a,b.csv",)),
        ("n=a,b.csv,a.csv,x y.csv", "n", ("a,b.csv", "a.csv", "x y.csv")),
        ("x y.csv", "x y", ("x y.csv",)),
        ("DAOD.x._1.pool.root.1", "DAOD.x._1", ("DAOD.x._1.pool.root.1",)),
        ("year=2018/x.root:nominal/Delphes", "x", ("year=2018/x.root:nominal/Delphes",)),
        ("events", "events", ("events",)),
        ("e.txt", "e", ("e.txt",)),
        ("root://a//b/c.root?x=1", "c", ("root://a//b/c.root?x=1",)),
    ],
)
def test_words_with_legal_characters(
    strange: Path, word: str, name: str, files: tuple[str, ...]
) -> None:
    (found,) = select([word], embedded())
    assert found.files == files
    assert found.name == name


def test_two_files_of_one_name_are_told_apart(strange: Path) -> None:
    with pytest.raises(
        ManifestError,
        match=r"'x' is asked for twice \(year=2018/x.root and x.csv\); give files a name with NAME",
    ):
        select(["year=2018/x.root", "x.csv"], [])


def test_lists_of_files(strange: Path) -> None:
    (strange / "all.txt").write_text("# comment\n\na.csv\n  year=2018/x.root  \nx y.csv\n")
    found = select(
        [], embedded(), role="data", lists=["all.txt", "s:signal=all.txt", "4top=all.txt"]
    )
    files = ("a.csv", "year=2018/x.root", "x y.csv")
    assert [(one.name, one.role, one.files) for one in found] == [
        ("all", "data", files), ("s", "signal", files), ("4top", "signal", files),
    ]  # fmt: skip
    (strange / "none.txt").write_text("# nothing\n")
    with pytest.raises(ManifestError, match=r"none.txt lists no files; expected one path a line"):
        select([], [], lists=["none.txt"])
    (strange / "binary").write_bytes(b"root\xff\xfe")
    with pytest.raises(ManifestError, match=r"binary is no list of files: it begins with b'root"):
        select([], [], lists=["binary"])


def test_bad_files_are_left_out_where_that_is_asked_for(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "b.csv").write_text("junk\n")
    (dataset,) = load_manifest(write(folder, ROW))
    with pytest.raises(ReadError, match=r"b.csv"):
        read([dataset])
    assert len(read([dataset], skip_bad=True)) == 2
    assert "b.csv: skipped 1 lines" in caplog.text

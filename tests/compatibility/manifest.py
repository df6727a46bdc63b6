"""Every key of a manifest: its data sets, its records and their downloads."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from loopback import serving

from compatibility import Place, look, row, told
from compatibility.files import LINES, NANO, write_trees

manifest = partial(row, "manifest")
THREE = "3 events, weight 3.5, 185 GeV"
ROW: dict[str, Any] = {"name": "x", "process": "tt", "role": "background", "files": ["tt.csv"]}


def _written(place: Place, content: Any) -> Path:
    """A manifest, beside tt.csv."""
    place.folder.joinpath("tt.csv").write_bytes(place.files.csv.read_bytes())
    path = place.folder / "mine.yaml"
    path.write_text(json.dumps(content))
    return path


def _datasets(place: Place, content: Any) -> Any:
    from hepmtp.datasets.manifest import load_manifest  # noqa: PLC0415 (as the commands do)

    return load_manifest(_written(place, content))


def _run(place: Place, given: dict[str, Any], *, shared: Any = None) -> str:
    """A run of a data set, as `hepmtp run --manifest` makes it."""
    from hepmtp.datasets.files import fileset  # noqa: PLC0415 (as the commands do)
    from hepmtp.run.runner import HepRunner  # noqa: PLC0415 (the same)

    row_ = {key: value for key, value in {**ROW, **given}.items() if value is not Ellipsis}
    content = {"datasets": [row_]} | ({} if shared is None else {"shared": shared})
    return told(HepRunner(place.executor)(fileset(_datasets(place, content)), look))


def _key(given: dict[str, Any], *, tried: str = "", works: str | None = None,
         refused: str | None = None) -> None:  # fmt: skip
    """A row for keys of a data set, the first of which is the subject."""
    key = next(iter(given))
    text = ", ".join(f"`{name}: {json.dumps(one)}`" for name, one in given.items() if one != ...)

    @manifest(f"data set `{key}`", tried or text, works=works, refused=refused)
    def _(place: Place) -> str:
        return _run(place, given)


def _value(key: str, value: Any, works: str, **more: Any) -> None:
    """A row for a key of a data set that is only kept, shown or used elsewhere."""

    @manifest(f"data set `{key}`", f"`{key}: {json.dumps(value)}`", works=works)
    def _(place: Place) -> str:
        (one,) = _datasets(place, {"datasets": [{**ROW, key: value, **more}]})
        return f"Dataset.{key} is {getattr(one, key)!r}"


@manifest("`datasets`", "a list of one", works=THREE)
def _(place: Place) -> str:
    return _run(place, {})


manifest("`datasets`", "a mapping", refused="no list .datasets. at its top")(
    lambda place: _datasets(place, {"datasets": {"x": ROW}})
)
manifest("`datasets`", "the key is missing", refused="datasets")(
    lambda place: _datasets(place, {"records": []})
)
manifest("`datasets`", "two of the same name", refused="a name is unique")(
    lambda place: _datasets(place, {"datasets": [ROW, ROW]})
)
manifest("`records`", "a text", refused="a list of records")(
    lambda place: _datasets(place, {"datasets": [ROW], "records": "x"})
)


@manifest("`shared`", "pieces that rows take over with `<<`", works=THREE)
def _(place: Place) -> str:
    from hepmtp.datasets.files import fileset  # noqa: PLC0415 (as the commands do)
    from hepmtp.datasets.manifest import load_manifest  # noqa: PLC0415 (the same)
    from hepmtp.run.runner import HepRunner  # noqa: PLC0415 (the same)

    path = _written(place, {})
    path.write_text(
        "shared:\n  piece: &piece {process: tt, role: background}\n"
        "datasets:\n  - {<<: *piece, name: x, files: [tt.csv]}\n"
    )
    return told(HepRunner(place.executor)(fileset(load_manifest(path)), look))


manifest("another key", "`sets: []`", refused="sets")(
    lambda place: _datasets(place, {"datasets": [ROW], "sets": []})
)
_key({"weight": 2}, tried="`weight: 2`, an unknown key", refused="weight")
_key({"name": "x"}, works=THREE)
_key({"name": 4}, refused="text")
_key({"name": ...}, tried="the key is missing", refused="name")
_value("process", "ttbar", "Dataset.process is 'ttbar'")
_key({"process": ""}, refused="text")


def _role(events: Any) -> dict[str, set[str]]:
    return {"role": {str(events.metadata["role"])}}


@manifest("data set `role`", '`role: "signal"`', works="the processor sees signal")
def _(place: Place) -> str:
    from hepmtp.datasets.files import fileset  # noqa: PLC0415 (as the commands do)
    from hepmtp.run.runner import HepRunner  # noqa: PLC0415 (the same)

    found = fileset(_datasets(place, {"datasets": [{**ROW, "role": "signal"}]}))
    return f"the processor sees {HepRunner(place.executor)(found, _role)['role'].pop()}"


_key({"role": "Signal"}, refused="background, signal, data")
_key({"files": ["t*.csv"]}, works=THREE)
_key({"files": {"tt.csv": None}}, works=THREE)
_key({"files": []}, refused="files")
_key({"files": ["gone.csv"]}, refused=r"no file gone\.csv|no file .*gone")


@manifest("data set `files`", "a mapping of path to sha256", works=THREE)
def _(place: Place) -> str:
    return _run(
        place, {"files": {"tt.csv": hashlib.sha256(place.files.csv.read_bytes()).hexdigest()}}
    )


@manifest("data set `files`", "a sha256 of another file", refused="the file has changed")
def _(place: Place) -> str:
    return _run(place, {"files": {"tt.csv": "0" * 64}})


_key({"files": {"*.csv": "0" * 64}}, tried="a pattern with a sha256", refused="has a sha256")
_key({"reader": "hepmtp:DarkMachinesCSV"}, works=THREE)
_key({"reader": "hepmtp:Delphes"}, refused="ROOT file")
_key({"reader": "hepmtp:Nothing"}, refused="cannot be made")
_key({"reader_options": {"units": "GeV"}}, works="3 events, weight 3.5, 1.85e+05 GeV")
_key({"reader_options": {"unit": "GeV"}}, refused="has no option 'unit'")
_key({"reader_options": "units=GeV"}, refused="a mapping of options")
_key({"embedded": False}, works=THREE)
_key({"embedded": True}, refused="no file")
_key({"embedded": "yes"}, refused="true or false")
_key({"units": "MeV"}, works=THREE)
_key({"units": "GeV"}, works="3 events, weight 3.5, 1.85e+05 GeV")
_key({"units": "TeV"}, refused="MeV, GeV")


@manifest("data set `units`", '`units: "MeV"`, Delphes', refused="takes energies for GeV")
def _(place: Place) -> str:
    return _run(place, {"units": "MeV", "files": [str(place.files.delphes())]})


@manifest("data set `events`", "`events: 3`", works="`hepmtp datasets` shows 3")
def _(place: Place) -> str:
    path = _written(place, {"datasets": [{**ROW, "events": 3}]})
    assert ["x", "background", "3", "here"] in [
        line.split() for line in place.command("datasets", "--manifest", path).splitlines()
    ]
    return "`hepmtp datasets` shows 3"


_key({"events": -3}, refused="whole number")


def _yield(place: Place, given: dict[str, Any]) -> str:
    import numpy as np  # noqa: PLC0415 (only here)

    from compatibility import SAVED  # noqa: PLC0415 (only here)
    from hepmtp.datasets.files import fileset  # noqa: PLC0415 (as the commands do)
    from hepmtp.detectors import load_detector  # noqa: PLC0415 (the same)
    from hepmtp.events.regions import Region  # noqa: PLC0415 (the same)
    from hepmtp.run.runner import HepRunner  # noqa: PLC0415 (the same)
    from processors.anomaly import AnomalyProcessor  # noqa: PLC0415 (the same)

    detector: Any = load_detector(SAVED / "ht")
    detector.trained_ = ()  # nothing of these events
    everything = Region("all events", "all", lambda events: np.ones(len(events), dtype=bool))
    processor = AnomalyProcessor([detector], regions=[everything])
    found = fileset(_datasets(place, {"datasets": [{**ROW, **given}]}))
    output = HepRunner(place.executor)(found, processor)
    return f"a yield of {output['cutflow']['x']['all']['sumw']:g}"


def _numbers(given: dict[str, Any], works: str) -> None:
    text = ", ".join(f"`{name}: {one}`" for name, one in given.items())
    manifest(f"data set `{next(iter(given))}`", text, works=works)(
        lambda place: _yield(place, given)
    )


_numbers({"cross_section_pb": 0.5, "luminosity_ifb": 10}, "a yield of 5000")
_key({"cross_section_pb": "0.5"}, refused="a number above 0")
_numbers({"luminosity_ifb": 10}, "a yield of 3.5")
_numbers({"luminosity_ifb": 20, "cross_section_pb": 0.5}, "a yield of 10000")
_key({"luminosity_ifb": 59740}, refused="looks like 1/pb")
_numbers({"sum_weights": 7, "cross_section_pb": 0.5, "luminosity_ifb": 10}, "a yield of 2500")
_key({"sum_weights": 0}, refused="a number above 0")


@manifest(
    "data set `n_generated`",
    "`n_generated: 4`, cross-section and luminosity as above, two events of weight 1",
    works="a yield of 2500",
)
def _(place: Place) -> str:
    path = place.files.text("ones.csv", (LINES[1], LINES[1]))
    more = {"cross_section_pb": 0.5, "luminosity_ifb": 10, "files": [str(path)]}
    return _yield(place, {"n_generated": 4, **more})


_key({"n_generated": 4, "sum_weights": 7}, refused="keep the sum of weights")
_value("energy_tev", 13.6, "Dataset.energy_tev is 13.6")
_key({"energy_tev": 13000}, refused="the collision energy in TeV")


@manifest("data set `tree`", '`tree: "down"`, of two trees of NanoAOD', works=THREE)
def _(place: Place) -> str:
    up = {**NANO, "genWeight": [9.0, 9.0, 9.0]}
    path = write_trees(place.folder / "two.root", up=up, down=NANO)
    return _run(place, {"tree": "down", "files": [str(path)]})


_key({"tree": "Events"}, tried='`tree: "Events"`, CSV', refused="reads no trees")
_key({"tree": 4}, refused="text")
_value("label", "$t\\bar{t}$", "Dataset.label is '$t\\\\bar{t}$'")
_key({"label": 4}, refused="text")
_key({"record": "zenodo"}, refused="expected the name of one of the records")
_key({"doi": "10.1/x", "files": ["gone.csv"]}, refused=r"https://doi\.org/10\.1/x")
_value("licence", "CC-BY-4.0", "Dataset.licence is 'CC-BY-4.0'")
_key({"licence": 4}, refused="text")
_value("note", "a first try", "Dataset.note is 'a first try'")
_key({"note": 4}, refused="text")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def _served(place: Place) -> Iterator[str]:
    """The address of a server of files: the three events, packed in three ways."""
    folder = place.folder / "served"
    folder.mkdir()
    data = place.files.csv.read_bytes()
    (folder / "tt.csv").write_bytes(data)
    (folder / "tt.csv.gz").write_bytes(gzip.compress(data))
    with tarfile.open(folder / "all.tar.gz", "w:gz") as archive:
        info = tarfile.TarInfo("tt.csv")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    address = f"http://127.0.0.1:{server.server_port}"
    rows = [{"key": "tt.csv", "checksum": "", "links": {"self": f"{address}/tt.csv"}}]
    (folder / "listing.json").write_text(json.dumps({"files": rows}))
    with serving(server):
        yield address


def _fetched(place: Place, given: dict[str, Any], where: str = "tt.csv", what: str = "r") -> str:
    """What `hepmtp fetch` puts into the folder, read."""
    with _served(place) as address:
        text = json.dumps({"name": "r", "url": "ADDRESS", "files": {"tt.csv": None}, **given})
        record = {
            key: one for key, one in json.loads(text.replace("ADDRESS", address)).items() if one
        }
        path = _written(place, {"datasets": [ROW], "records": [record]})
        place.command(
            "fetch", what, "--folder", place.folder / "data", "--manifest", path, "--retries", 0
        )
    return place.run(place.folder / "data" / where)


def _record(given: dict[str, Any], *, works: str | None = None, refused: str | None = None,
            where: str = "tt.csv", what: str = "r") -> None:  # fmt: skip
    """A row for keys of a record, the first of which is the subject."""
    text = ", ".join(f"`{key}: {json.dumps(one)}`" for key, one in given.items() if one)
    manifest(f"record `{next(iter(given))}`", text, works=works, refused=refused)(
        lambda place: _fetched(place, given, where, what)
    )


_record({"name": "r"}, works=THREE)
_record({"name": 4}, refused="text")
_record({"doi": "10.1/x"}, works=THREE, what="10.1/x")
_record({"url": "ADDRESS"}, works=THREE)
_record({"url": "ftp://a.b/c"}, refused="https://")
_record({"listing": "ADDRESS/listing.json", "url": ""}, works=THREE)
_record({"listing": "ADDRESS/tt.csv", "url": ""}, refused="is not the listing of a record")
_record({"unchecked": "nobody looked", "listing": "ADDRESS/listing.json", "url": "",
         "files": {"other.csv": None}}, refused="nobody has checked: nobody looked")  # fmt: skip
_record({"licence": "CC0"}, works=THREE)
_record({"licence": 4}, refused="text")
_record({"note": "a try"}, works=THREE)
_record({"note": 4}, refused="text")
_record({"files": {"tt.csv": None}}, works=THREE)
_record({"files": ["tt.csv"]}, refused="a mapping of a file's name")
_record({"files": {"other.csv": None}}, refused="404")
_record({"weight": 2}, refused="weight")


def _download(name: str, given: dict[str, Any], *, works: str | None = None,
              refused: str | None = None, where: str = "tt.csv",
              tried: str = "") -> None:  # fmt: skip
    """A row for keys of a download, the first of which is the subject."""
    text = ", ".join(f"`{key}: {json.dumps(one)}`" for key, one in given.items())
    subject = f"download `{next(iter(given))}`"
    manifest(subject, tried or text, works=works, refused=refused)(
        lambda place: _fetched(place, {"files": {name: given}}, where)
    )


_download("tt.csv", {"into": "sub/folder"}, works=THREE, where="sub/folder/tt.csv")
_download("tt.csv", {"into": "../out"}, refused="inside the data folder")
_download("tt.csv.gz", {"unpack": "gz"}, works=THREE)
_download("all.tar.gz", {"unpack": "tar"}, works=THREE)
_download("tt.csv.gz", {"unpack": "zip"}, refused="tar, gz")
_download("tt.csv", {"sha256": "0" * 64}, tried="another sha256", refused="does not match")
_download("tt.csv", {"sha256": "0"}, refused="64 hex digits")
_download("tt.csv", {"md5": "0" * 32}, tried="another md5", refused="does not match")
_download("tt.csv", {"md5": "0"}, refused="32 hex digits")
_download("tt.csv", {"size": -1}, refused="a whole number, 0 or more")
_download("tt.csv", {"size": 4}, refused="size")

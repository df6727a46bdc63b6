"""Formats and layouts, names and trees; foreign, empty and damaged files."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import awkward as ak
import h5py
import uproot

from compatibility import Place, row
from compatibility.files import LAYOUTS, LINES, NANO, PACK, write_trees

THREE = "3 events, weight 3.5, 185 GeV"
ONES = "3 events, weight 3, 185 GeV"
formats = partial(row, "formats")
CSV = "Dark Machines CSV"
OTHER = "names and places"
WRONG = "foreign, empty, damaged"

for _layout, _lines in LAYOUTS.items():

    @formats(CSV, f"layout `{_layout}`", works=ONES if _layout == "fixed" else THREE)
    def _(place: Place, name: str = _layout, lines: tuple[str, ...] = _lines) -> str:
        return place.run(place.files.text(f"{name}.csv", lines))


for _pack in PACK:

    @formats(CSV, f"packed, `.csv.{_pack}`", works=THREE)
    def _(place: Place, pack: str = _pack) -> str:
        return place.run(place.files.text(f"a.csv.{pack}", LINES, pack))


@formats(CSV, "a last line without newline", refused=r"no newline")
def _(place: Place) -> str:
    place.folder.joinpath("cut.csv").write_text("\n".join(LINES))
    return place.run("cut.csv")


formats("Delphes", "TTree `Delphes`", works=THREE)(lambda place: place.run(place.files.delphes()))
formats("NanoAOD", "TTree", works=THREE)(lambda place: place.run(place.files.nano()))
formats("NanoAOD", "RNTuple", works=THREE)(lambda place: place.run(place.files.nano_rntuple))
formats("NanoAOD", "parquet", works=THREE)(lambda place: place.run(place.files.nano_parquet))
formats("PHYSLITE", "RNTuple", works=THREE)(lambda place: place.run(place.files.physlite()))
formats("Dark Machines ntuple", "TTree `mytree`", works=ONES)(
    lambda place: place.run(place.files.ntuple)
)
formats("JetClass", "TTree `tree`", works=ONES)(lambda place: place.run(place.files.jets))


@formats("flat ntuple of ATLAS", "without options", refused="does not say its units")
def _(place: Place) -> str:
    return place.run(place.files.flat())


@formats("flat ntuple of ATLAS", "`units: GeV` in `reader_options`", works=THREE)
def _(place: Place) -> str:
    options = {"units": "GeV"}
    return place.run(
        {"x": {"files": [place.files.flat()], "metadata": {"reader_options": options}}}
    )


@formats("four-top HDF5", "without options", refused="scale must be given")
def _(place: Place) -> str:
    return place.run(place.files.fourtops())


@formats("four-top HDF5", "`scale` and `lepton_order` in `reader_options`", works=ONES)
def _(place: Place) -> str:
    options = {"scale": "log_mev", "lepton_order": "e+,e-,m+,m-"}
    files = [place.files.fourtops()]
    return place.run({"x": {"files": files, "metadata": {"reader_options": options}}})


for _kind, _ending, _rntuple in (
    ("TTree", ".root", False),
    ("RNTuple", ".root", True),
    ("parquet", ".parquet", False),
    ("CSV", ".csv", False),
    ("packed CSV", ".csv.gz", False),
):

    @formats("written by `hepmtp convert`", _kind, works=THREE)
    def _(place: Place, ending: str = _ending, rntuple: bool = _rntuple) -> str:
        return place.run(place.files.converted(ending, rntuple=rntuple))


def _copy(place: Place, source: Path, name: str) -> str:
    place.folder.joinpath(name).write_bytes(source.read_bytes())
    return place.run(name)


@formats(OTHER, "CSV named `events`, without ending", works=THREE)
def _(place: Place) -> str:
    return _copy(place, place.files.csv, "events")


@formats(OTHER, "CSV named `a.root`", works=THREE)
def _(place: Place) -> str:
    return _copy(place, place.files.csv, "a.root")


@formats(OTHER, "PHYSLITE named `DAOD_PHYSLITE.1._000001.pool.root.1`", works=THREE)
def _(place: Place) -> str:
    return _copy(place, place.files.physlite(), "DAOD_PHYSLITE.1._000001.pool.root.1")


@formats(OTHER, "NanoAOD named `tree.dat`", works=THREE)
def _(place: Place) -> str:
    return _copy(place, place.files.nano(), "tree.dat")


@formats(OTHER, "parquet named `a.csv`", works=THREE)
def _(place: Place) -> str:
    return _copy(place, place.files.converted(".parquet"), "a.csv")


@formats(OTHER, "NanoAOD in a tree `skim`", works=THREE)
def _(place: Place) -> str:
    return place.run(place.files.nano("skim.root", tree="skim"))


@formats(OTHER, "Delphes in a folder, `nominal/Delphes`", works=THREE)
def _(place: Place) -> str:
    return place.run(place.files.delphes("folder.root", tree="nominal/Delphes"))


@formats(OTHER, "two trees of NanoAOD, none named", refused="several trees")
def _(place: Place) -> str:
    return place.run(write_trees(place.folder / "two.root", up=NANO, down=NANO))


@formats(OTHER, "one of them named, `two.root:down`", works=THREE)
def _(place: Place) -> str:
    return place.run(f"{write_trees(place.folder / 'two.root', up=NANO, down=NANO)}:down")


@formats(OTHER, "a tree that is not there, `nano.root:mine`", refused="no tree 'mine'")
def _(place: Place) -> str:
    return place.run(f"{place.files.nano()}:mine")


@formats(OTHER, "a gzipped ROOT file", refused="unpack it first")
def _(place: Place) -> str:
    place.folder.joinpath("nano.root.gz").write_bytes(PACK["gz"](place.files.nano().read_bytes()))
    return place.run("nano.root.gz")


@formats(WRONG, "ROOT of another layout", refused="no events of a known layout")
def _(place: Place) -> str:
    return place.run(write_trees(place.folder / "mine.root", data={"x": [1.0, 2.0]}))


@formats(WRONG, "parquet of other columns", refused="no events of a known layout")
def _(place: Place) -> str:
    ak.to_parquet(ak.Array([{"x": 1.0}]), "mine.parquet")
    return place.run("mine.parquet")


@formats(WRONG, "HDF5 of other data sets", refused="none of the data sets")
def _(place: Place) -> str:
    options = {"scale": "log_mev", "lepton_order": "e+,e-,m+,m-"}
    with h5py.File("mine.h5", "w") as file:
        file["x"] = [1]
    files = {"files": ["mine.h5"], "metadata": {"reader_options": options}}
    return place.run({"x": files})


@formats(WRONG, "a text that is no list of events", refused="no known kind")
def _(place: Place) -> str:
    place.folder.joinpath("notes.txt").write_text("A note.\n")
    return place.run("notes.txt")


@formats(WRONG, "a file of 0 bytes", refused="0 bytes")
def _(place: Place) -> str:
    place.folder.joinpath("empty.csv").write_bytes(b"")
    return place.run("empty.csv")


@formats(WRONG, "ROOT that hepmtp wrote, without events", works="0 events, weight 0, 0 GeV")
def _(place: Place) -> str:
    from hepmtp.events import make_events  # noqa: PLC0415 (awkward is slow)
    from hepmtp.readers.root import write_root  # noqa: PLC0415 (the same)

    nothing: list[float] = []
    events = make_events(
        counts=[], pt=nothing, eta=nothing, phi=nothing, energy=nothing, type=[],
        met=nothing, met_phi=nothing,
    )  # fmt: skip
    write_root("none.root", [events])
    return place.run("none.root")


@formats(WRONG, "ROOT without a tree", refused="no tree")
def _(place: Place) -> str:
    with uproot.recreate("empty.root"):
        pass
    return place.run("empty.root")


@formats(WRONG, "a line that is no event", refused="line 2")
def _(place: Place) -> str:
    place.folder.joinpath("bad.csv").write_text(f"{LINES[0]}\n1;tt;much;1;1;\n{LINES[2]}\n")
    return place.run("bad.csv")


for _name, _ending, _rntuple in (
    ("ROOT", ".root", False),
    ("RNTuple", ".root", True),
    ("parquet", ".parquet", False),
    ("packed CSV", ".csv.gz", False),
):

    @formats(WRONG, f"{_name} of which a fifth is left", refused="part")
    def _(place: Place, ending: str = _ending, rntuple: bool = _rntuple) -> str:
        data = place.files.converted(ending, rntuple=rntuple).read_bytes()
        place.folder.joinpath(f"part{ending}").write_bytes(data[: len(data) // 5])
        return place.run(f"part{ending}")


formats(WRONG, "a folder", refused="is a folder")(lambda place: place.run(place.folder))
formats(WRONG, "a name that is not there", refused="does not exist")(
    lambda place: place.run("gone.root")
)

"""Every option of every command: what it changes, and what it cannot be."""

from __future__ import annotations

import gzip
import itertools
import json
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from compatibility import ROOT, SAVED, Place, row

commands = partial(row, "commands")
SAMPLE = ROOT / "hepmtp" / "data" / "simulated"
_Check = Callable[[Place], Any]


def _subject(command: str, option: str) -> str:
    return f"{command} `{option}`".strip()


def _refused(command: str, option: str, words: str, message: str) -> None:
    """A row for a command line that ends with code 2; `tt.csv` is there."""

    @commands(
        _subject(command, option),
        f"`{' '.join(('hepmtp', *command.split(), words))}`",
        refused=message,
    )
    def _(place: Place) -> None:
        _here(place)
        place.command(*f"{command} {words}".split())


def _says(command: str, option: str, words: str, works: str, *, in_output: str) -> None:
    """A row for a command line whose output holds a text."""

    @commands(
        _subject(command, option), f"`{' '.join(('hepmtp', *command.split(), words))}`", works=works
    )
    def _(place: Place) -> str:
        _here(place)
        out = " ".join(place.command(*f"{command} {words}".split()).split())
        assert in_output in out, out
        return works


def _here(place: Place) -> None:
    """tt.csv of three events and nano.root in the folder."""
    for path in (place.files.csv, place.files.nano()):
        place.folder.joinpath(path.name).write_bytes(path.read_bytes())
    place.folder.joinpath("list.txt").write_text("# files\ntt.csv\n")


def _events(place: Place, name: str, n: int) -> Path:
    """The first events of a data set of the embedded sample, written once."""
    path = place.files.folder / "sample" / f"{name}.csv"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        with gzip.open(SAMPLE / f"{name}.csv.gz", "rt") as file:
            path.write_text("".join(itertools.islice(file, n)))
    return path


# hepmtp

_says("", "--version", "--version", "the version", in_output="hepmtp ")


@commands(_subject("", "--debug"), "`hepmtp --debug inspect gone.csv`", works="the error itself")
def _(place: Place) -> str:
    import pytest  # noqa: PLC0415 (only here)

    from hepmtp.cli import main  # noqa: PLC0415 (only here)
    from hepmtp.errors import ReadError  # noqa: PLC0415 (only here)

    with pytest.raises(ReadError, match="does not exist"):
        main(["--debug", "inspect", "gone.csv"])
    return "the error itself"


_says(
    "",
    "--allow-plugins",
    "--allow-plugins mine inspect tt.csv",
    "it is named for files that name classes of yours",
    in_output="events 3 ",
)
_refused("", "--allow-plugins", "--allow-plugins mine.py inspect tt.csv", "is no module")
_refused("", "a word", "nothing", "No such command 'nothing'")

# demo

_refused("demo", "--output", "--output", "requires an argument")
_refused(
    "demo",
    "--seed`, `--quick`, `--overwrite",
    "--quick --overwrite --seed one",
    "should be a valid integer",
)
_refused("demo", "--pdf", "--pdf 3", "unexpected extra argument")

# datasets

_says("datasets", "--folder", "--folder .", "lists what is here", in_output="zenodo")


@commands(_subject("datasets", "--manifest"), "`--manifest mine.yaml`", works="x, background, here")
def _(place: Place) -> str:
    from compatibility.manifest import ROW, _written  # noqa: PLC0415 (its manifest)

    out = place.command("datasets", "--manifest", _written(place, {"datasets": [ROW]}))
    assert ["x", "background", "here"] in [line.split() for line in out.splitlines()]
    return "x, background, here"


_refused("datasets", "--manifest", "--manifest gone.yaml", "gone.yaml")

# fetch

_refused("fetch", "NAME", "nothing --folder .", "is no data set, record or group")
_refused("fetch", "--folder", "fourtops", "no folder to fetch into")
_refused("fetch", "--jobs", "fourtops --folder . --jobs 0", "greater than or equal to")
_refused("fetch", "--timeout", "fourtops --folder . --timeout 0", "greater than or equal to")
_refused("fetch", "--retries", "fourtops --folder . --retries -1", "greater than or equal to")
_refused("fetch", "--manifest", "x --folder . --manifest gone.yaml", "gone.yaml")
_says("fetch", "NAME", "ttbarW --folder .", "it comes with hepmtp", in_output="Nothing to download")


def _fetched(place: Place, *words: object) -> str:
    from compatibility.manifest import ROW, _served, _written  # noqa: PLC0415 (its server)

    with _served(place) as address:
        record = {"name": "r", "url": address, "files": {"all.tar.gz": {"unpack": "tar"}}}
        path = _written(place, {"datasets": [ROW], "records": [record]})
        words = ("fetch", "r", "--folder", "data", "--manifest", path, *words)
        place.command(*words)
    return place.run("data/tt.csv")


for _option, _value in (
    *(("--jobs", 1), ("--timeout", 30), ("--retries", 0), ("--max-gb", 0.1)),
    ("--host", "mirror.org"),
):

    @commands(
        _subject("fetch", _option),
        f"`{_option} {_value}`, an archive",
        works="3 events, weight 3.5, 185 GeV",
    )
    def _(place: Place, option: str = _option, value: float | str = _value) -> str:
        return _fetched(place, option, value)


@commands(_subject("fetch", "--max-gb"), "`--max-gb 0.00000001`, an archive", refused="allow more")
def _(place: Place) -> str:
    return _fetched(place, "--max-gb", "0.00000001")


# inspect

_says("inspect", "FILE", "tt.csv", "3 events", in_output="events 3 ")
_refused("inspect", "FILE", "gone.csv", "does not exist")


@commands(_subject("inspect", "FILE"), "`hepmtp inspect detectors/ht`", works="its model card")
def _(place: Place) -> str:
    assert "It has no card" in place.command("inspect", SAVED / "ht")
    return "its model card"


_says("inspect", "--reader", "tt.csv --reader hepmtp:DarkMachinesCSV", "the reader is named",
      in_output="reader hepmtp:DarkMachinesCSV")  # fmt: skip
_refused("inspect", "--reader", "tt.csv --reader hepmtp:Nothing", "cannot be made")
_says("inspect", "--option", "tt.csv --option units=GeV", "a remark that they look like MeV",
      in_output="takes energies for GeV, but they look like MeV")  # fmt: skip
_refused("inspect", "--option", "tt.csv --option units", "expected KEY=VALUE")
_refused("inspect", "--option", "tt.csv --option unit=GeV", "has no option 'unit'")
_refused("inspect", "--option", "tt.csv --option units=GeV --option units=MeV", "given twice")


@commands(_subject("inspect", "--json"), "`hepmtp inspect tt.csv --json`", works="3 events")
def _(place: Place) -> str:
    _here(place)
    return f"{json.loads(place.command('inspect', 'tt.csv', '--json'))['events']} events"


# convert


def _converted(option: str, words: str, works: str) -> None:
    @commands(_subject("convert", option), f"`hepmtp convert {words}`", works=works)
    def _(place: Place) -> str:
        _here(place)
        place.folder.joinpath("bad.csv").write_text("1;tt;2;1;1;\n2;tt;1;much;1;\n")
        place.command("convert", *words.split())
        return place.run(words.split()[1])


_THREE = "3 events, weight 3.5, 185 GeV"
_converted("TARGET", "tt.csv new.root", _THREE)
_converted("TARGET", "tt.csv new.parquet", _THREE)
_converted("TARGET", "nano.root new.csv", _THREE)
_converted("TARGET", "nano.root new.csv.gz", _THREE)
_refused("convert", "TARGET", "tt.csv new.h5", "choose a name that ends in")
_refused("convert", "TARGET", "tt.csv tt.csv", "is what is read")
_refused("convert", "SOURCE", "gone.csv new.root", "does not exist")
_converted("--reader", "tt.csv new.root --reader hepmtp:DarkMachinesCSV", _THREE)
_refused("convert", "--reader", "tt.csv new.root --reader hepmtp:NanoAOD", "tt.csv")
_converted("--option", "tt.csv new.root --option units=GeV", "3 events, weight 3.5, 1.85e+05 GeV")
_refused("convert", "--option", "tt.csv new.root --option jets=30", "has no option 'jets'")
_converted("--rntuple", "tt.csv new.root --rntuple", _THREE)
_refused("convert", "--rntuple", "tt.csv new.csv --rntuple", "lives in a .root file")
_converted("--skip-bad", "bad.csv new.root --skip-bad", "1 events, weight 2, 0 GeV")
_refused(
    "convert", "--skip-bad", "nano.root new.root --skip-bad", "has no option 'on_bad'|skip-bad"
)
_converted("--chunk", "tt.csv new.root --chunk 1", _THREE)
_refused(
    "convert",
    "--chunk",
    "tt.csv new.root --chunk 0",
    "expected at least 1|greater than or equal to",
)

# data sets, of train and run

_DATA: tuple[tuple[str, str, str], ...] = (
    ("DATASET", "", "no data set is named"),
    ("DATASET", "ttbarX", "is unknown"),
    ("DATASET", "gone.csv", "no file gone.csv|gone.csv"),
    ("DATASET", "tt.csv tt.csv", "asked for twice"),
    ("DATASET", "x=", "expected NAME=FILE"),
    ("DATASET", "x:signals=tt.csv", "background, signal, data"),
    ("--role", "tt.csv --role Data", "is not one of"),
    ("--files", "--files gone.txt", "gone.txt"),
    ("--files", "--files tt.csv", "no file"),
    ("--reader", "tt.csv --reader hepmtp:Nothing", "Nothing"),
    ("--reader", "ttbarW --reader hepmtp:DarkMachinesCSV", "rows of the manifest"),
    ("--option", "tt.csv --option units", "expected KEY=VALUE"),
    ("--option", "tt.csv --option jets=30", "has no option 'jets'"),
    ("--tree", "nano.root --tree mine", "has no tree 'mine'"),
    ("--tree", "tt.csv --tree Events", "tree"),
    ("--executor", "tt.csv --executor grid", "is not one of"),
    ("--workers", "tt.csv --executor iterative --workers 4", "has no effect"),
    ("--workers", "tt.csv --executor futures --workers 0", "greater than or equal to"),
    ("--scheduler", "tt.csv --executor futures --scheduler tcp://a:1", "needs --executor dask"),
    ("--scheduler", "tt.csv --executor dask --scheduler a", "expected an address"),
    ("--cluster", "tt.csv --executor futures --cluster slurm", "needs --executor dask"),
    ("--folder", "fourtops-4top --folder .", "hepmtp fetch fourtops-4top"),
    ("--manifest", "x --manifest gone.yaml", "gone.yaml"),
)
for _command, _more in (("train", ""), ("run", " -d HT")):
    for _option, _words, _message in _DATA:

        @commands(
            _subject(_command, _option),
            f"`hepmtp {_command} {_words}{_more}`".replace("  ", " "),
            refused=_message,
        )
        def _(place: Place, command: str = _command, words: str = _words) -> None:
            _here(place)
            more = ("-d", SAVED / "ht") if command == "run" else ()
            place.command(command, *words.split(), *more, "-o", "new")


# train

_refused("train", "--output", "tt.csv --output tt.csv", "tt.csv")
_refused("train", "--role", "tt.csv --role signal", "only background may be fitted on")
_refused("train", "--model-output", "tt.csv --model-output both", "is not one of")
_refused("train", "--tokens", "tt.csv --tokens mine", "mine")
_refused("train", "--epochs", "tt.csv --epochs 0", "greater than or equal to")
_refused("train", "--seed", "tt.csv --seed one", "should be a valid integer")
_refused("train", "--device", "tt.csv --device cuda", "cuda")
_refused("train", "--device", "tt.csv --device gpu", "gpu")
_refused("train", "--processes", "tt.csv --processes 0", "greater than or equal to 1")
_refused("train", "--sideband", "x:data=tt.csv --sideband SR", "SR is a signal region")
_refused("train", "--sideband", "x:data=tt.csv --sideband low", "region 'low' is unknown")
_refused("train", "--folds", "tt.csv --folds 2", "3 folds or more")
_refused("train", "DATASET", "tt.csv", "too few")


def _trained(place: Place) -> tuple[Path, str]:
    """What the one training of these rows writes and says: most options at once."""
    folder, said = place.files.folder / "detectors", place.files.folder / "said.txt"
    if not said.exists():
        path = _events(place, "ttbarZ", 600)
        listed = place.files.folder / "list.txt"
        listed.write_text(f"{path}\n")
        words = "--epochs 1 --seed 3 --tokens tails --model-output joint --device cpu"
        words += " --executor iterative --skip-bad --role background --option on_bad=skip"
        words += " --overwrite --resume --processes 2 --most-events 550"
        words += " --reader hepmtp:DarkMachinesCSV"
        more = ("--files", f"mine={listed}", "--checkpoint", place.files.folder / "kept")
        more += ("--scratch", place.files.folder / "scratch")
        said.write_text(place.command("train", *words.split(), *more, "-o", folder))
    return folder, said.read_text()


def _saved(place: Place, *keys: str) -> str:
    """A value of what was saved of the masked-token detector."""
    found: Any = json.loads((_trained(place)[0] / "masked_token" / "hepmtp.json").read_text())
    for key in keys:
        found = found[key]
    return str(found)


def _kept(place: Place) -> str:
    _trained(place)
    assert list((place.files.folder / "kept").rglob("*"))
    return "the state of the training is kept"


def _left(place: Place) -> str:
    _trained(place)
    return f"{len(list((place.files.folder / 'scratch').iterdir()))} files are left there"


def _edges(place: Place) -> str:
    path = _trained(place)[0] / "masked_token" / "tokenizer" / "hepmtp.json"
    return f"{len(json.loads(path.read_text())['options']['pt_bins'])} edges of pt"


def _said(place: Place) -> str:
    return _trained(place)[1].partition(",")[0]


_EPOCH = "trained for 1 epochs"
_TRAINED: tuple[tuple[str, str, str, _Check], ...] = (
    ("--output", "-o detectors", "10 detectors",
     lambda place: f"{len(list(_trained(place)[0].glob('*/')))} detectors"),
    ("--overwrite", "--overwrite", "detectors.json",
     lambda place: next(one.name for one in _trained(place)[0].glob("*.json"))),
    ("--epochs", "--epochs 1", _EPOCH, _said),
    ("--files", "--files mine=list.txt", _EPOCH, _said),
    ("--resume", "--resume", _EPOCH, _said),
    ("--checkpoint", "--checkpoint kept", "the state of the training is kept", _kept),
    ("--most-events", "--most-events 550", _EPOCH, _said),
    ("--scratch", "--scratch scratch", "0 files are left there", _left),
    ("--tokens", "--tokens tails", "9 edges of pt", _edges),
    ("--model-output", "--model-output joint", "joint",
     lambda place: _saved(place, "model", "output")),
    ("--seed", "--seed 3", "3", lambda place: _saved(place, "training", "seed")),
    ("--device", "--device cpu", "cpu", lambda place: _saved(place, "training", "device")),
    ("--processes", "--processes 2", "2", lambda place: _saved(place, "training", "processes")),
    ("--role", "--role background", _EPOCH, _said),
    ("--reader", "--reader hepmtp:DarkMachinesCSV", _EPOCH, _said),
    ("--option", "--option on_bad=skip", _EPOCH, _said),
    ("--skip-bad", "--skip-bad", _EPOCH, _said),
    ("--executor", "--executor iterative", _EPOCH, _said),
)  # fmt: skip


for _option, _words, _works, _check in _TRAINED:
    commands(_subject("train", _option), f"`{_words}`, 600 events", works=_works)(_check)


# run

_refused("run", "--detectors", "tt.csv", "Missing option '--detectors'")
_refused("run", "--detectors", "tt.csv -d gone", "gone")


def _run_refused(option: str, words: str, message: str) -> None:
    @commands(_subject("run", option), f"`hepmtp run tt.csv {words} -d HT`", refused=message)
    def _(place: Place) -> None:
        _here(place)
        place.command("run", "tt.csv", *words.split(), "-d", SAVED / "ht")


_run_refused("--output", "--output tt.csv", "tt.csv")
_run_refused("--luminosity", "--luminosity 300", "no cross-section")
_run_refused("--luminosity", "--luminosity 59740", "looks like 1/pb")
_run_refused("--bins", "--bins 0", "greater than or equal to")
_run_refused("--variations", "--variations jes", "variation 'jes' is unknown; there are all,")
_run_refused("--regions", "--regions SR9", "--regions SR9: expected FILE.py:NAME, or of")
_run_refused("--variables", "--variables gone.py:PT", "there is no file")
_run_refused("--processor", "--processor hepmtp.events.regions:SR", "expected a class that derives")
_run_refused("--columns", "--columns scores.csv", "expected a name that ends in .parquet or .root")
_run_refused("--range", "--range 10,0", "expected LOW below HIGH")
_run_refused("--range", "--range mass=0,10", "the scores are ht")
_run_refused("--chunksize", "--chunksize 0", "greater than or equal to")


def _result(place: Place) -> Path:
    """What a run of background, signal and data with most options writes."""
    folder = place.files.folder / "results"
    if not folder.exists():
        content: dict[str, Any] = {}
        for name, given in {
            "ttbarZ": {"role": "background", "xsec": 0.5, "lumi": 139},
            "4top": {"role": "signal", "xsec": 0.01, "lumi": 139},
            "obs": {"isMC": False},
        }.items():
            path = _events(place, "ttbarW" if name == "obs" else name, 600)
            content[name] = {"files": [str(path)], "metadata": given}
        fileset = place.files.folder / "fs.json"
        fileset.write_text(json.dumps(content))
        words = "--luminosity 300 --bins 12 --range 0,3000 --unblind --chunksize 250"
        words += " --variations b_step,jet_step7"
        words += " --executor iterative --regions CR,VR,SR --variables met"
        words += " --processor processors.anomaly:AnomalyProcessor --overwrite --resume"
        place.command("run", fileset, "-d", SAVED / "ht", "-o", folder, *words.split())
    return folder


def _axis(place: Place) -> Any:
    from hepmtp.statistics.histogram_files import load  # noqa: PLC0415 (hist is slow)

    return load(_result(place) / "histograms.json")["ht"].axes[-1]


def _variable(place: Place, name: str) -> str:
    from hepmtp.statistics.histogram_files import load  # noqa: PLC0415 (hist is slow)

    return f"{len(load(_result(place) / 'histograms.json')[name].axes[-1])} bins of {name}"


def _regions(place: Place) -> str:
    from hepmtp.report.info import read_info  # noqa: PLC0415 (only here)

    return ", ".join(one.name for one in read_info(_result(place)).regions)


def _json(place: Place, name: str) -> Any:
    return json.loads((_result(place) / name).read_text())


_RUN: tuple[tuple[str, str, str, _Check], ...] = (
    ("DATASET", "fs.json", "ttbarZ, 4top, obs",
     lambda place: ", ".join(one["name"] for one in _json(place, "run.json")["datasets"])),
    ("--detectors", "-d HT", "ht", lambda place: ", ".join(_json(place, "run.json")["scores"])),
    ("--output", "-o results", "report.html",
     lambda place: (_result(place) / "report.html").name),
    ("--overwrite", "--overwrite", "report.html",
     lambda place: (_result(place) / "report.html").name),
    ("--resume", "--resume", "600 events read",
     lambda place: "{events_read} events read".format(**_json(place, "accounting.json")["4top"])),
    ("--luminosity", "--luminosity 300", "300, 300 and none of data",
     lambda place: "{:g}, {:g} and {}none of data".format(
         *(one["luminosity [1/fb]"] for one in _json(place, "run.json")["datasets"]))),
    ("--bins", "--bins 12", "12 bins", lambda place: f"{len(_axis(place))} bins"),
    ("--range", "--range 0,3000", "from 0 to 3000",
     lambda place: f"from {_axis(place).edges[0]:g} to {_axis(place).edges[-1]:g}"),
    ("--variations", "--variations b_step,jet_step7", "b_step, jet_step7",
     lambda place: ", ".join(_json(place, "run.json")["variations"])),
    ("--regions", "--regions CR,VR,SR", "CR, VR, SR", _regions),
    ("--variables", "--variables met", "60 bins of met", lambda place: _variable(place, "met")),
    ("--processor", "--processor processors.anomaly:AnomalyProcessor", "ht",
     lambda place: ", ".join(_json(place, "run.json")["scores"])),
    ("--unblind", "--unblind", "data-SR.png",
     lambda place: (_result(place) / "figures" / "data-SR.png").resolve(strict=True).name),
    ("--chunksize", "--chunksize 250", "3 chunks of 600 events",
     lambda place: "{chunks} chunks of {events} events".format(
         **_json(place, "accounting.json")["4top"])),
    ("--executor", "--executor iterative", "600 events read",
     lambda place: "{events_read} events read".format(**_json(place, "accounting.json")["obs"])),
)  # fmt: skip
for _option, _words, _works, _check in _RUN:
    commands(_subject("run", _option), f"`{_words}`, 600 events each", works=_works)(_check)


@commands(
    _subject("run", "--columns"), "`hepmtp run tt.csv --columns new.root`", works="3 entries of tt"
)
def _(place: Place) -> str:
    import uproot  # noqa: PLC0415 (only here)

    _here(place)
    place.command("run", "tt.csv", "-d", SAVED / "ht", "-o", "new", "--columns", "new.root", code=1)
    with uproot.open(place.folder / "new.root") as file:
        return f"{file['tt/tt'].num_entries} entries of tt"


@commands(_subject("run", "--pdf"), "`hepmtp run z.csv -d HT --pdf`", works="score.pdf")
def _(place: Place) -> str:
    folder = place.folder / "new"
    place.command("run", _events(place, "ttbarZ", 600), "-d", SAVED / "ht", "-o", folder, "--pdf")
    return (folder / "figures" / "score.pdf").resolve(strict=True).name


def _accounted(place: Place, name: str, words: tuple[object, ...]) -> dict[str, Any]:
    """The accounting of a run of few events, whose report says that they are too few."""
    folder = place.files.folder / name
    if not folder.exists():
        place.command("run", *words, "-d", SAVED / "ht", "-o", folder, code=1)
    found: dict[str, Any] = json.loads((folder / "accounting.json").read_text())
    return found


def _own(place: Place) -> dict[str, Any]:
    from compatibility.files import NANO, write_trees  # noqa: PLC0415 (only here)
    from compatibility.manifest import ROW, _written  # noqa: PLC0415 (its manifest)

    path = place.files.folder / "two.root"
    if not path.exists():
        write_trees(path, up={**NANO, "genWeight": [9.0, 9.0, 9.0]}, down=NANO)
    manifest = _written(place, {"datasets": [ROW]})
    place.folder.joinpath("list.txt").write_text(f"{path}\n")
    words = (
        "x",
        "--manifest",
        manifest,
        "--folder",
        place.folder,
        "--files",
        "two:signal=list.txt",
    )
    words += ("--tree", "down", "--reader", "hepmtp:NanoAOD", "--option", "weight=genWeight")
    return _accounted(place, "own", words)


def _two(place: Place) -> str:
    return "{events_read} events of weight {weight_read}".format(**_own(place)["two"])


_OWN = "`x --files two:signal=list.txt --tree down` and these"
for _option, _words in (
    ("--files", "--files two:signal=list.txt"),
    ("--tree", "--tree down"),
    ("--reader", "--reader hepmtp:NanoAOD"),
    ("--option", "--option weight=genWeight"),
):
    commands(_subject("run", _option), f"`{_words}`, of two trees of NanoAOD",
             works="3 events of weight 3.5")(_two)  # fmt: skip
for _option, _words in (("--manifest", "--manifest mine.yaml"), ("--folder", "--folder .")):
    commands(_subject("run", _option), f"`x {_words}`", works="3 events of x")(
        lambda place: f"{_own(place)['x']['events_read']} events of x"
    )


def _bad(place: Place) -> str:
    place.folder.joinpath("bad.csv").write_text("1;tt;1;1;1;\n2;tt;1;much;1;\n3;tt;1;1;1;\n")
    found = _accounted(place, "bad", ("bad.csv", "--role", "data", "--skip-bad"))["bad"]
    losses = [f"{one['events']} {one['kind']}" for one in found["losses"]]
    return f"{found['events_read']} read, {', '.join(losses)}; exit code 1 for want of background"


for _option, _words in (("--skip-bad", "--skip-bad"), ("--role", "--role data")):
    commands(_subject("run", _option), f"`bad.csv {_words}`, a bad line",
             works="2 read, 1 skipped; exit code 1 for want of background")(_bad)  # fmt: skip

# compare and report


def _compare(option: str, words: str, *, works: str | None = None, refused: str | None = None,
             in_output: str = "") -> None:  # fmt: skip
    @commands(
        _subject("compare", option),
        f"`hepmtp compare results {words}`",
        works=works,
        refused=refused,
    )
    def _(place: Place) -> str:
        out = " ".join(place.command("compare", _result(place), *words.split()).split())
        assert in_output in out, out
        return works or ""


_compare("--regions", "--regions VR CR", works="VR against CR", in_output="VR against CR")
_compare("--regions", "--regions XX CR", refused="no region XX")
_compare("--detector", "--detector ht", works="SR against CR", in_output="SR against CR")
_compare("--detector", "--detector mass", refused="has no score 'mass'")
_compare("--threshold-quantile", "--threshold-quantile 0.9", works="90 % of CR background",
         in_output="90 % of CR background below")  # fmt: skip
_compare("--threshold-quantile", "--threshold-quantile 2", refused="not between 0 and 1")
_refused("compare", "RUN", ".", "not a finished run")
_refused("report", "RUN", ".", "not a finished run")


@commands(_subject("report", "RUN"), "`hepmtp report results`", works="report.html")
def _(place: Place) -> str:
    page = _result(place) / "report.html"
    page.unlink()
    place.command("report", _result(place))
    return page.resolve(strict=True).name


for _command, _name in (("compare", "ht-SR-CR.pdf"), ("report", "score.pdf")):

    @commands(_subject(_command, "--pdf"), f"`hepmtp {_command} results --pdf`", works=_name)
    def _(place: Place, command: str = _command, name: str = _name) -> str:
        path = _result(place) / "figures" / name
        path.unlink(missing_ok=True)
        place.command(command, _result(place), "--pdf")
        return path.resolve(strict=True).name


# fit

for _words, _option, _message in (
    ("--signal 5top", "--signal", "name one of 4top"),
    ("--detector mass", "--detector", "no histogram of 'mass'"),
    ("--cross-section 10", "--cross-section", "expected a relative one"),
    ("--cautious 10", "--cautious", "expected a relative one"),
    ("--luminosity 2", "--luminosity", "expected a relative one"),
    ("--free mass", "--free", "mass shall be free"),
):

    @commands(_subject("fit", _option), f"`hepmtp fit results {_words}`", refused=_message)
    def _(place: Place, words: str = _words) -> None:
        place.command("fit", _result(place), *words.split())


_refused("fit", "RUN", ".", "not a finished run")


def _fit(place: Place) -> Any:
    """What a fit with all options keeps of them."""
    path = _result(place) / "fit" / "fit.json"
    if not path.exists():
        words = "--signal 4top --detector ht --cross-section 0.2 --cautious 0.5 --luminosity 0.03"
        words += " --free ttbarZ --hold-out --unblind --pdf"
        place.command("fit", _result(place), *words.split())
    return json.loads(path.read_text())


for _option, _words, _key, _kept in (
    ("--cross-section`, `--cautious", "--cross-section 0.2 --cautious 0.5", "cross-sections",
     "[0.2, 0.5]"),
    ("--luminosity", "--luminosity 0.03", "luminosity", "0.03"),
    ("--free", "--free ttbarZ", "free", "['ttbarZ']"),
    ("--hold-out", "--hold-out", "validation regions in the fit", "False"),
):  # fmt: skip
    commands(_subject("fit", _option), f"`{_words}`", works=_kept)(
        lambda place, key=_key: str(_fit(place)["protocol"][key])
    )
commands(_subject("fit", "--unblind"), "`--unblind` on a run with data", works="observed")(
    lambda place: "observed" if _fit(place)["observed"] else "expected"
)


@commands(_subject("fit", "--pdf"), "`--pdf`", works="significance-4top.pdf")
def _(place: Place) -> str:
    _fit(place)
    path = _result(place) / "fit" / "significance-4top.pdf"
    return path.resolve(strict=True).name


commands(_subject("fit", "--signal`, `--detector"), "`--signal 4top --detector ht`",
         works="4top with ht")(
    lambda place: _fit(place)["sentences"][0].partition(":")[0]
)  # fmt: skip


# hepdata


def _hepdata(place: Place, *words: object) -> str:
    return place.command("hepdata", _result(place), *words).splitlines()[-2].split()[-1]


commands(_subject("hepdata", "RUN"), "`hepmtp hepdata results`",
         works="variations.zip")(_hepdata)  # fmt: skip
_refused("hepdata", "RUN", ".", "not a finished run")


@commands(_subject("hepdata", "--output"), "`--output mine.tar.gz`", works="mine.tar.gz")
def _(place: Place) -> str:
    path = place.folder / "mine.tar.gz"
    _hepdata(place, "--output", path)
    return path.resolve(strict=True).name


@commands(_subject("hepdata", "--output"), "`--output mine.zip`", refused="ends in .tar.gz")
def _(place: Place) -> None:
    _hepdata(place, "--output", "mine.zip")


@commands(_subject("hepdata", "--score"), "`--score ht`", works="ht_in_sr.yaml")
def _(place: Place) -> str:
    path = place.folder / "mine.tar.gz"
    _hepdata(place, "--score", "ht", "--output", path)
    with tarfile.open(path) as archive:
        return ", ".join(name for name in archive.getnames() if name.endswith("_in_sr.yaml"))


@commands(_subject("hepdata", "--score"), "`--score mass`", refused="has no score mass")
def _(place: Place) -> None:
    _hepdata(place, "--score", "mass")


# export


def _exported(place: Place, name: str, *words: str) -> str:
    return place.command("export", f"{_trained(place)[0] / name}", *words)


@commands(_subject("export", "DETECTOR"), "`hepmtp export detectors/ht`", works="ht")
def _(place: Place) -> str:
    _exported(place, "ht", "--output", str(place.folder / "exported"))
    contract: str = json.loads((place.folder / "exported" / "contract.json").read_text())["name"]
    return contract


_refused("export", "DETECTOR", "gone", "gone")


@commands(
    _subject("export", "DETECTOR"),
    "`hepmtp export detectors/masked_token_calibrated`",
    refused="is calibrated by jets",
)
def _(place: Place) -> None:
    _exported(place, "masked_token_calibrated")


@commands(
    _subject("export", "--output"), "`--output mine`, a folder of yours", refused="choose another"
)
def _(place: Place) -> None:
    place.folder.joinpath("mine").mkdir()
    place.folder.joinpath("mine", "notes.txt").write_text("of yours")
    _exported(place, "ht", "--output", str(place.folder / "mine"))


# tokenizer-report and league

for _words, _option, _message in (
    ("gone tt.csv", "TOKENIZER", "is neither the folder"),
    ("met3 ttbarX", "DATASET", "is unknown"),
    ("met3 tt.csv --classifier oracle", "--classifier", "oracle|too few"),
    ("met3 tt.csv --max-events 0", "--max-events", "greater than or equal to"),
    ("met3 tt.csv --seed one", "--seed", "should be a valid integer"),
    ("met3 tt.csv --role signal", "--role", "no data set with role background"),
    ("met3 x --manifest gone.yaml", "--manifest", "gone.yaml"),
    ("met3 fourtops-ttbarW --folder .", "--folder", "hepmtp fetch fourtops-ttbarW"),
):
    _refused("tokenizer-report", _option, _words, _message)


def _tokenizer(place: Place) -> Any:
    folder = place.files.folder / "tokenizer"
    if not folder.exists():
        words = "--max-events 50 --seed 2 --classifier trees --pdf"
        paths = (_events(place, "ttbarZ", 600), _events(place, "4top", 600))
        place.command("tokenizer-report", "met3", *paths, "-o", folder, *words.split())
    return json.loads((folder / "report.json").read_text())


commands(_subject("tokenizer-report", "--max-events"), "`--max-events 50`", works="50 events")(
    lambda place: f"{_tokenizer(place)['n_events']} events"
)
commands(_subject("tokenizer-report", "--classifier"), "`--classifier trees`", works="trees")(
    lambda place: ", ".join(one["classifier"] for one in _tokenizer(place)["separations"])
)
commands(_subject("tokenizer-report", "--output"), "`-o tokenizer`", works="met3")(
    lambda place: _tokenizer(place)["name"]
)


@commands(_subject("tokenizer-report", "--pdf"), "`--pdf`", works="residuals.pdf")
def _(place: Place) -> str:
    _tokenizer(place)
    path = place.files.folder / "tokenizer" / "figures" / "residuals.pdf"
    return path.resolve(strict=True).name


for _words, _option, _message in (
    ("ttbarX", "DATASET", "is unknown"),
    ("--group best", "--group", "is not one of"),
    ("--only nothing", "--only", "'nothing' is unknown"),
    ("--add nothing", "--add", "is neither the folder"),
    ("tt.csv --only ht --against nothing", "--against", "nothing"),
    ("--seeds 0", "--seeds", "greater than or equal to"),
    ("tt.csv --only ht --folds 2", "--folds", "3 folds or more"),
    ("tt.csv --only ht", "DATASET", "no data set with role signal"),
    ("--published gone.csv", "--published", "gone.csv"),
    ("tt.csv --only ht --role data", "--role", "role"),
    ("x --manifest gone.yaml", "--manifest", "gone.yaml"),
    ("fourtops-ttbarW 4top --only ht --folder .", "--folder", "hepmtp fetch fourtops-ttbarW"),
    ("tt.csv --only ht --region XX", "--region", "XX|role signal"),
):
    _refused("league", _option, _words, _message)


def _league(place: Place) -> list[dict[str, str]]:
    from hepmtp.report.tables import read_csv  # noqa: PLC0415 (only here)

    folder = place.files.folder / "league"
    if not folder.exists():
        words = "--only ht --only met --region preselection --seeds 1 --against met --quick"
        words += " --folds 3 --pdf --most-events 500"
        paths = (_events(place, "ttbarZ", 600), _events(place, "4top", 600))
        place.command("league", *paths, "-o", folder, *words.split())
    return read_csv(folder / "league.csv")


def _of_league(key: str) -> _Check:
    return lambda place: ", ".join(sorted({str(one[key]) for one in _league(place)} - {""}))


for _option, _words, _works, _key in (
    ("--only", "--only ht --only met", "ht, met", "detector"),
    ("--region", "--region preselection", "preselection", "region"),
    ("--against", "--against met", "met", "against"),
    ("--folds", "--folds 3", "3", "folds"),
    ("--most-events", "--most-events 500", "4top", "signal"),
    ("--output", "-o league", "4top", "signal"),
):
    commands(_subject("league", _option), f"`{_words}`", works=_works)(_of_league(_key))
commands(_subject("league", "--seeds`, `--quick"), "`--seeds 1 --quick`", works="2 rows")(
    lambda place: f"{len(_league(place))} rows"
)


@commands(_subject("league", "--pdf"), "`--pdf`", works="auc_4top_preselection.pdf")
def _(place: Place) -> str:
    _league(place)
    path = place.files.folder / "league" / "figures" / "auc_4top_preselection.pdf"
    return path.resolve(strict=True).name

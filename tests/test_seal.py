"""A run is bound to its files: nothing that has changed is shown, fitted or compared."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_report import small_run

from hepmtp import storage
from hepmtp.detectors import load_detector
from hepmtp.detectors.observables import Observable
from hepmtp.errors import HepmtpError, StorageError
from hepmtp.report.again import report_again
from hepmtp.report.bound import changes, detectors_of
from hepmtp.report.info import RunInfo, read_info
from hepmtp.report.run_workspace import open_run
from hepmtp.report.seal import changed, check_run, new_run, seal
from hepmtp.run.trained import TRAINED, Saved, new_training, save_detectors, saved_detectors

SAVED = Path(__file__).parent / "saved"


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sealed") / "run"
    with new_run(folder) as place:
        small_run(place.new)
        seal(place.new)
    return folder


@pytest.fixture
def run(sealed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sealed, tmp_path / "run"))


def test_a_run_is_bound_to_all_its_files(run: Path) -> None:
    info = check_run(run)
    files = {one.relative_to(run).as_posix() for one in run.rglob("*") if one.is_file()}
    assert set(info.outputs) == files - {"run.json"}
    for name in sorted(files - {"run.json"}):
        kept = (run / name).read_bytes()
        (run / name).write_bytes(kept + b" ")
        with pytest.raises(StorageError, match=f"{name} has changed since it was written"):
            check_run(run)
        (run / name).unlink()
        with pytest.raises(StorageError, match=f"{name} is missing"):
            check_run(run)
        (run / name).write_bytes(kept)
    check_run(run)
    text = (run / "run.json").read_text()
    (run / "run.json").write_text(text.replace("four tops", "five tops"))
    with pytest.raises(StorageError, match=r"run\.json has changed since it was written"):
        check_run(run)


def test_who_writes_into_a_run_replaces_it_as_a_whole(run: Path) -> None:
    (run / "notes.txt").write_text("mine")
    info = read_info(run)
    with changed(run, info) as new:
        (new / "fit").mkdir()
        (new / "fit" / "fit.csv").write_text("z\n3\n")
        assert not (run / "fit").exists()
    assert set(check_run(run).outputs) == {*info.outputs, "fit/fit.csv"}
    assert (run / "notes.txt").read_text() == "mine"

    def failing() -> None:
        with changed(run, read_info(run)) as new:
            (new / "fit" / "fit.csv").unlink()
            raise InterruptedError("in the middle")

    with pytest.raises(InterruptedError):
        failing()
    check_run(run)
    other = replace(info, title="of another run")
    with pytest.raises(StorageError, match="has been replaced by another run"), changed(run, other):
        pytest.fail("it has begun")


def test_a_run_of_before_digests_opens_with_a_note(
    run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = json.loads((run / "run.json").read_text())
    for key in ("sha256", "outputs", "inputs", "detectors"):
        del content[key]
    (run / "run.json").write_text(json.dumps(content))
    assert open_run(run).info.outputs == {}
    assert "was written before runs kept digests" in caplog.text


def test_inputs_and_detectors_that_have_changed_are_said(tmp_path: Path, run: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("1;x;1;2000;0.1;j,60000,50000,0.1,1.0;\n")
    shutil.copytree(SAVED / "ht", tmp_path / "ht")
    bound = detectors_of([f"{tmp_path / 'ht'}#form"])
    assert list(bound) == [str(tmp_path / "ht")]
    known = [{"path": str(file), "bytes": file.stat().st_size, "source": "0"}]
    info: RunInfo = replace(read_info(run), inputs={"x": known}, detectors=bound)
    assert [one.split(" has changed")[0] for one in changes(info)] == [f"{file} of data set x"]
    shutil.rmtree(tmp_path / "ht")
    shutil.copytree(SAVED / "ecod", tmp_path / "ht")
    assert list(changes(info))[1].startswith(f"The detector in {tmp_path / 'ht'} is another one")


@pytest.mark.parametrize("digests", [True, False])
def test_a_damaged_run_never_ends_in_a_traceback(run: Path, undrawn: None, digests: bool) -> None:
    content = json.loads((run / "run.json").read_text())
    if not digests:
        for key in ("sha256", "outputs"):
            del content[key]
        (run / "run.json").write_text(json.dumps(content))
    draw = random.Random(1)
    names = ["run.json", "histograms.json", "cutflow.json", "performance.csv"]
    refused = 0
    for i in range(40 if digests else 12):
        name = names[i % len(names)]
        kept = (run / name).read_bytes()
        data = bytearray(kept)
        for _ in range(draw.choice([1, 3])):
            data[draw.randrange(len(data))] = draw.randrange(32, 127)
        (run / name).write_bytes(data)
        try:
            report_again(run)
        except HepmtpError:
            refused += 1
        else:
            assert not digests or data == kept
        if digests:
            (run / name).write_bytes(kept)
        else:  # `report` has made it a run with digests
            shutil.copy(run / name, run / f"{name}.tried")
            (run / name).write_bytes(kept)
            (run / "run.json").write_text(json.dumps(content))
    assert refused >= (30 if digests else 1)


def test_a_detector_that_is_signed_again_never_ends_in_a_traceback(tmp_path: Path) -> None:
    draw = random.Random(1)
    wrong = [None, "", "x", -1, 0, 1e308, float("nan"), [], {}, [[]], True, "\x00"]
    tried = 0
    for name in ("ht", "ecod", "token_rarity", "isolation_forest", "combination"):
        meta, arrays = storage.read(SAVED / name)
        keys = [key for key in meta if key not in {"format", "kind", "sha256", "texts"}]
        for i in range(30):
            changed_meta, changed_arrays = dict(meta), dict(arrays)
            if arrays and i % 3 == 0:
                key = draw.choice(sorted(arrays))
                odd = [arrays[key][:0], np.full_like(arrays[key], -1), arrays[key][None]]
                changed_arrays[key] = draw.choice(odd)
            else:
                changed_meta[draw.choice(keys)] = draw.choice(wrong)
            folder = tmp_path / f"{name}{i}"
            shutil.copytree(SAVED / name, folder)
            head = {key: changed_meta[key] for key in changed_meta if key != "sha256"}
            storage.write(folder, meta["kind"], head, changed_arrays)
            try:
                load_detector(folder)
            except HepmtpError:
                tried += 1
    assert tried > 40


def test_a_training_is_one_folder_with_a_list(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ht = Observable.load(SAVED / "ht")
    folder = tmp_path / "detectors"
    with new_training(folder) as place:
        save_detectors(place.new, [ht])
    assert saved_detectors([folder]) == [Saved(str(folder / "ht"))]
    shutil.copytree(SAVED / "ecod", folder / ".ecod-x1")  # what a killed writer left
    shutil.copytree(SAVED / "ecod", folder / "mine")
    assert saved_detectors([folder, f"{folder / 'mine'}#x"])[0] == Saved(str(folder / "ht"))
    assert "mine was not trained with the others and is left out" in caplog.text
    with pytest.raises(StorageError, match="holds what hepmtp wrote before"), new_training(folder):
        pytest.fail("it has begun")
    shutil.rmtree(folder / "ht")
    shutil.copytree(SAVED / "ecod", folder / "ht")
    with pytest.raises(StorageError, match="is not the detector that was trained with the others"):
        saved_detectors([folder])
    (folder / TRAINED).write_text("{}")
    with pytest.raises(StorageError, match=r"detectors\.json has changed"):
        saved_detectors([folder])
    (folder / TRAINED).unlink()  # as hepmtp wrote it before
    assert [one.path for one in saved_detectors([folder])] == [
        str(folder / "ht"),
        str(folder / "mine"),
    ]

"""What was saved before modules moved is opened, and what is saved now names no module."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
from coffea.processor.checkpointer import CheckpointerABC

import hepmtp as hm
from hepmtp import plugins, storage
from hepmtp.readers import Reader
from hepmtp.readers.formats import load_reader

SAVED = Path(__file__).parent / "saved"
EXPECTED: dict[str, dict[str, list[float]]] = json.loads((SAVED / "expected.json").read_text())


@pytest.fixture(scope="module")
def judged() -> ak.Array:
    """The events that expected.json is about."""
    datasets = [one for name in ("ttbarW", "4top") for one in hm.embedded() if one.name == name]
    return hm.concatenate([hm.read([one], stop=12) for one in datasets])


@pytest.mark.parametrize("name", EXPECTED)
def test_a_folder_with_a_former_name_is_opened_and_gives_the_same_numbers(
    name: str, judged: Any
) -> None:
    kind = json.loads((SAVED / name / storage.META).read_text())["kind"]
    assert kind.startswith(("hepmtp.detectors.", "hepmtp.tokenizers."))
    if "ids" in EXPECTED[name]:
        tokenizer = hm.load_tokenizer(SAVED / name)
        assert tokenizer.encode(judged).values.tolist() == EXPECTED[name]["ids"]
    else:
        detector = hm.load_detector(SAVED / name)
        found, expected = detector.score(judged), EXPECTED[name]["scores"]
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6)  # some are almost 0


@pytest.mark.parametrize("name", ["lookup", "combination", "masked_token"])
def test_a_folder_saved_again_names_public_classes_alone(name: str, tmp_path: Path) -> None:
    storage.load(SAVED / name).save(tmp_path / "again")
    kinds = [
        json.loads(path.read_text())["kind"] for path in (tmp_path / "again").rglob(storage.META)
    ]
    assert kinds
    assert all(kind.startswith("hepmtp:") and kind[7:] in hm.__all__ for kind in kinds)


def test_every_class_of_hepmtp_that_can_be_saved_or_read_with_has_a_public_name() -> None:
    found = set()
    for module in pkgutil.walk_packages(hm.__path__, "hepmtp."):
        for cls in vars(importlib.import_module(module.name)).values():
            if (
                not inspect.isclass(cls)
                or cls.__module__ != module.name
                or cls.__name__.startswith("_")
            ):
                continue
            shared = (
                inspect.isabstract(cls)
                or issubclass(cls, CheckpointerABC)  # keeps chunks, is no fitted thing
                or getattr(cls, "_is_protocol", False)
                or any(one.__module__.startswith("hepmtp.") for one in cls.__subclasses__())
            )
            if not shared and (
                (hasattr(cls, "load") and hasattr(cls, "save")) or issubclass(cls, Reader)
            ):
                found.add(storage.kind_of(cls))
                assert plugins.resolve_from_file(storage.kind_of(cls)) is cls
    assert {"hepmtp:LookupTokenizer", "hepmtp:VAE", "hepmtp:Delphes"} <= found


@pytest.mark.parametrize("former", plugins.FORMER_NAMES)
def test_every_former_name_is_found(former: str) -> None:
    found = plugins.resolve_from_file(former)
    assert found is plugins.resolve(plugins.FORMER_NAMES[former])
    assert former.endswith((f":{getattr(found, '__name__', '')}", ":SKIP_BAD"))


def test_a_reader_in_a_manifest_may_have_its_former_name() -> None:
    assert load_reader("hepmtp.readers.delphes:Delphes") == hm.Delphes()

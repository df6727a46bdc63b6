"""The folder of an exported detector, which is used without hepmtp.

The rule: nothing is exported that does not give the same scores. The scorer of the folder runs on
its test events before the folder has its name.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import logging
import shutil
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import torch

from hepmtp import storage
from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.detectors import Detector, load_detector, plain_axis
from hepmtp.detectors.export.graphs import graph_of
from hepmtp.detectors.export.parts import MET_COLUMNS, PARTICLE_COLUMNS, Graph
from hepmtp.errors import OptionError, ScoreError, missing_library
from hepmtp.events.entering import as_events
from hepmtp.events.legal import MAX_ETA
from hepmtp.events.particles import PARTICLE_TYPES
from hepmtp.events.record import concatenate, make_events

#: Changes when an older scorer can no longer read what is written.
FORMAT = 1
CONTRACT, MODEL, EVENTS, SCORER = "contract.json", "model.onnx", "events.npz", "scorer.py"
#: Operators of ONNX that the graph is written in.
OPSET = 20
#: Largest difference of a score, as a share of the spread of the test events' scores.
ACCURACY = 1e-5
TEST_EVENTS = 100


def export_detector(detector: Detector | str | Path, path: str | Path) -> dict[str, Any]:
    """Write a detector to a folder that needs numpy and onnxruntime only; gives its contract.

    Parameters
    ----------
    detector
        fitted, or the folder that its ``save`` wrote; ``FOLDER#form`` for a form of its score.
    path
        a new folder, or one that this function wrote.

    Raises
    ------
    OptionError
        for a detector that cannot be exported, with the reason, or without the libraries of
        ``pip install "hepmtp[export]"``.
    ScoreError
        if the exported scores differ from the detector's.

    Notes
    -----
    The folder holds

    - ``model.onnx``: events of n particles in, scores out, for any number of events and any n;
    - ``contract.json``: columns, units, types, bins of tokens, tails, allowed difference, digests;
    - ``events.npz``: 100 events of hepmtp's simulation with their scores;
    - ``scorer.py``, which scores events of any multiplicities, and ``README.md``.
    """
    for library in ("onnx", "onnxscript", "onnxruntime"):
        if find_spec(library) is None:
            raise OptionError(missing_library(ModuleNotFoundError(name=library)))
    saved = None
    if isinstance(detector, str | Path):
        saved = storage.digest(str(detector).partition("#")[0])
        detector = load_detector(detector)
    graph = copy.deepcopy(graph_of(detector)).cpu().eval()
    events = _test_events()
    scores = detector.score(events)
    with storage.new_folder(path, mark=CONTRACT) as folder:
        _write_onnx(graph, folder / MODEL)
        np.savez_compressed(folder / EVENTS, **columns_of(events), scores=scores)
        contract = _contract(detector, graph) | {
            "tolerance": ACCURACY * float(scores.std()),
            "sha256": {
                "detector": saved,
                **{name: _sha256(folder / name) for name in (MODEL, EVENTS)},
            },
        }
        (folder / CONTRACT).write_text(json.dumps(contract, indent=1) + "\n", encoding="utf-8")
        shutil.copy(Path(__file__).with_name(SCORER), folder / SCORER)
        (folder / "README.md").write_text(_readme(contract), encoding="utf-8")
        _check(folder, contract)
    return contract


def columns_of(events: ak.Array) -> dict[str, Any]:
    """The arrays that the scorer takes of events, shape (n_events,): counts, particles and met.

    Examples
    --------
    >>> one, none = columns_of(_test_events()[-2:])["counts"]
    >>> int(one), int(none)
    (12, 0)
    """
    events = as_events(events)
    particles = [
        ak.to_numpy(ak.flatten(events.Particle[name.split()[0]])) for name in PARTICLE_COLUMNS
    ]
    met = [ak.to_numpy(events.MET[name.split()[0]]) for name in MET_COLUMNS]
    return {
        "counts": ak.to_numpy(ak.num(events.Particle)).astype(np.int64),
        "particles": np.stack(particles, axis=1).astype(np.float64),
        "met": np.stack(met, axis=1).astype(np.float64),
    }


def _test_events() -> ak.Array:
    """Events of each data set of hepmtp's simulation, and one without particles."""
    samples = embedded()
    each = -(-(TEST_EVENTS - 1) // len(samples))
    nothing = make_events(
        counts=[0], pt=[], eta=[], phi=[], energy=[], type=[], met=[50.0], met_phi=[0.0]
    )
    parts = [read([one], stop=each) for one in samples]
    return concatenate([*parts, nothing])[-TEST_EVENTS:]


def _write_onnx(graph: Graph, path: Path) -> None:
    """Write the graph, without places in source files, which torch notes in it.

    Of torch's own optimisation, pattern rules take half of the time of an export and find little.
    """
    import onnx  # noqa: PLC0415 - of an extra
    from onnx_ir import passes  # noqa: PLC0415
    from onnx_ir.passes import common  # noqa: PLC0415
    from onnxscript.optimizer import fold_constants  # noqa: PLC0415

    inputs = torch.ones(3, 4, 5, dtype=torch.float64), torch.ones(3, 2, dtype=torch.float64)
    events, particles = torch.export.Dim("events"), torch.export.Dim("particles")
    with _quiet():
        program = torch.onnx.export(
            graph,
            inputs,
            dynamo=True,
            verbose=False,
            optimize=False,
            opset_version=OPSET,
            input_names=["particles", "met"],
            output_names=["score"],
            dynamic_shapes=({0: events, 1: particles}, {0: events}),
        )
        assert program is not None  # as dynamo=True gives one
        fold_constants(common.InlinePass()(program.model).model)
        passes.Sequential(
            common.RemoveUnusedNodesPass(),
            common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
            common.DeduplicateInitializersPass(),
            common.CommonSubexpressionEliminationPass(),
            common.RemoveUnusedNodesPass(),
        )(program.model)
        model: Any = program.model_proto
    for function in (model.graph, *model.functions):
        function.ClearField("metadata_props")
        for part in (*function.node, *function.value_info):
            part.ClearField("metadata_props")
            part.ClearField("doc_string")
    model.producer_name, model.producer_version = "hepmtp", version("hepmtp")
    onnx.checker.check_model(model)
    onnx.save(model, path)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch says of its own insides while it exports."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _contract(detector: Detector, graph: Graph) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "name": detector.name,
        "description": detector.description,
        "made_by": {"hepmtp": version("hepmtp"), "torch": version("torch"), "opset": OPSET},
        "inputs": {
            "counts": "int, (n_events,): number of particles of each event, 0 or more",
            "particles": {"dtype": "float64", "columns": list(PARTICLE_COLUMNS)},
            "met": {"dtype": "float64", "columns": list(MET_COLUMNS)},
            "types": dict(enumerate(PARTICLE_TYPES)),
            "phi": "in [-pi, pi]",
            "eta": f"at most {MAX_ETA:g} in size",
            "order": "that of particles in an event has no effect",
        },
        "output": "score, float64, (n_events,): the larger, the stranger",
        "axis": plain_axis(detector.axis),
        "graph": graph.plain,
    }


def _check(folder: Path, contract: dict[str, Any]) -> None:
    """Raise ScoreError unless the folder gives the scores of the detector."""
    from hepmtp.detectors.export.scorer import Scorer  # noqa: PLC0415 - of an extra

    with np.load(folder / EVENTS) as test:
        found = Scorer(folder).score(test["counts"], test["particles"], test["met"])
        worst = float(np.abs(found - test["scores"]).max())
    if not worst <= contract["tolerance"]:
        raise ScoreError(
            f"the exported scores of {contract['name']} differ by {worst:.2g} from its own, "
            f"{contract['tolerance']:.2g} is allowed: nothing was written; please report it"
        )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _readme(contract: dict[str, Any]) -> str:
    types = ", ".join(f"{number} {name}" for number, name in contract["inputs"]["types"].items())
    return f"""# {contract["name"]}

{contract["description"]}

An anomaly detector, exported by hepmtp {contract["made_by"]["hepmtp"]}. It needs numpy and
onnxruntime, not hepmtp: `python scorer.py` checks it on the events that lie beside it.

```python
from scorer import Scorer

scores = Scorer("this folder").score(counts, particles, met)  # (n_events,), larger = stranger
```

- `counts`: number of particles of each event, any number from 0.
- `particles`: those of all events one after the other, (n_particles, 5):
  {", ".join(PARTICLE_COLUMNS)}.
- `met`: (n_events, 2): {", ".join(MET_COLUMNS)}.
- Types: {types}.

`model.onnx` takes events of equal multiplicity, (n_events, n, 5) and (n_events, 2), in float64, and
does all the rest: tokens, transformer, tails. Bins and tails stand in `contract.json` for a reader.
Scores may differ from those of hepmtp by {contract["tolerance"]:.2g}, which is {ACCURACY:g} of
their spread. The test events are hepmtp's own simulation (CC0-1.0).
"""

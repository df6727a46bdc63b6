"""Fixtures that several test files use.

The rule: nothing here imports torch or starts a process unless a test asks for it.
"""

from __future__ import annotations

import os

# one thread a process, before torch or OpenBLAS is first imported: several threads on busy cores
# are slower, by a lot
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

import functools
import gzip
import itertools
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    import awkward as ak
    from distributed import Client

    from hepmtp.statistics.channels import Channel
    from hepmtp.statistics.histograms import Histogram

ROOT = Path(__file__).parent.parent
# what a shell starts in the background ignores Ctrl-C, and so would all that is stopped here
signal.signal(signal.SIGINT, signal.default_int_handler)

# no test fails because the machine is slow or busy; where CI is set, the examples are the same
# every time
settings.register_profile(
    "hepmtp",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
)
settings.load_profile("hepmtp")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of data that is beside the repository, not in it."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"needs the folder {folder.name} beside the repository, which is not here")
    return folder


@pytest.fixture
def nothing_allowed() -> Iterator[None]:
    """Files may name classes of hepmtp alone, whatever earlier tests have allowed."""
    from hepmtp import plugins  # noqa: PLC0415 - most tests do not need it

    before = set(plugins._allowed)
    plugins._allowed.clear()
    yield
    plugins._allowed.clear()
    plugins._allowed.update(before)


@pytest.fixture(scope="module")
def short_training() -> Iterator[None]:
    """The networks of the default score are trained for one epoch, not 24.

    The command has no option for it.
    """
    from hepmtp.detectors.stranger import StrangerTraining  # noqa: PLC0415 - imports torch
    from hepmtp.run import train  # noqa: PLC0415 - the same

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "StrangerTraining", functools.partial(StrangerTraining, epochs=1))
        yield


@pytest.fixture(scope="session")
def sample() -> Path:
    """The embedded sample: six .csv.gz files of hepmtp's own simulation."""
    return ROOT / "hepmtp" / "data" / "simulated"


@pytest.fixture(scope="session")
def background() -> ak.Array:
    """The first 400 events of each background of the embedded sample."""
    from hepmtp.datasets.files import read  # noqa: PLC0415 - most tests do not need it
    from hepmtp.datasets.manifest import embedded  # noqa: PLC0415 - most tests do not need it

    return read((dataset for dataset in embedded() if dataset.role == "background"), stop=400)


@pytest.fixture(scope="session")
def few(background: ak.Array) -> ak.Array:
    """Every third event of `background`, for networks that train in every test."""
    return background[::3]


@pytest.fixture(scope="session")
def events(background: ak.Array) -> ak.Array:
    """Background training events, two without particles among them; for tokenizers."""
    from contracts import no_particles  # noqa: PLC0415 - most tests do not need it

    from hepmtp.detectors import training_events  # noqa: PLC0415 - most tests do not need it
    from hepmtp.events.record import concatenate  # noqa: PLC0415 - most tests do not need it

    return concatenate([training_events(background), no_particles([50.0, 50.0])])


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are made, but their files stay empty: for folders whose figures nobody looks at."""

    def leave_empty(_: object, path: str | Path, **options: object) -> None:
        Path(path).touch()

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", leave_empty)


@pytest.fixture(scope="session")
def dask_client() -> Iterator[Client]:
    """A client of a real cluster: two worker processes of one thread on the loopback interface."""
    dask = pytest.importorskip("dask")
    distributed = pytest.importorskip("distributed")
    # it idles through most of the tests, and would look at itself fifty times a second
    quiet = {"worker.profile.enabled": False}
    quiet |= {"admin.tick.interval": "1s", "admin.system-monitor.interval": "60s"}
    quiet |= {"worker.memory.monitor-interval": "10s"}
    quiet |= {"scheduler.active-memory-manager.interval": "60s"}
    with dask.config.set({f"distributed.{name}": value for name, value in quiet.items()}):
        cluster = distributed.LocalCluster(
            host="127.0.0.1",
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            # Dask serves its state even without a dashboard: on a free port
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
        )
    with cluster, distributed.Client(cluster) as client:
        yield client


@pytest.fixture(scope="session")
def on_dask(dask_client: Client) -> Iterator[Any]:
    """The executor "dask" on this cluster."""
    from hepmtp.run.executors import make_executor  # noqa: PLC0415 - most tests do not need it

    with make_executor("dask", client=dask_client) as executor:
        executor.status = False
        yield executor


@pytest.fixture(scope="session")
def two_processes() -> Iterator[Any]:
    """The executor "futures", whose two worker processes are started once for all tests."""
    from hepmtp.run.executors import make_executor  # noqa: PLC0415 - most tests do not need it

    with make_executor("futures", workers=2) as executor:
        executor.status = False  # said at once, this would hold for every executor of the session
        yield executor


@pytest.fixture(scope="session")
def in_every_format(
    sample: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., dict[str, dict[str, Path]]]:
    """A function (events of each data set, chunk, rntuple) -> files of the same events, new ones.

    What it returns is {format: {dataset: file}}.
    """
    from hepmtp.readers.convert import convert  # noqa: PLC0415 - most tests do not need it

    def write(
        n: dict[str, int], *, chunk: int, rntuple: bool = False
    ) -> dict[str, dict[str, Path]]:
        folder = tmp_path_factory.mktemp("formats")
        names = ("csv", "csv.gz", "root", *(("rntuple",) if rntuple else ()), "parquet")
        found: dict[str, dict[str, Path]] = {name: {} for name in names}
        for dataset, events in n.items():
            with gzip.open(sample / f"{dataset}.csv.gz", "rb") as file:
                data = b"".join(itertools.islice(file, events))
            for name, paths in found.items():
                paths[dataset] = (
                    folder / name / f"{dataset}.{'root' if name == 'rntuple' else name}"
                )
                paths[dataset].parent.mkdir(exist_ok=True)
            found["csv"][dataset].write_bytes(data)
            found["csv.gz"][dataset].write_bytes(gzip.compress(data))
            for name in names[2:]:
                convert(
                    found["csv"][dataset],
                    found[name][dataset],
                    rntuple=name == "rntuple",
                    chunk=chunk,
                )
        return found

    return write


@pytest.fixture(scope="session")
def drawn_run() -> dict[str, Histogram]:
    """Histograms of a run for fits (`fit_runs`), drawn at random."""
    from fit_runs import histograms  # noqa: PLC0415 - most tests do not need it

    return histograms()


@pytest.fixture(scope="session")
def drawn_channels(drawn_run: dict[str, Histogram]) -> list[Channel]:
    """The channels of a fit of its score."""
    from fit_runs import BACKGROUND, INFO  # noqa: PLC0415 - most tests do not need it

    from hepmtp.statistics.channels import choose_channels  # noqa: PLC0415 - the same

    return choose_channels(drawn_run, INFO, "score", BACKGROUND).channels


@pytest.fixture(scope="session")
def drawn_workspace(
    drawn_run: dict[str, Histogram], drawn_channels: list[Channel]
) -> dict[str, Any]:
    """Their workspace."""
    from fit_runs import BACKGROUND, SIGNAL  # noqa: PLC0415 - most tests do not need it

    from hepmtp.statistics.workspace import make_workspace  # noqa: PLC0415 - the same

    return make_workspace(drawn_run, drawn_channels, background=BACKGROUND, signal=SIGNAL)

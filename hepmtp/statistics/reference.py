"""pyhf itself: its model of a workspace, and how far the fast likelihood is from it.

The rule: pyhf's backend is global. It is NumPy inside these functions, and what it was afterwards.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyhf

from hepmtp.events.ragged import Floats
from hepmtp.statistics.likelihood import Likelihood, Workspace


@contextlib.contextmanager
def numpy_backend() -> Iterator[None]:
    """pyhf's NumPy backend in double precision; the caller's comes back at the end."""
    backend, optimizer = pyhf.get_backend()
    pyhf.set_backend("numpy", "scipy", precision="64b")
    try:
        with warnings.catch_warnings():  # of pyhf's own use of jsonschema
            warnings.filterwarnings("ignore", "jsonschema", DeprecationWarning)
            yield
    finally:
        pyhf.set_backend(backend, optimizer)


def check_workspace(workspace: Workspace) -> None:
    """Raise pyhf's own error if a workspace does not follow its schema or makes no model."""
    with numpy_backend():
        pyhf.Workspace(dict(workspace)).model(validate=True)


def expected_by_pyhf(workspace: Workspace, likelihood: Likelihood, values: Floats) -> Floats:
    """pyhf's expected counts at these values of the parameters, in our order of bins, (n_bins,)."""
    with numpy_backend():
        model = pyhf.Workspace(dict(workspace), validate=False).model(validate=False)
        theirs = np.asarray(
            model.expected_actualdata(parameters_of_pyhf(model, likelihood, values))
        )
    start = {name: place.start for name, place in model.config.channel_slices.items()}
    return theirs[[start[channel] + i for channel, i in likelihood.bins]]


def nll_by_pyhf(
    workspace: Workspace, likelihood: Likelihood, values: Floats, data: Floats
) -> float:
    """pyhf's negative logarithm of the likelihood, constraints included, at its own centres."""
    with numpy_backend():
        model = pyhf.Workspace(dict(workspace), validate=False).model(validate=False)
        start = {name: place.start for name, place in model.config.channel_slices.items()}
        theirs = np.zeros(len(data))
        theirs[[start[channel] + i for channel, i in likelihood.bins]] = data
        parameters = parameters_of_pyhf(model, likelihood, values)
        logpdf = model.logpdf(parameters, [*theirs, *model.config.auxdata])
    return -float(np.asarray(logpdf).ravel()[0])


def parameters_of_pyhf(model: Any, likelihood: Likelihood, values: Floats) -> Floats:
    """The same values in the order of a model of pyhf's."""
    parameters = np.zeros(model.config.npars)
    for name in model.config.par_order:
        place = model.config.par_slice(name)
        for i in range(place.stop - place.start):
            own = name if name in likelihood.names else f"{name}[{i}]"
            parameters[place.start + i] = values[likelihood.place(own)]
    return parameters

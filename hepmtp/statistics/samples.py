"""Samples of a workspace: what data sets have in the bins of a channel, with their variations.

The rule: a variation is a factor on a sample in a channel, so that several multiply, and a shape.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from hepmtp.events.ragged import Bools, Floats
from hepmtp.statistics.channels import Channel
from hepmtp.statistics.histograms import NOMINAL, Histogram

logger = logging.getLogger(__name__)

#: Least content of a varied bin, in units of the nominal one.
LEAST = 0.01


class Filled(NamedTuple):
    """What the bins of a channel hold, of all data sets and variations of its histogram."""

    datasets: list[str]
    variations: list[str]
    value: Floats  #: sums of weights, (n_datasets, n_variations, n_bins)
    variance: Floats  #: of their squares
    booked: Bools  #: whether the histogram has any event, (n_datasets, n_variations)

    @classmethod
    def of(cls, h: Histogram, channel: Channel) -> Filled:
        """Zeros for a region that was never filled."""
        names = list(h.axes["dataset"]), list(h.axes["variation"])
        view: Any = np.asarray(h.view(flow=True))[: len(names[0]), :, : len(names[1])]
        booked = view["variance"].any(axis=(1, 3))
        if channel.region not in h.axes["region"]:
            nothing = np.zeros((*booked.shape, len(channel.bins)))
            return cls(*names, nothing, nothing, booked)
        here = view[:, h.axes["region"].index(channel.region)]
        value, variance = (
            np.add.reduceat(here[part], channel.starts, axis=-1) for part in ("value", "variance")
        )
        return cls(*names, value, variance, booked)

    def errors(self, dataset: str) -> Floats:
        """Errors of the nominal contents, (n_bins,)."""
        if dataset not in self.datasets:
            return np.zeros(self.value.shape[-1])
        row, column = self.datasets.index(dataset), self.variations.index(NOMINAL)
        return np.asarray(np.sqrt(self.variance[row, column]))

    def sample(self, name: str, variations: Sequence[str], channel: str) -> dict[str, Any]:
        """A sample with its variations.

        Of each that changes it a factor (normsys), and what is left as a shape (histosys).
        """
        if name not in self.datasets:
            empty = [0.0] * self.value.shape[-1]
            return {"name": name, "data": empty, "modifiers": []}
        row = self.datasets.index(name)
        contents = self.value[row, self.variations.index(NOMINAL)]
        nominal = _positive(contents, f"{name} in {channel}")
        modifiers: list[dict[str, Any]] = []
        changed, up, down = self._up_and_down(row, variations, nominal)
        if not changed.any():
            return {"name": name, "data": nominal.tolist(), "modifiers": modifiers}
        hi, lo = (one.sum(axis=1) / nominal.sum() for one in (up, down))
        up, down = up / hi[:, None], down / lo[:, None]
        shaped = ~(_same(up, nominal) & _same(down, nominal))
        for i in np.flatnonzero(changed).tolist():
            if shaped[i]:
                data = {"hi_data": up[i].tolist(), "lo_data": down[i].tolist()}
                modifiers.append({"name": variations[i], "type": "histosys", "data": data})
            factors = {"hi": float(hi[i]), "lo": float(lo[i])}
            modifiers.append({"name": variations[i], "type": "normsys", "data": factors})
        return {"name": name, "data": nominal.tolist(), "modifiers": modifiers}

    def _up_and_down(
        self, row: int, variations: Sequence[str], nominal: Floats
    ) -> tuple[Bools, Floats, Floats]:
        """Whether each variation changes this data set here, and its contents up and down.

        One way that is missing is the other one mirrored.
        """
        there, found = [], []
        for way in ("up", "down"):
            names = [f"{one}_{way}" for one in variations]
            columns = np.array(
                [self.variations.index(one) if one in self.variations else -1 for one in names],
                dtype=np.int64,
            )
            there.append((columns >= 0) & self.booked[row, columns])
            found.append(self.value[row, columns])
        both = [
            np.where(mine[:, None], one, 2 * nominal - other)
            for mine, one, other in zip(there, found, found[::-1], strict=True)
        ]
        up, down = (np.where(nominal > 0, np.maximum(one, LEAST * nominal), 0) for one in both)
        same = _same(up, nominal) & _same(down, nominal)
        return (there[0] | there[1]) & ~same, up, down


def _same(values: Floats, nominal: Floats) -> Bools:
    """Whether each row, (n, n_bins), is the nominal one but for rounding."""
    return np.asarray(np.isclose(values, nominal, rtol=1e-9).all(axis=1))


def _positive(values: Floats, what: str) -> Floats:
    if (values < 0).any():
        logger.warning(
            "%s: %d bins hold a negative sum of weights, at most %.3g; a fit takes them for empty",
            what, int((values < 0).sum()), float(-values.min()),
        )  # fmt: skip
    return np.maximum(values, 0.0)

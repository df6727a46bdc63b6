"""Detectors as graphs: particles and MET of events of one multiplicity in, scores out.

The rule: a graph does all that its detector does, from the bins of a token to the tails of the
background, by steps that ONNX knows. What it was made from stands in its `plain` for a reader.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn

from hepmtp.detectors.calibrated.detector import Calibrated
from hepmtp.detectors.combination import Combination, Rule
from hepmtp.detectors.cross_fitted import CrossFitted
from hepmtp.detectors.distortion import DistortionDetector
from hepmtp.detectors.event_classifier import ClassifierDetector
from hepmtp.detectors.export.kinematics import Networks
from hepmtp.detectors.export.parts import (
    PT,
    TYPE,
    Curve,
    Graph,
    Tails,
    curves,
    moments,
    tokens_of,
)
from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.detectors.masked_token.forms import JETS, JOINED, NOT_ASKED, UPWARDS
from hepmtp.detectors.observables import Observable
from hepmtp.detectors.stranger import StrangerDetector
from hepmtp.detectors.supervised import SupervisedDetector
from hepmtp.detectors.token_rarity import TokenRarity
from hepmtp.errors import OptionError, fitted
from hepmtp.events.features import SMALLEST
from hepmtp.events.particles import B_JET, JET, PARTICLE_TYPES
from hepmtp.models.masked import MaskedTokenModel


@functools.singledispatch
def graph_of(detector: Any) -> Graph:
    """The graph of a fitted detector; one's own detector has a method ``graph`` that gives it.

    Raises
    ------
    OptionError
        if it has none, with the reason.
    """
    if hasattr(detector, "graph"):
        made: Graph = detector.graph()
        return made
    raise OptionError(
        f"{detector.name} ({type(detector).__name__}) cannot be exported: masked-token detectors, "
        "token rarity, distortion, stranger, observables and combinations of these can. Give your "
        "own detector a method graph (hepmtp.detectors.export.parts.Graph)"
    )


@graph_of.register
def _(detector: CrossFitted) -> Graph:
    raise OptionError(
        f"{detector.name} is cross-fitted: which training scores an event follows from its place "
        "in its file, which an exported detector does not know. Export one training, the folder "
        "member0 in that of the detector, for events that trained nothing"
    )


@graph_of.register
def _(detector: Calibrated) -> Graph:
    raise OptionError(
        f"{detector.name} is calibrated by jets, b-jets, leptons and HT, and such fits are not "
        f"exported yet: export {detector.detector.name}, whose score it calibrates"
    )


@graph_of.register
def _(detector: SupervisedDetector) -> Graph:
    raise OptionError(
        f"{detector.name} was trained with labels of a signal: it is a ceiling to compare with "
        "and no anomaly detector, and is not exported"
    )


class _Observable(Graph):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name, self.plain = name, {"kind": "observable", "observable": name}

    def forward(self, particles: Tensor, met: Tensor) -> Tensor:
        if self.name == "met":
            return met[:, 0] + 0.0  # an output must not be an input itself
        if self.name == "ht":
            return particles[:, :, PT].sum(dim=1)
        kind = particles[:, :, TYPE]
        counted = {"multiplicity": kind >= 0, "n_jets": kind <= B_JET, "n_b": kind == B_JET}
        return counted[self.name].double().sum(dim=1)


@graph_of.register
def _(detector: Observable) -> Graph:
    return _Observable(detector.name)


class _Rarity(Graph):
    rarity: Tensor  #: of each id

    def __init__(self, detector: TokenRarity) -> None:
        super().__init__()
        self.tokens = tokens_of(detector.tokenizer)
        self.array("rarity", fitted(detector.rarity_, detector))
        self.plain = {"kind": "token_rarity", "tokenizer": self.tokens.plain}

    def forward(self, particles: Tensor, met: Tensor) -> Tensor:
        rarity = self.rarity[self.tokens(particles, met)]
        return rarity.sum(dim=1) / torch.ones_like(rarity).sum(dim=1).clamp(min=1.0)


@graph_of.register
def _(detector: TokenRarity) -> Graph:
    return _Rarity(detector)


class _Masked(Graph):
    targets: Tensor

    def __init__(self, detector: MaskedTokenDetector) -> None:
        super().__init__()
        model = detector.fitted_model
        if not isinstance(model, MaskedTokenModel) or model.options.inputs != "tokens":
            raise OptionError(
                f"the model of {detector.name} ({type(model).__name__}) cannot be exported: only a "
                "transformer (ModelOptions) that reads tokens can"
            )
        self.model, self.form = model, detector.form
        self.heads = [name for name, _ in model.heads]
        self.tokens = tokens_of(detector.tokenizer)
        self.array("targets", model.targets)
        self.tails = Tails(detector.tails_[self.form]) if self.form in JOINED else None
        types = getattr(detector.tokenizer, "types", PARTICLE_TYPES)
        self.jets = [types.index(PARTICLE_TYPES[kind]) for kind in (JET, B_JET)]
        self.plain = {
            "kind": "masked_token",
            "form": self.form,
            "tokenizer": self.tokens.plain,
            "tails": None if self.tails is None else {"of": self._asked, **self.tails.plain},
        }

    @property
    def _asked(self) -> list[str]:
        if self.form == "jets":
            return list(JETS)
        asked = [name for name in self.heads if name in ("type", *UPWARDS)]
        rest = [name for name in self.heads if name not in (*asked, *NOT_ASKED)]
        return [*asked, *(["+".join(rest)] if rest else [])]

    def forward(self, particles: Tensor, met: Tensor) -> Tensor:
        columns = self.parts(particles, met)
        if self.tails is None:
            return columns[:, 0]
        scores: Tensor = self.tails(columns)
        return scores

    def parts(self, particles: Tensor, met: Tensor) -> Tensor:
        """What the score is made of, or it itself, (n_events, n_parts)."""
        total = self._forms(self.tokens(particles, met))
        names = [self.form] if self.tails is None else self._asked
        asked = [torch.stack([total[name] for name in one.split("+")]).sum(dim=0) for one in names]
        return torch.stack(asked, dim=1)

    def _forms(self, ids: Tensor) -> dict[str, Tensor]:
        """Every form that is not joined, each (n_events,)."""
        total: dict[str, Tensor] = {}
        parts: list[list[Tensor]] = [[], [], []]
        for column, log_p in enumerate(self.model.of_one_multiplicity(ids)):
            true = self.targets[ids][:, :, column]
            found = moments(log_p.double(), true.reshape(-1))
            summed = [torch.where(true >= 0, one.reshape(ids.shape), 0.0).sum(1) for one in found]
            name = self.heads[column]
            total[name] = summed[3] if name in UPWARDS else summed[0]
            if name == "type":
                jet = (true == self.jets[0]) | (true == self.jets[1])
            if name in ("type", "pt") and "type" in total:
                one = found[3 if name == "pt" else 0].reshape(ids.shape)
                total[f"jet_{name}"] = torch.where(jet, one, 0.0).sum(1)
            for part, one in zip(parts, summed, strict=False):
                part.append(one)
        s, expected, variance = (torch.stack(part).sum(dim=0) for part in parts)
        total["sum"], n = s, torch.ones_like(ids).sum(dim=1)
        total["mean"] = s / n.clamp(min=1)
        total["excess"] = (s - expected) / torch.sqrt(variance.clamp(min=1e-9))
        return total


@graph_of.register
def _(detector: MaskedTokenDetector) -> Graph:
    return _Masked(detector)


@graph_of.register
def _(detector: StrangerDetector) -> Graph:
    return Networks(detector)


class _Classifier(Graph):
    def __init__(self, detector: ClassifierDetector) -> None:
        super().__init__()
        self.model, self.plain = detector.fitted_model, {"kind": "classifier"}

    def forward(self, particles: Tensor, met: Tensor) -> Tensor:
        pt, eta, phi, energy, kind = particles.unbind(dim=2)
        logs = [one.clamp(min=SMALLEST).log() for one in (pt, energy)]
        numbers = torch.stack([logs[0], eta, phi.sin(), phi.cos(), logs[1]], dim=2)
        types = (kind[:, :, None] == torch.arange(len(PARTICLE_TYPES))).double()
        n = torch.ones_like(pt).sum(dim=1)
        missing, angle = met.unbind(dim=1)
        event = torch.stack([missing.log1p(), angle.sin(), angle.cos(), n.log1p()], dim=1)
        inputs = torch.cat([numbers, types], dim=2).float(), event.float()
        return self.model.of_one_multiplicity(*inputs).double()


@graph_of.register
def _(detector: DistortionDetector) -> Graph:
    return _Classifier(detector)


class _Combined(Graph):
    def __init__(self, detector: Combination) -> None:
        super().__init__()
        self.rule: Rule = detector.rule
        members = [graph_of(one) for one in detector.members]
        self.members = nn.ModuleList(members)
        fisher = self.rule == "fisher"
        self.tails = Tails(fitted(detector.tails_, detector)) if fisher else None
        self.curves = curves(detector.ranks_)
        self.spreads = [] if fisher else fitted(detector.spread_, detector).tolist()
        self.plain = {
            "tails": None if self.tails is None else self.tails.plain,
            "kind": "combination",
            "rule": self.rule,
            "members": [
                {"name": one.name, **graph.plain}
                for one, graph in zip(detector.members, members, strict=True)
            ],
        }

    def forward(self, particles: Tensor, met: Tensor) -> Tensor:
        if self.tails is not None:
            columns = [
                one.parts(particles, met)
                if isinstance(one, _Masked)
                else one(particles, met)[:, None]
                for one in self.members
            ]
            scores: Tensor = self.tails(torch.cat(columns, dim=1))
            return scores
        tails = []  # share of background beyond; 1 - rank
        lines = cast("Iterable[Curve]", self.curves)
        for member, curve, spread in zip(self.members, lines, self.spreads, strict=True):
            score, first, last = member(particles, met), curve.x[0], curve.x[-1]
            below = torch.clamp(first - score, min=0.0) / spread
            above = torch.clamp(score - last, min=0.0) / spread
            inside = 1 - torch.where(below > 0, curve.y[0] / (1 + below), curve(score))
            tails.append(torch.where(above > 0, (1 - curve.y[-1]) / (1 + above), inside))
        ranks = 1 - torch.stack(tails)
        if self.rule in ("and", "or"):
            return ranks.amin(dim=0) if self.rule == "and" else ranks.amax(dim=0)
        return ranks.prod(dim=0) if self.rule == "prod" else ranks.mean(dim=0)


@graph_of.register
def _(detector: Combination) -> Graph:
    return _Combined(detector)

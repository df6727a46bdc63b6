"""What plugs in as a model: plain data that builds it, and errors that name what is missing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.errors import OptionError, TokenError
from hepmtp.events.tokens import TokenBatch
from hepmtp.models import TokenModel, build
from hepmtp.models.masked import MaskedTokenModel, ModelOptions
from hepmtp.tokenizers.lookup import LookupTokenizer
from hepmtp.training.masking import TrainingOptions, tokens_to_predict, train

FACTORS = (("type", 2), ("MET", 3))
#: Two particles and three bins of MET.
DIGITS = np.array([[0, -1], [1, -1], [-1, 0], [-1, 1], [-1, 2]])


class Uniform(TokenModel):
    """Knows nothing; sets what it is told to set."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(1))
        for name, value in attributes.items():
            setattr(self, name, value)

    def log_probabilities(self, *given: Tensor | None) -> list[Tensor]:
        _, _, at, _ = given
        assert at is not None
        zeros = [self.nothing.expand(len(at), size) for _, size in self.heads]
        return [one.log_softmax(dim=1) for one in zeros]


class Silent(TokenModel):
    """Has no method that predicts."""

    def __init__(self) -> None:
        super().__init__()
        self.heads, self.targets, self.one_pass = FACTORS, DIGITS, True


@dataclass(frozen=True)
class Making:
    """Builds whatever it is given."""

    model: Any

    def build(self, *_: Any) -> TokenModel:
        model: TokenModel = self.model
        return model


def uniform(**changed: Any) -> Uniform:
    return Uniform(**{"heads": FACTORS, "targets": DIGITS, "one_pass": True, **changed})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (MaskedTokenModel(FACTORS, DIGITS), r"MaskedTokenModel is no ModelConfig, it lacks build"),
        (uniform(), r"Uniform is no ModelConfig, it lacks build: see hepmtp.models.ModelConfig"),
        (TrainingOptions(), r"TrainingOptions is no ModelConfig, it lacks build"),
        (None, r"NoneType is no ModelConfig, it lacks build"),
        (ModelOptions, r"ModelOptions'> is no dataclass with values: it could not be saved"),
    ],
)
def test_what_makes_no_model_is_refused_when_a_detector_is_made(config: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        MaskedTokenDetector(model=config)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Linear(2, 2), r"^Linear is no model: derive it from hepmtp.models.TokenModel$"),
        (ModelOptions(), r"^ModelOptions is no model: derive it from hepmtp.models.TokenModel$"),
        (Uniform(heads=FACTORS, one_pass=True), r"^Uniform lacks targets: see hepmtp.models.Tok"),
        (Uniform(), r"^Uniform lacks heads, targets, one_pass: see hepmtp.models.TokenModel$"),
        (Silent(), r"^Silent lacks log_probabilities: see hepmtp.models.TokenModel$"),
        (uniform(targets=DIGITS[:, :1]), r"with 2 heads, found int64 \(5, 1\)"),
        (uniform(targets=DIGITS.astype(float)), r"with 2 heads, found float64 \(5, 2\)"),
        (uniform(targets=DIGITS + 1), r"must be in 0\.\.size - 1 of a head, or -1, and no row -1"),
        (uniform(targets=np.full((5, 2), -1)), r"and no row -1 alone"),
    ],
)
def test_what_is_no_model_is_refused_before_training(model: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        build(Making(model), FACTORS, DIGITS)
    tokens = TokenBatch.from_counts([0, 4], [2])
    with pytest.raises(OptionError, match=message):
        train(model, tokens, tokens)


def test_a_model_of_another_vocabulary_is_refused() -> None:
    with pytest.raises(OptionError, match=r"Making.build gives a Uniform for 3 ids, .* has 5"):
        build(Making(uniform(targets=DIGITS[:3])), FACTORS, DIGITS)


def test_a_detector_is_fitted_with_a_model_alone(background: Any) -> None:
    with pytest.raises(OptionError, match=r"Linear is no model"):
        MaskedTokenDetector(model=Making(nn.Linear(2, 2))).fit(background)


def test_options_build_the_transformer() -> None:
    options = ModelOptions(width=8, heads=2)
    model = build(options, FACTORS, DIGITS)
    assert isinstance(model, MaskedTokenModel)
    assert model.options == options
    assert ModelOptions(**asdict(options)) == options


def test_kinds_follow_from_heads_and_targets() -> None:
    model = build(Making(uniform()), FACTORS, DIGITS)
    assert model.kinds == ("particle", "MET")
    assert model.kind_of.tolist() == [0, 0, 1, 1, 1]
    assert model.mask_ids(np.array([0, 4, 1])).tolist() == [5, 6, 5]
    assert model.is_kind(["MET"], np.array([0, 4, 1])).tolist() == [False, True, False]
    with pytest.raises(TokenError, match=r"ids must lie in 0\.\.4, found 5\.\.5"):
        model.is_kind(["MET"], np.array([5]))


def test_one_softmax_over_all_ids_has_one_kind() -> None:
    whole = uniform(heads=(("token", 5),), targets=np.arange(5)[:, None])
    model = build(Making(whole), FACTORS, DIGITS)
    assert model.kinds == ("particle",)
    assert model.mask_ids(np.arange(5)).tolist() == [5] * 5
    tokens = TokenBatch.from_counts([0, 4, 1], [2, 1])
    rng = np.random.default_rng(1)
    assert tokens_to_predict(model, tokens, TrainingOptions(), rng).all()


def test_a_detector_has_the_forms_of_its_model(background: Any) -> None:
    @dataclass(frozen=True)
    class Whole:
        """One softmax over all ids."""

        def build(self, _: Any, digits: np.ndarray) -> TokenModel:
            targets = np.arange(len(digits))[:, None]
            return uniform(heads=(("token", len(digits)),), targets=targets)

    detector = MaskedTokenDetector(
        LookupTokenizer(), Whole(), TrainingOptions(epochs=1), tail_events=200
    )
    assert detector.forms == ("joined", "sum", "mean", "excess", "token")
    some = detector.fit(background).with_score("mean").score(background[:20])
    np.testing.assert_allclose(some, np.log(885), rtol=1e-6)

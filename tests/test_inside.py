"""What a masked-token model has learned: attention, embeddings, confusions, against slow passes."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import pytest
import torch

from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.detectors.masked_token.inside import (
    attention_of,
    confusion_of,
    embeddings_of,
    told_by,
)
from hepmtp.detectors.observables import Observable
from hepmtp.errors import NotFittedError, OptionError, TokenError
from hepmtp.events.tokens import TokenBatch
from hepmtp.models.attention_weights import Watched
from hepmtp.models.marginal import MarginalOptions
from hepmtp.models.masked import ModelOptions
from hepmtp.tokenizers.lookup import LookupTokenizer
from hepmtp.tokenizers.particles_then_met import ParticleTokenizer
from hepmtp.training.masking import TrainingOptions

HEADS, LAYERS, WIDTH = 2, 3, 8


def tiny(model: Any = None, **options: Any) -> MaskedTokenDetector:
    shape = ModelOptions(width=WIDTH, feedforward=8, layers=LAYERS, heads=HEADS, **options)
    tokenizer = LookupTokenizer(pt_bins=4, eta_bins=3, phi_bins=0, met_bins=3, met_phi_bins=0)
    return MaskedTokenDetector(tokenizer, model or shape, TrainingOptions(epochs=1), tail_events=50)


@pytest.fixture(scope="module")
def fitted(few: Any) -> dict[str, MaskedTokenDetector]:
    return {kind: tiny(attention=kind).fit(few) for kind in ("leave_one_out", "full")}


@pytest.fixture(scope="module")
def shown(background: Any) -> Any:
    """Two events as they are and one without particles, which has its MET token alone."""
    some = background[400:402]
    return ak.concatenate([some, ak.with_field(some[:1], some[:1].Particle[:, :0], "Particle")])


@pytest.mark.parametrize("kind", ["all", "masked", "causal"])
def test_weights_are_those_of_the_call(kind: str) -> None:
    q, k, v = torch.randn(3, 2, 4, 5, generator=torch.Generator().manual_seed(1)).unbind(0)
    seen = ~torch.eye(4, dtype=torch.bool) if kind == "masked" else None
    with Watched() as watched:
        out = torch.nn.functional.scaled_dot_product_attention(
            q, k, v, seen, is_causal=kind == "causal"
        )
    torch.testing.assert_close(watched.seen[0] @ v, out)
    assert watched.seen[0].count_nonzero() == 2 * {"all": 16, "masked": 12, "causal": 10}[kind]


def heads_apart(x: torch.Tensor) -> torch.Tensor:
    return x.reshape(len(x), HEADS, -1).transpose(0, 1)  # (heads, n, width of a head)


def softmaxed(q: torch.Tensor, k: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    logits = heads_apart(q) @ heads_apart(k).transpose(1, 2) / (WIDTH / HEADS) ** 0.5
    return torch.softmax(torch.where(seen, logits, -torch.inf), dim=2)


def slowly(model: Any, ids: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Weights of each layer, (heads, n, 1 + n), and hidden features of a leave-one-out pass."""
    table = model.design @ model.embedding
    x, memory = table[model.own_mask[ids]], torch.cat([model.null, table[ids]])
    others = ~torch.eye(1 + len(ids), dtype=torch.bool)[1:]
    weights = []
    for block in model.blocks:
        memory = memory + block.linear2(
            torch.nn.functional.gelu(block.linear1(block.norm2(memory)))
        )
        attention = block.attention
        q = attention.qkv(block.norm1(x))[:, :WIDTH]
        k, v = attention.qkv(block.norm1(memory))[:, WIDTH:].chunk(2, dim=1)
        weights.append(softmaxed(q, k, others))
        heard = (weights[-1] @ heads_apart(v)).transpose(0, 1).reshape(len(x), WIDTH)
        x = x + attention.out(heard)
        x = x + block.linear2(torch.nn.functional.gelu(block.linear1(block.norm2(x))))
    return weights, model.norm(x)


def test_leave_one_out_weights_are_those_of_the_pass_that_scores(
    fitted: dict[str, MaskedTokenDetector], shown: Any
) -> None:
    detector = fitted["leave_one_out"]
    model: Any = detector.fitted_model
    found, tokens = attention_of(detector, shown), detector.tokenizer.encode(shown)
    assert [one.weights.shape[2:] for one in found] == [(n, n) for n in tokens.counts]
    for i, one in enumerate(found):
        event = tokens.select([i])
        with torch.no_grad():
            weights, hidden = slowly(model, torch.as_tensor(event.values))
            of_model = model.predict(event, np.arange(len(event.values)))
        # the slow pass is the model's: it predicts the same
        for slow, fast in zip(model.classify(hidden), of_model, strict=True):
            torch.testing.assert_close(slow, fast, atol=1e-5, rtol=1e-4)
        np.testing.assert_allclose(one.null, torch.stack(weights)[..., 0].detach(), atol=1e-6)
        np.testing.assert_allclose(one.weights, torch.stack(weights)[..., 1:].detach(), atol=1e-6)
        assert (np.diagonal(one.weights, axis1=2, axis2=3) == 0).all()
        np.testing.assert_allclose(one.weights.sum(axis=3) + one.null, 1, rtol=1e-5)
    assert (found[2].null == 1).all()  # MET alone: nothing to look at


def test_full_weights_are_those_of_each_token_hidden_in_turn(
    fitted: dict[str, MaskedTokenDetector], shown: Any
) -> None:
    detector = fitted["full"]
    model: Any = detector.fitted_model
    tokens = detector.tokenizer.encode(shown)
    for i, one in enumerate(attention_of(detector, shown)):
        ids = tokens.select([i]).values
        n = len(ids)
        assert one.weights.shape == (LAYERS, HEADS, n, n)
        assert (one.null == 0).all()
        for hidden in range(n):
            seen = ids.copy()
            seen[hidden] = model.mask_ids(ids[[hidden]])[0]
            x = (model.design @ model.embedding)[torch.as_tensor(seen)]
            for layer, block in enumerate(model.blocks):
                q, k, v = block.attention.qkv(block.norm1(x)).chunk(3, dim=1)
                weights = softmaxed(q, k, torch.ones(n, n, dtype=torch.bool))
                np.testing.assert_allclose(
                    one.weights[layer, :, hidden], weights[:, hidden].detach(), atol=1e-6
                )
                heard = (weights @ heads_apart(v)).transpose(0, 1).reshape(n, WIDTH)
                x = x + block.attention.out(heard)
                x = x + block.linear2(torch.nn.functional.gelu(block.linear1(block.norm2(x))))


def test_looking_changes_no_score(fitted: dict[str, MaskedTokenDetector], shown: Any) -> None:
    for detector in fitted.values():
        before = detector.score(shown)
        attention_of(detector, shown)
        np.testing.assert_array_equal(detector.score(shown), before)


def test_embeddings_add_up_to_what_the_model_reads(
    fitted: dict[str, MaskedTokenDetector],
) -> None:
    detector = fitted["leave_one_out"]
    model: Any = detector.fitted_model
    found = embeddings_of(detector)
    assert {name: one.shape for name, one in found.items()} == {
        "type": (7, WIDTH), "pt": (4, WIDTH), "eta": (3, WIDTH), "MET": (3, WIDTH),
    }  # fmt: skip
    table = (model.design @ model.embedding).detach().numpy()
    kind, pt, eta, _ = detector.tokenizer.digits[17]
    np.testing.assert_allclose(
        found["type"][kind] + found["pt"][pt] + found["eta"][eta], table[17], rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(found["MET"][1], table[7 * 4 * 3 + 1], rtol=1e-6)


@pytest.mark.parametrize("kind", ["leave_one_out", "full"])
def test_what_is_heard_is_what_attention_adds_up(
    fitted: dict[str, MaskedTokenDetector], kind: str
) -> None:
    detector = fitted[kind]
    model: Any = detector.fitted_model
    first = model.blocks[0]
    ids = torch.tensor([3, 40, 77, 85])
    x = (model.design @ model.embedding)[ids]
    x = first.norm1(first._each_alone(x) if kind == "leave_one_out" else x)
    v = heads_apart(first.attention.qkv(x)[:, 2 * WIDTH :])
    one_hot = torch.eye(4).expand(HEADS, 4, 4)  # each token looks at itself alone
    alone = first.attention.out((one_hot @ v).transpose(0, 1).reshape(4, WIDTH))
    torch.testing.assert_close(told_by(model)[ids], alone)
    found, told = embeddings_of(detector, heard=True), told_by(model).numpy()
    digits = detector.tokenizer.digits
    np.testing.assert_allclose(found["pt"][2], told[digits[:, 1] == 2].mean(axis=0), rtol=1e-5)
    assert found["MET"].shape == (3, WIDTH)


def test_confusions_count_each_token_once_and_name_bins_in_gev(
    fitted: dict[str, MaskedTokenDetector], background: Any
) -> None:
    detector, events = fitted["leave_one_out"], background[:50]
    tokenizer: Any = detector.tokenizer
    tokens = tokenizer.encode(events)
    heads = [name for name, _ in detector.fitted_model.heads]
    for head in ("MET", "type", "pt"):
        found = confusion_of(detector, events, head)
        true = detector.fitted_model.targets[tokens.values, heads.index(head)]
        assert found.counts.sum(axis=1).tolist() == np.bincount(true[true >= 0]).tolist()
        assert found.labels == tokenizer.labels(head)
    met = confusion_of(detector, events, "MET")
    alone = met.counts * 0
    for i in range(50):  # event by event, by the model itself
        event: TokenBatch = tokens.select([i])
        with torch.no_grad():
            log_p = detector.fitted_model.predict(event, np.array([len(event.values) - 1]))
        alone[event.values[-1] - 7 * 4 * 3, int(log_p[heads.index("MET")].argmax())] += 1
    assert met.counts.tolist() == alone.tolist()
    low, high = tokenizer.met_.edges
    assert met.labels == [f"< {low:.0f}", f"{low:.0f}-{high:.0f}", f"> {high:.0f}"]


def test_labels_of_digits() -> None:
    tokenizer = LookupTokenizer(phi_bins=2, met_phi_bins=4)
    assert tokenizer.labels("type") == list(tokenizer.types)
    assert tokenizer.labels("phi") == ["-1 to 0 pi", "0 to 1 pi"]
    assert tokenizer.labels("METphi")[3] == "0.5 to 1 pi"
    with pytest.raises(NotFittedError, match="LookupTokenizer"):
        tokenizer.labels("pt")
    with pytest.raises(TokenError, match=r"ids are made of type, pt, eta, phi, MET, METphi, not"):
        tokenizer.labels("colour")
    with pytest.raises(TokenError, match=r"ids are made of type, pt, eta, MET, not of 'phi'"):
        LookupTokenizer(phi_bins=0, met_phi_bins=0).labels("phi")
    # a factor that nobody has words for has numbers
    assert ParticleTokenizer.labels(LookupTokenizer(pt_bins=3), "pt") == ["0", "1", "2"]


def test_what_has_no_inside_is_refused(
    few: Any, fitted: dict[str, MaskedTokenDetector], shown: Any
) -> None:
    ht = Observable("ht").fit(few)
    for ask in (embeddings_of, lambda one: attention_of(one, shown)):
        with pytest.raises(OptionError, match="Observable does not predict particles"):
            ask(ht)
        with pytest.raises(NotFittedError, match="MaskedTokenDetector"):
            ask(tiny())
        with pytest.raises(OptionError, match="MarginalModel is no MaskedTokenModel"):
            ask(tiny(MarginalOptions()).fit(few))
    with pytest.raises(OptionError, match=r"predicts type, pt, eta, MET, not 'colour'"):
        confusion_of(fitted["full"], shown, "colour")

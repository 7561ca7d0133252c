"""Each class loss and its gradients against its paper's formula in loops."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tests.training.losses import naive
from training.classifier import class_block
from training.losses import HeadLoss, build_loss
from training.losses.class_losses import CentreSpread, CrossEntropy

CLASSES, D = 4, 6
LABELS = [0, 2, 2, 3, 0]


def features(seed: int = 1) -> Tensor:
    """Of all lengths, as a network gives them."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(len(LABELS), D, generator=generator, dtype=torch.float64)
    return (x * torch.tensor([[0.2], [1.0], [3.0], [7.0], [0.5]], dtype=torch.float64)).requires_grad_()


def weights(loss: HeadLoss) -> nn.Parameter:
    (parameter,) = loss.double().parameters()
    return parameter


Formula = Callable[[Tensor, Tensor], Tensor]

FORMULAS: dict[str, tuple[dict[str, float], Formula]] = {
    "norm_softmax": ({}, lambda x, w: naive.norm_softmax(x, LABELS, w.T, 0.05)),
    "proxy_nca++": ({}, lambda x, w: naive.proxy_nca_pp(x, LABELS, w, 1 / 9)),
    "proxy_anchor": ({}, lambda x, w: naive.proxy_anchor(x, LABELS, w, 32, 0.1)),
    "soft_triple": (
        {"centres": 3},
        lambda x, w: naive.soft_triple(x, LABELS, w.T.view(CLASSES, 3, D), 20, 0.1, 0.01, 0.2),
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_loss_and_gradients_are_those_of_the_paper(name: str) -> None:
    settings, formula = FORMULAS[name]
    torch.manual_seed(0)
    loss = build_loss(name, D, CLASSES, settings)
    own, x = weights(loss), features()
    value, logits = loss(x, torch.tensor(LABELS))
    expected = formula(x, own)
    assert value.item() == pytest.approx(expected.item(), rel=1e-4 if name == "soft_triple" else 1e-9)
    assert logits is not None
    assert logits.shape == (len(LABELS), CLASSES)
    got, wanted = (torch.autograd.grad(result, [x, own]) for result in (value, expected))
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["norm_softmax", "proxy_nca++", "proxy_anchor", "soft_triple"])
def test_logits_name_the_nearest_class_and_ignore_the_feature_length(name: str) -> None:
    loss = build_loss(name, D, CLASSES, {"centres": 1} if name == "soft_triple" else {})
    proxies = torch.eye(CLASSES, D) if name in ("proxy_nca++", "proxy_anchor") else torch.eye(D, CLASSES)
    (own,) = loss.parameters()
    own.data = proxies
    x = 5 * torch.eye(CLASSES, D)[[3, 1, 0]] + torch.rand(3, D)
    _, logits = loss(x, torch.tensor([3, 1, 0]))
    assert logits.argmax(1).tolist() == [3, 1, 0]
    torch.testing.assert_close(loss(9 * x, torch.tensor([3, 1, 0]))[1], logits)


def test_cross_entropy_starts_and_computes_as_the_plain_layers() -> None:
    x, y = torch.randn(5, 7), torch.tensor(LABELS)
    torch.manual_seed(3)
    loss = build_loss("cross_entropy", 7, CLASSES, {}, hidden=True)
    torch.manual_seed(3)
    block = class_block(7, CLASSES)
    for a, b in zip(loss.state_dict().values(), block.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    torch.manual_seed(4)
    value, logits = loss(x, y)
    torch.manual_seed(4)
    assert torch.equal(logits, block(x))
    assert torch.equal(value, nn.functional.cross_entropy(logits, y))
    plain = build_loss("cross_entropy", 7, CLASSES, {}, hidden=False)
    assert isinstance(plain, CrossEntropy)
    assert isinstance(plain.classifier, nn.Linear)


def test_a_far_image_at_a_low_temperature_keeps_its_loss() -> None:
    """The logarithm of a softmax that has become zero would drop the hardest image."""
    loss = build_loss("proxy_nca++", D, 2, {"temperature": 0.01})
    (own,) = loss.parameters()
    own.data = torch.stack([torch.eye(D)[0], -torch.eye(D)[0]])
    value, _ = loss(torch.eye(D)[:1], torch.tensor([1]))
    assert value.item() == pytest.approx(4 / 0.01)  # opposite vectors: squared distance 4


def test_proxies_start_as_in_the_authors_code() -> None:
    torch.manual_seed(0)
    spread = {name: next(build_loss(name, 400, 500, {}).parameters()) for name in FORMULAS}
    assert spread["proxy_nca++"].std().item() == pytest.approx(1 / 8, rel=0.02)
    assert spread["norm_softmax"].abs().max().item() == pytest.approx(1 / math.sqrt(400), rel=0.001)
    assert spread["proxy_anchor"].std().item() == pytest.approx(math.sqrt(2 / 500), rel=0.02)  # He, fan-out
    assert spread["soft_triple"].shape == (400, 500 * 10)


def test_the_spread_of_centres_is_zero_when_they_have_met_and_its_slope_finite() -> None:
    met = torch.randn(3, 1, 5).expand(3, 4, 5).reshape(12, 5).clone().requires_grad_()
    value = CentreSpread(4)(met)
    assert value.item() < 0.01
    value.backward()
    assert met.grad is not None
    assert torch.isfinite(met.grad).all()


def test_one_centre_a_class_needs_no_spread() -> None:
    value, _ = build_loss("soft_triple", D, CLASSES, {"centres": 1})(features().float(), torch.tensor(LABELS))
    assert torch.isfinite(value)


@pytest.mark.parametrize("name", ["cross_entropy", *FORMULAS])
def test_half_precision_features_are_computed_in_single_precision(name: str) -> None:
    torch.manual_seed(0)
    loss, x, y = build_loss(name, D, CLASSES, {}), features().float(), torch.tensor(LABELS)
    half = x.detach().bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value, logits = loss(half, y)
    assert value.dtype == logits.dtype == torch.float32
    torch.testing.assert_close(value, loss(half.float(), y)[0], rtol=0, atol=0)

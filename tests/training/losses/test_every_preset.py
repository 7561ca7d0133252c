"""Every loss trains a step on every preset."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from retrieval.networks import PRESETS, Ensemble, build_ensemble, preset_spec
from training.losses import LOSSES, build_loss

CLASSES = 3
LABELS = torch.tensor([0, 0, 1, 1, 2, 2])


@cache
def network(preset: str) -> tuple[Ensemble, tuple[torch.Tensor, ...]]:
    """A network and its features of one batch, once for all losses."""
    torch.manual_seed(0)
    built = build_ensemble(preset_spec(preset, "efficientnet_lite0"), weights=None)
    # Alike enough for every loss to find something to push apart.
    images = torch.randn(3, 40, 40) + 0.3 * torch.randn(len(LABELS), 3, 40, 40)
    return built, built(images)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("preset", PRESETS)
def test_a_step_has_a_finite_gradient_for_every_weight(preset: str, name: str) -> None:
    built, features = network(preset)
    torch.manual_seed(1)
    losses = [
        build_loss(name, size, CLASSES, {}, hidden=head.classifier_block)
        for size, head in zip(built.feature_sizes, built.spec.heads, strict=True)
    ]
    values = [loss(feature, LABELS)[0] for loss, feature in zip(losses, features, strict=True)]
    total = torch.stack(values).sum()
    assert torch.isfinite(total)
    torch.autograd.backward(total, retain_graph=True)
    own = [parameter for loss in losses for parameter in loss.parameters()]
    for parameter in (*built.parameters(), *own):
        assert parameter.grad is not None
        assert torch.isfinite(parameter.grad).all()
    first = next(built.parameters()).grad
    assert first is not None
    assert first.abs().sum() > 0
    built.zero_grad()

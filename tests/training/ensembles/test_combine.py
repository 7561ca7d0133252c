"""The table's defaults, what is refused, and that every way to join heads trains on its network."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from retrieval.errors import UserError
from retrieval.networks import PRESETS, build_ensemble, preset_spec
from training.ensembles.combine import COMBINERS, build_combined, check_combiner

PUBLISHED = {
    "cascade": {"margin": 1, "second_share": 0.5, "third_share": 0.2},
    "boosted": {"scale": 2, "threshold": 0.5, "negative_cost": 25, "adversary": 0.01, "hidden": 512},
    "divergent": {"margin": 1, "divergence": 1, "divergence_margin": 1},
    "meta_classes": {"meta_classes": 12, "scale": 1},
}
LABELS = torch.arange(4).repeat_interleave(3)


def settings_for(name: str) -> dict[str, bool | int | float]:
    """Four classes are too few for the default of one of them."""
    return {"meta_classes": 2} if name == "meta_classes" else {}


def images(step: int = 0) -> Tensor:
    """Three views of each of four random pictures, with other noise in each step."""
    pictures = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(77))
    generator = torch.Generator().manual_seed(step)
    return pictures[LABELS] + 0.5 * torch.randn(len(LABELS), 3, 32, 32, generator=generator)


def test_the_defaults_are_the_published_settings() -> None:
    assert {name: row.defaults for name, row in COMBINERS.items()} == PUBLISHED
    for name, row in COMBINERS.items():
        check_combiner(name, row.defaults)
        assert row.preset in PRESETS
        assert row.images_per_class != 1


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("stacked", {}, "combine must be one of cascade, boosted, divergent, meta_classes; got 'stacked'"),
        ("cascade", {"share": 1}, "combine cascade has no setting 'share'; its settings are margin, second"),
        ("cascade", {"second_share": 0}, "combine cascade: second_share must be > 0; got 0"),
        ("cascade", {"third_share": 1.5}, "third_share must be <= 1; got 1.5"),
        ("boosted", {"hidden": 1.5}, "hidden must be a whole number; got 1.5"),
        ("boosted", {"adversary": -1}, "adversary must be >= 0; got -1"),
        ("divergent", {"margin": True}, "margin must be a number; got True"),
        ("meta_classes", {"meta_classes": 1}, "meta_classes must be >= 2; got 1"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(
    name: str, settings: dict[str, bool | int | float], message: str
) -> None:
    for attempt in (
        lambda: check_combiner(name, settings),
        lambda: build_combined(name, (8, 8), 20, settings, seed=0),
    ):
        with pytest.raises(UserError, match=message) as raised:
            attempt()
        assert "\n" not in str(raised.value)


def test_more_meta_classes_than_classes_are_refused() -> None:
    with pytest.raises(UserError, match=r"12 meta classes cannot be made of 4 training classes; set .* to 4"):
        build_combined("meta_classes", (8, 8), 4, {}, seed=0)


@pytest.mark.parametrize("name", COMBINERS)
def test_one_head_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=f"combine {name} joins heads, but the network has one; use a preset"):
        build_combined(name, (8,), 20, {}, seed=0)


@pytest.mark.parametrize("name", COMBINERS)
@pytest.mark.parametrize("preset", [preset for preset in PRESETS if preset not in ("single", "pruned")])
def test_a_step_reaches_the_whole_network_of_every_preset(preset: str, name: str) -> None:
    torch.manual_seed(0)
    network = build_ensemble(preset_spec(preset, "mobilenet_v3_small"), weights=None)
    objective = build_combined(name, network.feature_sizes, 4, settings_for(name), seed=0)
    result = objective(network(images()), LABELS)
    assert result.logits == (None,) * len(network.heads)
    torch.autograd.backward(result.loss)
    for parameter in (*network.parameters(), *objective.parameters()):
        assert parameter.grad is not None
        assert torch.isfinite(parameter.grad).all()
    assert all(any(p.grad.any() for p in head.parameters() if p.grad is not None) for head in network.heads)


@pytest.mark.parametrize("name", COMBINERS)
def test_the_loss_falls_on_its_own_network(name: str) -> None:
    torch.manual_seed(0)
    spec = preset_spec(COMBINERS[name].preset, "mobilenet_v3_small")
    network = build_ensemble(replace(spec, heads=spec.heads[:3]), weights=None)
    objective = build_combined(name, network.feature_sizes, 4, settings_for(name), seed=0)
    optimiser = torch.optim.SGD([*network.parameters(), *objective.parameters()], lr=0.02, momentum=0.9)
    losses = []
    for step in range(10):
        loss = objective(network(images(step)), LABELS).loss
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        losses.append(loss.item())
    assert sum(losses[-3:]) < 0.7 * sum(losses[:3])


@pytest.mark.parametrize("name", COMBINERS)
def test_half_precision_features_give_a_single_precision_loss(name: str) -> None:
    torch.manual_seed(0)
    objective = build_combined(name, (8, 8, 8), 4, settings_for(name), seed=0)
    features = tuple(torch.randn(12, 8) for _ in range(3))
    halves = tuple(feature.bfloat16() for feature in features)
    with torch.autocast("cpu", torch.bfloat16):
        half = objective(halves, LABELS).loss
    whole = objective(tuple(feature.float() for feature in halves), LABELS).loss
    torch.testing.assert_close(half, whole)

"""Frozen low groups: same weights, same statistics, no gradient."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from retrieval.networks import HeadSpec, build_ensemble, preset_spec
from training.freezing import freeze, frozen_parts, hold, norms, only_new_layers
from training.sections.network import FrozenGroup


@pytest.mark.parametrize(
    ("until", "prefixes"), [("stem", ("trunk.stem",)), ("B1", ("trunk.stem", "trunk.groups.B1"))]
)
def test_only_what_is_frozen_stays_as_it_is(until: FrozenGroup, prefixes: tuple[str, ...]) -> None:
    torch.manual_seed(0)
    network = build_ensemble(preset_spec("hdhe", "mobilenet_v3_small"), weights=None)
    parts = frozen_parts(network, until)
    freeze(parts)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimiser = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    network.train()
    hold(parts)
    features = network(torch.randn(4, 3, 32, 32))
    torch.autograd.backward([feature.square().mean() for feature in features])
    optimiser.step()
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert not any(name.startswith(prefixes) for name in changed)
    rest = [name for name in before if not name.startswith(prefixes) and name.endswith("running_mean")]
    assert rest
    assert set(rest) <= changed


def test_none_freezes_nothing() -> None:
    network = build_ensemble(preset_spec("single", "resnet18"), weights=None)
    assert frozen_parts(network, "none") == []


def test_warming_up_trains_only_new_layers_and_then_the_rest() -> None:
    torch.manual_seed(0)
    spec = preset_spec("hdhe", "mobilenet_v3_small")
    heads = tuple(replace(head, reduction="linear", pool="gem") for head in spec.heads)
    network = build_ensemble(replace(spec, heads=heads), weights=None)
    frozen = frozen_parts(network, "stem")
    freeze(frozen)

    def step(*, on: bool) -> set[str]:
        before = {name: value.clone() for name, value in network.state_dict().items()}
        network.train()
        hold(frozen)
        only_new_layers(network, frozen, on=on)
        optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
        features = network(torch.randn(4, 3, 64, 64))
        torch.autograd.backward([(feature - 1).square().mean() for feature in features])
        optimiser.step()
        now = network.state_dict()
        return {name for name, value in before.items() if not torch.equal(value, now[name])}

    warming = step(on=True)
    assert warming
    assert {name.split(".")[2] for name in warming} <= {"pool", "reduction"}
    after = step(on=False)
    assert any(name.startswith("trunk.groups.B1") for name in after)
    assert not any(name.startswith("trunk.stem") for name in after)


def test_held_norms_are_those_that_came_with_the_weights() -> None:
    spec = preset_spec("single", "resnet18")
    network = build_ensemble(
        replace(spec, heads=(HeadSpec(reduction="linear", attention=True),)), weights=None
    )
    found = norms(network)
    # ResNet-18 has 20 of them; attention's own and the linear layer's learn.
    assert len(found) == 20
    network.train()
    hold(found)
    before = network.get_buffer("trunk.groups.B1.0.bn1.running_mean").clone()
    network(torch.randn(4, 3, 64, 64) + 3)
    assert torch.equal(network.get_buffer("trunk.groups.B1.0.bn1.running_mean"), before)

"""Frozen low groups: same weights, same statistics, no gradient."""

from __future__ import annotations

import pytest
import torch

from retrieval.networks import build_ensemble, preset_spec
from training.freezing import freeze, frozen_parts, hold
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

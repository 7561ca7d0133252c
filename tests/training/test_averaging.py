"""The moving average against the recursion written out."""

from __future__ import annotations

import torch

from retrieval.networks import build_ensemble, preset_spec
from training.averaging import WeightAverage


def test_it_follows_the_recursion_and_survives_a_round_trip() -> None:
    torch.manual_seed(0)
    network = build_ensemble(preset_spec("single", "resnet18"), weights=None)
    norm = next(name for name, _ in network.named_buffers()).removesuffix("running_mean")
    name = "trunk.groups.B1.0.conv1.weight"
    average = WeightAverage(network, decay=0.9)
    expected: torch.Tensor | None = None
    for step in range(12):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter))
            network.get_buffer(norm + "running_mean").add_(1.0)
            network.get_buffer(norm + "num_batches_tracked").add_(1)
        average.update(network)
        now = network.state_dict()[name].clone()
        decay = min(0.9, (1 + step) / (10 + step))
        expected = now if expected is None else decay * expected + (1 - decay) * now
        if step == 5:
            copy = WeightAverage(network, decay=0.9)
            copy.load_state_dict(average.state_dict())
            average = copy
    assert expected is not None
    state = average.network.state_dict()
    torch.testing.assert_close(state[name], expected)
    assert 0 < float(state[norm + "running_mean"][0]) < 12, "batch norm's statistics are averaged too"
    assert int(state[norm + "num_batches_tracked"]) == 12
    assert not torch.equal(state[name], network.state_dict()[name])

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from tests.training.two_processes import TwoProcesses
from training.batch_part import BatchPart
from training.synced_norms import FusedBatchNorm2d, SyncedBatchNorm2d, synchronise_norms


def network(momentum: float | None) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, momentum=momentum), nn.Tanh(), nn.Flatten(), nn.BatchNorm1d(16)
    ).double()


def compared(momentum: float | None, images: int) -> float:
    """The largest difference, to torch's own norms on the whole batch, of all that comes of two steps."""
    one = network(momentum)
    many = deepcopy(one)
    synchronise_norms(many, fused=False)
    assert isinstance(many[1], SyncedBatchNorm2d)
    assert many[1].weight is many.get_parameter("1.weight")
    part = BatchPart.of(images, dist.get_rank(), 2)
    apart = 0.0
    for seed in (1, 2):
        torch.manual_seed(seed)
        x = torch.randn(images, 3, 4, 4, dtype=torch.float64)
        ours = part.gather(many(x[part.own]))
        theirs = one(x)
        (ours @ ours.T).sin().mean().backward()  # type: ignore[no-untyped-call]  # torch's
        (theirs @ theirs.T).sin().mean().backward()
        apart = max(apart, float((ours - theirs).abs().max().detach()))
    for a, b in zip(many.parameters(), one.parameters(), strict=True):
        assert a.grad is not None
        assert b.grad is not None
        dist.all_reduce(a.grad)
        apart = max(apart, float((a.grad / 2 - b.grad).abs().max()))
    for value, expected in zip(many.buffers(), one.buffers(), strict=True):
        apart = max(apart, float((value - expected).abs().max()))
    many.eval()
    one.eval()
    return max(apart, float((many(x) - one(x)).abs().max().detach()))


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("images", [6, 5, 2])
def test_two_processes_see_the_norms_of_one(momentum: float | None, images: int, both: TwoProcesses) -> None:
    assert max(both.run(compared, momentum, images)) < 1e-9


def twice(images: int) -> float:
    """The difference of the gradient of a gradient with respect to the images."""
    one = network(0.1)
    many = deepcopy(one)
    synchronise_norms(many, fused=False)
    torch.manual_seed(1)
    x = torch.randn(images, 3, 4, 4, dtype=torch.float64)
    part = BatchPart.of(images, dist.get_rank(), 2)

    def curve(module: nn.Module, x: Tensor) -> Tensor:
        x = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(module(x).sin().sum(), x, create_graph=True)
        (found,) = torch.autograd.grad(slope.square().sum(), x)
        return found

    return float((curve(many, x[part.own]) - curve(one, x)[part.own]).abs().max())


def test_they_may_be_differentiated_twice(both: TwoProcesses) -> None:
    assert max(both.run(twice, 5)) < 1e-9


def fused() -> tuple[bool, bool, list[str]]:
    many = network(0.1)
    synchronise_norms(many, fused=True)
    return isinstance(many[1], nn.SyncBatchNorm), isinstance(many[1], nn.BatchNorm2d), list(many.state_dict())


def test_on_a_gpu_they_are_torchs_own(both: TwoProcesses) -> None:
    assert both.run(fused) == [(True, True, list(network(0.1).state_dict()))] * 2
    assert FusedBatchNorm2d.forward is nn.SyncBatchNorm.forward


def test_one_process_keeps_its_norms() -> None:
    alone = network(0.1)
    synchronise_norms(alone, fused=False)
    assert type(alone[1]) is nn.BatchNorm2d

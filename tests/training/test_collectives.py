from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from tests.training.two_processes import TwoProcesses
from training.collectives import gather_rows, process_count, sum_over_processes

ROWS = torch.arange(20, dtype=torch.float64).view(5, 4).sin()
SIZES = (3, 2)


def own_rows() -> Tensor:
    return ROWS[:3] if dist.get_rank() == 0 else ROWS[3:]


def gathered() -> tuple[Tensor, Tensor, Tensor]:
    rows = own_rows().clone().requires_grad_()
    every = gather_rows(rows, SIZES)
    (every @ every.T).exp().sum().backward()  # type: ignore[no-untyped-call]  # torch's
    assert rows.grad is not None
    labels = gather_rows(torch.arange(5)[slice(3) if dist.get_rank() == 0 else slice(3, 5)], SIZES)
    return every.detach(), rows.grad, labels


def test_rows_of_both_and_the_gradient_of_what_both_compute(both: TwoProcesses) -> None:
    whole = ROWS.clone().requires_grad_()
    (whole @ whole.T).exp().sum().backward()  # type: ignore[no-untyped-call]  # torch's
    assert whole.grad is not None
    (first, own, labels), (second, others, _) = both.run(gathered)
    assert torch.equal(first, ROWS)
    assert torch.equal(second, ROWS)
    # The mean over processes of a parameter's gradient is then that of one process.
    torch.testing.assert_close(torch.cat([own, others]) / 2, whole.grad)
    assert labels.tolist() == [0, 1, 2, 3, 4]


def summed() -> tuple[Tensor, Tensor]:
    x = own_rows().clone().requires_grad_()
    total = sum_over_processes(x.square().sum())
    (slope,) = torch.autograd.grad((total * x).sum(), x, create_graph=True)
    (curve,) = torch.autograd.grad(slope.exp().sum(), x)
    return slope.detach(), curve


def test_a_sum_may_be_differentiated_twice(both: TwoProcesses) -> None:
    x = ROWS.clone().requires_grad_()
    (slope,) = torch.autograd.grad((x.square().sum() * x).sum(), x, create_graph=True)
    (curve,) = torch.autograd.grad(slope.exp().sum(), x)
    found = both.run(summed)
    torch.testing.assert_close(torch.cat([each[0] for each in found]), slope.detach())
    torch.testing.assert_close(torch.cat([each[1] for each in found]), curve)


def test_one_process_is_left_alone() -> None:
    x = torch.ones(3)
    assert process_count() == 1
    assert sum_over_processes(x) is x
    assert gather_rows(x, (3,)) is x

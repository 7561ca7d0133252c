"""Sums and gatherings over the processes of a run that gradients flow through.

One rule holds for all of training: the loss of the whole batch is the mean over processes of the processes' losses, as
its gradient is the mean over processes of theirs (DistributedDataParallel takes that mean). In one process nothing
here does anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def process_count() -> int:
    """Processes of this run; 1 where it was started as one."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def sum_over_processes(x: Tensor) -> Tensor:
    """The sum of every process's x, of one shape in all of them; may be differentiated any number of times."""
    if process_count() == 1:
        return x
    result: Tensor = _Sum.apply(x)
    return result


def gather_rows(rows: Tensor, sizes: Sequence[int]) -> Tensor:
    """The rows of all processes, one process's behind the other's: [n_own, ...] to [sum of sizes, ...].

    sizes: rows that each process brings. For what every process then computes alike: the gradient that comes back to
    this process's rows is what it computed itself, times the number of processes, so that the mean over processes is
    the gradient of that one result.
    """
    if len(sizes) == 1:
        return rows
    result: Tensor = _Rows.apply(rows, tuple(sizes))
    return result


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        # Every process's result depends on every process's x.
        return sum_over_processes(gradients[0])


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, sizes: tuple[int, ...]) -> Tensor:
        rank, most = dist.get_rank(), max(sizes)
        start = sum(sizes[:rank])
        ctx.own, ctx.processes = slice(start, start + sizes[rank]), len(sizes)
        # What is gathered has one shape in all processes; their parts of a batch may differ by a row.
        padded = rows.new_zeros((most, *rows.shape[1:]))
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0][ctx.own] * ctx.processes, None

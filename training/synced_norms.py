"""Batch norms that see the whole batch, not only the part of it that their process holds.

A recipe's `batch` is that of all processes together. Norms over a part of it would make another network of it: with 40
images on 8 processes, one whose statistics come from 5. torch's SyncBatchNorm has kernels for GPUs alone and cannot be
differentiated twice, so elsewhere the same is computed here from plain operations.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from training.collectives import process_count, sum_over_processes


class _Synced(_BatchNorm):
    """In training, mean and variance of all processes' values (two small sums forwards and two backwards)."""

    def forward(self, input: Tensor) -> Tensor:
        """input: float[n, c, ...], n may differ between processes. Returns the same shape and dtype."""
        if not self.training or process_count() == 1:
            return super().forward(input)
        self._check_input_dim(input)  # type: ignore[no-untyped-call]  # torch's
        x = input.to(torch.promote_types(input.dtype, torch.float32))
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        own = x.new_full((1,), x.numel() // x.shape[1])
        sums = sum_over_processes(torch.cat([x.sum(axes), own]))
        count = sums[-1].detach()
        mean = sums[:-1] / count
        centred = x - mean.view(shape)
        variance = sum_over_processes(centred.square().sum(axes)) / count
        self._remember(mean.detach(), variance.detach() * count / (count - 1).clamp(min=1))
        normal = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            normal = normal * self.weight.view(shape) + self.bias.view(shape)
        return normal.to(input.dtype)

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        """As torch's own norms do; variance: the unbiased one."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        new = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), new)
        self.running_var.lerp_(variance.to(self.running_var.dtype), new)


class SyncedBatchNorm1d(_Synced, nn.BatchNorm1d):
    """For float[n, c]."""


class SyncedBatchNorm2d(_Synced, nn.BatchNorm2d):
    """For float[n, c, h, w]."""


class FusedBatchNorm1d(nn.BatchNorm1d, nn.SyncBatchNorm):
    """torch's own, which stays what others look for in a network."""


class FusedBatchNorm2d(nn.BatchNorm2d, nn.SyncBatchNorm):
    """torch's own, which stays what others look for in a network."""


def synchronise_norms(module: nn.Module, *, fused: bool) -> None:
    """Make the batch norms inside a module synchronised ones, with the same parameters and statistics.

    fused: take torch's kernels, for a module on a GPU that is differentiated once. One process leaves all as it is.
    """
    if process_count() == 1:
        return
    kinds: dict[type[Any], type[Any]] = {
        nn.BatchNorm1d: FusedBatchNorm1d if fused else SyncedBatchNorm1d,
        nn.BatchNorm2d: FusedBatchNorm2d if fused else SyncedBatchNorm2d,
    }
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            kind = kinds.get(type(child))
            if kind is not None:
                setattr(parent, name, _replaced(child, kind))


def _replaced(norm: nn.Module, kind: type[Any]) -> nn.Module:
    assert isinstance(norm, _BatchNorm)
    new: _BatchNorm = kind(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    # The very tensors, so that whoever holds a parameter still holds the network's.
    new._parameters.update(norm._parameters)
    new._buffers.update(norm._buffers)
    new.train(norm.training)
    return new

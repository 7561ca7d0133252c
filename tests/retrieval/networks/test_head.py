from functools import cache
from itertools import cycle, product
from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn

from retrieval.networks.backbone import GROUPS, BackboneView
from retrieval.networks.backbones import backbone_row
from retrieval.networks.head import GeneralisedMean, Head, SoftMask, SpatialPool
from retrieval.networks.spec import HeadSpec, Pool, Reduction, SharedGroup


@cache
def meta_view(backbone: str) -> BackboneView:
    row = backbone_row(backbone)
    with torch.device("meta"):
        return row.view(row.build(), row)


def head_specs(backbone: str, share_until: SharedGroup) -> list[HeadSpec]:
    """Every stride and reduction at the very last block, and each of them somewhere below it."""
    row = backbone_row(backbone)
    ends = [
        f"res{group + 1}_{block}"
        for group in range(GROUPS.index(share_until) + 1, 4)
        for block in sorted({1, row.blocks[group]})
    ]
    ways = list(product((1, 2), get_args(Reduction)))
    lower = [HeadSpec(end, *way) for end, way in zip(cycle(ends[:-1]), ways, strict=False)]
    return lower + [HeadSpec(ends[-1], *way) for way in ways]


# The long networks differ from these in their numbers of blocks only, so one of their cuts is enough.
CASES = [
    *product(("resnet18", "resnet50", "efficientnet_lite0", "mobilenet_v3_small"), get_args(SharedGroup)),
    *product(("resnet34", "resnet101", "resnet152", "mobilenet_v3_large"), ("B3",)),
]


@pytest.mark.parametrize(("backbone", "share_until"), CASES)
def test_every_cut_stride_and_reduction_gives_the_feature_it_announces(
    backbone: str, share_until: SharedGroup
) -> None:
    row, view = backbone_row(backbone), meta_view(backbone)
    shared = GROUPS.index(share_until)
    images = 64
    trunk = torch.empty(
        2, view.channels[shared], images // 2 ** (shared + 2), images // 2 ** (shared + 2), device="meta"
    )
    last = f"res4_{row.blocks[3]}"
    for spec in head_specs(backbone, share_until):
        with torch.device("meta"):
            head = Head(spec, row, view, share_until)
        mapped = head.feature_map(trunk)
        group, block = row.locate(spec.last_block)
        side = images // 2 ** (group + 2) * (2 if spec.stride == 1 else 1)
        assert mapped.shape[2:] == (side, side), spec
        if not spec.reduction.startswith("penultimate"):
            whole = view.groups[group][block]
            expected = whole(torch.empty(2, _inputs(whole), 4, 4, device="meta"))
            if spec.last_block == last and view.tail is not None:
                expected = view.tail(expected)
            assert mapped.shape[1] == expected.shape[1], spec
        feature = head.reduction(head.pool(mapped))
        assert feature.shape == (2, head.feature_size), spec
        assert head.feature_size == (512 if spec.reduction == "linear" else mapped.shape[1]), spec


def _inputs(block: nn.Module) -> int:
    """Channels that enter a block: those of its first convolution."""
    return next(m for m in block.modules() if isinstance(m, nn.Conv2d)).in_channels


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50", "efficientnet_lite0", "mobilenet_v3_large"])
def test_penultimate_is_smaller_and_both_variants_are_one_network(backbone: str) -> None:
    row, view = backbone_row(backbone), meta_view(backbone)
    with torch.device("meta"):
        whole, cut, plus = (
            Head(HeadSpec("res4_1", reduction=r), row, view, "B2")
            for r in ("none", "penultimate", "penultimate+")
        )
    assert str(cut) == str(plus)
    counts = [sum(p.numel() for p in head.parameters()) for head in (whole, cut)]
    assert counts[1] < counts[0]


@pytest.mark.parametrize("kind", get_args(Pool))
@pytest.mark.parametrize("batch", [1, 3])
def test_pools_against_numpy(kind: Pool, batch: int) -> None:
    x = torch.rand(batch, 5, 3, 4, generator=torch.Generator().manual_seed(0))
    pool = GeneralisedMean() if kind == "gem" else SpatialPool(kind)
    flat = x.numpy().reshape(batch, 5, 12).astype(np.float64)
    truth = {
        "avg": flat.mean(2),
        "max": flat.max(2),
        "gem": np.cbrt((flat**3).mean(2)),
        "avg+max": flat.mean(2) + flat.max(2),
    }[kind]
    pooled = pool(x)
    assert pooled.shape == (batch, 5)
    np.testing.assert_allclose(pooled.detach().numpy(), truth, rtol=1e-5)


def test_generalised_mean_runs_from_mean_to_maximum() -> None:
    x = torch.rand(1, 2, 6, 6)
    pool = GeneralisedMean()
    with torch.no_grad():
        pool.power.fill_(1.0)
        torch.testing.assert_close(pool(x), x.mean((2, 3)))
        pool.power.fill_(200.0)
        torch.testing.assert_close(pool(x), x.amax((2, 3)), rtol=0.03, atol=0)


def test_generalised_mean_of_what_is_not_positive_is_finite() -> None:
    x = torch.stack([torch.zeros(2, 3, 3), -torch.ones(2, 3, 3)]).to(torch.bfloat16).requires_grad_()
    pool = GeneralisedMean()
    pooled = pool(x)
    pooled.sum().backward()
    assert torch.isfinite(pooled).all()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    assert pool.power.grad is not None
    assert torch.isfinite(pool.power.grad).all()


@pytest.mark.parametrize("reduction", get_args(Reduction))
def test_layer_norm_gives_every_feature_mean_zero_and_variance_one(reduction: Reduction) -> None:
    torch.manual_seed(0)
    row = backbone_row("mobilenet_v3_small")
    view = row.view(row.build(), row)
    plain, normed = (
        Head(HeadSpec("res4_1", reduction=reduction, norm=norm), row, view, "B3")
        for norm in ("none", "layer")
    )
    normed.load_state_dict(plain.state_dict())
    maps = torch.randn(3, view.channels[2], 4, 4)
    with torch.no_grad():
        before, after = plain.eval()(maps).numpy(), normed.eval()(maps).numpy()
    truth = (before - before.mean(1, keepdims=True)) / np.sqrt(before.var(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(after, truth, atol=1e-4)


@pytest.mark.parametrize(("size", "expected"), [(None, 512), (64, 64)])
def test_a_linear_layer_gives_the_size_asked_for(size: int | None, expected: int) -> None:
    row, view = backbone_row("resnet18"), meta_view("resnet18")
    with torch.device("meta"):
        head = Head(HeadSpec(reduction="linear", size=size), row, view, "B3")
    assert head.feature_size == expected
    assert head(torch.empty(2, 256, 4, 4, device="meta")).shape == (2, expected)


def test_a_soft_mask_scales_every_value_of_the_map_by_its_own_weight() -> None:
    torch.manual_seed(0)
    row, view = backbone_row("resnet18"), meta_view("resnet18")
    with torch.device("meta"):
        without = Head(HeadSpec(), row, view, "B3")
    maps = torch.randn(2, 6, 5, 4)
    assert without.mask(maps) is maps
    mask = SoftMask(6).eval()
    with torch.no_grad():
        weights = mask(maps)
        assert weights.shape == maps.shape
        assert ((weights > 0) & (weights < 1)).all()
        # Every position is weighed by its own values alone.
        torch.testing.assert_close(mask(maps[:, :, 2:3, 1:2]), weights[:, :, 2:3, 1:2])
    with torch.device("meta"):
        head = Head(HeadSpec(attention=True), row, view, "B3")
    assert head.mask(torch.empty(2, 256, 4, 4, device="meta")).shape == (2, 256, 4, 4)


def test_what_no_pretrained_weights_are_loaded_into_is_new() -> None:
    row, view = backbone_row("efficientnet_lite0"), meta_view("efficientnet_lite0")
    with torch.device("meta"):
        plain = Head(HeadSpec(), row, view, "B3")
        head = Head(HeadSpec(reduction="linear", pool="gem", attention=True), row, view, "B3")
    assert plain.new_parameters() == []
    new = {id(parameter) for parameter in head.new_parameters()}
    old = {name for name, parameter in head.named_parameters() if id(parameter) not in new}
    assert old == {name for name, _ in plain.named_parameters()}

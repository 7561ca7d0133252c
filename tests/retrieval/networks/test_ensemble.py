from collections import Counter
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from retrieval.errors import NetworkError
from retrieval.networks.backbones import BACKBONES, backbone_row
from retrieval.networks.ensemble import Ensemble, build_ensemble
from retrieval.networks.presets import PRESETS, preset_spec
from retrieval.networks.spec import EnsembleSpec, HeadSpec, Pool, Reduction

QUICK = ("resnet18", "efficientnet_lite0", "mobilenet_v3_small")


def random_images(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, 64, 64, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def lite_hdhe() -> Ensemble:
    """With its ImageNet weights, so that the features of different images differ."""
    return build_ensemble(preset_spec("hdhe", "efficientnet_lite0"), weights="imagenet").eval()


@pytest.mark.parametrize("backbone", QUICK)
@pytest.mark.parametrize("preset", PRESETS)
def test_no_parameter_is_dead(preset: str, backbone: str) -> None:
    torch.manual_seed(0)
    network = build_ensemble(preset_spec(preset, backbone), weights=None)
    torch.autograd.backward(torch.cat(network(random_images(2)), dim=1).sum())
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("pool", get_args(Pool))
@pytest.mark.parametrize("reduction", get_args(Reduction))
def test_no_parameter_is_dead_in_any_head(reduction: Reduction, pool: Pool) -> None:
    torch.manual_seed(0)
    heads = (HeadSpec("res3_3", 1, reduction, pool), HeadSpec("res4_last", 2, reduction, pool))
    network = build_ensemble(EnsembleSpec("mobilenet_v3_small", "B1", heads), weights=None)
    torch.autograd.backward(torch.cat(network(random_images(2)), dim=1).sum())
    assert [name for name, p in network.named_parameters() if p.grad is None] == []
    covered = [id(p) for block in network.parameter_blocks() for _, p in block.parameters]
    assert sorted(covered) == sorted(id(p) for p in network.parameters())


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("preset", PRESETS)
def test_blocks_cover_every_parameter_once_in_order(preset: str, backbone: str) -> None:
    with torch.device("meta"):
        network = build_ensemble(preset_spec(preset, backbone), weights=None)
    blocks = network.parameter_blocks()
    counted = Counter(id(p) for block in blocks for _, p in block.parameters)
    assert set(counted) == {id(p) for p in network.parameters()}
    assert set(counted.values()) == {1}
    names = dict(network.named_parameters())
    assert all(names[name] is p for block in blocks for name, p in block.parameters)

    heads = [None, *range(len(network.heads))]
    assert list(dict.fromkeys(block.head for block in blocks)) == heads
    shared = sum(backbone_row(backbone).blocks[: int(network.spec.share_until[1])])
    for head in heads:
        numbers = [block.block for block in blocks if block.head == head]
        start = 0 if head is None else shared + 1
        if network.spec.tied and head:
            # What a tied head has for itself stands before its first block or behind its last one.
            assert set(numbers) <= {start, sum(backbone_row(backbone).blocks)}
        else:
            assert numbers == list(range(start, start + len(numbers)))
    assert [block.name for block in blocks[:2]] == ["trunk.stem", "trunk.res1_1"]
    assert blocks[-1].name.startswith(f"heads.{len(network.heads) - 1}.res")


def test_kernel_sizes_of_resnet50_by_block() -> None:
    # Weights in the three convolutions of each bottleneck, as AutoLR's weight variation counts them.
    with torch.device("meta"):
        network = build_ensemble(preset_spec("single", "resnet50"), weights=None)
    counted = [
        sum(p.numel() for name, p in block.parameters if p.ndim == 4 and "downsample" not in name)
        for block in network.parameter_blocks()
    ]
    b1, b2 = [57_344, 69_632, 69_632], [245_760, 278_528, 278_528, 278_528]
    b3, b4 = [983_040] + [1_114_112] * 5, [3_932_160, 4_456_448, 4_456_448]
    assert counted == [7 * 7 * 3 * 64, *b1, *b2, *b3, *b4]


def test_what_stands_behind_the_last_block_counts_to_it() -> None:
    heads = (HeadSpec(reduction="linear", pool="gem"),)
    with torch.device("meta"):
        network = build_ensemble(EnsembleSpec("efficientnet_lite0", heads=heads), weights=None)
    last = network.parameter_blocks()[-1]
    assert (last.head, last.block, last.name) == (0, 16, "heads.0.res4_5")
    names = " ".join(name for name, _ in last.parameters)
    assert all(part in names for part in ("groups.B4.4", "tail.conv", "pool.power", "reduction.0.bias"))


@pytest.mark.parametrize("mirror", [True, False])
def test_embedding_against_numpy(lite_hdhe: Ensemble, mirror: bool) -> None:
    images = random_images(3)
    with torch.no_grad():
        embedded = lite_hdhe.embed(images, mirror=mirror)
        total = np.zeros((3, lite_hdhe.embedding_size))
        for view in [images, torch.from_numpy(images.numpy()[..., ::-1].copy())][: 2 if mirror else 1]:
            features = [f.numpy().astype(np.float64) for f in lite_hdhe(view)]
            total += np.concatenate([f / np.linalg.norm(f, axis=1, keepdims=True) for f in features], axis=1)
    total /= np.linalg.norm(total, axis=1, keepdims=True)
    assert embedded.shape == (3, 1152 + 672)
    assert embedded.dtype == torch.float32
    np.testing.assert_allclose(embedded.numpy(), total, atol=1e-5)


def test_heads_weigh_the_same_in_each_view(lite_hdhe: Ensemble) -> None:
    with torch.no_grad():
        embedded = lite_hdhe.embed(random_images(4), mirror=False)
    halves = torch.split(embedded, list(lite_hdhe.feature_sizes), dim=1)
    for half in halves:
        torch.testing.assert_close(half.norm(dim=1), torch.full((4,), 0.5**0.5))


def test_an_image_and_its_mirror_embed_alike(lite_hdhe: Ensemble) -> None:
    images = random_images(2)
    with torch.no_grad():
        both = lite_hdhe.embed(images, mirror=True)
        torch.testing.assert_close(both, lite_hdhe.embed(images.flip(-1), mirror=True))
        assert (both - lite_hdhe.embed(images, mirror=False)).abs().max() > 1e-2
        torch.testing.assert_close(both, lite_hdhe.embed(images))


def test_each_row_is_its_own_image(lite_hdhe: Ensemble) -> None:
    images = random_images(3)
    with torch.no_grad():
        together = lite_hdhe.embed(images)
        apart = torch.cat([lite_hdhe.embed(image[None]) for image in images])
        torch.testing.assert_close(together, apart, rtol=0, atol=1e-5)
        assert lite_hdhe.embed(images[:0]).shape == (0, lite_hdhe.embedding_size)


@pytest.mark.parametrize("backbone", QUICK)
@pytest.mark.parametrize("preset", PRESETS)
def test_a_batch_of_one_stays_a_batch(preset: str, backbone: str) -> None:
    torch.manual_seed(0)
    network = build_ensemble(preset_spec(preset, backbone), weights=None).eval()
    with torch.no_grad():
        features = network(random_images(1))
        assert tuple(feature.shape for feature in features) == tuple((1, d) for d in network.feature_sizes)
        embedded = network.embed(random_images(1))
    assert embedded.shape == (1, network.embedding_size)
    assert embedded.norm().item() == pytest.approx(1, abs=1e-5)


def test_embedding_is_single_precision_under_autocast(lite_hdhe: Ensemble) -> None:
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        embedded = lite_hdhe.embed(random_images(1))
    assert embedded.dtype == torch.float32


@pytest.mark.parametrize("backbone", QUICK)
def test_heads_do_not_disturb_each_other(backbone: str) -> None:
    """The trunk's map is read by every head: an operation in place at a head's entrance would spoil the next one's."""
    torch.manual_seed(0)
    spec = preset_spec("tri-hdhe", backbone)
    network = build_ensemble(spec, weights=None).eval()
    images = random_images(2)
    with torch.no_grad():
        together = network(images)
        apart = [head(network.trunk(images)) for head in network.heads]
    for a, b in zip(together, apart, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_channels_last_changes_nothing(lite_hdhe: Ensemble) -> None:
    images = random_images(2)
    with torch.no_grad():
        plain = lite_hdhe.embed(images)
        torch.testing.assert_close(
            lite_hdhe.embed(images.contiguous(memory_format=torch.channels_last)), plain, rtol=0, atol=1e-5
        )


def test_a_state_dict_goes_from_one_to_the_next() -> None:
    torch.manual_seed(0)
    spec = preset_spec("hdhe", "mobilenet_v3_small")
    first, second = (build_ensemble(spec, weights=None).eval() for _ in range(2))
    second.load_state_dict(first.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(first.embed(random_images(1)), second.embed(random_images(1)))


def test_a_spec_that_cannot_be_is_refused() -> None:
    with pytest.raises(NetworkError, match=r"heads\[1\]\.last_block 'res4_3' does not exist"):
        build_ensemble(
            EnsembleSpec("resnet18", heads=(HeadSpec(), HeadSpec("res4_3"))),
            weights=None,
        )

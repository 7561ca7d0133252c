from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from retrieval.bundle import Bundle
from retrieval.embedder import Embedder
from retrieval.errors import NetworkError
from retrieval.explain import explain, spread
from retrieval.networks import EnsembleSpec, HeadSpec, build_ensemble
from retrieval.networks.ensemble import with_whitening
from retrieval.networks.spec import Norm, Pool, Reduction
from retrieval.transforms import Preprocessing

TWO_HEADS = (HeadSpec("res4_last", 1, "penultimate+"), HeadSpec("res4_1", 2, "none"))


def bundle_of(*heads: HeadSpec, mirror: bool = True, **spec: Any) -> Bundle:
    torch.manual_seed(0)
    network = build_ensemble(EnsembleSpec("resnet18", "B2", heads, mirror=mirror, **spec), weights=None)
    for name, buffer in network.named_buffers():
        # Statistics as after training, so that batch normalisation has an offset to deal with.
        if name.endswith("running_mean"):
            buffer.uniform_(-0.2, 0.2)
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.uniform_(parameter, -0.1, 0.1)
    return Bundle(network.eval(), Preprocessing(64), "0" * 64, {}, [], "none")


def photos(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, 64, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def two_heads() -> Bundle:
    return bundle_of(*TWO_HEADS)


def embed(bundle: Bundle, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return Embedder(bundle).embed_prepared(images)


@pytest.mark.parametrize("mirror", [True, False])
def test_the_maps_of_both_images_sum_to_their_cosine(mirror: bool) -> None:
    bundle = bundle_of(*TWO_HEADS, mirror=mirror)
    first, second = photos(2)
    rows = embed(bundle, photos(2))
    cosine = float(rows[0] @ rows[1])
    assert cosine < 0.9999  # else the test could not tell an image's map from the other's
    found = explain(bundle, first, second)
    assert found.score == pytest.approx(cosine, abs=1e-5)
    for of in (0, 1):
        assert found.map(of=of).values.sum() == pytest.approx(cosine, abs=1e-5)
        parts = [found.map(of=of, head=head).values.sum() for head in (0, 1)]
        assert sum(parts) == pytest.approx(cosine, abs=1e-5)
        assert found.map(of=of).exact


def test_each_heads_map_sums_to_what_its_columns_of_the_embeddings_give(two_heads: Bundle) -> None:
    images = photos(2)
    rows = embed(two_heads, images)
    split = two_heads.network.feature_sizes[0]
    found = explain(two_heads, *images)
    for head, columns in enumerate((slice(None, split), slice(split, None))):
        expected = float(rows[0, columns] @ rows[1, columns])
        assert found.map(head=head).values.sum() == pytest.approx(expected, abs=1e-5)
        assert found.map(head=head).part == pytest.approx(expected, abs=1e-5)


def test_an_image_alone_is_compared_with_itself(two_heads: Bundle) -> None:
    found = explain(two_heads, photos(1)[0])
    assert found.score == pytest.approx(1, abs=1e-5)
    assert found.map().values.sum() == pytest.approx(1, abs=1e-5)
    assert {each.of for each in found.maps} == {0}


def test_average_pooling_agrees_with_a_loop_over_pairs_of_positions() -> None:
    """Without mirror and with one head, cos = sum over p, q of <x_p, y_q> / (P Q |f| |g|)."""
    bundle = bundle_of(HeadSpec("res4_1"), mirror=False)
    images = photos(2)
    with torch.inference_mode():
        (maps,) = bundle.network.feature_maps(bundle.preprocessing.normalise(images))
    x, y = maps.double().numpy()
    _, height, width = x.shape
    f, g = x.mean((1, 2)), y.mean((1, 2))
    expected = np.zeros((height, width))
    for i, j in np.ndindex(height, width):
        for k, m in np.ndindex(height, width):
            expected[i, j] += x[:, i, j] @ y[:, k, m]
    expected /= (height * width) ** 2 * np.linalg.norm(f) * np.linalg.norm(g)
    np.testing.assert_allclose(explain(bundle, *images).map().values, expected, atol=1e-6)


def test_the_mirrored_images_map_is_mirrored_back() -> None:
    """An image and its mirror have one embedding, so their maps are each other's mirror, and a part of the image that
    is alone to add something is found where it is, not on the other side too.
    """
    bundle = bundle_of(*TWO_HEADS)
    image = photos(1)[0]
    plain = explain(bundle, image).map().values
    mirrored = explain(bundle, np.ascontiguousarray(image[:, ::-1])).map().values
    np.testing.assert_allclose(mirrored[:, ::-1], plain, atol=1e-6)
    one_view = explain(bundle_of(*TWO_HEADS, mirror=False), image).map().values
    assert np.corrcoef(plain.ravel(), one_view.ravel())[0, 1] > 0.5


@pytest.mark.parametrize("pool", ["max", "gem", "avg+max"])
@pytest.mark.parametrize("norm", ["none", "layer"])
def test_other_poolings_and_layer_norm_sum_to_the_cosine_too(pool: Pool, norm: Norm) -> None:
    bundle = bundle_of(HeadSpec("res4_1", pool=pool, norm=norm), HeadSpec("res3_1"))
    images = photos(2)
    rows = embed(bundle, images)
    found = explain(bundle, *images).map()
    assert found.exact
    assert found.values.sum() == pytest.approx(float(rows[0] @ rows[1]), abs=2e-5)


@pytest.mark.parametrize("reduction", ["linear"])
def test_a_linear_layers_bias_has_no_place_in_the_map(reduction: Reduction) -> None:
    bundle = bundle_of(HeadSpec("res4_1", reduction=reduction, size=16), mirror=False)
    linear, norm = bundle.network.heads[0].reduction  # type: ignore[misc]  # a ModuleList forgets types
    images = photos(2)
    found = explain(bundle, *images)
    rows = embed(bundle, images)
    assert found.score == pytest.approx(float(rows[0] @ rows[1]), abs=1e-5)
    assert not found.map().exact
    with torch.inference_mode():
        (feature,) = bundle.network(bundle.preprocessing.normalise(images[:1]))
        offset = norm(linear(torch.zeros(1, linear.in_features)))  # what a map of zeros would give
    missing = float((offset / feature.norm())[0] @ torch.from_numpy(rows[1]))
    assert abs(missing) > 1e-3
    assert found.map().values.sum() == pytest.approx(found.score - missing, abs=1e-5)


def test_a_block_without_offsets_above_it_sums_to_the_cosine() -> None:
    """Convolutions, ReLU and average pooling without biases are homogeneous, so Euler's theorem holds from any map."""
    bundle = bundle_of(*TWO_HEADS)
    for name, tensor in bundle.network.state_dict().items():
        if name.endswith(("bias", "running_mean")):
            tensor.zero_()
    images = photos(2)
    found = explain(bundle, *images, blocks=(1, 3, 5, 7))
    for block in (1, 3, 5, 7):
        assert found.map(block=block).values.sum() == pytest.approx(found.score, abs=1e-4)
        assert not found.map(block=block).exact


def test_blocks_have_the_size_of_their_maps_and_belong_to_the_heads_that_have_them(two_heads: Bundle) -> None:
    found = explain(two_heads, photos(1)[0], blocks=(1, 4, 8))
    assert found.map(block=1).values.shape == (16, 16)
    assert found.map(block=4).values.shape == (8, 8)
    assert found.map(block=8, head=0).values.shape == (4, 4)
    with pytest.raises(KeyError):
        found.map(block=8, head=1)
    # Head 1 pools at stride 1, head 2 at stride 2.
    assert [found.map(head=head).values.shape for head in (0, 1, None)] == [(4, 4), (2, 2), (4, 4)]


@pytest.mark.parametrize("attention", [True, False])
def test_heads_that_share_their_blocks_are_told_apart(attention: bool) -> None:
    heads = (
        HeadSpec("res4_1", pool="avg", attention=attention),
        HeadSpec("res4_1", pool="max", attention=attention),
    )
    bundle = bundle_of(*heads, tied=True)
    images = photos(2)
    rows = embed(bundle, images)
    found = explain(bundle, *images, blocks=(7,))
    assert found.map().values.sum() == pytest.approx(float(rows[0] @ rows[1]), abs=2e-5)
    for head in (None, 0, 1):
        # The last block's map is the one that is pooled.
        np.testing.assert_allclose(
            found.map(head=head, block=7).values, found.map(head=head).values, atol=1e-6
        )


def test_typical_embeddings_are_taken_off_the_other_image(two_heads: Bundle) -> None:
    images = photos(4)
    rows = embed(two_heads, images)
    typical = rows[2:].mean(0)
    found = explain(two_heads, images[0], images[1], typical=typical)
    assert found.score == pytest.approx(float(rows[0] @ rows[1]), abs=1e-5)
    for of, other in ((0, 1), (1, 0)):
        expected = float(rows[of] @ (rows[other] - typical))
        assert found.map(of=of).values.sum() == pytest.approx(expected, abs=1e-5)
        assert found.map(of=of).part == pytest.approx(expected, abs=1e-5)


def test_frozen_parameters_do_not_stand_in_the_way() -> None:
    bundle = bundle_of(HeadSpec("res4_1"))
    bundle.network.requires_grad_(False)
    assert explain(bundle, photos(1)[0], blocks=(1,)).map().values.sum() == pytest.approx(1, abs=1e-5)


def test_nothing_is_left_behind_on_the_network(two_heads: Bundle) -> None:
    before = embed(two_heads, photos(2))
    explain(two_heads, photos(1)[0], blocks=(1, 7))
    assert all(parameter.grad is None for parameter in two_heads.network.parameters())
    np.testing.assert_array_equal(embed(two_heads, photos(2)), before)
    assert not any(
        module._forward_hooks or module._forward_pre_hooks for module in two_heads.network.modules()
    )


@pytest.mark.parametrize("block", [0, 9, -1])
def test_a_block_beyond_the_network_is_refused(two_heads: Bundle, block: int) -> None:
    with pytest.raises(NetworkError, match=f"no block {block}: the network has blocks 1 to 8"):
        explain(two_heads, photos(1)[0], blocks=(block,))


def test_behind_a_whitening_the_parts_of_the_heads_make_the_cosine() -> None:
    plain = bundle_of(*TWO_HEADS)
    network = with_whitening(plain.network, 40)
    assert network.whitening is not None
    network.whitening.fit(embed(plain, photos(24)), np.arange(24) // 6)
    bundle = replace(plain, network=network)
    first, second = photos(2)
    rows = embed(bundle, photos(2))
    cosine = float(rows[0] @ rows[1])
    assert abs(cosine) < 0.9
    found = explain(bundle, first, second)
    assert found.score == pytest.approx(cosine, abs=1e-5)
    for of in (0, 1):
        parts = [found.map(of=of, head=head) for head in (0, 1)]
        assert sum(each.part for each in parts) == pytest.approx(cosine, abs=1e-4)
        assert not any(each.exact for each in parts), "the mean belongs to no position"
    typical = embed(bundle, photos(24)).mean(0)
    against = explain(bundle, first, second, typical=typical)
    assert against.map().part == pytest.approx(cosine - float(rows[0] @ typical), abs=1e-4)


def test_a_black_hole_of_a_network_gives_zeros() -> None:
    bundle = bundle_of(HeadSpec("res4_1"))
    for tensor in bundle.network.state_dict().values():
        tensor.zero_()
    found = explain(replace(bundle), photos(1)[0])
    assert found.score == 0
    assert not found.map().values.any()


@pytest.mark.parametrize(
    ("old", "new"), [((4, 4), (8, 8)), ((3, 5), (7, 5)), ((1, 1), (3, 4)), ((4, 3), (4, 3))]
)
def test_spreading_keeps_the_sum_and_an_even_map_even(old: tuple[int, int], new: tuple[int, int]) -> None:
    values = np.random.default_rng(1).standard_normal(old).astype(np.float32)
    wide = spread(values, *new)
    assert wide.shape == new
    assert wide.sum() == pytest.approx(values.sum(), abs=1e-5)
    if all(b % a == 0 for a, b in zip(old, new, strict=True)):
        np.testing.assert_allclose(
            spread(np.ones(old, np.float32), *new), np.prod(old) / np.prod(new), rtol=1e-6
        )


def test_spreading_to_twice_the_size_is_bilinear() -> None:
    values = np.random.default_rng(2).random((4, 4), dtype=np.float32)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(values)[None, None], scale_factor=2, mode="bilinear"
    )
    np.testing.assert_allclose(spread(values, 8, 8), expected[0, 0].numpy() / 4, atol=1e-6)

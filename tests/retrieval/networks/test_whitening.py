"""Whitening against what its definition says, and the network that has one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from retrieval.errors import NetworkError, UserError
from retrieval.networks import Ensemble, EnsembleSpec, HeadSpec, build_ensemble, cost
from retrieval.networks.ensemble import with_whitening, without_whitening
from retrieval.networks.spec_dict import spec_from_dict, spec_to_dict
from retrieval.networks.whitening import Whitening, whitening_of
from retrieval.recall import leave_one_out

Vectors = NDArray[np.float32]
Labels = NDArray[np.int64]

SPEC = EnsembleSpec(
    "mobilenet_v3_small", "B2", (HeadSpec("res3_1", 2, "penultimate+"), HeadSpec("res3_2")), mirror=True
)


def classes(seed: int, count: int = 12, images: int = 20, d: int = 16) -> tuple[Vectors, Labels]:
    """Unit vectors whose classes differ a little in all directions, and whose images differ strongly in four."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(count), images)
    vectors = 0.4 * rng.standard_normal((count, d))[labels] + 0.2 * rng.standard_normal((len(labels), d))
    vectors[:, :4] += 3 * rng.standard_normal((len(labels), 4))
    return _unit(vectors), labels


def _unit(vectors: NDArray[np.floating]) -> Vectors:
    unit: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


def test_a_case_by_hand() -> None:
    """Two classes, at y = 1 and y = -1, whose images lie at x = 2 and x = -2."""
    embeddings = np.array([[2, 1], [-2, 1], [2, -1], [-2, -1]], np.float32)
    mean, matrix = whitening_of(embeddings, np.array([0, 0, 1, 1]), 2)
    np.testing.assert_allclose(mean, [0, 0], atol=1e-7)
    # S = diag(16 / 2, 0) and m = 4, so that x is divided by the root of 12 and y by that of 4; x still varies more.
    np.testing.assert_allclose(np.abs(matrix), [[12**-0.5, 0], [0, 0.5]], atol=1e-6)


def test_the_whole_matrix_is_an_inverse_root_of_the_covariance_within_classes() -> None:
    vectors, labels = classes(0)
    mean, matrix = whitening_of(vectors, labels, 16)
    np.testing.assert_allclose(mean, vectors.mean(0), atol=1e-6)
    covariances = [np.cov(vectors[labels == label].T.astype(np.float64)) for label in np.unique(labels)]
    within = np.mean(covariances, axis=0)  # of classes of one size
    expected = np.linalg.inv(within + np.trace(within) / 16 * np.eye(16))
    np.testing.assert_allclose(matrix.T @ matrix, expected, rtol=1e-4, atol=1e-3)


def test_many_embeddings_are_taken_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, labels = classes(2)
    mean, matrix = whitening_of(vectors, labels, 16)
    monkeypatch.setattr("retrieval.networks.whitening._BLOCK", 7)
    again, in_blocks = whitening_of(vectors, labels, 16)
    np.testing.assert_allclose(again, mean, atol=1e-6)
    np.testing.assert_allclose(in_blocks.T @ in_blocks, matrix.T @ matrix, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [1, 5])
def test_a_smaller_size_keeps_the_directions_that_vary_most(size: int) -> None:
    vectors, labels = classes(1)
    mean, whole = whitening_of(vectors, labels, 16)
    _, cut = whitening_of(vectors, labels, size)
    np.testing.assert_array_equal(cut, whole[:size])
    spread = np.square((vectors - mean) @ whole.T).sum(0)
    assert (np.diff(spread) <= 1e-3).all()


def test_classes_that_were_not_seen_are_found_better() -> None:
    whitening = Whitening(16, 16)
    whitening.fit(*classes(0))
    vectors, labels = classes(7)
    with torch.no_grad():
        whitened = whitening(torch.from_numpy(vectors)).numpy()
    np.testing.assert_allclose(np.linalg.norm(whitened, axis=1), 1, atol=1e-6)
    plain, better = (leave_one_out(each, labels, [1]).recall[1] for each in (vectors, whitened))
    assert better > plain + 0.15


@pytest.mark.parametrize(
    "labels", [np.arange(6), np.zeros(6, np.int64)], ids=["an image a class", "all images alike"]
)
def test_classes_that_say_nothing_are_refused(labels: Labels) -> None:
    vectors = np.repeat(_unit(np.ones((1, 4))), 6, axis=0)
    with pytest.raises(UserError, match="whitening needs classes of two or more different images"):
        whitening_of(vectors, labels, 4)


@pytest.fixture
def network() -> Ensemble:
    torch.manual_seed(0)
    return build_ensemble(SPEC, weights=None).eval()


@torch.no_grad()
def test_a_network_embeds_through_its_whitening(network: Ensemble) -> None:
    images = torch.rand(5, 3, 64, 64)
    plain = network.embed(images)
    whitened = with_whitening(network, 7)
    assert whitened.whitening is not None
    assert not whitened.training
    assert whitened.embedding_size == 7
    assert sum(whitened.feature_sizes) == network.embedding_size
    whitened.whitening.mean.uniform_(-0.1, 0.1)
    whitened.whitening.matrix.normal_()
    expected = (plain.numpy() - whitened.whitening.mean.numpy()) @ whitened.whitening.matrix.numpy().T
    np.testing.assert_allclose(whitened.embed(images).numpy(), _unit(expected), atol=1e-5)
    for mine, other in zip(whitened(images), network(images), strict=True):
        assert torch.equal(mine, other), "features are as before"
    # Once more over one that is there, and back.
    assert torch.equal(without_whitening(whitened).embed(images), plain)
    again = with_whitening(whitened)
    assert again.embedding_size == network.embedding_size
    assert again.whitening is not None
    assert torch.equal(again.whitening.matrix, torch.eye(network.embedding_size))


def test_nothing_of_it_is_trained(network: Ensemble) -> None:
    whitened = with_whitening(network)
    names = [name for name, _ in whitened.named_parameters()]
    assert names == [name for name, _ in network.named_parameters()]
    assert [block.name for block in whitened.parameter_blocks()] == [
        block.name for block in network.parameter_blocks()
    ]


@pytest.mark.parametrize("size", [0, -1, 10**6])
def test_a_size_that_cannot_be(network: Ensemble, size: int) -> None:
    joined = network.embedding_size
    with pytest.raises(NetworkError, match=f"whitened must be 1 to {joined}, .*; got {size}"):
        with_whitening(network, size)


def test_its_spec_survives_json_and_others_are_written_as_before() -> None:
    assert "whitened" not in spec_to_dict(SPEC)
    whitened = replace(SPEC, whitened=12)
    assert spec_to_dict(whitened)["whitened"] == 12
    assert spec_from_dict(spec_to_dict(whitened)) == whitened
    with pytest.raises(NetworkError, match=r"network\.whitened must be int; got '12'"):
        spec_from_dict({**spec_to_dict(SPEC), "whitened": "12"})


def test_its_cost_is_counted() -> None:
    plain, whitened = cost(SPEC, 64), cost(replace(SPEC, whitened=10), 64)
    joined = plain.embedding_size
    assert whitened.embedding_size == 10
    assert whitened.parameters - plain.parameters == joined * 11
    assert whitened.gmacs - plain.gmacs == pytest.approx(joined * 10 / 1e9)

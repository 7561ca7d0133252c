"""Distance-weighted mining against the paper's density and against counts of draws."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from scipy.integrate import quad

from training.losses.distance_weighted import distance_weighted_triplets, log_weights


@pytest.mark.parametrize("size", [3, 8, 64])
def test_the_weight_is_the_inverse_of_the_density_of_random_distances(size: int) -> None:
    """1 / weight, normalised, must be the density of distances between random points of a sphere."""

    def density(d: float) -> float:
        value = -log_weights(torch.tensor(d, dtype=torch.float64), size, cutoff=0.01).item()
        return math.exp(min(value, 500))

    whole = quad(density, 0.01, 2)[0]
    points = torch.nn.functional.normalize(
        torch.randn(4000, size, generator=torch.Generator().manual_seed(0)), dim=1
    )
    drawn = (points[:2000] - points[2000:]).norm(dim=1)
    for d in (1.2, 1.4, 1.6):
        share = quad(density, 0.01, d)[0] / whole
        assert (drawn < d).float().mean().item() == pytest.approx(share, abs=0.04)


def test_weights_stop_growing_at_the_cutoff_and_no_distance_breaks_them() -> None:
    weights = log_weights(torch.tensor([0.0, 0.2, 0.5, 0.6, 2.0]), 512, cutoff=0.5)
    assert weights[0] == weights[1] == weights[2]
    assert weights[3] < weights[2]
    assert torch.isfinite(weights).all()


def test_every_positive_pair_comes_once_with_a_near_negative() -> None:
    torch.manual_seed(0)
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    x = torch.randn(6, 4)
    anchors, positives, negatives = distance_weighted_triplets(x, labels, cutoff=0.5, farthest=1.4)
    pairs = [(a, p) for a, p in itertools.permutations(range(6), 2) if labels[a] == labels[p]]
    assert list(zip(anchors.tolist(), positives.tolist(), strict=True)) == pairs
    assert (labels[anchors] != labels[negatives]).all()


def test_negatives_are_drawn_in_proportion_to_their_weights() -> None:
    angles = torch.tensor([0.0, 0.05, 0.9, 1.2, 1.45, 3.0])
    x = torch.stack([angles.cos(), angles.sin(), torch.zeros(6), torch.zeros(6), torch.zeros(6)], dim=1)
    labels = torch.tensor([0, 0, 1, 2, 3, 4])
    torch.manual_seed(0)
    counts = torch.zeros(6)
    for _ in range(3000):
        anchors, _, negatives = distance_weighted_triplets(x, labels, cutoff=0.5, farthest=1.4)
        counts[negatives[anchors == 0]] += 1
    distances = (2 - 2 * angles.cos()).clamp(min=0).sqrt()
    expected = [0.0, 0.0]
    for d in distances[2:].tolist():
        expected.append(d ** (2 - 5) * (1 - d * d / 4) ** (-(5 - 3) / 2) if d < 1.4 else 0.0)
    assert (counts / 3000).tolist() == pytest.approx([e / sum(expected) for e in expected], abs=0.03)


def test_in_large_embeddings_every_anchor_keeps_a_negative_within_reach() -> None:
    """Normalised over the batch instead of the anchor, the weights of all but the two nearest classes underflow."""
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(16, 1280, generator=generator)
    means[1] = means[0] + 0.5 * torch.randn(1280, generator=generator)
    labels = torch.arange(16).repeat_interleave(5)
    x = (means[labels] + 0.7 * torch.randn(80, 1280, generator=generator)).relu()
    anchors, _, negatives = distance_weighted_triplets(x, labels, cutoff=0.5, farthest=1.4)
    assert len(anchors) == 80 * 4
    unit = torch.nn.functional.normalize(x, dim=1)
    assert ((unit[anchors] - unit[negatives]).norm(dim=1) < 1.4).all()


def test_an_anchor_without_a_near_negative_gets_any() -> None:
    x = torch.tensor([[1.0, 0, 0], [1, 0.1, 0], [-1, 0, 0], [-1, 0.1, 0]])
    anchors, _, negatives = distance_weighted_triplets(
        x, torch.tensor([0, 0, 1, 1]), cutoff=0.5, farthest=1.4
    )
    assert anchors.tolist() == [0, 1, 2, 3]
    assert [n // 2 for n in negatives.tolist()] == [1, 1, 0, 0]


@pytest.mark.parametrize("labels", [[0, 1, 2], [1, 1, 1]])
def test_a_batch_without_pairs_gives_no_triplets(labels: list[int]) -> None:
    mined = distance_weighted_triplets(torch.randn(3, 4), torch.tensor(labels), cutoff=0.5, farthest=1.4)
    assert [len(part) for part in mined] == [0, 0, 0]

import torch

from tests.training.ensembles import naive
from training.ensembles.pairs import mean, pairs_of, squared_distances


def test_every_pair_is_found_once() -> None:
    _, labels = naive.made_up()
    for found, truth in zip(pairs_of(labels), naive.pairs(labels), strict=True):
        assert list(zip(*(side.tolist() for side in found), strict=True)) == truth


def test_distances_of_unit_vectors() -> None:
    (feature, *_), _ = naive.made_up()
    rows = naive.unit(feature)
    distances = squared_distances(torch.from_numpy(rows))
    for i in range(len(rows)):
        for j in range(len(rows)):
            assert abs(float(distances[i, j]) - naive.squared(rows, i, j)) < 1e-12


def test_the_mean_of_nothing_is_zero_with_a_gradient() -> None:
    values = torch.ones(3, requires_grad=True)
    nothing = mean(values[:0])
    assert nothing.item() == 0
    torch.autograd.backward(nothing)
    assert values.grad is not None
    assert values.grad.tolist() == [0, 0, 0]

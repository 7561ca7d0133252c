from math import exp, log

import numpy as np
import pytest
import torch

from tests.training.ensembles import naive
from training.ensembles.dreml import MetaClasses


def meta(sizes: tuple[int, ...], classes: int = 7, seed: int = 0) -> MetaClasses:
    torch.manual_seed(0)
    return MetaClasses(sizes, classes, meta_classes=3, scale=2.0, seed=seed).double()


def test_the_loss_is_the_papers() -> None:
    features, labels = naive.made_up(sizes=(3, 5))
    objective = meta((3, 5), classes=3)
    learned = next(objective.parameters()).detach().numpy()
    proxies = [np.eye(3), learned / np.linalg.norm(learned, axis=1, keepdims=True)]
    total = 0.0
    for feature, directions, groups in zip(features, proxies, objective.groups.tolist(), strict=True):
        for row, label in zip(naive.unit(feature), labels.tolist(), strict=True):
            scores = [2.0 * float(row @ direction) for direction in directions]
            total += (log(sum(map(exp, scores))) - scores[groups[label]]) / len(labels)
    assert objective(features, labels).loss.item() == pytest.approx(total)


@pytest.mark.parametrize("classes", [3, 7, 98])
def test_groups_are_even_and_differ_between_heads(classes: int) -> None:
    groups = meta((3,) * 6, classes).groups
    assert groups.shape == (6, classes)
    for row in groups:
        sizes = torch.bincount(row, minlength=3)
        assert len(sizes) == 3
        assert sizes.max() - sizes.min() <= 1
    assert len(torch.unique(groups, dim=0)) > 1


def test_groups_come_from_the_seed_alone_and_are_saved() -> None:
    one = meta((3, 3), 98, seed=5)
    torch.manual_seed(99)
    torch.rand(10)
    assert torch.equal(one.groups, meta((3, 3), 98, seed=5).groups)
    other = meta((3, 3), 98, seed=6)
    assert not torch.equal(one.groups, other.groups)
    other.load_state_dict(one.state_dict())
    assert torch.equal(one.groups, other.groups)


def test_proxies_learn_only_where_features_have_another_size() -> None:
    objective = meta((3, 5))
    assert objective.head_parameters(0) == []
    assert [tuple(p.shape) for p in objective.head_parameters(1)] == [(3, 5)]
    assert objective.shared_parameters(2) == []

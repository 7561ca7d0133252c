"""Learners and the objectives that recipes ask for."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from retrieval.networks import Ensemble, build_ensemble, preset_spec
from training.learner import Learner, build_objective
from training.sections.loss import LossSection
from training.summed_heads import SummedHeads


def network(*reductions: str) -> Ensemble:
    spec = preset_spec("hdhe", "resnet18")
    heads = tuple(replace(head, reduction=r) for head, r in zip(spec.heads, reductions, strict=True))  # type: ignore[arg-type]  # the parameters are reductions
    return build_ensemble(replace(spec, heads=heads), weights=None)


def test_penultimate_is_classified_directly_and_penultimate_plus_through_a_block() -> None:
    heads = network("penultimate", "penultimate+")
    objective = build_objective(LossSection(), heads, 7, seed=0)
    assert isinstance(objective, SummedHeads)
    direct, through = (
        [module for module in loss.modules() if isinstance(module, nn.Linear)] for loss in objective.losses
    )
    assert [(layer.in_features, layer.out_features) for layer in direct] == [(heads.feature_sizes[0], 7)]
    assert [(layer.in_features, layer.out_features) for layer in through] == [
        (heads.feature_sizes[1], 512),
        (512, 7),
    ]


def test_a_learner_tells_its_loss_and_what_each_head_got_right() -> None:
    torch.manual_seed(1)
    heads = network("none", "none")
    objective = build_objective(LossSection(), heads, 5, seed=0)
    assert isinstance(objective, SummedHeads)
    learner = Learner(heads, objective).eval()
    images, labels = torch.randn(4, 3, 64, 64), torch.tensor([0, 1, 2, 3])
    loss, right = learner(images, labels)
    naive, counts = 0.0, []
    for head, feature in zip(objective.losses, heads(images), strict=True):
        logits = head(feature, labels)[1]
        naive += nn.functional.cross_entropy(logits, labels).item()
        counts.append((logits.argmax(1) == labels).sum().item())
    torch.testing.assert_close(loss.item(), naive)
    assert right.tolist() == counts
    pairs = Learner(heads, build_objective(LossSection(name="triplet"), heads, 5, seed=0)).eval()
    assert bool(pairs(images, torch.tensor([0, 0, 1, 1]))[1].isnan().all())

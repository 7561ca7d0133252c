"""The gradient of a batch that two processes share is that of one process, for every kind of objective: in float64,
where nothing hides behind rounding.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from retrieval.networks import EnsembleSpec, build_ensemble, preset_spec
from tests.training.two_processes import TwoProcesses
from training.batch_part import BatchPart
from training.learner import Learner, build_objective
from training.sampling.signatures import ClassSignatures
from training.sections.loss import LossSection
from training.synced_norms import synchronise_norms

CLASSES, IMAGES = 4, 10

OBJECTIVES: dict[str, tuple[str, dict[str, Any]]] = {
    "class blocks with norms and dropout": ("hdhe", {"name": "cross_entropy"}),
    "a second loss, mixtures and heads that learn from all": (
        "hdhe",
        {
            "name": "norm_softmax",
            "pair": {"name": "multi_similarity"},
            "mixup": {},
            "distil_heads": {},
        },
    ),
    "a miner that draws": ("single", {"name": "margin", "settings": {"learn_beta": True}}),
    "all pairs": ("single", {"name": "supcon"}),
    "joined heads and their adversary": ("a-bier", {"combine": "boosted"}),
}


def spec(preset: str) -> EnsembleSpec:
    return preset_spec(preset, "mobilenet_v3_small")


def compared(preset: str, section: dict[str, Any]) -> dict[str, float]:
    """The largest differences between this process's part of a step and the whole step, done here alone."""
    torch.manual_seed(0)
    network = build_ensemble(spec(preset), weights=None)
    loss = LossSection.model_validate(section)
    signatures = ClassSignatures(CLASSES, network.embedding_size)
    one = Learner(network, build_objective(loss, network, CLASSES, seed=0), signatures).double()
    many = deepcopy(one)
    synchronise_norms(many.network, fused=False)
    images, labels = torch.randn(IMAGES, 3, 32, 32, dtype=torch.float64), torch.arange(IMAGES) % CLASSES
    # Unequal parts, as at the end of an epoch.
    part = BatchPart((IMAGES - 3, 3), dist.get_rank())

    torch.manual_seed(7)
    wrapped = DistributedDataParallel(many)  # which averages gradients for as long as it lives
    value, right = wrapped(images[part.own], labels[part.own], part)
    value.backward()
    torch.manual_seed(7)
    expected, all_right = one(images, labels)
    expected.backward()

    dist.all_reduce(right)
    gradients = [
        float((a.grad - b.grad).abs().max() / (1 + b.grad.abs().max()))
        for a, b in zip(many.parameters(), one.parameters(), strict=True)
        if a.grad is not None and b.grad is not None
    ]
    assert len(gradients) == len(list(many.parameters()))
    buffers = [
        float((a.double() - b.double()).abs().max())
        for a, b in zip(many.buffers(), one.buffers(), strict=True)
    ]
    return {
        "loss": abs(float(value.detach() - expected.detach())),
        "gradient": max(gradients),
        "statistics": max(buffers),
        "right": float((right - all_right).nan_to_num(0).abs().max()),
    }


QUICK = ("class blocks with norms and dropout", "a miner that draws")


@pytest.mark.parametrize(
    "objective",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in OBJECTIVES],
)
def test_two_processes_take_the_step_of_one(objective: str, both: TwoProcesses) -> None:
    for found in both.run(compared, *OBJECTIVES[objective]):
        assert max(found.values()) < 1e-9, found

"""Every method's step, shared by two processes, is the step of one: in float64, where nothing hides behind rounding."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from retrieval.networks import Ensemble, build_ensemble, preset_spec
from retrieval.networks.classifiers import build_classifier
from retrieval.transforms import Preprocessing
from tests.training.two_processes import TwoProcesses
from training.batch_part import BatchPart
from training.distillation.distiller import Distiller, use_batch_statistics
from training.distillation.methods.table import METHODS
from training.distillation.methods.term import StageName
from training.distillation.opening import Teacher, build_student, build_terms
from training.distillation.recipe import DistillationRecipe
from training.distillation.sides import ClassifierSide, EnsembleSide, Side
from training.learner import build_objective
from training.synced_norms import synchronise_norms

CLASSES, IMAGES = ("a", "b", "c", "d"), 7

CASES: dict[str, tuple[dict[str, Any], StageName]] = {
    "kd": ({"method": "kd"}, "main"),
    "dist": ({"method": "dist"}, "main"),
    "dtl": ({"method": "dtl"}, "main"),
    "bss": ({"method": "bss", "samples": 5, "beta_until": 1.0}, "main"),
    "fitnets": ({"method": "fitnets"}, "main"),
    "at": ({"method": "at"}, "main"),
    "ft before": ({"method": "ft"}, "prepare"),
    "ft": ({"method": "ft"}, "main"),
    "ab": ({"method": "ab"}, "initialise"),
    "ofd": ({"method": "ofd"}, "main"),
    "ofd, running margins": ({"method": "ofd", "margins": "running"}, "main"),
    "fsp": ({"method": "fsp"}, "initialise"),
    "rkd": ({"method": "rkd"}, "main"),
    "similarity_preserving": ({"method": "similarity_preserving"}, "main"),
    "jacobian": ({"method": "jacobian"}, "main"),
    "jacobian_logits": ({"method": "jacobian_logits"}, "main"),
    "embedding_matching": ({"method": "embedding_matching"}, "main"),
    "relations": ({"method": "relations"}, "main"),
}
OF_EMBEDDINGS = ("embedding_matching", "relations")


def test_no_method_is_left_out() -> None:
    assert {section["method"] for section, _ in CASES.values()} == set(METHODS)


def compared(section: dict[str, Any], stage: StageName) -> dict[str, float]:
    """The largest differences between this process's part of a step and the whole step, done here alone."""
    embeds = section["method"] in OF_EMBEDDINGS
    student: dict[str, Any] = {"network": "wrn-10-1"}
    if embeds:
        student = {"preset": "single", "backbone": "mobilenet_v3_small", "weights": "none"}
    known = ("method", "weight")
    term = {key: section[key] for key in known if key in section}
    term |= {"settings": {key: value for key, value in section.items() if key not in known}}
    recipe = DistillationRecipe.model_validate(
        {
            "name": "tiny",
            "data": {"name": "x"},
            "student": student,
            "teacher": {"model": "x"},
            "terms": [term],
            **({"initialise": {"epochs": 1}} if stage == "initialise" else {}),
            **({"prepare": {"epochs": 1}} if section["method"] == "ft" else {}),
        }
    )
    torch.manual_seed(0)
    if embeds:
        shown: Side = EnsembleSide(
            build_ensemble(preset_spec("single", "mobilenet_v3_small"), weights=None), mirror=True
        )
        teacher = Teacher(shown, Preprocessing(32), None, "0" * 64)
    else:
        shown = ClassifierSide(build_classifier("wrn-10-2", len(CLASSES), weights=None))
        teacher = Teacher(shown, Preprocessing(32), CLASSES, None)
    taught = build_student(recipe, teacher, len(CLASSES))
    terms = build_terms(recipe, teacher, taught, CLASSES)
    objective = None
    if isinstance(taught.network, Ensemble):
        objective = build_objective(recipe.loss, taught.network, len(CLASSES), seed=0)
    one = Distiller(taught, teacher.side, terms, objective=objective, class_weight=1.0).double()
    teacher.side.double()
    many = deepcopy(one)
    for each in (one, many):
        assert each.teacher is not None
        use_batch_statistics(each.teacher, on=recipe.batch_statistics(stage))
        for module in (each.student, each.terms, each.teacher) if each is many else ():
            synchronise_norms(module, fused=False)

    images, labels = torch.randn(IMAGES, 3, 32, 32, dtype=torch.float64), torch.arange(IMAGES) % len(CLASSES)
    part = BatchPart.of(IMAGES, dist.get_rank(), 2)
    own = images[part.own]
    torch.manual_seed(7)
    wrapped = DistributedDataParallel(many, find_unused_parameters=True)
    found = wrapped(own, own, labels[part.own], stage, 0.25, part)
    found.total.backward()
    torch.manual_seed(7)
    expected = one(images, images, labels, stage, 0.25)
    expected.total.backward()

    parts, right = found.parts / 2, found.right.clone()
    dist.all_reduce(parts)
    dist.all_reduce(right)
    compared = 0
    apart = 0.0
    for a, b in zip(many.parameters(), one.parameters(), strict=True):
        if b.grad is not None:
            assert a.grad is not None
            apart = max(apart, float((a.grad - b.grad).abs().max() / (1e-6 + b.grad.abs().max())))
            compared += 1
    assert compared
    # The counts of running margins are twice those of one process here, where both processes count the whole batch.
    others = dict(one.named_buffers())
    buffers = [
        float((value.double() - others[name].double()).abs().max())
        for name, value in many.named_buffers()
        if not name.endswith("counts")
    ]
    assert expected.parts[1] != 0
    return {
        "loss": float((parts - expected.parts).abs().max() / expected.parts.abs().max()),
        "gradient": apart,
        "statistics": max(buffers),
        "right": float((right - expected.right).nan_to_num(0).abs().max()),
    }


QUICK = ("dist", "bss", "ofd, running margins", "rkd")


@pytest.mark.parametrize(
    "case", [case if case in QUICK else pytest.param(case, marks=pytest.mark.slow) for case in CASES]
)
def test_two_processes_take_the_step_of_one(case: str, both: TwoProcesses) -> None:
    for found in both.run(compared, *CASES[case]):
        assert max(found.values()) < 1e-7, found

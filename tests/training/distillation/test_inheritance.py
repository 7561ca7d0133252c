"""What a student has of its teacher: the very tensors, and with all of them the very features."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch

from retrieval.errors import UserError
from retrieval.networks import Ensemble, EnsembleSpec, HeadSpec, build_ensemble
from retrieval.networks.classifiers import build_classifier
from retrieval.networks.ensemble import with_whitening
from training.distillation.inheritance import inherit, inherited_spec

SHORT = HeadSpec(last_block="res4_1", reduction="penultimate+", stride=1)
LONG = HeadSpec(last_block="res4_2", reduction="penultimate+", stride=1)


def network(
    *heads: HeadSpec, seed: int, backbone: str = "efficientnet_lite0", share: Literal["B2", "B3"] = "B3"
) -> Ensemble:
    """With random weights, and the statistics of a few random images in its batch norms."""
    torch.manual_seed(seed)
    made = build_ensemble(EnsembleSpec(backbone, share, heads, mirror=False), weights=None)
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        made.train()(torch.randn(4, 3, 32, 32))
    return made.eval()


@pytest.mark.parametrize("number", [0, 1])
def test_a_student_of_one_of_the_heads_gives_that_heads_feature(number: int) -> None:
    heads = (LONG, SHORT)
    teacher, student = network(*heads, seed=1), network(heads[number], seed=2)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert not torch.allclose(student(images)[0], teacher(images)[number])
        assert inherit(student, teacher) == 1
        torch.testing.assert_close(student(images)[0], teacher(images)[number], rtol=0, atol=0)


def test_blocks_change_places_between_trunk_and_heads() -> None:
    teacher = network(SHORT, seed=1, share="B2")
    student = network(SHORT, seed=2, share="B3")
    images = torch.randn(2, 3, 32, 32)
    assert inherit(student, teacher) == 1
    with torch.no_grad():
        torch.testing.assert_close(student(images)[0], teacher(images)[0], rtol=0, atol=0)


def test_what_the_teacher_lacks_stays_and_the_teacher_is_untouched() -> None:
    teacher, student = network(SHORT, seed=1), network(LONG, seed=2)
    before = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    theirs = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    assert 0 < inherit(student, teacher) < 1
    after = student.state_dict()
    kept = [name for name in after if name.startswith("heads.0.groups.B4.1.")]
    assert kept
    for name in kept:
        assert torch.equal(after[name], before[name])
    assert torch.equal(after["trunk.stem.conv.weight"], theirs["trunk.stem.conv.weight"])
    for name, tensor in teacher.state_dict().items():
        assert torch.equal(tensor, theirs[name])


def test_a_linear_layer_of_the_students_own_stays() -> None:
    teacher = network(HeadSpec(last_block="res4_1", stride=1), seed=1)
    student = network(HeadSpec(last_block="res4_1", stride=1, reduction="linear", size=8), seed=2)
    own = {name: value.clone() for name, value in student.named_parameters() if ".reduction." in name}
    share = inherit(student, teacher)
    after = dict(student.named_parameters())
    assert own
    assert all(torch.equal(after[name], value) for name, value in own.items())
    left = sum(value.numel() for value in own.values())
    assert share == pytest.approx(1 - left / sum(value.numel() for value in after.values()))


def test_a_student_of_the_same_heads_wears_its_teachers_whitening() -> None:
    """And so lives in its teacher's space from the start, whatever its heads' rates and however much they share."""
    teacher = with_whitening(network(LONG, SHORT, seed=1), 12)
    assert teacher.whitening is not None
    images = torch.randn(6, 3, 32, 32)
    with torch.no_grad():
        joined = network(LONG, SHORT, seed=1).embed(images).numpy()
    teacher.whitening.fit(joined, np.array([0, 0, 1, 1, 2, 2]))
    spec = EnsembleSpec("efficientnet_lite0", "B2", (replace(LONG, lr=0.1), SHORT), mirror=False)
    student = build_ensemble(inherited_spec(spec, teacher), weights=None).eval()
    assert inherit(student, teacher) == 1
    with torch.no_grad():
        torch.testing.assert_close(student.embed(images), teacher.embed(images), rtol=0, atol=0)
    assert student.embedding_size == 12


@pytest.mark.parametrize(
    "heads",
    [(SHORT,), (SHORT, LONG), (LONG, replace(SHORT, pool="max")), (LONG, replace(SHORT, stride=2))],
    ids=["fewer", "in another order", "pooled otherwise", "at another stride"],
)
def test_features_of_another_meaning_are_not_whitened_as_the_teachers(heads: tuple[HeadSpec, ...]) -> None:
    teacher = with_whitening(network(LONG, SHORT, seed=1))
    spec = EnsembleSpec("efficientnet_lite0", "B3", heads, mirror=False)
    assert inherited_spec(spec, teacher) == spec


@pytest.mark.parametrize(
    "changed",
    [{"tied": True}, {"backbone": "mobilenet_v3_small"}, {"share_until": "B3"}],
    ids=["tied heads", "another backbone", "a group shared that the teacher's heads do not share"],
)
def test_a_network_of_another_build_is_not_whitened_as_the_teacher(changed: dict[str, Any]) -> None:
    teacher = with_whitening(network(LONG, SHORT, seed=1, share="B2"))
    spec = replace(teacher.spec, whitened=None)
    assert inherited_spec(spec, teacher) == teacher.spec
    other = replace(spec, **changed)
    assert inherited_spec(other, teacher) == other


@pytest.mark.parametrize(
    "head",
    [replace(SHORT, reduction="linear", size=8), replace(SHORT, pool="gem"), replace(SHORT, attention=True)],
    ids=["linear", "gem", "attention"],
)
def test_features_with_a_part_that_is_not_inherited_are_not_whitened_as_the_teachers(head: HeadSpec) -> None:
    teacher = with_whitening(network(head, seed=1))
    assert teacher.spec.whitened is not None
    assert inherited_spec(network(head, seed=2).spec, teacher).whitened is None


def test_other_kinds_are_refused() -> None:
    student = network(SHORT, seed=1)
    with pytest.raises(
        UserError, match="the student is a efficientnet_lite0 and its teacher a mobilenet_v3_small"
    ):
        inherit(student, network(HeadSpec(last_block="res4_1"), seed=1, backbone="mobilenet_v3_small"))
    with pytest.raises(UserError, match="only a network that embeds"):
        inherit(student, build_classifier("wrn-10-1", 10, weights=None))

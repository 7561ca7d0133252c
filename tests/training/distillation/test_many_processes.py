from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from retrieval.networks.classifiers import build_classifier
from retrieval.transforms import Preprocessing
from tests.training.runs import distill_job, largest_difference, losses, weights
from tests.training.two_processes import TwoProcesses
from training.distillation.loop import distill
from training.distillation.recipe import DistillationRecipe
from training.distillation.saved_classifier import save_classifier

# 36 images in batches of 12, at rates so low that training does not multiply what rounding makes different.
TERMS = (
    "terms=[{method: kd}, {method: ofd}]",
    "batch=12",
    "schedule={epochs: 2}",
    "optimiser={lr: 1e-4, classifier_lr: 1e-4}",
    "score.every=2",
)


def test_two_processes_distil_as_one_does(
    tmp_path: Path, make_distillation: Callable[..., DistillationRecipe], both: TwoProcesses
) -> None:
    torch.manual_seed(0)
    teacher = build_classifier("wrn-10-2", 4, weights=None)
    preprocessing = Preprocessing(32, None, teacher.mean, teacher.std)
    names = ("amber", "blue", "cyan", "dun")
    save_classifier(tmp_path / "teacher", teacher, preprocessing, classes=names, recipe={}, scores=[], seed=0)
    overrides = (*TERMS, f"teacher={{model: {tmp_path / 'teacher'}}}")
    distill(make_distillation(*overrides), tmp_path / "one")
    both.run(distill_job, tmp_path / "tiny.yaml", tmp_path / "two", *overrides)
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-5)
    assert largest_difference(weights(tmp_path / "one"), weights(tmp_path / "two")) < 1e-4

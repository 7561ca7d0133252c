"""A study small enough to run in seconds: two rows of a random network on a made-up photo folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training.recipe import Recipe
from training.studies.base import Base, open_base
from training.studies.plan import Plan, plan_study
from training.studies.study import Row, Study

BACKBONE = "mobilenet_v3_small"

RECIPE = """
data: {name: none}
network: {preset: single, weights: none}
images: {pixels: 32}
batch: 13
optimiser: {lr: 1e-2, classifier_lr: 5e-2}
schedule: {epochs: 1}
validation: {every: 1000, k: [1, 2]}
machine: {checkpoint_minutes: null}
"""

STUDY = Study(
    name="tiny",
    question="Does it run?",
    claim="It does.",
    rows=(
        Row("plain"),
        Row("pruned", {"network.preset": "pruned"}),
    ),
)


@pytest.fixture
def tiny_file(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.yaml"
    file.write_text(RECIPE)
    return file


@pytest.fixture
def base(tiny_file: Path, photos: Path) -> Base[Recipe]:
    return open_base(tiny_file, {}, data=str(photos), root=None, backbone=BACKBONE)


@pytest.fixture
def make_plan(base: Base[Recipe], tmp_path: Path) -> Callable[..., Plan]:
    def make(study: Study = STUDY, *, seeds: int = 1, **rest: Any) -> Plan:
        return plan_study(study, base, tmp_path / "study", seeds=seeds, **rest)

    return make

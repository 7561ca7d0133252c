"""Which stage an epoch belongs to, and how rates change within it."""

from __future__ import annotations

from collections.abc import Callable

from training.distillation.recipe import DistillationRecipe
from training.distillation.stages import stage_at, stages_of

Make = Callable[..., DistillationRecipe]


def test_stages_follow_each_other(make_distillation: Make) -> None:
    recipe = make_distillation(
        "teacher={model: somewhere}",
        "terms=[{method: ft}, {method: ab}, {method: kd}]",
        "prepare={epochs: 2, lr: 0.01}",
        "initialise={epochs: 3}",
        "schedule={epochs: 10, drops: [0.3, 0.6], drop_factor: 0.2}",
    )
    stages = stages_of(recipe)
    assert [(stage.name, stage.first, stage.end, stage.lr) for stage in stages] == [
        ("prepare", 0, 2, 0.01),
        ("initialise", 2, 5, None),
        ("main", 5, 15, None),
    ]
    assert [stage_at(stages, epoch).name for epoch in (0, 1, 2, 4, 5, 14)] == [
        "prepare",
        "prepare",
        "initialise",
        "initialise",
        "main",
        "main",
    ]
    # Early stages keep their rate; the main one's drops count from its own start.
    assert [stages[1].rate_factor(position) for position in (2, 4.9)] == [1, 1]
    assert [round(stages[2].rate_factor(position), 9) for position in (5, 7.9, 8, 11)] == [1, 1, 0.2, 0.04]
    assert stages[2].progress(10) == 0.5


def test_the_teacher_uses_batch_statistics_where_the_authors_do(make_distillation: Make) -> None:
    terms = ("teacher={model: somewhere}", "terms=[{method: ab}, {method: kd}]", "initialise={epochs: 1}")
    recipe = make_distillation(*terms)
    assert recipe.batch_statistics("initialise")
    assert not recipe.batch_statistics("main")
    assert not make_distillation(*terms, "teacher.norms=own").batch_statistics("initialise")
    assert make_distillation(*terms, "teacher.norms=batch").batch_statistics("main")


def test_each_stage_knows_the_key_of_its_rate(make_distillation: Make) -> None:
    recipe = make_distillation(
        "teacher={model: somewhere}",
        "terms=[{method: ft}, {method: ab}]",
        "prepare={epochs: 1, lr: 0.01}",
        "initialise={epochs: 1}",
        "optimiser.lr=0.3",
    )
    rates = [stage.rate(recipe) for stage in stages_of(recipe)]
    assert [(rate.key, rate.value, rate.warmup) for rate in rates] == [
        ("prepare.lr", 0.01, "prepare.warmup_epochs"),
        ("optimiser.lr", 0.3, "initialise.warmup_epochs"),
        ("optimiser.lr", 0.3, "schedule.warmup_epochs"),
    ]

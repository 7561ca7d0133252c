"""Optimisers by kind against one step worked by hand, and the section's checks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from training.layer_rates import RateGroup, block_rates
from training.optimiser import build_optimiser, restart
from training.recipe import Recipe
from training.recipe_file import RecipeError, dump_recipe, first_difference, load_recipe
from training.sections.optimiser import FactorRule, OptimiserSection

Make = Callable[..., Recipe]


def one_step(**settings: Any) -> tuple[float, float]:
    """Two weights of 1 in two groups with rates 0.1 and 0.01, both with gradient 2."""
    weights = [torch.nn.Parameter(torch.ones(1)) for _ in range(2)]
    groups = [
        RateGroup("trunk.block1", 0.1, (weights[0],), block=1),
        RateGroup("head1.classifier", 0.01, (weights[1],)),
    ]
    optimiser = build_optimiser(groups, OptimiserSection(**settings))
    for weight in weights:
        weight.grad = torch.full((1,), 2.0)
    optimiser.step()
    assert [group["block"] for group in optimiser.param_groups] == [1, None]
    assert [group["base_lr"] for group in optimiser.param_groups] == [0.1, 0.01]
    return weights[0].item(), weights[1].item()


def test_sgd() -> None:
    plain = one_step(momentum=0, nesterov=False, weight_decay=0)
    assert plain == pytest.approx((1 - 0.1 * 2, 1 - 0.01 * 2))
    # The gradient with its decay is 2.5; Nesterov's first step is the gradient and 0.9 of the new momentum.
    nesterov = one_step(weight_decay=0.5)
    assert nesterov == pytest.approx((1 - 0.1 * 1.9 * 2.5, 1 - 0.01 * 1.9 * 2.5))


def test_adam_takes_a_step_of_the_rate_whatever_the_gradient() -> None:
    assert one_step(kind="adam", weight_decay=0) == pytest.approx((0.9, 0.99))
    # With eps as large as the gradient the step is half of that.
    assert one_step(kind="adam", weight_decay=0, eps=2.0) == pytest.approx((0.95, 0.995))


def test_adamw_takes_the_decay_off_the_weight() -> None:
    assert one_step(kind="adamw", weight_decay=0.5) == pytest.approx((1 - 0.05 - 0.1, 1 - 0.005 - 0.01))


def test_nesterov_without_momentum_is_refused_for_sgd_alone() -> None:
    with pytest.raises(ValidationError, match="nesterov needs momentum"):
        OptimiserSection(momentum=0)
    assert OptimiserSection(kind="adam", momentum=0).kind == "adam"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("star", "star"),
        # One for each of the 11 blocks of the tiny recipe's network.
        ("[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]", tuple(map(float, range(1, 12)))),
        ("{1: 0.1, 11: 10}", {1: 0.1, 11: 10.0}),
        ("{first: 0.1, last: 10}", FactorRule(first=0.1, last=10.0)),
        ("{first: 1, last: 2, shape: linear}", FactorRule(first=1.0, last=2.0, shape="linear")),
        ("null", None),
    ],
)
def test_factors_survive_the_recipe_file(
    tmp_path: Path, make_recipe: Make, written: str, meant: object
) -> None:
    recipe = make_recipe(f"optimiser.block_factors={written}")
    assert recipe.optimiser.block_factors == meant
    copy = tmp_path / "copy.yaml"
    copy.write_text(dump_recipe(recipe))
    assert load_recipe(copy) == recipe


def test_other_ways_of_writing_factors_are_a_difference(make_recipe: Make) -> None:
    rule = make_recipe("optimiser.block_factors={first: 0.1, last: 10}")
    other = make_recipe("optimiser.block_factors={first: 0.1, last: 9}")
    assert first_difference(rule, other) == "optimiser.block_factors.last was 10.0 and is now 9.0"
    for written in ("null", "star"):
        difference = first_difference(rule, make_recipe(f"optimiser.block_factors={written}"))
        assert difference is not None
        assert difference.startswith("optimiser.block_factors was FactorRule(first=0.1")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "block_factors=sword",
            "optimiser.block_factors must be one of 'dagger', 'double_dagger' or 'star'; got",
        ),
        ("block_factors={first: 0, last: 1}", "optimiser.block_factors.first must be > 0; got 0"),
        ("block_factors={first: 1}", "optimiser.block_factors.last is missing"),
        (
            "block_factors={first: 1, lats: 2, last: 3}",
            "block_factors.lats is not a key of a recipe; did you mean last?",
        ),
        ("block_factors={low: 1}", "optimiser.block_factors.low"),
        ("block_factors=[]", "optimiser.block_factors: "),
        ("block_factors=3", "optimiser.block_factors: "),
        ("kind=lion", "optimiser.kind must be one of 'sgd', 'adam' or 'adamw'; got 'lion'"),
        ("clip_value=0", "optimiser.clip_value must be > 0; got 0"),
        ("betas=[0.9, 1]", "optimiser.betas.1 must be < 1; got 1"),
    ],
)
def test_a_mistake_names_its_key(make_recipe: Make, override: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        make_recipe(f"optimiser.{override}")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_restarted_optimiser_steps_as_a_new_one() -> None:
    weight = torch.nn.Parameter(torch.ones(1))
    loss_weight = torch.nn.Parameter(torch.ones(1))
    groups = [
        RateGroup("trunk.block1", 0.1, (weight,), block=1),
        RateGroup("head1.classifier", 0.1, (loss_weight,)),
    ]
    optimiser = build_optimiser(groups, OptimiserSection(weight_decay=0))
    for _ in range(3):
        weight.grad = torch.ones(1)
        optimiser.step()
    restart(optimiser, {0: 7.0, 1: 0.01})
    assert [group["base_lr"] for group in optimiser.param_groups] == [0.01, 0.1]
    before = weight.item()
    for group in optimiser.param_groups:
        group["lr"] = group["base_lr"]
    optimiser.step()
    # Nesterov's first step is 1.9 gradients; with the momentum of three steps it would be 4.4.
    assert weight.item() == pytest.approx(before - 0.01 * 1.9)


def test_the_rates_of_blocks_leave_the_loss_out() -> None:
    groups = [RateGroup("trunk.stem", 0.5, (), block=0), RateGroup("trunk.block1", 0.1, (), block=1)]
    assert block_rates([*groups, RateGroup("head1.classifier", 9.0, ())]) == {0: 0.5, 1: 0.1}

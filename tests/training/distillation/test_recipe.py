"""Which recipes of distillation can be, and how the others are refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from training.distillation.recipe import DistillationRecipe
from training.recipe_file import RecipeError, load_recipe_of, packaged_recipes

Make = Callable[..., DistillationRecipe]
TEACHER = "teacher={model: somewhere}"


@pytest.mark.parametrize("name", packaged_recipes(DistillationRecipe))
def test_packaged_recipes_can_be_used(name: str) -> None:
    assert load_recipe_of(DistillationRecipe, name).name == name


def test_the_student_tells_the_task(make_distillation: Make) -> None:
    assert make_distillation().task == "classification"
    retrieval = make_distillation("student={backbone: mobilenet_v3_small, preset: single}", "batch=8")
    assert retrieval.task == "retrieval"


def test_stages_come_from_the_rows_unless_said_otherwise(make_distillation: Make) -> None:
    recipe = make_distillation(
        TEACHER, "initialise={epochs: 3}", "terms=[{method: ab}, {method: kd}, {method: at, stage: both}]"
    )
    assert [term.method for term in recipe.early_terms] == ["ab", "at"]
    assert [term.method for term in recipe.main_terms] == ["kd", "at"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["terms=[{method: kd}]"], "terms need a teacher (kd is one); set teacher.model"),
        ([TEACHER], "teacher has nothing to teach by"),
        (["class_weight=0"], "nothing is learned"),
        (
            [TEACHER, "terms=[{method: ab, weight: 0}]", "initialise={epochs: 1}"],
            "all terms of initialise have the weight 0",
        ),
        ([TEACHER, "terms=[{method: bss}, {method: ofd}]"], "set teacher.norms to own"),
        (["teacher={model: somewhere, norms: batch}", "terms=[{method: bss}]"], "set teacher.norms to own"),
        ([TEACHER, "terms=[{method: ab}]"], "term ab belongs to the stage initialise; set initialise.epochs"),
        ([TEACHER, "terms=[{method: kd}]", "initialise={epochs: 1}"], "initialise has no term"),
        ([TEACHER, "terms=[{method: ft}]"], "set prepare.epochs"),
        ([TEACHER, "terms=[{method: kd}]", "prepare={epochs: 1}"], "prepare has nothing to do"),
        ([TEACHER, "terms=[{method: kdd}]"], "method must be one of"),
        (
            [TEACHER, "terms=[{method: kd, methd: 1}]"],
            "terms.0.methd is not a key of a recipe; did you mean method?",
        ),
        (
            [TEACHER, "terms=[{method: kd, settings: {temprature: 2}}]"],
            "method kd has no setting 'temprature'",
        ),
        ([TEACHER, "terms=[{method: kd, settings: {temperature: 0}}]"], "temperature must be > 0"),
        ([TEACHER, "terms=[{method: kd, position: end}]"], "method kd takes no features"),
        (
            [TEACHER, "terms=[{method: similarity_preserving, settings: {of: feature}, student_taps: [B1]}]"],
            "method similarity_preserving takes no features at positions",
        ),
        (
            [TEACHER, "terms=[{method: at, teacher_taps: [B1], student_taps: [B1, B2]}]"],
            "each of the teacher's needs one of the student's",
        ),
        (
            ["teacher={model: somewhere, mirror: true}", "terms=[{method: kd}]"],
            "teacher.mirror is for retrieval",
        ),
        (
            [
                "teacher={model: x, weights: imagenet}",
                "terms=[{method: relations}]",
                "student={backbone: resnet18}",
            ],
            "teacher.weights goes with a classifier",
        ),
        (["inherit=true"], "inherit gives a network that embeds"),
        (["whitening={}"], "whitening is for retrieval"),
        (
            [
                TEACHER,
                "student={backbone: resnet18}",
                "terms=[{method: embedding_matching}]",
                "whitening.size=8",
            ],
            "whitening would take the student out of its teacher's space",
        ),
        (
            [
                TEACHER,
                "student={backbone: resnet18}",
                "terms=[{method: relations, settings: {gallery: teacher}}]",
                "whitening={}",
            ],
            "whitening would take the student out of its teacher's space",
        ),
        ([TEACHER, "terms=[{method: kd}]", "inherit=true"], "inherit gives a network that embeds"),
        (["sampler.images_per_class=2"], "sampler is for retrieval"),
        (["loss.name=margin"], "loss is for retrieval"),
        (["optimiser.stem_factor=0.1"], "a classifier has one rate"),
        (["data={name: x, share: 0.1, per_class: 3}"], "give share or per_class, not both"),
        (["student={network: wrn-10-1, backbone: resnet18}"], "student.backbone is not a key"),
        (["student={backbone: resnet17}"], "student.backbone must be one of"),
    ],
)
def test_what_cannot_be_is_refused_with_its_key(
    make_distillation: Make, overrides: list[str], message: str
) -> None:
    with pytest.raises(RecipeError) as refused:
        make_distillation(*overrides)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)

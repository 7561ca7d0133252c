"""Whole runs: a teacher by its labels, students by the teacher, a killed run that goes on, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from retrieval.bundle import load_bundle
from retrieval.errors import UserError
from tests.training.runs import killed_run, same, weights
from training.batches import epoch_order
from training.distillation.loop import distill
from training.distillation.opening import open_teacher, seed_of
from training.distillation.recipe import DistillationRecipe
from training.distillation.saved_classifier import load_classifier
from training.failure import TrainingFailedError
from training.metrics import read_metrics
from training.recipe_file import load_recipe_of
from training.run_folder import RunFolder

Make = Callable[..., DistillationRecipe]


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory, labelled: Path) -> Path:
    """A classifier of the four colours, trained by its labels."""
    folder = tmp_path_factory.mktemp("teacher")
    recipe = folder / "teacher.yaml"
    recipe.write_text(
        f"data: {{name: {labelled}}}\nstudent: {{network: wrn-10-2}}\nimages: {{pixels: 32}}\nbatch: 8\n"
        "optimiser: {lr: 0.05, classifier_lr: 0.05}\nschedule: {epochs: 4, shape: cosine}\n"
        "score: {split: test, every: 2}\n"
    )
    return distill(load_recipe_of(DistillationRecipe, recipe), folder / "run")


def test_a_classifier_learns_from_labels_alone(teacher: Path) -> None:
    saved = load_classifier(teacher)
    assert saved.classes == ("amber", "blue", "cyan", "dun")
    (score,) = saved.scores
    assert score["images"] == 16
    assert score["error"]["1"] <= 0.25
    lines = read_metrics(RunFolder(teacher.parent))
    assert [line["score"] is not None for line in lines] == [False, True, False, True]
    assert not saved.network.training
    with pytest.raises(UserError, match="is a classifier, which gives no embeddings"):
        load_bundle(teacher)


TERMS = {
    "kd": ["class_weight=0", "terms=[{method: kd}]"],
    "ab": ["class_weight=0", "terms=[{method: ab}, {method: kd}]", "initialise={epochs: 1}"],
    "ft": ["terms=[{method: ft}]", "prepare={epochs: 1, lr: 0.01}"],
    "fsp": ["terms=[{method: fsp, student_taps: [B1, B2, B3]}]", "initialise={epochs: 1}"],
    "ofd": ["terms=[{method: ofd}]"],
    "others": [
        "terms=[{method: at}, {method: fitnets}, {method: jacobian}, {method: bss}, {method: dist}, {method: rkd}]"
    ],
}


@pytest.mark.parametrize("name", sorted(set(TERMS) - {"fsp"}))
def test_every_kind_of_method_trains(
    make_distillation: Make, teacher: Path, tmp_path: Path, name: str
) -> None:
    recipe = make_distillation(f"teacher.model={teacher}", *TERMS[name], "score.every=9")
    distill(recipe, tmp_path / "run")
    lines = read_metrics(RunFolder(tmp_path / "run"))
    stages = [line["stage"] for line in lines]
    assert stages == [*["prepare"] * (name == "ft"), *["initialise"] * (name == "ab"), "main", "main"]
    told = {part for line in lines for part in line["parts"]}
    assert told >= {term.method for term in recipe.terms}
    assert ("labels" in told) == (recipe.class_weight > 0)
    assert lines[-1]["score"]["error"]["1"] <= 1


def test_the_teacher_does_not_change(make_distillation: Make, teacher: Path, tmp_path: Path) -> None:
    before = weights(teacher.parent)
    recipe = make_distillation(f"teacher.model={teacher}", *TERMS["ab"], "teacher.norms=batch")
    distill(recipe, tmp_path / "run")
    assert same(before, weights(teacher.parent))


def test_a_step_of_kd_is_the_formula(make_distillation: Make, teacher: Path, tmp_path: Path) -> None:
    """The first loss that a run notes, from networks that are run here by hand."""
    recipe = make_distillation(
        f"teacher.model={teacher}",
        *TERMS["kd"],
        "batch=36",
        "schedule.epochs=1",
        "images={pixels: 32, mirror: false}",
    )
    distill(recipe, tmp_path / "run")
    (line,) = read_metrics(RunFolder(tmp_path / "run"))

    from retrieval.datasets import open_dataset
    from retrieval.images import decode_image
    from retrieval.networks.classifiers import build_classifier
    from retrieval.transforms import Preprocessing

    torch.manual_seed(recipe.seed)
    student = build_classifier("wrn-10-1", 4).train()
    taught = load_classifier(teacher).network
    subset = open_dataset(recipe.data.name).subset("train")
    stated = Preprocessing(32, None, student.mean, student.std)
    (order,) = epoch_order(36, 36, seed=0, epoch=0)
    images = torch.stack([torch.from_numpy(stated.prepare(decode_image(subset.paths[i]))) for i in order])
    with torch.no_grad():
        seen = stated.normalise(images)
        target = F.softmax(taught(seen) / 3, dim=1)
        answer = F.log_softmax(student(seen) / 3, dim=1)
    expected = (target * (target.log() - answer)).sum(1).mean()
    assert line["loss"] == pytest.approx(expected.item(), rel=1e-4)


def test_a_killed_run_ends_with_the_same_bits(make_distillation: Make, teacher: Path, tmp_path: Path) -> None:
    overrides = [
        f"teacher.model={teacher}",
        "class_weight=0.5",
        "terms=[{method: ab}, {method: kd}, {method: ft}]",
        "prepare={epochs: 1, lr: 0.01}",
        "initialise={epochs: 2}",
        "schedule={epochs: 3, average: 0.9}",
        "machine.checkpoint_minutes=0",
    ]
    recipe = make_distillation(*overrides)
    distill(recipe, tmp_path / "whole")
    out = tmp_path / "killed"
    killed_run(
        tmp_path / "tiny.yaml",
        out,
        lambda: any((out / "checkpoint").glob("epoch00002-step000000[1-9]")),
        *overrides,
        kind="distill",
    )
    assert not RunFolder(out).finished
    distill(recipe, out, resume=True)
    assert same(weights(tmp_path / "whole"), weights(out))


def test_a_student_for_retrieval_lives_in_its_teachers_space(
    make_distillation: Make, photos: Path, tmp_path: Path
) -> None:
    student = (
        "student={backbone: mobilenet_v3_small, preset: single, weights: none, mirror: false, "
        "heads: [{last_block: res4_1, reduction: linear, size: 16}]}"
    )
    overrides = [
        f"data={{name: {photos}}}",
        student,
        "images={pixels: 32}",
        "score={split: validation, k: [1]}",
        "schedule.epochs=1",
    ]
    model = distill(make_distillation(*overrides), tmp_path / "teacher")
    taught = [f"teacher.model={model}", "terms=[{method: embedding_matching}, {method: relations}]"]
    bundle = load_bundle(distill(make_distillation(*overrides, *taught), tmp_path / "student"))
    assert bundle.embeds_for(load_bundle(model).fingerprint)
    assert bundle.scores[-1]["recall"]["1"] <= 1
    related = [f"teacher.model={model}", "terms=[{method: relations}]", "inherit=true"]
    other = load_bundle(distill(make_distillation(*overrides, *related), tmp_path / "other"))
    assert not other.embeds_for(load_bundle(model).fingerprint)
    # Without terms the teacher gives its weights alone: all but the student's linear layer, which is its own.
    said: list[str] = []
    alone = make_distillation(*overrides, f"teacher.model={model}", "inherit=true")
    distill(alone, tmp_path / "alone", report=said.append)
    assert "inherited: 9" in said[0]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["teacher.model=nowhere"], "nowhere holds no model"),
        (["terms=[{method: at, teacher_taps: [B7]}]"], "B7"),
        (["terms=[{method: at, teacher_taps: [B1, B2]}]"], "set teacher_taps and student_taps"),
        (["terms=[{method: embedding_matching}]"], "classifiers do not have"),
        (["score.split=validation"], "no split 'validation'"),
    ],
)
def test_what_does_not_fit_is_refused(
    make_distillation: Make, teacher: Path, tmp_path: Path, overrides: list[str], message: str
) -> None:
    recipe = make_distillation(f"teacher.model={teacher}", "terms=[{method: kd}]", *overrides)
    with pytest.raises(UserError) as refused:
        distill(recipe, tmp_path / "run")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_networks_of_other_groups_can_compare_what_they_pool(
    make_distillation: Make, teacher: Path, tmp_path: Path
) -> None:
    taught = [f"teacher.model={teacher}", "student.network=mobilenet_v1", "schedule.epochs=1"]
    recipe = make_distillation(*taught, "terms=[{method: similarity_preserving}]")
    with pytest.raises(UserError, match="no pairs to compare"):
        distill(recipe, tmp_path / "maps")
    pooled = make_distillation(*taught, "terms=[{method: similarity_preserving, settings: {of: feature}}]")
    distill(pooled, tmp_path / "pooled")
    assert read_metrics(RunFolder(tmp_path / "pooled"))[0]["parts"]["similarity_preserving"] > 0


def test_other_classes_than_the_teachers_are_refused(
    make_distillation: Make, teacher: Path, labelled: Path, tmp_path: Path
) -> None:
    renamed = labelled.with_name("renamed.csv")
    renamed.write_text(labelled.read_text().replace(",amber,", ",gold,"))
    recipe = make_distillation(f"teacher.model={teacher}", "terms=[{method: kd}]", f"data.name={renamed}")
    with pytest.raises(UserError, match="'amber' is known to one of them only"):
        distill(recipe, tmp_path / "run")


def test_a_run_that_diverges_says_which_term(make_distillation: Make, teacher: Path, tmp_path: Path) -> None:
    recipe = make_distillation(
        f"teacher.model={teacher}",
        "terms=[{method: kd, weight: 1e38}]",
        "optimiser.lr=1e30",
        "schedule.epochs=9",
    )
    with pytest.raises(TrainingFailedError, match=r"lower optimiser\.lr"):
        distill(recipe, tmp_path / "run")


def test_no_student_begins_where_its_teacher_began(make_distillation: Make, tmp_path: Path) -> None:
    """At a rate of almost nothing, networks of one design end where they began."""
    still = ["optimiser={lr: 1e-12, classifier_lr: 1e-12}", "schedule.epochs=1", "score={split: null}"]

    def taught_by(model: Path, *overrides: str) -> DistillationRecipe:
        return make_distillation(*still, f"teacher.model={model}", "terms=[{method: kd}]", *overrides)

    first = distill(make_distillation(*still), tmp_path / "first")
    second = distill(taught_by(first), tmp_path / "second")
    began = [
        load_classifier(model).network.state_dict()["groups.B1.0.conv1.weight"] for model in (first, second)
    ]
    assert (began[0] - began[1]).abs().max() > 0.1
    # Nor does a student's student. Where seed or network differ anyway, it begins as it would without a teacher.
    for model, overrides, expected in (
        (first, [], 2**31),
        (second, [], 0),
        (first, ["seed=1"], 1),
        (first, ["student.network=wrn-16-1"], 0),
    ):
        recipe = taught_by(model, *overrides)
        assert seed_of(recipe, open_teacher(recipe)) == expected


def test_the_seed_of_older_files_is_their_recipes(teacher: Path, tmp_path: Path) -> None:
    older = shutil.copytree(teacher, tmp_path / "older")
    document = json.loads((older / "model.json").read_text())
    del document["seed"]
    document["recipe"]["seed"] = 7
    (older / "model.json").write_text(json.dumps(document))
    assert load_classifier(older).seed == 7


def test_one_seed_gives_one_student(make_distillation: Make, tmp_path: Path) -> None:
    one = distill(make_distillation("schedule.epochs=1"), tmp_path / "one")
    distill(make_distillation("schedule.epochs=1"), tmp_path / "two")
    distill(make_distillation("schedule.epochs=1", "seed=1"), tmp_path / "three")
    assert same(weights(one.parent), weights(tmp_path / "two"))
    assert not same(weights(one.parent), weights(tmp_path / "three"))
    assert json.loads((one / "model.json").read_text())["network"] == "wrn-10-1"


def test_an_early_stage_scores_the_student_and_not_the_average_that_has_not_begun(
    make_distillation: Make, teacher: Path, tmp_path: Path
) -> None:
    overrides = [
        f"teacher.model={teacher}",
        "terms=[{method: kd, stage: both}]",
        "initialise={epochs: 4}",
        "score={split: test, every: 4}",
    ]
    reached = []
    for name, schedule in (("plain", "{epochs: 1}"), ("averaged", "{epochs: 1, average: 0.9}")):
        distill(make_distillation(*overrides, f"schedule={schedule}"), tmp_path / name)
        reached.append(read_metrics(RunFolder(tmp_path / name))[3]["score"])
    assert reached[0] == reached[1]
    assert reached[0]["error"]["1"] < 0.7

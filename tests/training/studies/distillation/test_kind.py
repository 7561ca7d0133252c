"""What a study needs to know of recipes of distillation, against figures worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.training.studies.distillation.conftest import STUDY
from training.distillation.recipe import DistillationRecipe
from training.studies.base import Base
from training.studies.distillation.kind import identity, lesson, scores
from training.studies.kind import Trained

Open = Callable[..., Base[DistillationRecipe]]

KD = {"terms": [{"method": "kd"}]}


def test_a_teacher_is_its_weights_wherever_they_lie(open_tiny: Open, tmp_path: Path) -> None:
    base = open_tiny()

    def taught_by(folder: Path, weights: bytes) -> str:
        folder.mkdir()
        (folder / "weights.safetensors").write_bytes(weights)
        return identity(base.recipe({"teacher.model": str(folder)}, KD))

    here = taught_by(tmp_path / "here", b"abc")
    assert here == taught_by(tmp_path / "there", b"abc")
    assert here != taught_by(tmp_path / "other", b"abd")
    missing = {identity(base.recipe({"teacher.model": name}, KD)) for name in ("one", "two")}
    assert len(missing) == 2


def test_scores_of_a_classifier_and_of_a_network_that_embeds() -> None:
    assert scores({"error": {"1": 0.25, "5": 0.125}, "overlap": {"B1": 0.5}}) == {
        "error": 0.25,
        "accuracy": 0.75,
        "top-5 error": 0.125,
        "overlap B1": 0.5,
    }
    assert scores({"recall": {"2": 0.75, "1": 0.5}, "map_at_r": 0.25}) == {
        "R@1": 0.5,
        "R@2": 0.75,
        "MAP@R": 0.25,
    }


def test_parameters_are_counted_with_the_class_layer_of_the_data(open_tiny: Open) -> None:
    """WRN 16-2 has 691,674 with CIFAR-10's class layer, whose classes are 6 more, each of 128 weights and a bias."""
    facts = lesson(Trained(open_tiny().recipe({"student.network": "wrn-16-2"}), 1, None, None))
    assert facts.parameters == 691_674 - 6 * 129


def test_stages_and_images_of_a_row(open_tiny: Open) -> None:
    base = open_tiny()
    values = {"terms": [{"method": "ab"}, {"method": "kd"}], "initialise.epochs": 3, "schedule.epochs": 12}
    teacher = base.recipe({"student.network": "wrn-10-2"})
    facts = lesson(Trained(base.recipe({"teacher.model": "x", "data.share": 0.3}, values), 1, teacher, None))
    # 9 images of each of 4 classes, of which 0.3 are 2.7.
    assert (facts.epochs, facts.images) == ((3, 12), 12)
    assert facts.cells(STUDY) | {"parameters": "?", "size": "?"} == {
        "teacher": "wrn-10-2",
        "student": "wrn-10-1",
        "size": "?",
        "epochs": "3 + 12",
        "images": "12",
        "parameters": "?",
    }
    assert facts.teacher_parameters is not None
    assert facts.cells(STUDY)["size"] == f"{100 * facts.parameters / facts.teacher_parameters:.1f} %"


def test_an_imagenet_teacher_has_a_name_and_a_size(open_tiny: Open) -> None:
    values = {"teacher.model": "resnet50", "teacher.weights": "imagenet", "terms": [{"method": "dtl"}]}
    facts = lesson(Trained(open_tiny().recipe(values, {"initialise.epochs": 1}), 1, None, None))
    assert (facts.teacher, facts.teacher_parameters) == ("resnet50", 25_557_032)

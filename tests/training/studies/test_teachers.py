"""What `--teacher` may say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from retrieval.errors import UserError
from tests.training.studies.distillation.conftest import STUDY
from training.studies.kinds import KINDS
from training.studies.study import Row, Study
from training.studies.teachers import folders_of, given_teachers, read_teachers

KIND = KINDS["distillation"]


def test_networks_and_folders_are_told_apart() -> None:
    assert read_teachers(["wrn-22-4=a/b=c", "resnet50"]) == {"wrn-22-4": "a/b=c", "resnet50": ""}
    for given, says in ((["=x"], "needs NETWORK=FOLDER"), (["a=x", "a=y"], "--teacher a is given twice")):
        with pytest.raises(UserError, match=says):
            read_teachers(given)


def test_a_study_that_trains_its_teachers_wants_folders() -> None:
    assert folders_of(STUDY, {"wrn-10-2": "~/x"}) == {"wrn-10-2": Path.home() / "x"}
    with pytest.raises(UserError, match="--teacher wrn-10-2 needs a folder"):
        folders_of(STUDY, {"wrn-10-2": ""})
    assert folders_of(Study("s", "?", "!", (Row("a"),), kind="distillation"), {"resnet50": ""}) == {}


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (None, "there is no finished run; give the folder of one"),
        ({"spec": {}}, "its model is no classifier, or damaged"),
        ({"network": "wrn-10-2", "recipe": {"batch": 3}}, "its model is no classifier, or damaged"),
    ],
)
def test_what_is_no_teacher_is_refused(tmp_path: Path, document: object, says: str) -> None:
    if document is not None:
        (tmp_path / "bundle").mkdir()
        (tmp_path / "bundle" / "model.json").write_text(json.dumps(document))
    with pytest.raises(UserError, match=says) as refused:
        given_teachers(STUDY, KIND, {"wrn-10-2": tmp_path})
    assert len(str(refused.value).splitlines()) == 1


def test_a_network_that_does_not_teach_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match="--teacher wrn-9-9 is not of study tiny: those that teach are wrn-10-2"
    ):
        given_teachers(STUDY, KIND, {"wrn-9-9": tmp_path})


def test_a_teacher_of_another_network_is_named(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    recipe = {"name": "x", "data": {"name": "x"}, "student": {"network": "wrn-10-4"}}
    (tmp_path / "bundle" / "model.json").write_text(json.dumps({"network": "wrn-10-4", "recipe": recipe}))
    with pytest.raises(UserError, match="its network is wrn-10-4"):
        given_teachers(STUDY, KIND, {"wrn-10-2": tmp_path / "bundle"})

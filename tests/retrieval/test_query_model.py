from __future__ import annotations

from pathlib import Path

import pytest

from retrieval.bundle import Bundle, load_bundle
from retrieval.errors import BundleError
from retrieval.query_model import load_query_model
from tests.retrieval.students import write_model


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("models") / "teacher"
    write_model(folder)
    return load_bundle(folder)


def test_a_student_of_the_gallerys_model_is_taken(teacher: Bundle, tmp_path: Path) -> None:
    fingerprint = write_model(tmp_path / "student", seed=1, pixels=48, space=teacher.fingerprint)
    student = load_query_model(str(tmp_path / "student"), teacher)
    assert (student.fingerprint, student.preprocessing.pixels) == (fingerprint, 48)


def test_the_gallerys_own_model_is_taken(teacher: Bundle, tmp_path: Path) -> None:
    assert write_model(tmp_path / "copy") == teacher.fingerprint
    assert load_query_model(str(tmp_path / "copy"), teacher).space is None


@pytest.mark.parametrize(
    ("space", "size", "message"),
    [
        (None, 16, "embeds in its own space, not in that of the gallery's model"),
        ("a" * 64, 16, "embeds in the space of another model (aaaaaaaaaaaa)"),
        ("teacher", 24, "gives embeddings of 24 numbers and the gallery's model of 16"),
    ],
)
def test_another_space_or_size_is_refused_in_a_line(
    space: str | None, size: int, message: str, teacher: Bundle, tmp_path: Path
) -> None:
    said = teacher.fingerprint if space == "teacher" else space
    write_model(tmp_path / "student", seed=1, size=size, space=said)
    with pytest.raises(BundleError) as caught:
        load_query_model(str(tmp_path / "student"), teacher)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_bundle_is_refused(teacher: Bundle, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not a model bundle"):
        load_query_model(str(tmp_path), teacher)

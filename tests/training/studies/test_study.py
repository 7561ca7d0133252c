import pytest

from training.studies.study import Row, Study


def test_two_rows_of_one_name_are_a_mistake_of_the_table() -> None:
    with pytest.raises(ValueError, match="two rows of one name"):
        Study("s", "?", "!", (Row("a"), Row("a", {"batch": 3})))


def test_a_teacher_stands_before_its_students() -> None:
    teacher = Row("teacher", teaches=True)
    Study("s", "?", "!", (teacher, Row("a", teacher="teacher")))
    for rows in ((Row("a", teacher="teacher"), teacher), (Row("b"), Row("a", teacher="b"))):
        with pytest.raises(ValueError, match="stands before its teacher"):
            Study("s", "?", "!", rows)

import pytest

from training.studies.study import Row, Study


def test_two_rows_of_one_name_are_a_mistake_of_the_table() -> None:
    with pytest.raises(ValueError, match="two rows of one name"):
        Study("s", "?", "!", (Row("a"), Row("a", {"batch": 3})))
